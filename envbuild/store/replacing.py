"""Putting what is right in the place of what was proven wrong, in one shared store.

Each looks once more before it deletes, so that it never takes what somebody else has just mended.

Rules of the file: nothing else in a store is ever overwritten.
"""

from __future__ import annotations

from pathlib import Path

from envbuild.digest import Digest
from envbuild.errors import IntegrityError
from envbuild.package import Platform
from envbuild.store import Result
from envbuild.store.arriving import Hashing
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.shared import SharedStore


def replace_blob(store: SharedStore, digest: Digest, path: Path) -> bool:
    """Put right bytes in the place of wrong ones; False when they are right by now.

    Raises:
        UnreachableError: As ``SharedStore.put_blob``; ``NoSpaceError`` likewise.
    """
    store.check_keeps()
    found = Hashing()
    if store.objects.fetch(blob_name(digest), found) and found.digest() == digest:
        return False
    store.objects.delete(blob_name(digest))
    store.put_blob(digest, path)
    return True


def replace_closure(store: SharedStore, platform: Platform, request: Digest, environment: Digest, data: bytes) -> bool:
    """Put a right closure in the place of one that is none; False where there is a right one.

    Raises:
        UnreachableError: As ``SharedStore.put_closure``; ``NoSpaceError`` likewise.
    """
    name = closure_name(platform, request, environment)
    try:
        if store.closure(platform, request, environment) is not None:
            return False
    except IntegrityError:
        store.check_keeps()
        store.objects.delete(name)
    store.damaged.discard(name)
    return store.put_closure(platform, request, environment, data) == "created"


def replace_result(store: SharedStore, result: Result, known: Result | None) -> None:
    """Put a record in the place of one that is none, or whose blobs are gone, unless it was mended by now.

    Args:
        store: Which.
        result: The right one.
        known: The one whose blobs are gone; None for one that cannot be read.

    Raises:
        UnreachableError: As ``SharedStore.put_result``; ``NoSpaceError`` likewise.
    """
    store.check_keeps()
    try:
        found = store.result(result.kind, result.key)
    except IntegrityError:
        found = None
    if found is None or found == known:
        store.objects.delete(result_name(result.kind, result.key))
        store.put_result(result)
