"""Collecting garbage on this machine: what nothing refers to any more goes.

A prefix is kept when an out-link that was registered still points to it, when it was made or used within the days to
keep (stamps tell when a realize last met it), or while a process runs in it. A kept prefix keeps its link record, the
manifest, and every blob that the manifest names. A blob that stays and was built or transmuted keeps the record of
that work, with its log; a kept environment keeps the sources that its wheels were built from and the conda packages
that were transmuted, for a folder, a repository or a channel may have changed since. Records and blobs that are
younger than the days to keep stay too: they belong to work that has just been done. Everything else goes: prefixes,
blobs, records, dead roots and stamps, lock files that nobody holds, and whatever processes that died left in ``tmp``.

The home's lock is held exclusively while garbage is marked and *renamed* into a trash folder; users hold it shared.
Deleting the trash takes long, and happens after. A collector that is killed leaves a trash folder in ``tmp``, which the
next one removes. Only names made of digests are ever taken; of a symbolic link only the link goes.

Rules of the file: ``mark`` reads, ``collect`` acts; a dry run is ``mark`` alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from envbuild import faults
from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.environments.roots import read_roots
from envbuild.machine.disk import writing
from envbuild.machine.home import Home
from envbuild.machine.in_use import held
from envbuild.machine.kernel_lock import DEFAULT_TIMEOUT, KernelLock
from envbuild.machine.temporary import scratch_folder, stale
from envbuild.machine.unsynced import leave_no_mark
from envbuild.pattern import pattern
from envbuild.store import Result
from envbuild.store.folder import FolderStore, open_store
from envbuild.store.in_use import prefixes_in_use
from envbuild.value import dataclass

_PREFIX = pattern(r"[0-9a-f]{32}(-[0-9a-f]{1,32})?")
_DAY = 86400.0
_IMPORTED = frozenset({"metaflow", "metaflow-escape"})
"""Folders of the cache whose folders are imported from; see ``envbuild.metaflow.importable`` and ``escape``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What a collection takes, or took.

    Attributes:
        prefixes: Folders of prefixes; so are the other fields paths of what their names say.
        roots: Records of out-links that are gone or point elsewhere.
        leftovers: What dead processes left in ``tmp``, and records that they were about to write. Whoever writes one
            holds the home's lock shared, so under the exclusive lock none belongs to the living.
        size: Bytes that become free; hard-linked files count when their last name goes.
        kept_prefixes: How many stay; so ``kept_blobs``.
    """

    prefixes: tuple[Path, ...]
    blobs: tuple[Path, ...]
    results: tuple[Path, ...]
    roots: tuple[Path, ...]
    stamps: tuple[Path, ...]
    closures: tuple[Path, ...]
    caches: tuple[Path, ...]
    leftovers: tuple[Path, ...]
    size: int
    kept_prefixes: int
    kept_blobs: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """Everything, in the order in which it goes: what refers first, what is referred to last."""
        records = (*self.roots, *self.stamps, *self.closures)
        return (*records, *self.prefixes, *self.results, *self.blobs, *self.caches, *self.leftovers)


def collect(
    home: Home,
    *,
    keep_days: float,
    dry_run: bool = False,
    caches: bool = False,
    largest: int | None = None,
    lock_timeout: float = DEFAULT_TIMEOUT,
    note: Callable[[str], None] = lambda _: None,
) -> Garbage:
    """Remove what nothing refers to; the caller's own workspace must be closed, for it holds the lock shared.

    Args:
        home: Whose garbage.
        keep_days: Days for which what was used or made stays without a root; 0 keeps only what is rooted or in use.
        dry_run: Say what would go, and take nothing.
        caches: Empty the engines' caches too; they fill again when they are needed.
        largest: Bytes that prefixes and blobs may have: days are cut until they fit, or none is left.
        lock_timeout: Seconds to wait for users of the home.
        note: Told what is odd.

    Returns:
        What was (or would be) taken.

    Raises:
        LockTimeoutError: When the home stays in use.
        NoSpaceError: When the home cannot be written.
    """
    store = open_store(home.store, note=note)
    if largest is not None:
        keep_days = _fitting_days(home, store, keep_days, largest, note)
    if dry_run:
        return mark(home, store, keep_days=keep_days, caches=caches, now=time.time())
    with scratch_folder(home.scratch) as trash:
        with KernelLock(home.lock, timeout=lock_timeout, notice=note):
            garbage = mark(home, store, keep_days=keep_days, caches=caches, now=time.time())
            faults.reach("gc-post-mark")
            for number, path in enumerate(garbage.paths):
                if number == 1:
                    faults.reach("gc-mid-sweep")
                with writing(path), suppress(FileNotFoundError):
                    path.rename(trash / str(number))
            _remove_locks(home)
            leave_no_mark(home.cache)
        return garbage


def _fitting_days(home: Home, store: FolderStore, keep_days: float, largest: int, note: Callable[[str], None]) -> float:
    """The most days for which what stays has no more bytes than it may have: the oldest goes first."""
    now = time.time()
    parts = [*home.prefixes.iterdir(), *(store.blobs.name(digest) for digest, _, _ in store.blobs.list())]
    inside = {path: _inodes(path) for path in parts}

    def fits(days: float) -> bool:
        gone = set(mark(home, store, keep_days=days, now=now).paths)
        kept: dict[tuple[int, int], int] = {}
        for path, files in inside.items():
            if path not in gone:
                kept.update(files)
        return sum(kept.values()) <= largest

    if fits(keep_days):
        return keep_days
    if not fits(0.0):
        note("what has a link or is in use alone is more than --max-size allows: it stays")
        return 0.0
    low, high = 0.0, keep_days
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def mark(home: Home, store: FolderStore, *, keep_days: float, now: float, caches: bool = False) -> Garbage:
    """What a collection would take now. Reads only.

    Args:
        home: Whose garbage.
        store: Its store.
        keep_days: See ``collect``.
        now: Seconds since 1970, as the file system's times.
        caches: See ``collect``.
    """
    since = now - keep_days * _DAY
    roots = list(read_roots(home.roots))
    stamps = {path: prefix for path, prefix, _ in _stamps(home)}
    prefixes = [path for path in sorted(home.prefixes.iterdir()) if _PREFIX.fullmatch(path.name)]
    wanted = {root.prefix for _, root in roots if root.alive}
    wanted |= {prefix for path, prefix in stamps.items() if _younger(path, since)}
    running = prefixes_in_use(home.prefixes)
    kept = {
        path.name
        for path in prefixes
        if str(path) in wanted or path.name in running or _younger(path, since) or held(home.path, path.name)
    }
    gone = tuple(path for path in prefixes if path.name not in kept)
    lost = {str(path) for path in gone}
    named = {root.environment for _, root in roots if root.alive}
    named |= {environment for _, prefix, environment in _stamps(home) if prefix not in lost and Path(prefix).exists()}
    meant = named | _aliased(store)
    results, blobs = _references(store, {name[:32] for name in kept}, since)
    _add_makers(store, results, blobs)
    blobs.update(_sources(store, named))
    dead_results = tuple(path for path in _all_results(store) if path not in results)
    dead_blobs = []
    kept_blobs = 0
    for digest, _, modified in store.blobs.list():
        if digest in blobs or modified >= since:
            kept_blobs += 1
        else:
            dead_blobs.append(store.blobs.name(digest))
    garbage = Garbage(
        prefixes=gone,
        blobs=tuple(dead_blobs),
        results=dead_results,
        roots=tuple(path for path, root in roots if not root.alive),
        stamps=tuple(path for path, prefix in stamps.items() if prefix in lost or not Path(prefix).exists()),
        closures=tuple(
            path
            for path in sorted(store.path.glob("environments/*/*/*.json"))
            if path.stem not in meant and not _younger(path, since)
        ),
        caches=tuple(_caches(home)) if caches else (),
        leftovers=(*stale(home.scratch), *stale(store.incoming), *home.roots.glob("*.tmp"), *home.stamps.glob("*.tmp")),
        size=0,
        kept_prefixes=len(kept),
        kept_blobs=kept_blobs,
    )
    return _measured(garbage)


def _references(store: FolderStore, links: set[str], since: float) -> tuple[set[Path], set[Digest]]:
    """Records and blobs that stay: those of kept prefixes, and records that are young, each with its blobs."""
    results: set[Path] = set()
    blobs: set[Digest] = set()
    for kind in KINDS:
        for key in store.results.list(kind):
            path = store.results.name(kind, key)
            if not (kind == "link" and key[:32] in links) and not _younger(path, since):
                continue
            result = store.results.get(kind, key)
            if result is not None:
                results.add(path)
                blobs.update(_blobs_of(store, result))
    return results, blobs


def _add_makers(store: FolderStore, results: set[Path], blobs: set[Digest]) -> None:
    """Records of what made a blob that stays, each with all its outputs: a build's log and what else it tells."""
    for kind in ("transmute", "build-wheel", "bytecode"):
        for key in store.results.list(kind):
            result = store.results.get(kind, key)
            if result is not None and result.output().sha256 in blobs:
                results.add(store.results.name(kind, key))
                blobs.update(output.sha256 for _, output in result.outputs)


