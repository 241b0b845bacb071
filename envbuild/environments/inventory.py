"""What is on this machine: prefixes, what they are called, where links to them are, and when they were last used.

Everything is read from small records (roots, stamps and closures) and folder names; no prefix is walked.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from envbuild.digest import Digest, unsealed
from envbuild.environments.roots import read_roots
from envbuild.package import PLATFORMS, Platform
from envbuild.store.environments import Identity
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """One prefix of this machine.

    Attributes:
        name: What recipes call it; empty when no record names it any more.
        links: Out-links that point to it; the first is the one that ``name`` and ``recipe`` belong to.
        used: When it was last used, seconds since 1970.
        packages: How many, or None when no record says.
        size: Bytes of its packages' files, as far as its closure or the store says them; None where neither does, or
            that was not asked.
        bytecode: Whether their modules are compiled ahead, or None likewise.
    """

    prefix: Path
    name: str
    platform: str
    environment: str
    request: str
    recipe: str
    links: tuple[str, ...]
    used: float
    packages: int | None
    size: int | None = None
    bytecode: bool | None = None


def present(home: Path) -> tuple[Present, ...]:
    """Every prefix under a home, by name and then by last use, newest first."""
    records: dict[str, dict[str, Any]] = {}
    for stamp, used in _stamps(home):
        record = records.setdefault(stamp["prefix"], {"links": {}, "used": 0.0})
        record.update(stamp["summary"])
        record["used"] = max(record["used"], used)
    for root in sorted((root for _, root in read_roots(home / "roots")), key=lambda root: (root.alive, root.created)):
        record = records.setdefault(root.prefix, {"links": {}, "used": 0.0})
        record.update(name=root.name, platform=root.platform, environment=root.environment, request=root.request)
        record["recipe"] = root.recipe
        if root.alive:  # the newest comes last and gives name and recipe
            record["links"][root.link] = None
    found = []
    for prefix in _prefixes(home, records):
        record = records.get(str(prefix), {"links": {}, "used": 0.0})
        found.append(
            Present(
                prefix=prefix,
                name=record.get("name", ""),
                platform=record.get("platform", ""),
                environment=record.get("environment", ""),
                request=record.get("request", ""),
                recipe=record.get("recipe", ""),
                links=tuple(reversed(record["links"])),
                used=record["used"] or prefix.stat().st_mtime,
                packages=record.get("packages"),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.name, -item.used)))


def with_sizes(home: Path, items: Iterable[Present]) -> tuple[Present, ...]:
    """The same with how many packages each holds and what these are: from closures, without walking a prefix."""
    return tuple(_with_size(home / "store", item) for item in items)


def _with_size(store: Path, item: Present) -> Present:
    identity = _identity(item)
    if identity is None:
        return item
    try:
        tree = json.loads(unsealed((store / identity.object_name).read_bytes()))["platforms"][item.platform]
        packages = [entry for part in ("conda", "wheels", "sources") for entry in tree[part]]
        sizes = [entry.get("size") or _blob_size(store, entry["sha256"]) for entry in packages]
        compiled = tree.get("bytecode") is True
        return replace(item, packages=len(packages), size=sum(sizes) or None, bytecode=compiled)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return item


def _blob_size(store: Path, sha256: str) -> int:
    """What a package has in the store, where its index did not tell; 0 when it is not there."""
    try:
        return (store / "blobs" / "sha256" / sha256[:2] / sha256).stat().st_size
    except OSError:
        return 0


def prefixes_of(home: Path, environment: str) -> tuple[Path, ...]:
    """The prefixes on this machine that hold an environment."""
    return tuple(item.prefix for item in present(home) if item.environment == environment)


def held(home: Path, prefix: Path) -> Identity | None:
    """The environment that a prefix holds, as the records of this home say; None when none does."""
    found = (item for item in present(home) if os.path.realpath(item.prefix) == str(prefix))
    return next((identity for item in found if (identity := _identity(item)) is not None), None)


def touch(home: Path, prefix: Path) -> None:
    """Say that a prefix is used now: ``gc`` goes by the time of its stamps. A home that is not written forgets it."""
    for path in (home / "stamps").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(path.read_bytes())["prefix"] == str(prefix):
                os.utime(path)


def _identity(item: Present) -> Identity | None:
    if item.platform not in PLATFORMS or not item.request or not item.environment:
        return None
    return Identity(
        platform=Platform(item.platform), request=Digest(item.request), environment=Digest(item.environment)
    )


def _stamps(home: Path) -> Iterator[tuple[dict[str, Any], float]]:
    for path in sorted((home / "stamps").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            tree = json.loads(path.read_bytes())
            if isinstance(tree["prefix"], str) and isinstance(tree["summary"], dict):
                yield tree, path.stat().st_mtime


def _prefixes(home: Path, records: dict[str, dict[str, Any]]) -> list[Path]:
    """The home's own prefixes, and those that records name elsewhere, as far as they are there."""
    folder = home / "prefixes"
    own = [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    elsewhere = [Path(name) for name in sorted(records) if Path(name).parent != folder and Path(name).is_dir()]
    return own + elsewhere
