"""Whether a prefix still is what its blobs give, and how it becomes that again.

There is no list of hashes to trust: the link is done again, from verified blobs, with engine caches that are empty,
into scratch but for the same final path; then both trees are compared: paths, types, modes, contents, targets of
links. What Python writes while it runs (``__pycache__``) does not count; what a link puts there does.

A repair moves the damaged tree away and the good one in. The engines' caches share files with prefixes by hard links,
so that what is damaged here may be damaged there: the entries of the packages concerned are removed too, else the next
link would bring the damage back.
"""

from __future__ import annotations

import csv
import filecmp
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from envbuild.linkers.prefix import assemble
from envbuild.linkers.wheels import forget_wheels
from envbuild.machine.disk import writing
from envbuild.package import normalize_pypi_name
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context, HostPython
    from envbuild.derivations.link import Link

Problem = Literal["missing", "unexpected", "different type", "different mode", "different content", "different target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One path of a prefix that is not as its blobs give it; ``.`` stands for the whole prefix."""

    path: str
    problem: Problem


class _FreshCaches:
    """A context whose engine caches are empty folders; all else is the other context's."""

    def __init__(self, context: Context, folder: Path) -> None:
        self._context = context
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def unpacking(self) -> AbstractContextManager[None]:
        return nullcontext()  # what is in them is looked at now and thrown away

    def engine_cache(self, engine: str) -> Path:
        path = self._folder / engine
        path.mkdir(parents=True, exist_ok=True)
        return path


def verify_prefix(
    link: Link, final: Path, host: HostPython | None, context: Context, *, repair: bool = False
) -> tuple[Finding, ...]:
    """Compare a prefix with what its blobs give.

    Args:
        link: The derivation.
        final: The prefix.
        host: This machine's Python, in host mode.
        context: With the blobs of the link's inputs.
        repair: Put the good tree in the place of a damaged one.

    Returns:
        What was found, sorted by path; nothing when the prefix is good. A repair does not change what was found.

    Raises:
        IntegrityError: A blob is damaged: there is nothing to compare with.
    """
    with writing(final.parent), _built_again(link, final, host, context) as good, context.lock(f"prefix-{final.name}"):
        findings = compare(final, good, compiled=bool(link.bytecode))
        if findings and repair:
            _evict(link, good, findings, context)
            if os.path.lexists(final):
                final.rename(good.parent / "damaged")
            context.publish_tree(good, final)
    return findings


@contextmanager
def _built_again(link: Link, final: Path, host: HostPython | None, context: Context) -> Iterator[Path]:
    with context.scratch() as folder:
        fresh = cast("Context", _FreshCaches(context, folder / "caches"))
        assemble(link, folder / "prefix", final, host, fresh)
        yield folder / "prefix"


def compare(found: Path, good: Path, *, compiled: bool = False) -> tuple[Finding, ...]:
    """What differs between two trees, sorted by path.

    Args:
        found: The tree as it is.
        good: As it should be.
        compiled: Whether compiled modules count that Python never writes anew: nothing else would find one damaged.
    """
    if found.is_symlink() or not found.is_dir():
        return (Finding(path=".", problem="missing"),)
    ours, theirs = dict(_walk(found)), dict(_walk(good))
    for path, state in _unchecked(good) if compiled else ():
        theirs[path] = state
        if os.path.lexists(found / path):
            ours[path] = (found / path).lstat()
    findings = []
    for path in sorted({*ours, *theirs}):
        problem: Problem | None = None
        if path not in ours:
            problem = "missing"
        elif path not in theirs:
            problem = "unexpected"
        else:
            problem = _difference(found / path, ours[path], good / path, theirs[path])
        if problem is not None:
            findings.append(Finding(path=path, problem=problem))
    return tuple(findings)


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    folders = [""]
    while folders:
        parent = folders.pop()
        with os.scandir(root / parent) as entries:
            for entry in entries:
                path = f"{parent}{entry.name}"
                if entry.name == "__pycache__":
                    continue
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")


def _unchecked(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    from envbuild.linkers.bytecode import is_unchecked

    for path in root.rglob("__pycache__/*.pyc"):
        if path.is_file() and not path.is_symlink() and is_unchecked(path):
            yield str(path.relative_to(root)), path.lstat()


def _difference(found: Path, ours: os.stat_result, good: Path, theirs: os.stat_result) -> Problem | None:
    if stat.S_IFMT(ours.st_mode) != stat.S_IFMT(theirs.st_mode):
        return "different type"
    if stat.S_ISLNK(ours.st_mode):
        return None if found.readlink() == good.readlink() else "different target"
    if stat.S_IMODE(ours.st_mode) != stat.S_IMODE(theirs.st_mode):
        return "different mode"
    if stat.S_ISREG(ours.st_mode) and not filecmp.cmp(found, good, shallow=False):
        return "different content"
    return None


def _evict(link: Link, good: Path, findings: Iterable[Finding], context: Context) -> None:
    """Remove from the engines' caches whatever may share a damaged file with the prefix."""
    damaged = {finding.path for finding in findings}
    cache = context.engine_cache("rattler") / "packages"
    for _, package in link.conda():
        stem = f"{package.name}-{package.version}-{package.build}"
        record = json.loads((good / "conda-meta" / f"{stem}.json").read_bytes())
        if damaged.intersection(record.get("files", ())) or "." in damaged:
            for entry in cache.glob(f"{stem}*"):
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
    names = set()
    for record_file in good.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        site = record_file.parent.parent.relative_to(good)
        with record_file.open(encoding="utf-8", newline="") as stream:
            files = {os.path.normpath(site / row[0]) for row in csv.reader(stream) if row}
        if damaged & files or "." in damaged:
            names.add(normalize_pypi_name(record_file.parent.name.split("-", 1)[0]))
    linked = {wheel.name for _, wheel in link.wheels()} | {source.name for _, source in link.sources()}
    if wheels := sorted(names & linked):
        forget_wheels(wheels, context)
    if any("/__pycache__/" in path for path in damaged) or "." in damaged:
        for key in link.bytecode:
            shutil.rmtree(context.engine_cache("bytecode") / context.digest(key), ignore_errors=True)
    archive = link.archive()
    if archive is not None:
        shutil.rmtree(context.engine_cache("interpreters") / archive[1].sha256, ignore_errors=True)