def _sources(store: FolderStore, environments: set[str]) -> Iterator[Digest]:
    """What the wheels of these environments were built from, and their conda packages as the channel has them."""
    for path in store.path.glob("environments/*/*/*.json"):
        if path.stem in environments:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                for environment in json.loads(path.read_bytes())["platforms"].values():
                    built_with = environment.get("build-sources", ())
                    made_of = (*environment["sources"], *built_with, *environment["conda"])
                    yield from (Digest(str(item["sha256"])) for item in made_of)


def _aliased(store: FolderStore) -> set[str]:
    """The environments that a name means, or meant: their closures stay, so that all of its generations can be had.

    Those of a name that was removed do not: its newest generation means nothing.
    """
    found: set[str] = set()
    for folder in store.path.glob("refs/**/@*"):
        meant: list[set[str]] = [set()]
        for path in sorted(folder.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                meant.append(set(json.loads(path.read_bytes())["environments"].values()))
        found.update(*meant if meant[-1] else ())
    return found


def _blobs_of(store: FolderStore, result: Result) -> Iterator[Digest]:
    for _, output in result.outputs:
        yield output.sha256
    if result.kind == "link":
        path = store.blobs.path(result.output().sha256)
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path is not None:
                yield from (Digest(str(blob)) for blob in json.loads(path.read_bytes())["blobs"])


def _all_results(store: FolderStore) -> Iterator[Path]:
    for kind in KINDS:
        for key in store.results.list(kind):
            yield store.results.name(kind, key)


def _stamps(home: Home) -> Iterator[tuple[Path, str, str]]:
    """Each stamp with the prefix and the environment id that it names."""
    for path in sorted(home.stamps.glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            tree = json.loads(path.read_bytes())
            yield path, str(tree["prefix"]), str(tree.get("summary", {}).get("environment", ""))


def _younger(path: Path, since: float) -> bool:
    with suppress(OSError):
        return path.lstat().st_mtime >= since
    return False


def _caches(home: Home) -> Iterator[Path]:
    """The engines' caches; what steps and kernels import goes only when no run holds it and its links lead nowhere."""
    for path in sorted(home.cache.iterdir()):
        if path.name not in _IMPORTED or path.is_symlink() or not path.is_dir():
            yield path
            continue
        for folder in sorted(path.iterdir()):
            links = [item for item in folder.iterdir() if item.is_symlink()] if folder.is_dir() else []
            if not held(home.path, folder.name) and not (links and all(item.exists() for item in links)):
                yield folder


def _remove_locks(home: Home) -> None:
    """Remove lock files that nobody holds; who waits for one sees that its file lost its name, and opens it anew."""
    for path in home.locks.iterdir():
        if path == home.lock or path.is_symlink():
            continue
        lock = KernelLock(path, timeout=0)
        if lock.try_acquire():
            with suppress(OSError):
                path.unlink()
            lock.release()


def _measured(garbage: Garbage) -> Garbage:
    from envbuild.value import replace

    links: dict[tuple[int, int], int] = {}
    size = 0
    for path in _files(garbage.paths):
        with suppress(OSError):
            state = path.lstat()
            seen = links[state.st_dev, state.st_ino] = links.get((state.st_dev, state.st_ino), 0) + 1
            if seen == state.st_nlink:
                size += state.st_size
    return replace(garbage, size=size)


def _inodes(path: Path) -> dict[tuple[int, int], int]:
    """The files of a prefix, or a blob: their bytes, each file once, whatever names it has."""
    found = {}
    for file in _files((path,)):
        with suppress(OSError):
            state = file.lstat()
            found[state.st_dev, state.st_ino] = state.st_size
    return found


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_symlink() or not path.is_dir():
            yield path
            continue
        for parent, _, names in os.walk(path):
            for name in names:
                yield Path(parent, name)
