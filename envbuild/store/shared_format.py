"""The object that says which format a shared store has, and so what may be done with it.

Rules of the file: pure.
"""

from __future__ import annotations

import json
from typing import Literal

from envbuild.store import STORE_FORMAT

FORMAT_NAME = "format.json"
FORMAT_BYTES = json.dumps({"format": STORE_FORMAT}).encode() + b"\n"

Use = Literal["write", "read", "none"]
"""What a store's format lets us do."""


def read_format(data: bytes) -> Use:
    """What the bytes of a format let us do; none for what is no format."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return "none"
    if not isinstance(found, dict) or type(found.get("format")) is not int:
        return "none"
    if found == {"format": STORE_FORMAT}:
        return "write"
    readable = found.get("readable-by")
    return "read" if type(readable) is int and readable <= STORE_FORMAT else "none"
