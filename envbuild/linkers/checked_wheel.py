"""What is known of a wheel that was looked into, and the memory of it: a warm link opens no zip.

The memory is a folder with one small text for each wheel, named by its digest: sections divided by an empty line, each
a title and one entry per line. Names in a wheel hold no line breaks, or it was refused. Text that is split is read ten
times as fast as JSON, and a science stack has 8,000 files.

Rules of the file: what cannot be read was never remembered; a text is replaced as a whole.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from envbuild.digest import Digest
from envbuild.package import Wheel
from envbuild.value import dataclass

CHECKS = "3"
"""Raised when wheels that passed must be looked at again."""

_SECTIONS = ("programs", "startup", "places", "hashes", "large", "packages", "folders")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWheel:
    """What a good wheel brings that others must know.

    Attributes:
        programs: Names of what it puts into ``bin``.
        startup: Files that run code at each start of Python.
        places: Where its files go: from ``site-packages``, or from the prefix after a ``/``; those come first.
        hashes: What RECORD states of each place, ``-`` for nothing; for a program made of an entry point ``=`` and
            what it calls.
        large: Places whose hash is still to be looked at, once the file is unpacked.
        packages: Folders of ``site-packages`` that it makes importable by an ``__init__.py``, but for namespaces.
        folders: Folders of ``site-packages`` that it has files in.
        requires: Its ``Requires-Dist`` as written; empty when it was not looked into.
        notes: What a user must hear; empty when it was not looked into, for then it was said.
    """

    programs: tuple[str, ...] = ()
    startup: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    large: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recall(memory: Path, wheel: Wheel) -> tuple[CheckedWheel, int] | None:
    """What is remembered of a wheel, and when it was looked at (nanoseconds since 1970); None for nothing."""
    mark = memory / wheel.sha256
    try:
        told, *sections = mark.read_text(encoding="utf-8").split("\n\n")
        if told != _passed(wheel) or len(sections) != len(_SECTIONS):
            return None
        lists = [tuple(section.split("\n")[1:]) for section in sections]
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
    mark = memory / wheel.sha256
    fresh = memory / f".{os.getpid()}-{threading.get_ident()}-{mark.name}"
    sections = ["\n".join([name, *getattr(checked, name)]) for name in _SECTIONS]
    fresh.write_text("\n\n".join([_passed(wheel), *sections]), encoding="utf-8")
    if moment is not None:
        os.utime(fresh, ns=(moment, moment))
    fresh.replace(mark)


def is_remembered(memory: Path, sha256: Digest) -> bool:
    """Whether something is remembered of the wheel with this digest."""
    return (memory / sha256).exists()


def _passed(wheel: Wheel) -> str:
    return f"{CHECKS} {wheel.name}=={wheel.version}"
