"""Where decorators stand in a flow's file; looked for only when something is wrong with one.

Rules of the file: pure; text in, lines out; a file that cannot be parsed has no places.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping


def places(source: str, flow: str) -> Mapping[tuple[str | None, str], int]:
    """The line of each decorator: by step (None for the flow) and name.

    Args:
        source: The text of the flow's file.
        flow: The name of the flow's class.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[tuple[str | None, str], int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == flow:
            _note(node, None, found)
            for member in node.body:
                if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    _note(member, member.name, found)
    return found


def _note(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    step: str | None,
    found: dict[tuple[str | None, str], int],
) -> None:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
        if name is not None:
            found.setdefault((step, name), decorator.lineno)
