"""What the files of a package refer to in a prefix: the links that a loader, a shell or a program follows.

- a compiled file **loads** libraries: names that stand in it (ELF ``DT_NEEDED``, Mach-O ``LC_LOAD_DYLIB``), found where
  it says (run paths), else where the environment's own programs look (``lib``);
- a script **is run by** the interpreter of its first line;
- a symbolic link **leads to** a file;
- a file that was written for this prefix **names** files of it by their whole path.

What leads out of the prefix (the system's libraries) or to no package's file is left out. Nothing is run or imported.

Rules of the file: reads regular files that a package lists, and links; one that cannot be read is told.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Literal

from envbuild.builders.elf_dynamic import MAGIC, elf_links
from envbuild.builders.macho_check import MAGICS, macho_needs
from envbuild.linkers.scripts import interpreter_of
from envbuild.value import dataclass

How = Literal["loads", "is run by", "leads to", "names"]

_PROGRAMS = ("bin/", "sbin/", "libexec/")
_LARGEST_NAMED = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One file that refers to another.

    Attributes:
        file: The file that refers; from the prefix, as ``target``.
        target: What it refers to.
        said: How it says it: the library's name, the first line; empty where that is the target itself.
    """

    how: How
    file: str
    target: str
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file that looks as if it referred to others and cannot be read as what it is."""

    file: str


def references(
    prefix: Path, files: Iterable[str], moved: frozenset[str], owner: Mapping[str, str]
) -> Iterator[Reference | Unread]:
    """What some files of a prefix refer to, as far as a package owns it.

    Args:
        prefix: The prefix.
        files: Relative to it.
        moved: Those in which the prefix's path stands.
        owner: Whose each file is.
    """
    root = os.fspath(prefix)
    here = re.compile(re.escape(os.fsencode(prefix)) + rb"/([A-Za-z0-9_./+~@%-]+)")
    for file in files:
        path = f"{root}/{file}"
        try:
            state = os.lstat(path)
            if stat.S_ISLNK(state.st_mode):
                target = _link(root, file, os.readlink(path))  # noqa: PTH115  some ten thousand
                if target in owner:
                    yield Reference(how="leads to", file=file, target=target)
            elif stat.S_ISREG(state.st_mode):
                if file in moved and state.st_size <= _LARGEST_NAMED:
                    yield from _named(path, file, here, owner)
                if _may_load(file, state.st_mode):
                    with open(path, "rb") as stream:  # noqa: PTH123  some ten thousand
                        yield from _opened(stream, file, root, owner)
        except (OSError, ValueError):
            yield Unread(file=file)


def _may_load(file: str, mode: int) -> bool:
    """Whether a file may be a program or a library, by its name and mode."""
    name = posixpath.basename(file)
    return ".so" in name or ".dylib" in name or file.startswith(_PROGRAMS) or bool(mode & 0o111)


def _opened(stream: IO[bytes], file: str, root: str, owner: Mapping[str, str]) -> Iterator[Reference | Unread]:
    start = stream.read(4096)
    if start[:2] == b"#!":
        said = interpreter_of(start)
        program = _program(said[0], root) if said is not None else ""
        if said is not None and program in owner:
            yield Reference(how="is run by", file=file, target=program, said=said[0])
    elif start[:4] == MAGIC:
        links = elf_links(stream)
        if links is None:
            yield Unread(file=file)
        else:
            places = [_origin(path, file, root, "$ORIGIN") for path in links.run_paths]
            yield from _loaded(file, links.libraries, places, lambda name: name, owner)
    elif start[:4] in MAGICS:
        for part in macho_needs(stream):
            places = [_origin(path, file, root, "@loader_path") for path in part.run_paths]
            yield from _loaded(
                file, part.libraries, places, lambda name: _origin(name, file, root, "@loader_path"), owner
            )


def _loaded(
    file: str, libraries: Iterable[str], places: list[str], whole: Callable[[str], str], owner: Mapping[str, str]
) -> Iterator[Reference]:
    """The libraries that a file loads, as far as they are some package's.

    Args:
        file: The file that loads.
        libraries: As it names them.
        places: Where it looks, relative to the prefix.
        whole: What a name is that says its place itself.
        owner: Whose each file is.
    """
    for name in libraries:
        bare = name.removeprefix("@rpath/")
        asked = [whole(name)] if "/" in bare and bare == name else [f"{place}/{bare}" for place in (*places, "lib")]
        target = next((found for item in asked if (found := posixpath.normpath(item)) in owner), None)
        if target is not None and target != file:
            yield Reference(how="loads", file=file, target=target, said=name)


def _origin(path: str, file: str, root: str, *origins: str) -> str:
    """A run path or a library's place, relative to the prefix; as it is where it leads elsewhere."""
    folder = posixpath.dirname(file)
    for origin in (*origins, "${ORIGIN}"):
        path = path.replace(origin, f"{root}/{folder}")
    path = posixpath.normpath(path.replace("@executable_path", f"{root}/bin"))
    return path.removeprefix(f"{root}/") if path != root else "."


def _program(said: str, root: str) -> str:
    """The file that a first line means: in the prefix, also by way of ``env``."""
    words = said.split()
    if words and posixpath.basename(words[0]) == "env":
        name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
        return f"bin/{name}"
    return _origin(words[0], "", root) if words else ""


def _link(root: str, file: str, target: str) -> str:
    """Where a symbolic link leads, relative to the prefix."""
    return _origin(posixpath.join(f"{root}/{posixpath.dirname(file)}", target), "", root)


def _named(path: str, file: str, here: re.Pattern[bytes], owner: Mapping[str, str]) -> Iterator[Reference]:
    """The files of the prefix that a file names by their whole path."""
    data = Path(path).read_bytes()
    named = {posixpath.normpath(os.fsdecode(match[1]).rstrip(".")) for match in here.finditer(data)}
    for target in sorted(named):
        if target in owner and target != file:
            yield Reference(how="names", file=file, target=target)
