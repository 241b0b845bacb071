"""Removing environments from this machine: the prefix, the links to it, and the records of both.

Packages stay in the store until ``gc`` finds that nothing needs them, so an environment that is wanted again is linked
again. Nothing is written through a file: a prefix shares its files with the store and with other prefixes, so names go,
and never bytes or modes.

A prefix that a process uses is refused. Under the home's lock, held exclusively, nobody begins to use one; it is
renamed away in one step and deleted after, so that nobody sees half of it.

Rules of the file: finds out, then acts; says nothing.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from envbuild.environments.inventory import Present, present
from envbuild.environments.roots import read_roots
from envbuild.errors import LockTimeoutError
from envbuild.machine.disk import writing
from envbuild.machine.home import Home
from envbuild.machine.in_use import held
from envbuild.machine.kernel_lock import KernelLock
from envbuild.machine.temporary import remove_tree, scratch_folder
from envbuild.store.in_use import prefixes_in_use
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What goes with one environment of this machine.

    Attributes:
        name: What people call it; empty when no record names it.
        prefix: Its folder; None when only a link goes, for others point there.
        links: Links that go.
        records: Records of the home that go.
        size: Bytes that become free: a file that something else links to frees none.
        staying: Links that keep the prefix.
    """

    name: str
    platform: str
    environment: str
    prefix: Path | None
    links: tuple[Path, ...]
    records: tuple[Path, ...]
    size: int
    staying: tuple[Path, ...] = ()


def whole(home: Home, item: Present) -> Removal:
    """What goes with a prefix: all links to it, and every record of it."""
    roots = [(path, root) for path, root in read_roots(home.roots) if root.prefix == str(item.prefix)]
    return Removal(
        name=item.name,
        platform=item.platform,
        environment=item.environment,
        prefix=item.prefix,
        links=tuple(sorted(Path(root.link) for _, root in roots if root.alive and root.link != root.prefix)),
        records=(*(path for path, _ in roots), *_stamps(home, item.prefix), *_link_records(home, item.prefix)),
        size=_freed(item.prefix),
    )


def by_link(home: Home, link: Path) -> Removal | None:
    """What goes with one link: the prefix too, unless another link points there; None when it is none of ours."""
    roots = list(read_roots(home.roots))
    mine = [(path, root) for path, root in roots if root.link == str(link)]
    if not mine:
        return None
    path, root = mine[0]
    others = [other for _, other in roots if other.prefix == root.prefix and other.link != root.link and other.alive]
    item = next((item for item in present(home.path) if str(item.prefix) == root.prefix), None)
    if item is None or others or not root.alive:
        return Removal(
            name=root.name,
            platform=root.platform,
            environment=root.environment,
            prefix=None,
            links=(link,) if root.alive or not link.exists() else (),
            records=(path, *_stamps_of_link(home, link)),
            size=0,
            staying=tuple(sorted(Path(other.link) for other in others)),
        )
    return whole(home, item)


def check_unused(home: Home, removals: Sequence[Removal]) -> None:
    """Refuse to remove what a process uses.

    Raises:
        LockTimeoutError: ``in-use``.
    """
    for removal in removals:
        prefix = removal.prefix
        if prefix is not None and (prefix.name in prefixes_in_use(prefix.parent) or held(home.path, prefix.name)):
            raise LockTimeoutError(
                f"{removal.name or prefix.name} is in use: a process runs in {prefix}",
                reference="in-use",
                hint="end it first; `fuser -v` and `lsof +D` name it",
            )


def remove(
    home: Home, removals: Sequence[Removal], *, lock_timeout: float, note: Callable[[str], None] = lambda _: None
) -> None:
    """Remove environments; the caller's own workspace must be closed, for it holds the lock shared.

    Args:
        home: Whose.
        removals: What goes.
        lock_timeout: Seconds to wait for users of the home.
        note: Told who is waited for.

    Raises:
        LockTimeoutError: ``in-use``; or when the home stays in use.
        NoSpaceError: When something cannot be removed.
    """
    with scratch_folder(home.scratch) as trash:
        beside = []
        with KernelLock(home.lock, timeout=lock_timeout, notice=note):
            check_unused(home, removals)
            for number, removal in enumerate(removals):
                for path in (*removal.links, *removal.records):
                    with writing(path), suppress(FileNotFoundError):
                        path.unlink()
                if removal.prefix is not None:
                    own = removal.prefix.parent == home.prefixes
                    gone = trash / str(number) if own else removal.prefix.with_name(f".{removal.prefix.name}.removed")
                    remove_tree(gone)  # of one that was killed
                    with writing(removal.prefix), suppress(FileNotFoundError):
                        removal.prefix.rename(gone)
                    beside += [] if own else [gone]
        for path in beside:
            remove_tree(path)


def _stamps(home: Home, prefix: Path) -> Iterator[Path]:
    yield from (path for path, tree in _read_stamps(home) if tree.get("prefix") == str(prefix))


def _stamps_of_link(home: Home, link: Path) -> Iterator[Path]:
    yield from (path for path, tree in _read_stamps(home) if tree.get("out-link") == str(link))


def _read_stamps(home: Home) -> Iterator[tuple[Path, dict[str, object]]]:
    for path in sorted(home.stamps.glob("*.json")):
        with suppress(OSError, ValueError):
            tree = json.loads(path.read_bytes())
            if isinstance(tree, dict):
                yield path, tree


def _link_records(home: Home, prefix: Path) -> Iterator[Path]:
    """The record that the prefix was linked, unless another interpreter's prefix is of the same link."""
    key = prefix.name[:32]
    if prefix.parent != home.prefixes or any(path != prefix for path in home.prefixes.glob(f"{key}*")):
        return
    yield from (home.store / "results" / "link" / key[:2]).glob(f"{key}*.json")


def _freed(prefix: Path) -> int:
    names: Counter[tuple[int, int]] = Counter()
    size = 0
    for parent, _, files in os.walk(prefix):
        for file in files:
            with suppress(OSError):
                state = Path(parent, file).lstat()
                names[state.st_dev, state.st_ino] += 1
                size += state.st_size if names[state.st_dev, state.st_ino] == state.st_nlink else 0
    return size
