"""Where symbolic links of a tree lead, decided from the links alone.

A target that looks harmless as text may leave the tree through other links (``a -> .`` makes ``b -> a/../..`` leave),
so links are followed step by step over the map of all links, as a kernel would, but without a file system to be tricked
by. A link to what is not there is fine as long as the place where it would be is inside.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Mapping

DEPTH = 40
"""Links that one path may go through, as Linux has it."""


def stays_inside(path: str, links: Mapping[str, str]) -> bool:
    """Whether following a link never leaves the tree.

    Args:
        path: The link's own path from the tree's root; no folder above it is a link.
        links: Targets of all links of the tree by path, also of this one.
    """
    inside: list[str] = path.split("/")[:-1]
    ahead = links[path].split("/")[::-1]
    if links[path].startswith("/"):
        return False
    followed = 1
    while ahead:
        part = ahead.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not inside:
                return False
            inside.pop()
            continue
        inside.append(part)
        target = links.get("/".join(inside))
        if target is None:
            continue
        followed += 1
        if followed > DEPTH or target.startswith("/"):
            return False
        inside.pop()
        ahead.extend(target.split("/")[::-1])
    return True
