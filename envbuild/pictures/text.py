"""A picture as text: from the environment down to the files, and Graphviz.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.pictures.picture import STATES, Node, Picture


def text_of(picture: Picture) -> str:
    """The graph as a tree: what reads stands above what it reads; what stands there twice is shown once."""
    read = {number for node in picture.nodes for number in node.inputs}
    roots = [number for number in range(len(picture.nodes)) if number not in read]
    lines: list[str] = []
    seen: set[int] = set()
    for root in reversed(roots):
        lines += _lines(picture, root, seen)
    return "\n".join(lines) + "\n"


def _lines(picture: Picture, root: int, seen: set[int]) -> Iterator[str]:
    stack: list[tuple[int, tuple[bool, ...]]] = [(root, ())]
    while stack:
        number, last = stack.pop()
        node = picture.nodes[number]
        stems = "".join("    " if ended else "│   " for ended in last[:-1])
        stem = stems + ("└── " if last[-1] else "├── ") if last else ""
        again = number in seen and bool(node.inputs)
        seen.add(number)
        yield f"{stem}{node.kind} {node.label}  {told(node)}" + (" (inputs shown above)" if again else "")
        if not again:
            count = len(node.inputs)
            stack += [(node.inputs[at], (*last, at == count - 1)) for at in reversed(range(count))]


def told(node: Node) -> str:
    """A node's state in brackets, with why."""
    return f"[{STATES.get(node.state, node.state)}{f'; {node.why}' if node.why else ''}]"
