"""A picture for Graphviz: ``dot -Tsvg``. Kinds are clusters, states are colours.

Rules of the file: pure; every text from outside is a quoted string.
"""

from __future__ import annotations

from envbuild.digest import short
from envbuild.pictures.picture import STATES, Picture

_COLOURS = {
    "hit": "#c9ebe0",
    "far": "#cfe3fb",
    "miss": "#fde0bd",
    "needs build": "#f6cfe4",
    "not needed": "#eeeeee",
}


def dot_of(picture: Picture) -> str:
    """The graph in Graphviz's language."""
    lines = [
        f"// envbuild graph: {_comment(', '.join(picture.names))} ({picture.platform})",
        "digraph derivations {",
        "  rankdir=LR;",
        '  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=10];',
    ]
    for kind in dict.fromkeys(node.kind for node in picture.nodes):
        lines += [f"  subgraph {_quoted('cluster ' + kind)} {{", f"    label={_quoted(kind)};"]
        for number, node in enumerate(picture.nodes):
            if node.kind == kind:
                label = f"{node.label}\n{STATES.get(node.state, node.state)} · {short(node.key)}"
                colour = _COLOURS.get(node.state, "#ffffff")
                bold = ", penwidth=2" if node.chain else ""
                lines.append(f'    n{number} [label={_quoted(label)}, fillcolor="{colour}"{bold}];')
        lines.append("  }")
    for number, node in enumerate(picture.nodes):
        lines += [f"  n{needed} -> n{number};" for needed in node.inputs]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    """A string of Graphviz: a backslash or a quotation mark stands for itself, a line break is one."""
    shown = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _comment(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
