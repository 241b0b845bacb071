"""Copies of channels' indices that were read once, and whether an index goes back in time.

After a solve the engine's own copy of each index is kept under a second name (a hard link: no bytes are copied), beside
a mark: its date and how much it lists. When an index cannot be read later, a solve may use the kept copy; when a later
one is older than its mark, or lists less, people are told. An index that did not change costs one small file to read,
and no server is asked.

The date is the server's ``Last-Modified``, or what a sharded index says of itself. What this cannot see: an index that
went back by less than ``TOLERANCE`` and lists about as much as before; one that goes back on a machine that never saw
the newer one; records that were changed in place. Folders (``file:``) are not kept.

Rules of the file: files of the engine's cache alone; where one is missing or cannot be written, there is no copy, and
nothing to tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from envbuild.solvers.cached_indices import CachedIndex, cached_indices, listed
from envbuild.value import dataclass, replace

TOLERANCE = 3600.0
"""Seconds that an index may be older than one seen before: the servers behind one address differ by that much."""

FEWER = 0.95
"""The part of its records that an index may shrink to without a word: channels take broken packages back."""

_LATEST = 253_402_300_800.0  # the year 10000, which no date can say


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is remembered of the index of one folder.

    Attributes:
        form: See ``CachedIndex``; ``tag`` and ``dated`` too.
        fetched: When it came, in seconds since 1970.
        count: What it lists.
        files: Names of the kept files.
    """

    form: str
    tag: str
    dated: float | None
    fetched: float
    count: int
    files: tuple[str, ...]

    @property
    def date(self) -> float:
        """When it was right at the latest."""
        return self.fetched if self.dated is None else self.dated


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of one channel.

    Attributes:
        folder: Where; the engine reads it as its cache.
        marks: By folder of the channel.
        absent: Folders that the channel did not have.
    """

    folder: Path
    marks: Mapping[str, Mark]
    absent: frozenset[str] = frozenset()

    def date(self, subdirs: Iterable[str]) -> float:
        """The date of the oldest index of some folders of the channel."""
        return min(self.marks[subdir].date for subdir in subdirs if subdir in self.marks)

    def document(self) -> dict[str, Any]:
        """For the child."""
        return {"folder": str(self.folder), "subdirs": sorted(self.marks)}


def kept_copies(
    cache: Path, channels: Iterable[str], subdirs: Sequence[str], cut_off: str | None = None
) -> dict[str, Kept]:
    """The kept copies that can answer for some folders of channels.

    Args:
        cache: The engine's cache of indices.
        channels: Addresses as the engine is given them.
        subdirs: Folders; a copy must know each of them.
        cut_off: RFC 3339; an older copy cannot know all that there was until then, so it does not count.
    """
    limit = datetime.fromisoformat(cut_off.replace("Z", "+00:00")).timestamp() if cut_off else 0.0
    found = {}
    for channel in channels:
        kept = _read(cache, channel)
        whole = kept.absent.union(kept.marks).issuperset(subdirs) and not kept.marks.keys().isdisjoint(subdirs)
        if whole and kept.date(subdirs) >= limit:
            found[channel] = kept
    return found


def keep_indices(
    cache: Path, channels: Iterable[str], subdirs: Sequence[str], *, solved: bool = True
) -> dict[str, str]:
    """Keep the indices that a solve has read; the newer copy stays, when a channel went back in time.

    Args:
        cache: The engine's cache of indices.
        channels: Addresses as the engine was given them, without those whose index could not be read.
        subdirs: Folders that were asked for.
        solved: Whether they had an answer; if not, nothing is kept: an index may be read and have lost what it had.

    Returns:
        What to tell of each channel that went back.
    """
    told: dict[str, str] = {}
    servers = [item for item in channels if not item.startswith("file:")]
    with suppress(OSError):
        indices = cached_indices(cache, {f"{server}/{subdir}" for server in servers for subdir in subdirs})
        for server in servers:
            here = {subdir: indices.get(f"{server}/{subdir}") for subdir in subdirs}
            if any(here.values()):
                word = _keep_one(_read(cache, server), here, cache, solved=solved)
                told |= {server: word} if word else {}
    return told


def _keep_one(kept: Kept, here: Mapping[str, CachedIndex | None], cache: Path, *, solved: bool) -> str:
    """Keep what is new of one channel, and say how it went back, if it did."""
    marks, words = dict(kept.marks), []
    absent = kept.absent - here.keys() | {subdir for subdir, index in here.items() if index is None} - marks.keys()
    for subdir, index in here.items():
        before = marks.get(subdir)
        if index is None or (before is not None and before.tag == index.tag):
            continue
        now = _mark(index)
        if before is not None and before.form == now.form:
            words += _went_back(before, now, subdir)
            if _is_older(before, now):
                continue
        if not solved:
            continue
        _link(index, kept.folder, cache)
        marks[subdir] = now
        for name in set(before.files if before else ()) - set(now.files):
            (kept.folder / name).unlink(missing_ok=True)
    if solved and (marks != kept.marks or absent != kept.absent):
        _write(replace(kept, marks=marks, absent=frozenset(absent)))
    return "; ".join(words)


def _mark(index: CachedIndex) -> Mark:
    files = tuple(path.name for path in (index.path, index.about) if path is not None)
    fetched = index.path.stat().st_mtime
    # A date to come would be newer than all that follows, for years.
    dated = index.dated if index.dated is not None and index.dated <= fetched + TOLERANCE else None
    return Mark(form=index.form, tag=index.tag, dated=dated, fetched=fetched, count=listed(index), files=files)


def _is_older(before: Mark, now: Mark) -> bool:
    return before.dated is not None and now.dated is not None and now.dated < before.dated - TOLERANCE


def _went_back(before: Mark, now: Mark, subdir: str) -> list[str]:
    lost, older = before.count - now.count, _is_older(before, now)
    if not older and now.count >= before.count * FEWER:
        return []
    parts = [f"is of {day(now.date)}, but one of {day(before.date)} was seen before"] if older else []
    parts += [f"lists {now.count} {now.form}, {lost} fewer than before"] if lost > 0 else []
    return [f"{subdir} {' and '.join(parts)}"]


def _folder(cache: Path, channel: str) -> Path:
    return cache.parent / "read-indices" / hashlib.sha256(channel.encode()).hexdigest()[:32]


def _read(cache: Path, channel: str) -> Kept:
    folder = _folder(cache, channel)
    try:
        tree = json.loads((folder / "marks").read_bytes())
        marks = {subdir: Mark(**{**told, "files": tuple(told["files"])}) for subdir, told in tree["marks"].items()}
        if not all(isinstance(mark.count, int) and 0 <= mark.date < _LATEST for mark in marks.values()):
            return Kept(folder=folder, marks={})
        return Kept(folder=folder, marks=marks, absent=frozenset(tree["absent"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Kept(folder=folder, marks={})


def _link(index: CachedIndex, folder: Path, cache: Path) -> None:
    """Give the files of an index a second name: the engine writes a new index into a new file."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{os.getpid()}.{id(index)}.part"
    try:
        part.hardlink_to(index.path)
        part.replace(folder / index.path.name)
        part.unlink(missing_ok=True)  # two names of one file: the system left the first as it was
        if index.about is not None:  # this one is written in place
            shutil.copyfile(index.about, part)
            part.replace(folder / index.about.name)
    finally:
        part.unlink(missing_ok=True)
    shards = folder / "shards-v1"
    if index.form == "names" and not shards.is_symlink():
        shards.symlink_to(Path("..", "..", cache.name, shards.name))


def _write(kept: Kept) -> None:
    marks = {subdir: {name: getattr(mark, name) for name in Mark.__slots__} for subdir, mark in kept.marks.items()}
    part = kept.folder / f"marks.{os.getpid()}.{id(kept)}.part"
    try:
        kept.folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"marks": marks, "absent": sorted(kept.absent)}), encoding="utf-8")
        part.replace(kept.folder / "marks")
    finally:
        part.unlink(missing_ok=True)


def day(seconds: float) -> str:
    """A date for people."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
