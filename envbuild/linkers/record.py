"""RECORD: the list that a wheel's installation keeps of its files (PEP 376, PEP 627).

A RECORD is always replaced by a new file, never written into: the engine may have hard-linked it to its cache.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path


def edit_record(record: Path, *, gone: Sequence[str] = (), changed: Mapping[str, bytes] | None = None) -> bool:
    """Drop files from a RECORD and state the new bytes of others.

    Args:
        record: The file.
        gone: Paths as the RECORD writes them.
        changed: New contents by path as the RECORD writes it.

    Returns:
        Whether anything changed.
    """
    new = changed or {}
    before = record.read_text(encoding="utf-8")
    rows = []
    touched = False
    for row in csv.reader(io.StringIO(before, newline="")):
        if not row or row[0] in gone:
            touched = True
            continue
        if row[0] in new:
            row = [row[0], *_state(new[row[0]])]
            touched = True
        rows.append(row)
    if touched:
        replace_text(record, _write(rows))
    return touched


def _state(data: bytes) -> tuple[str, str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(data))


def _write(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def replace_text(path: Path, text: str) -> None:
    """A new file in the place of another, with its mode."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, data: bytes) -> None:
    """A new file in the place of another, with its mode; other names of the old file keep the old bytes."""
    fresh = path.with_name(path.name + ".envbuild-new")
    fresh.write_bytes(data)
    fresh.chmod(path.stat().st_mode & 0o7777)
    fresh.replace(path)
