"""A picture as one page that needs nothing else.

The page's program and style stand in it, and its Content-Security-Policy names them by their digests: no other code
runs, nothing is loaded, no form is sent. What the picture holds stands there as JSON, whose ``<``, ``>`` and ``&`` are
escapes, and the program puts it into the page as text alone.

Rules of the file: reads its own parts.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from envbuild.pictures.picture import STATES, Picture
from envbuild.value import fields, is_value
from envbuild.version import __version__

PICTURE_VERSION = 1

_PARTS = Path(__file__).parent


def picture_tree(picture: Picture) -> dict[str, Any]:
    """The picture as JSON, as ``--format json`` and the page have it."""
    return {"version": PICTURE_VERSION, "envbuild": __version__, **_tree(picture)}


def page_of(picture: Picture) -> str:
    """The page."""
    style, program = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(program)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(f"{', '.join(picture.names)} ({picture.platform})")
    data = json.dumps({**picture_tree(picture), "states": STATES}, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    parts = {
        "POLICY": html.escape(policy),
        "STYLE": style,
        "PROGRAM": program,
        "VERSION": html.escape(__version__),
        "TITLE": title,
        "DATA": data,
    }
    return re.sub(f"@({'|'.join(parts)})@", lambda match: parts[match[1]], _part("page.html"))


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a policy calls the text of an element: the digest of all between its tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _tree(value: Any) -> Any:
    if is_value(value):
        return {item.name.replace("_", "-"): _tree(getattr(value, item.name)) for item in fields(value)}
    return [_tree(item) for item in value] if isinstance(value, tuple) else value
