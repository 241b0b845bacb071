"""Environment markers (PEP 508) joined and turned around: what sources and groups of a ``pyproject.toml`` need.

Rules of the file: text in, text out; ``packaging`` says what a marker is.
"""

from __future__ import annotations

import re
from typing import Any

from envbuild.errors import InvalidInput

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in", "not in": "in"}


def all_of(*markers: str | None) -> str | None:
    """The marker that holds when all of these do; None for no condition."""
    said = list(dict.fromkeys(item for item in markers if item))
    if len(said) < 2:
        return said[0] if said else None
    from envbuild.formats.requirement_line import marker

    return marker(" and ".join(f"({item})" if re.search(r"\bor\b", item) else item for item in said))


def negated(marker: str) -> str:
    """The marker that holds exactly when another does not.

    Raises:
        InvalidInput: ``bad-marker`` when that has no text: nothing is the opposite of ``~=``.
    """
    from packaging.markers import Marker

    return str(Marker(_negated(Marker(marker)._markers)))


def _negated(node: Any) -> str:
    if isinstance(node, tuple):
        left, operator, right = node
        opposite = _OPPOSITE.get(operator.value)
        if opposite is None:
            raise InvalidInput(f"a marker with {operator.value} has no opposite", reference="bad-marker")
        return f"{left.serialize()} {opposite} {right.serialize()}"
    # A list is operands with `and` and `or` between them; `and` binds more tightly.
    alternatives: list[list[str]] = [[]]
    for item in node:
        if item == "or":
            alternatives.append([])
        elif item != "and":
            alternatives[-1].append(_negated(item))
    return " and ".join("(" + " or ".join(f"({one})" for one in parts) + ")" for parts in alternatives)


def for_python(constraint: str) -> str | None:
    """The marker for a constraint on Python, as ``spelling.python_constraint`` writes it; None for any."""
    parts = []
    for piece in constraint.split(","):
        found = re.fullmatch(r"(==|!=|<=|>=|<|>|~=|)([0-9.]+?)(\.\*)?", piece)
        if found is None:
            continue
        operator, version, star = found[1] or "==", found[2], found[3]
        numbers = version.count(".") + 1
        if star and numbers < 2:
            upper = f'python_version < "{int(version) + 1}"'
            parts.append(f'python_version >= "{version}" and {upper}')
        elif numbers <= 2:
            parts.append(f'python_version {operator} "{version}"')
        else:
            parts.append(f'python_full_version {operator} "{version}"')
    return all_of(" and ".join(parts)) if parts else None
