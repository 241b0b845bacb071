"""Files of other tools: what a foreign file asks for, as one value, and the registry of formats.

Theory: a foreign file is text from somewhere else. A format's module turns its bytes into a ``Foreign``: requirements
in a recipe's own values, each with its place, and notes on what was read and means nothing here, or would be lost.
Nothing is guessed: what cannot be said in a recipe's words is refused, all of a file's findings at once, with what to
write instead. A foreign file is then merged or written like anything that a person wrote.

A format that asks (``requirements``, ``environment-yml``, ``pyproject``) is read in place by ``include:``. A format
that locks is taken by ``import`` alone: what it locks is no requirement.

Rules of the room: pure. Bytes come in as arguments, other files through ``opened``; no file is opened, no variable
read, no address asked. One format, one module with a function ``read(document: Document) -> Foreign``, found by its
name in ``FORMATS`` and imported when it is needed; one that locks has ``read_lock`` instead (``foreign_lock``).
"""

from __future__ import annotations

import importlib
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import cast

from envbuild.errors import InvalidInput, Issue, Where
from envbuild.package import Platform
from envbuild.pattern import pattern
from envbuild.reading.places import check_relative
from envbuild.recipe import BuildOptions, CondaSection, PypiSection, Target
from envbuild.value import dataclass, replace

FORMATS: Mapping[str, str] = {
    "requirements": "envbuild.formats.requirements",
    "environment-yml": "envbuild.formats.environment_yml",
    "pyproject": "envbuild.formats.pyproject",
    "pylock": "envbuild.formats.pylock",
    "uv-lock": "envbuild.formats.uv_lock",
    "conda-lock": "envbuild.formats.conda_lock",
    "pixi-lock": "envbuild.formats.pixi_lock",
    "explicit": "envbuild.formats.explicit",
    "pip-freeze": "envbuild.formats.pip_freeze",
}
"""Every format that can be read, and its module."""

ASKING = ("requirements", "environment-yml", "pyproject")
"""Formats that hold requirements: what ``include:`` takes."""

LARGEST_FILE = 64 << 20
"""Bytes that a foreign file may have; a format may allow less."""

Opened = Callable[[str], bytes]
"""The bytes of another file, by its path from the project's root, with ``/``. Refuses (InvalidInput) what is not there,
is no file, is too large, or lies where it may not."""

Notes = tuple[Issue, ...]

MAKES: Mapping[str, str] = {
    "requirements": "write requirements into it, or begin a recipe of your own: envbuild init",
    "environment-yml": "list packages under `dependencies:`, or begin a recipe of your own: envbuild init",
    "pyproject": "write `dependencies = […]` under [project], or begin a recipe of your own: envbuild init",
    "pylock": "make it again: uv export --format pylock.toml -o pylock.toml",
    "uv-lock": "make it again: uv lock",
    "conda-lock": "make it again: conda-lock lock",
    "pixi-lock": "make it again: pixi lock",
    "explicit": "make it again: conda list --explicit",
    "pip-freeze": "make it again: pip freeze",
}
"""By format: what gives a file of it content, for the hint of an empty one."""

_NO_CONDA = CondaSection()
_NO_PYPI = PypiSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What a foreign file asks for.

    Attributes:
        name: What the file calls the environment or the project, as written; never a name to publish under.
        python: Versions of Python, normalized like a recipe's ``python``; None when not said.
        platforms: The platforms that it is for; None when not said.
        system: Virtual packages and their versions.
        conda: Channels and conda requirements; one name stands once.
        pypi: PyPI requirements with indices, find-links, constraints and the rest. One name stands several times when
            its markers differ.
        build: How sources become wheels.
        targets: Additions for one platform.
        variables: Environment variables, sorted.
        notes: What was read and has no meaning here, or was lost; each with its place and its reason.
        python_where: Where ``python`` is said.
    """

    name: str | None = None
    python: str | None = None
    platforms: tuple[Platform, ...] | None = None
    system: tuple[tuple[str, str], ...] = ()
    conda: CondaSection = _NO_CONDA
    pypi: PypiSection = _NO_PYPI
    build: tuple[BuildOptions, ...] = ()
    targets: tuple[Target, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    notes: Notes = ()
    python_where: Where | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One foreign file as its format's module gets it.

    Attributes:
        data: The file's bytes, at most ``LARGEST_FILE``.
        file: Its path from the project's root, with ``/``; the paths in it are relative to its folder.
        opened: Gives the files that it names, by their paths from the project's root.
        shown: How a message calls a file, by its path from the project's root.
        chosen: Words that choose a part of the file, such as the groups and extras of a ``pyproject.toml``.
    """

    data: bytes
    file: str
    opened: Opened
    shown: Callable[[str], str]
    chosen: tuple[str, ...] = ()

    def where(self, line: int | None = None, column: int | None = None) -> Where:
        """A place in this file."""
        return Where(file=self.shown(self.file), line=line, column=column)

    def beside(self, text: str) -> str:
        """A path that this file names, as a path from the project's root; whether it stays inside is for who asked.

        Raises:
            InvalidInput: ``bad-path`` for a path that only one machine has, or that is none.
        """
        check_relative(text)
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.file), text))

    def open(self, text: str) -> Document:
        """A file that this one names.

        Raises:
            InvalidInput: Whatever ``opened`` refuses.
        """
        path = self.beside(text)
        return replace(self, data=self.opened(path), file=path, chosen=())


