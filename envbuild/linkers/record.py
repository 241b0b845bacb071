"""RECORD: the list that a wheel's installation keeps of its files (PEP 376, PEP 627).

A RECORD is always replaced by a new file, never written into: the engine may have hard-linked it to its cache. Lines
are found by their beginnings, for parsing the 8,000 lines of a science stack as CSV takes longer than linking them.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def edit_record(
    record: Path,
    *,
    gone: Sequence[str] = (),
    changed: Mapping[str, bytes] | None = None,
    added: Mapping[str, bytes] | None = None,
) -> bool:
    """Drop files from a RECORD, state the new bytes of others, and list new ones.

    Args:
        record: The file.
        gone: Paths as the RECORD writes them.
        changed: New contents by path as the RECORD writes it.
        added: Contents of files that it does not list yet.

    Returns:
        Whether anything changed.
    """
    before = text = record.read_bytes()
    for path in gone:
        text = _line_replaced(text, path, b"")
    for path, data in (changed or {}).items():
        text = _line_replaced(text, path, _line(path, data))
    text += b"".join(_line(path, data) for path, data in (added or {}).items())
    if text != before:
        replace_bytes(record, text)
    return text != before


def _line_replaced(text: bytes, path: str, line: bytes) -> bytes:
    """A RECORD with another line for a path; as it was when it does not list it."""
    field = _field(path).encode() + b","
    start = 0 if text.startswith(field) else text.find(b"\n" + field) + 1
    if not start and not text.startswith(field):
        return text
    end = text.find(b"\n", start) + 1
    return text[:start] + line + (text[end:] if end else b"")


def _line(path: str, data: bytes) -> bytes:
    return f"{_field(path)},{_state(data)}\n".encode()


def _field(path: str) -> str:
    """A path as CSV writes it."""
    return '"' + path.replace('"', '""') + '"' if any(char in path for char in ',"\r\n') else path


def _state(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(data)}"


def replace_bytes(path: Path, data: bytes) -> None:
    """A new file in the place of another, with its mode; other names of the old file keep the old bytes."""
    name = os.fspath(path)
    fresh = f"{name}.envbuild-new"
    mode = os.stat(name).st_mode & 0o7777  # noqa: PTH116  dozens in each link: paths as text cost half
    with open(fresh, "wb") as stream:  # noqa: PTH123
        stream.write(data)
        os.fchmod(stream.fileno(), mode)
    os.replace(fresh, name)  # noqa: PTH105
