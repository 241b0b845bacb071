"""Locks from their text: read fast, and checked as they are read.

The text is YAML, but of one shape: every value is JSON on its own line, every package one line. So the reader takes
lines, and gives a file that somebody wrote differently to the YAML parser, with the same result::

    version: 1
    request: "…64 digits…"
    platforms:
      linux-64:
        environment: "…64 digits…"
        conda:
          - {"name": "openssl", "version": "3.1.4", …}

What is checked while reading: known keys, each package as in ``envbuild.pinned``, and each environment id against what
it is the digest of.

Rules of the file: text to value; no file is opened here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from envbuild.digest import Digest, parse_digest, unique_names, unsealed
from envbuild.errors import IntegrityError, InvalidInput, Where
from envbuild.lock import LOCK_VERSION, Lock, LockedBase, LockedEnvironment
from envbuild.package import PLATFORMS, CondaPackage, InterpreterArchive, Platform, SourcePackage, Wheel
from envbuild.pattern import pattern
from envbuild.pinned import Pinned, package_from_tree
from envbuild.recipe import ENVIRONMENTS, Index

Value = TypeVar("Value")

LIMIT = 64 << 20
"""Bytes of the largest lock that is read."""

NODES = 500_000
"""Nodes that a lock may have which another tool has written anew: 16,000 packages."""
LINES = 500_000
"""Lines that a lock may have."""


def parse_closure(data: bytes, file: str) -> Lock:
    """A lock of one environment from ``closure_bytes``.

    Raises:
        InvalidInput: When it is malformed. IntegrityError: when it was edited.
    """
    try:
        return _lock(_DECODE(unsealed(data).decode()), file, {})
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"this is no environment's record ({error})", reference="bad-closure", where=Where(file=file)
        ) from None


def parse_lock(data: bytes, file: str, known: dict[tuple[str, str], Any] | None = None) -> Lock:
    """A lock from the bytes of its file.

    Args:
        data: The whole file.
        file: How messages call it.
        known: Packages by section and line, for who reads many locks: those that are there are not read again, those
            that are not are added.

    Raises:
        InvalidInput: When it is malformed: see ``package_from_tree``; also ``lock-version`` and ``merge-conflict``.
        IntegrityError: When an environment id is not the digest of what stands under it.
    """
    if len(data) > LIMIT:
        raise InvalidInput(
            f"a lock has at most {LIMIT:,} bytes, this has more",
            reference="too-large",
            where=Where(file=file),
            hint="restore it from Git, or remove it and lock again",
        )
    if data.count(b"\n") > LINES:
        raise InvalidInput(
            f"a lock has at most {LINES:,} lines, this has more",
            reference="too-large",
            where=Where(file=file),
            hint="restore it from Git, or remove it and lock again",
        )
    _refuse_conflict(data, file)
    marks: dict[int, int] = {}
    lines: dict[int, tuple[str, str]] = {}
    tree = _read_lines(data, marks, known, lines if known is not None else None)
    if tree is None:
        tree = _read_yaml(data, file, marks)
        lines.clear()
    try:
        return _lock(tree, file, marks, known, lines)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(
            f"this is not the lock that `envbuild lock` writes ({str(error)[:200]})",
            reference="bad-lock",
            where=Where(file=file),
            hint="restore it from Git, or remove it and lock again",
        ) from None


def _refuse_conflict(data: bytes, file: str) -> None:
    position = data.find(b"<<<<<<< ")
    if position >= 0 and (position == 0 or data[position - 1 : position] == b"\n"):
        raise InvalidInput(
            "Git left conflict markers in this lock",
            reference="merge-conflict",
            where=Where(file=file, line=data.count(b"\n", 0, position) + 1),
            hint="`envbuild lock RECIPE`; where lines of both sides are mixed, take one first: `git checkout --theirs`",
        )


_NUMBER = pattern(r"[0-9]{1,15}")
_DECODE = json.JSONDecoder(object_pairs_hook=unique_names).decode
_LISTS = frozenset({"bases", "indices", "conda", "wheels", "sources", "build", "build-sources"})
_LINE = pattern(r"( *)(?:- (\{.*\})|([A-Za-z0-9-]+):(?: (.+))?)")


def _read_lines(
    data: bytes,
    marks: dict[int, int],
    known: dict[tuple[str, str], Any] | None = None,
    read: dict[int, tuple[str, str]] | None = None,
) -> dict[str, Any] | None:
    """The tree of a lock in exactly the shape that ``lock_text`` writes, or None for any other.

    What is ``known`` stands in it as the package that it is; of the others ``read`` gets section and line.
    """
    title = ""
    try:
        lines = data.decode("utf-8").split("\n")
        tree: dict[str, Any] = {}
        levels: list[Any] = [tree]
        for number, line in enumerate(lines, 1):
            if line == "" or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                return None
            indent, item, name, value = match.groups()
            depth, odd = divmod(len(indent), 2)
            if odd or depth >= len(levels):
                return None
            del levels[depth + 1 :]
            parent = levels[depth]
            if item is not None:
                if not isinstance(parent, list):
                    return None
                entry = None if known is None else known.get((title, item))
                if entry is None:
                    entry = _DECODE(item)
                    if read is not None:
                        read[id(entry)] = (title, item)
                parent.append(entry)
                marks[id(entry)] = number
                continue
            if not isinstance(parent, dict) or name in parent:
                return None
            if value is not None:
                parent[name] = _DECODE(value)
            else:
                child: Any = [] if name in _LISTS else {}
                title = name
                parent[name] = child
                marks[id(child)] = number
                levels.append(child)
    except (ValueError, AttributeError, RecursionError):  # the YAML reader says where brackets are too deep
        return None
    return tree


def _read_yaml(data: bytes, file: str, marks: dict[int, int]) -> dict[str, Any]:
    """The same tree through the YAML reader, for a lock that another tool has re-written."""
    from envbuild.reading import document

    def value(node: document.Node) -> Any:
        if isinstance(node, document.Mapping):
            tree = {key.text: value(item) for key, item in node.entries}
            marks[id(tree)] = node.where.line or 0
            return tree
        if isinstance(node, document.Sequence):
            return [value(item) for item in node.items]
        plain = node.value()
        is_number = node.plain and isinstance(plain, str) and _NUMBER.fullmatch(plain)
        return int(node.text) if is_number else plain

    tree = value(document.parse(data, file, largest=LIMIT, most=NODES))
    if not isinstance(tree, dict):
        raise InvalidInput("a lock is a mapping", reference="bad-lock", where=Where(file=file))
    return tree


def _lock(
    tree: dict[str, Any],
    file: str,
    marks: dict[int, int],
    known: dict[tuple[str, str], Any] | None = None,
    read: Mapping[int, tuple[str, str]] = MappingProxyType({}),
) -> Lock:
    place = Where(file=file)
    if not tree:
        raise InvalidInput(
            "the lock holds nothing",
            reference="empty-file",
            where=place,
            hint="restore it from Git, or remove it and lock again",
        )
    if "version" not in tree:
        raise InvalidInput(
            f"the lock does not say its version, which is {LOCK_VERSION}",
            reference="lock-version",
            where=place,
            hint="restore it from Git, or remove it and lock again",
        )
    if tree["version"] != LOCK_VERSION:
        raise InvalidInput(
            f"lock version {str(tree['version'])[:40]!r} is not known here, only {LOCK_VERSION}",
            reference="lock-version",
            where=place,
            hint="use the envbuild that wrote it, or remove it and lock again",
        )
    unknown = set(tree) - {"version", "request", "exclude-newer", "bases", "indices", "platforms"}
    if unknown:
        raise InvalidInput(f"unknown key {sorted(unknown)[0][:60]!r}", reference="unknown-key", where=place)
    return Lock(
        request=_digest(tree["request"], place),
        exclude_newer=_of(str, tree["exclude-newer"]) if "exclude-newer" in tree else None,
        bases=tuple(
            LockedBase(
                path=_base_label(base),
                request=_digest(base["request"], place),
                environments=tuple(
                    (Platform(name), _digest(digest, place)) for name, digest in base["environments"].items()
                ),
                pin=_of(bool, base["pin"]),
            )
            for base in tree.get("bases", ())
        ),
        indices=tuple(
            Index(name=_of(str, index["name"]), url=_of(str, index["url"])) for index in tree.get("indices", ())
        ),
        platforms=tuple(
            _environment(Platform(name), item, file, marks, known, read)
            for name, item in tree.get("platforms", {}).items()
        ),
    )


def _base_label(tree: dict[str, Any]) -> str:
    (kind,) = {"path", "name", "id", "pathspec"} & set(tree)
    label = tree[kind]
    if not isinstance(label, str) or label.startswith(ENVIRONMENTS):
        raise ValueError(f"{label!r} is no base")
    return label if kind == "path" else f"{kind}:{label}"


def _digest(text: str, place: Where) -> Digest:
    try:
        return parse_digest(text)
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=place, hint=error.hint) from None


def _of(kind: type[Value], value: Any) -> Value:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is not what stands there")
    return value


def _words(tree: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, _of(str, value)) for name, value in tree.items()))


def _environment(
    platform: Platform,
    tree: dict[str, Any],
    file: str,
    marks: dict[int, int],
    known: dict[tuple[str, str], Any] | None,
    read: Mapping[int, tuple[str, str]],
) -> LockedEnvironment:
    if platform not in PLATFORMS:
        raise InvalidInput(f"unknown platform {platform[:40]!r}", reference="bad-platform", where=Where(file=file))
    keys = {"environment", "python", "interpreter", "system", "variables", "archive", "bytecode"}
    keys |= {"conda", "wheels", "sources", "build", "build-sources"}
    unknown = set(tree) - keys
    if unknown:
        raise InvalidInput(f"unknown key {sorted(unknown)[0][:60]!r}", reference="unknown-key", where=Where(file=file))

    def package(kind: type[Pinned], item: Any) -> Pinned:
        if isinstance(item, kind):
            return item
        found = package_from_tree(kind, item, Where(file=file, line=marks.get(id(item))))
        if known is not None and (line := read.get(id(item))) is not None:
            known[line] = found
        return found

    def packages(kind: type[Pinned], title: str) -> tuple[Pinned, ...]:
        return tuple(package(kind, item) for item in tree.get(title, ()))

    archive = package_from_tree(InterpreterArchive, tree["archive"], Where(file=file)) if "archive" in tree else None
    try:
        environment = LockedEnvironment(
            platform=platform,
            python=_of(str, tree["python"]) if "python" in tree else None,
            interpreter=_of(str, tree["interpreter"]),
            system=_words(tree["system"]),
            conda=packages(CondaPackage, "conda"),
            wheels=packages(Wheel, "wheels"),
            sources=packages(SourcePackage, "sources"),
            build=packages(Wheel, "build"),
            build_sources=packages(SourcePackage, "build-sources"),
            archive=archive,
            variables=_words(tree.get("variables", {})),
            bytecode=_of(bool, tree["bytecode"]) if "bytecode" in tree else False,
        )
    except InvalidInput as error:
        if error.where is not None:
            raise
        raise InvalidInput(error.message, reference=error.reference, where=Where(file=file), hint=error.hint) from None
    if environment.id != Digest(tree["environment"]):
        raise IntegrityError(
            f"the packages of {platform} are not those that its environment id stands for: the lock was edited",
            reference="lock-edited",
            where=Where(file=file, line=marks.get(id(tree))),
            hint="restore it from Git, or remove it and lock again",
        )
    return environment
