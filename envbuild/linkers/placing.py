"""How files get from one folder to another: a reflink, a hard link, or a copy, as the two folders' file systems allow.

What works is tried with one file, not guessed from the name of a file system: that says also what a subvolume, a mount
or a container makes of it. A file for which the chosen way fails after all (it has all the links it may have) goes the
next way, alone; the others do not.

Rules of the file: makes files, decides nothing about their content; Linux and macOS.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from envbuild.derivations import Context, LinkMode

Way = Literal["reflink", "hardlink", "copy"]

ORDER: Mapping[str, tuple[Way, ...]] = {
    "auto": ("reflink", "hardlink", "copy"),
    "reflink": ("reflink", "copy"),
    "hardlink": ("hardlink", "reflink", "copy"),
    "copy": ("copy",),
}
"""What each setting of ``link`` tries, in this order. With ``reflink`` no two environments ever share a file."""

_FICLONE = 0x40049409
_CLONE_NOFOLLOW = 0x0001
_TRY = ".link-way-"


def ways(mode: LinkMode, source: Path, target: Path) -> tuple[Way, ...]:
    """The ways of a setting that work from one folder to another; a copy is always the last of them.

    Args:
        mode: The setting.
        source: A folder that we may write.
        target: Another; both exist.
    """
    wanted = ORDER[mode]
    if wanted == ("copy",):
        return wanted
    name = f"{_TRY}{os.getpid()}-{os.urandom(4).hex()}"
    one, other = source / name, target / f"{name}-there"
    try:
        one.write_bytes(b"envbuild")
        return tuple(way for way in wanted if way == "copy" or _works(way, one, other))
    except OSError:
        return ("copy",)  # what is wrong with the folder is met, and said, by who writes there
    finally:
        with suppress(OSError):
            one.unlink()


def _works(way: Way, one: Path, other: Path) -> bool:
    try:
        _MAKE[way](str(one), str(other))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            other.unlink()
    return True


def placer(several: tuple[Way, ...]) -> Callable[[str, str], str]:
    """A function that puts one file in its place, for ``shutil.copytree``.

    Args:
        several: What ``ways`` said.

    Returns:
        ``place(source, target)``, which keeps modes and times. It raises OSError when not even a copy can be made.
    """

    def place(source: str, target: str) -> str:
        for way in several:
            if way == "copy" or stat.S_ISLNK(os.lstat(source).st_mode):
                break
            try:
                _MAKE[way](source, target)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                continue
            return target
        shutil.copy2(source, target, follow_symlinks=False)
        return target

    return place


def _hardlink(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


def _reflink(source: str, target: str) -> None:
    """A file of its own that shares the other's blocks until one of both is written.

    Raises:
        OSError: The file system has no such thing, or the two are not on one.
    """
    if sys.platform == "darwin":
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        if library.clonefile(os.fsencode(source), os.fsencode(target), _CLONE_NOFOLLOW):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), target)
        return
    import fcntl

    with open(source, "rb") as old:  # noqa: PTH123  thousands of them
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.ioctl(descriptor, _FICLONE, old.fileno())
        except OSError:
            os.unlink(target)  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
    shutil.copystat(source, target)


_MAKE: Mapping[Way, Callable[[str, str], None]] = {"reflink": _reflink, "hardlink": _hardlink}

UV_MODES: Mapping[Way, str] = {"reflink": "clone", "hardlink": "hardlink", "copy": "copy"}
"""What uv calls them (``--link-mode``)."""


def engine_ways(engine: str, target: Path, context: Context) -> tuple[Way, ...]:
    """The ways from an engine's cache to a folder; where the setting's own way does not work, that is said once.

    Args:
        engine: The cache's name.
        target: A folder of scratch.
        context: For the setting, the cache and notes.
    """
    found = ways(context.link, context.engine_cache(engine), target)
    if context.link != "auto" and found[0] != context.link:
        instead = {"hardlink": "hard links", "reflink": "reflinks", "copy": "copies"}
        had, got = instead[context.link], instead[found[0]]
        context.note(f"the file system of the home has no {had} (`link: {context.link}`): environments are {got}")
    return found
