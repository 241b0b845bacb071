"""A committed recipe written anew keeps what people have added to it.

What the code says replaces what the recipe says of it; everything else stays as its lines are: other keys of the
recipe, other keys of ``conda`` and ``pypi``, and what the code leaves unsaid (Python, platforms, channels, indices).
Only the block style that recipes are emitted in is understood; the caller reads the result and refuses what did not
come out as it should.

Rules of the file: pure; text in, text out.
"""

from __future__ import annotations

from collections.abc import Collection

from envbuild.pattern import pattern

_SECTIONS = ("conda", "pypi")
_KEY = pattern(r"(?P<indent> *)(?P<key>[A-Za-z][A-Za-z-]*):(?P<rest>.*)")

MADE = "as the code says"
"""How the line at the top ends that each emitting writes anew."""

Blocks = dict[str, list[str]]


def carried(new: str, old: str, said: Collection[str]) -> str:
    """The new text with what the old one has besides.

    Args:
        new: The recipe as the code has it.
        old: The recipe as it is.
        said: What the code says of that a recipe may say without it: ``python``, ``platforms``, ``conda.channels``,
            ``pypi.extra-indices``.
    """
    fresh, kept = _blocks(new, ""), _blocks(old, "")
    head = [*fresh.pop("", []), *(line for line in kept.pop("", []) if not line.endswith(MADE))]
    found: Blocks = {}
    for key in [*fresh, *(key for key in kept if key not in fresh)]:
        if key in _SECTIONS:
            found[key] = _section(key, fresh.get(key, [f"{key}:"]), kept.get(key, []), said)
        elif key in fresh and (key not in kept or key in said or key not in {"python", "platforms"}):
            found[key] = fresh[key]
        else:
            found[key] = kept[key]
    lines = list(dict.fromkeys(head))
    long = {key for key, block in found.items() if key in _SECTIONS or len(block) > 1}
    for key in sorted(found, key=long.__contains__):
        if found[key]:
            lines += [*([""] if key in long else []), *found[key]]
    return "".join(f"{line}\n" for line in lines)


def _section(key: str, fresh: list[str], kept: list[str], said: Collection[str]) -> list[str]:
    """``conda`` or ``pypi``: the packages of the code, and whatever else either has."""
    mine, theirs = _blocks("\n".join(fresh[1:]), "  "), _blocks("\n".join(kept[1:]), "  ")
    theirs.pop("packages", None)
    found: Blocks = {}
    for name in [*theirs, *(name for name in mine if name not in theirs)]:
        unsaid = name in theirs and f"{key}.{name}" not in said
        found[name] = theirs[name] if unsaid or name not in mine else mine[name]
    lines = [line for name in sorted(found, key="packages".__eq__) for line in found[name] if line.strip()]
    return [f"{key}:", *lines] if lines else []


def _blocks(text: str, indent: str) -> Blocks:
    """The lines of each key at one depth, comments above it included; what comes before the first key is ``""``."""
    found: Blocks = {"": []}
    key = ""
    comments: list[str] = []
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is not None and match["indent"] == indent:
            key = match["key"]
            found[key] = [*comments, line]
            comments = []
        elif line.strip() and not line.startswith(f"{indent} ") and line.lstrip().startswith("#") and key:
            comments.append(line)
        elif line.strip():
            found[key] += [*comments, line]
            comments = []
    found[key] += comments
    return found if found[""] else {name: block for name, block in found.items() if name}
