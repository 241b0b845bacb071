"""What is known of a wheel that was looked into, and the memory of it: a warm link opens no zip.

The memory is a folder with two small texts for each wheel, named by its digest: what every link asks for, in sections
divided by an empty line, and the list of its files, which is read only when another wheel may have one of them. Names
in a wheel hold no line breaks, or it was refused. Text that is split is read ten times as fast as JSON.

Rules of the file: what cannot be read was never remembered; a text is replaced as a whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from envbuild.digest import Digest
from envbuild.package import Wheel
from envbuild.value import dataclass

CHECKS = "5"
"""Raised when wheels that passed must be looked at again."""

Unpacked = Callable[[str], bytes | None]
"""Gives the bytes of a small file that an installer has put into ``site-packages``, by its place; None for another's,
or for none."""

Rest = Callable[[Unpacked], None]
"""The rest of a check: holds a wheel's small files against its RECORD, and remembers the wheel."""

_SECTIONS = ("programs", "startup", "large", "packages", "folders", "tops")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWheel:
    """What a good wheel brings that others must know.

    Attributes:
        programs: Names of what it puts into ``bin``.
        startup: Files that run code at each start of Python.
        large: Hash and place, divided by a space, of files whose hash is still to be looked at, once they are unpacked.
        packages: Folders of ``site-packages`` that it makes importable by an ``__init__.py``, but for namespaces.
        folders: Folders of ``site-packages`` that it has files in.
        tops: Beginnings of its places; two wheels without one in common have no file in common.
        files: Where its files go (from ``site-packages``, or from the prefix after a ``/``) to what RECORD states of
            each: a hash, ``-`` for nothing, ``=`` and what it calls for a program made of an entry point. None when it
            was not looked into: ``files_of`` knows.
        requires: Its ``Requires-Dist`` as written; empty when it was not looked into.
        notes: What a user must hear; empty when it was not looked into, for then it was said.
    """

    programs: tuple[str, ...] = ()
    startup: tuple[str, ...] = ()
    large: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None
    requires: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def not_unpacked(_: str) -> None:
    """For a rest that is done before an installer has unpacked anything."""


def recall(memory: Path, wheel: Wheel) -> tuple[CheckedWheel, int] | None:
    """What is remembered of a wheel, and when it was looked at (nanoseconds since 1970); None for nothing."""
    mark = memory / wheel.sha256
    try:
        told, *sections = mark.read_text(encoding="utf-8").split("\n\n")
        if told != _passed(wheel) or len(sections) != len(_SECTIONS):
            return None
        lists: list[Any] = [tuple(section.split("\n")[1:]) for section in sections]
        return CheckedWheel(**dict(zip(_SECTIONS, lists, strict=True))), mark.stat().st_mtime_ns
    except (OSError, ValueError):
        return None


def remember(memory: Path, wheel: Wheel, checked: CheckedWheel, moment: int | None = None) -> None:
    """Keep what was found in a wheel that passed.

    Args:
        memory: The folder.
        wheel: What the lock says.
        checked: What was found.
        moment: When it was looked at, when that was not now.
    """
    memory.mkdir(parents=True, exist_ok=True)
    if checked.files is not None:
        lines = "\n".join([_passed(wheel), *(f"{stated} {place}" for place, stated in checked.files.items())])
        _replace(memory / f"{wheel.sha256}.files", lines, None)
    sections = ["\n".join([name, *getattr(checked, name)]) for name in _SECTIONS]
    _replace(memory / wheel.sha256, "\n\n".join([_passed(wheel), *sections]), moment)


def _replace(path: Path, text: str, moment: int | None) -> None:
    fresh = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    fresh.write_text(text, encoding="utf-8")
    if moment is not None:
        os.utime(fresh, ns=(moment, moment))
    fresh.replace(path)


def files_of(memory: Path, wheel: Wheel, checked: CheckedWheel) -> Mapping[str, str] | None:
    """The files of a wheel, as in ``CheckedWheel``; None when they are not remembered."""
    if checked.files is not None:
        return checked.files
    try:
        told, *lines = (memory / f"{wheel.sha256}.files").read_text(encoding="utf-8").split("\n")
        pairs = [line.split(" ", 1) for line in lines]
        return {place: stated for stated, place in pairs} if told == _passed(wheel) else None
    except (OSError, ValueError):
        return None


def top_of(place: str) -> str:
    """The beginning of a place that stands for it in ``tops``."""
    if place.startswith("/"):
        return place if place.startswith("/bin/") else "/".join(place.split("/", 4)[:4])
    return place.partition("/")[0]


def is_remembered(memory: Path, sha256: Digest) -> bool:
    """Whether something is remembered of the wheel with this digest."""
    return (memory / sha256).exists()


def _passed(wheel: Wheel) -> str:
    return f"{CHECKS} {wheel.name}=={wheel.version}"