def refuse_empty(data: bytes, format_name: str, where: Where) -> None:
    """Refuse a file that holds nothing, or comments alone: what was to be written there is lost, and nobody means it.

    Args:
        data: The file's bytes.
        format_name: A name in ``FORMATS``.
        where: The file.

    Raises:
        InvalidInput: ``empty-file``.
    """
    kept = data.removeprefix(b"\xef\xbb\xbf")
    if not kept.strip() or (kept.lstrip()[:1] == b"#" and all(_SAYS_NOTHING(line) for line in kept.splitlines())):
        said = "nothing but comments" if kept.strip() else "nothing"
        raise InvalidInput(f"the file holds {said}", reference="empty-file", where=where, hint=MAKES[format_name])


def nothing_opened(path: str) -> bytes:
    """The ``opened`` of a file that may name no other.

    Raises:
        InvalidInput: ``bad-path``, always.
    """
    raise InvalidInput(
        f"{path[:80]!r} cannot be read from here",
        reference="bad-path",
        hint="put its lines into the file that names it",
    )


def read(
    format_name: str,
    data: bytes,
    file: str,
    opened: Opened = nothing_opened,
    *,
    shown: Callable[[str], str] = str,
    chosen: tuple[str, ...] = (),
) -> Foreign:
    """What a foreign file asks for.

    Args:
        format_name: A name in ``FORMATS``.
        data: The file's bytes.
        file: Its path from the project's root, with ``/``.
        opened: Gives the files that it names, by their paths from the project's root.
        shown: How messages call a file; as its path from the root when not given.
        chosen: Words that choose a part of the file.

    Raises:
        InvalidInput: With every finding of the file and of those that it names.
        KeyError: For a format that is not registered.
    """
    module = importlib.import_module(FORMATS[format_name])
    document = Document(data=data, file=file, opened=opened, shown=shown, chosen=chosen)
    if len(data) > LARGEST_FILE:
        raise InvalidInput(
            f"the file has more than {LARGEST_FILE >> 20} MiB", reference="too-large", where=document.where()
        )
    return cast(Foreign, module.read(document))


_SAYS_NOTHING = pattern(rb"\s*(?:#.*)?").fullmatch
_NAMES: tuple[tuple[str, str], ...] = (
    (r"pylock(?:\.[^.]+)?\.toml", "pylock"),
    (r"pyproject\.toml", "pyproject"),
    (r"uv\.lock", "uv-lock"),
    (r"pixi\.lock", "pixi-lock"),
    (r"(?:.*[.-])?conda-lock\.ya?ml", "conda-lock"),
    (r"(?:.*[._-])?environment(?:[._-].*)?\.ya?ml", "environment-yml"),
)
_YAML: tuple[tuple[bytes, str], ...] = (
    (rb"^metadata:[ \t]*\r?$(?s:.*)^package:", "conda-lock"),
    (rb"^package:[ \t]*\r?$(?s:.*)^metadata:", "conda-lock"),
    (rb"^environments:[ \t]*\r?$", "pixi-lock"),
    (rb"^(?:dependencies|channels)[ \t]*:", "environment-yml"),
)
_TOML: tuple[tuple[bytes, str], ...] = (
    (rb"^lock-version[ \t]*=", "pylock"),
    (rb"^version[ \t]*=[ \t]*[0-9](?s:.*)^\[\[package\]\]", "uv-lock"),
    (rb"^\[(?:project|dependency-groups|tool\.(?:poetry|uv))\b", "pyproject"),
)


def detect(file: str, data: bytes) -> str:
    """The format of a file, by its name, else by its first lines.

    Args:
        file: Its name or path.
        data: Its bytes; the first 64 KiB decide.

    Returns:
        A name in ``FORMATS``. Text that ``pip freeze`` printed cannot be told from requirements, and counts as these.

    Raises:
        InvalidInput: ``unknown-format``.
    """
    name = file.rpartition("/")[2].lower()
    for spelt, format_name in _NAMES:
        if re.fullmatch(spelt, name):
            return format_name
    head = data[: 64 << 10]
    found: str | None
    if name.endswith((".yml", ".yaml")):
        found = _first(_YAML, head)
    elif name.endswith(".toml"):
        found = _first(_TOML, head)
    elif name.endswith((".txt", ".in", ".pip", ".requirements")) or re.search(r"require|constraint", name):
        found = "explicit" if re.search(rb"^@EXPLICIT\b", head, re.MULTILINE) else "requirements"
    else:
        found = "explicit" if re.search(rb"^@EXPLICIT\b", head, re.MULTILINE) else None
    if found is None:
        raise InvalidInput(
            f"{file[:80]!r} is of no format that envbuild knows",
            reference="unknown-format",
            hint="say which: " + ", ".join(FORMATS),
        )
    return found


def _first(patterns: tuple[tuple[bytes, str], ...], head: bytes) -> str | None:
    return next((name for pattern, name in patterns if re.search(pattern, head, re.MULTILINE)), None)
