"""From an address to objects: which room serves it, what is missing for that, and what stands around it.

Rules of the file: nothing is asked of the other side; libraries of clouds are imported by their rooms, when first used.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from envbuild.errors import UnreachableError, UsageError
from envbuild.machine.publish import Durability
from envbuild.machine.stall import store_deadline
from envbuild.objects import Objects
from envbuild.objects.address import Address, parse_address
from envbuild.objects.failures import STALL
from envbuild.objects.read_only import ReadOnly
from envbuild.objects.retrying import Patience, Retrying
from envbuild.objects.window import Window

if TYPE_CHECKING:
    from envbuild.machine.http import Connections
    from envbuild.objects.cloud import Bucket

Mode = Literal["read-write", "read-only"]

_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "az": ("adlfs", "azure")}


def open_objects(
    url: str,
    *,
    mode: Mode = "read-write",
    patience: Patience | None = None,
    durability: Durability = "safe",
    stall: float = STALL,
    connections: Connections | None = None,
    environ: Mapping[str, str] | None = None,
    trusted_hosts: Sequence[str] = (),
    note: Callable[[str], None] = lambda _: None,
    clouds: Callable[[Address], Objects] | None = None,
) -> Objects:
    """The objects at an address. Nothing is asked yet, so a wrong name or right shows with the first question.

    Args:
        url: See docs/stores.md.
        mode: ``read-only`` refuses to write before anything is sent.
        patience: How long failures that may pass are asked again; as ``ENVBUILD_DEADLINE`` says when not given.
        durability: Of a folder: whether puts wait for the disk.
        stall: Seconds without enough bytes after which a transfer is cut.
        connections: Of a web server: who asks; made of ``environ`` when not given.
        environ: Variables for proxies, certificates and credentials of web servers; this process's when not given.
            The clouds' libraries read this process's themselves.
        trusted_hosts: Hosts whose certificates are not checked, for web servers.
        note: Told of files of credentials that others may read, for web servers.
        clouds: Opens what is in S3, Google's or Azure's, where their libraries are not.

    Raises:
        InvalidInput: ``bad-address``; ``unsafe-folder``.
        UsageError: ``missing-extra`` when the library for that cloud is not installed, with what installs it;
            ``bad-setting`` for a deadline that is none.
    """
    address = parse_address(url)
    window = Window()
    if clouds is not None and address.scheme in _EXTRAS:
        objects = clouds(address)
    else:
        objects = _objects(address, durability, stall, connections, environ or os.environ, trusted_hosts, note, window)
    if address.scheme not in {"memory", "file"}:
        objects = Retrying(objects, patience or _patience(environ or os.environ), window)
    return ReadOnly(objects) if mode == "read-only" else objects


def _patience(environ: Mapping[str, str]) -> Patience:
    deadline = store_deadline(environ)
    return Patience() if deadline is None else Patience(deadline=deadline, attempts=sys.maxsize)


def unfinished_uploads(url: str, stall: float = STALL) -> Sequence[tuple[str, float]]:
    """Uploads to an address that were begun and not ended, killed ones and those under way, and when they began.

    Nobody sees them, and S3 has them paid for until they are ended. Elsewhere there are none that stay.

    Args:
        url: See docs/stores.md.
        stall: See ``open_objects``.

    Raises:
        UnreachableError: ``refused`` where we may not list them; or when it does not answer.
        EnvbuildError: As ``open_objects``.
    """
    address = parse_address(url)
    if address.scheme not in _EXTRAS:
        return []
    _check_extra(address)
    from envbuild.objects.cloud import CloudObjects

    return CloudObjects(_connecting(address, stall), address.path, address.shown, stall).unfinished()


def _objects(
    address: Address,
    durability: Durability,
    stall: float,
    connections: Connections | None,
    environ: Mapping[str, str],
    trusted_hosts: Sequence[str],
    note: Callable[[str], None],
    window: Window,
) -> Objects:
    if address.scheme == "memory":
        from envbuild.objects.memory import MemoryObjects

        return MemoryObjects(address.bucket)
    if address.scheme == "file":
        from envbuild.objects.folder import FolderObjects

        return FolderObjects(Path(address.path), durability)
    if address.scheme in {"http", "https"}:
        from envbuild.machine import http
        from envbuild.machine.credentials import Credentials
        from envbuild.objects.web import WebObjects

        if connections is None:
            waits = http.Patience(stall=stall)
            connections = http.Connections(Credentials(environ, [address.url], note), environ, waits, trusted_hosts)
        return WebObjects(address.url, address.shown, connections, stall)
    _check_extra(address)
    from envbuild.objects.cloud import CloudObjects

    return CloudObjects(_connecting(address, stall), address.path, address.shown, stall, window.answered)


def _connecting(address: Address, stall: float) -> Callable[[], Bucket]:
    def connect() -> Bucket:
        try:
            if address.scheme == "s3":
                from envbuild.objects.s3 import connect_s3

                return connect_s3(address, stall)
            if address.scheme == "gs":
                from envbuild.objects.gs import connect_gs

                return connect_gs(address, stall)
            from envbuild.objects.azure import connect_azure

            return connect_azure(address, stall)
        except ImportError as error:
            raise UnreachableError(
                f"{address.shown}: the library {error.name or _EXTRAS[address.scheme][0]} cannot be imported",
                reference="missing-extra",
                hint=_install(address),
            ) from error

    return connect


def _check_extra(address: Address) -> None:
    library = _EXTRAS[address.scheme][0]
    if importlib.util.find_spec(library) is None:
        raise UsageError(
            f"{address.shown} needs {library}, which is not installed",
            reference="missing-extra",
            hint=_install(address),
        )


def _install(address: Address) -> str:
    return f"run: pip install 'envbuild[{_EXTRAS[address.scheme][1]}]'"
