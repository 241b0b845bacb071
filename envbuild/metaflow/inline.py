"""The text that stands in a command and begins everything on a node.

It is a room of ``envbuild.metaflow.node`` with all that only people read taken out, packed. The words of the command
hold no quote and nothing that a shell, Metaflow's own splitting or a workflow's templates would read.

Rules of the file: pure, but for reading those rooms; the same rooms give the same text.
"""

from __future__ import annotations

import ast
import base64
import json
import shlex
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from keyword import kwlist
from string import ascii_letters
from typing import Any

from envbuild.objects.address import parse_address

SCHEMES = ("file", "s3", "gs", "az")
"""Addresses that a node can read."""

_RUN = "import sys,zlib,base64;exec(zlib.decompress(base64.b64decode(sys.argv[1])))"


def room(name: str) -> str:
    """The text of a room of the node's."""
    return files("envbuild.metaflow.node").joinpath(f"{name}.py").read_text(encoding="utf-8")


def inline(url: str) -> str:
    """The words of a command that read the first program from a store; the address, a digest and more words follow.

    Args:
        url: The store's address.
    """
    scheme = parse_address(url).scheme
    text = room("begin_s3") if scheme == "s3" else room(f"get_{scheme}") + "\n" + room("begin")
    text = shortened(lean(text))
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return f"python -c '{_RUN}' {packed}"


def first_program(manifest: Mapping[str, Any], steps: Mapping[str, Sequence[str]]) -> bytes:
    """The program that a node reads first, with what it is to bring.

    Args:
        manifest: By platform: ``python``, ``managed`` and ``wheels``.
        steps: Request, environment and closure of each step.
    """
    gets = {scheme: lean(room(f"get_{scheme}")) for scheme in SCHEMES}
    known = json.dumps([manifest, steps], sort_keys=True)
    head = f"import json\nMANIFEST, STEPS = json.loads({known!r})\nGETS = {gets!r}\n"
    return "\n".join([head, lean(room("unpacking")), lean(room("first")), ""]).encode()


def lean(text: str) -> str:
    """A program without comments, docstrings and spaces that nobody needs."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]
    return "\n".join(_narrow(line) for line in ast.unparse(tree).splitlines() if line.strip())


def shortened(text: str) -> str:
    """A program whose own names are a letter or two, without functions that it does not call: it is nobody's module."""
    tree = ast.parse(text)
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef) or node.name in called]
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    own: dict[str, str] = {}
    for node in ast.walk(tree):
        name = _defined(node)
        if name is not None and name not in imported | keywords and not name.startswith("__"):
            own.setdefault(name, "")
    letters = (a + b for a in ["", *ascii_letters] for b in ascii_letters)
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(own) | set(kwlist)
    free = (letter for letter in letters if letter not in taken)
    own = {name: next(free) for name in own}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = own.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = own.get(node.arg, node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ExceptHandler)) and node.name:
            node.name = own.get(node.name, node.name)
    return "\n".join(_narrow(line) for line in ast.unparse(tree).splitlines() if line.strip())


def _defined(node: ast.AST) -> str | None:
    """The name that a node of a program defines."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, (ast.FunctionDef, ast.ExceptHandler)) else None


def _narrow(line: str) -> str:
    """Indented by one for each level of four."""
    bare = line.lstrip(" ")
    return " " * ((len(line) - len(bare)) // 4) + bare


def words(*each: str) -> str:
    """Words of a command, none of which a shell reads otherwise.

    Raises:
        ValueError: For one that would have to be quoted otherwise than Metaflow can take.
    """
    for word in each:
        if set(word) & set("'\"\\$`\n{}"):
            raise ValueError(f"{word!r} cannot stand in a command")
    return " ".join(shlex.quote(word) for word in each)
