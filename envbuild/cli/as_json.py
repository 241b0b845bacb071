"""Values as the JSON that ``--json`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envbuild.value import fields, is_value

JSON_VERSION = 1
"""What the top level of every document states."""


def tree(value: Any) -> Any:
    """A frozen value as JSON: names with dashes, paths as text."""
    if is_value(value) and not isinstance(value, type):
        return {item.name.replace("_", "-"): tree(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return [tree(item) for item in value]
    if isinstance(value, dict):
        return {str(name): tree(item) for name, item in value.items()}
    return value
