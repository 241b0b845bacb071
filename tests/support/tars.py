"""Conda packages written member by member, as nobody's builder would: for readers that must judge them.

Rules of the file: ``tarfile`` writes, the tests' own eyes read; nothing of envbuild is used.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

STEM = "thing-1.0-0"
INDEX = {"name": "thing", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic",
         "depends": []}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member.

    Attributes:
        kind: A type of ``tarfile``.
        target: Of a link or hard link.
    """

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644
    mtime: float = 1_700_000_000
    pax: tuple[tuple[str, str], ...] = ()


def file(name: str, content: bytes = b"content\n", mode: int = 0o644) -> Entry:
    return Entry(name=name, content=content, mode=mode)


def link(name: str, target: str) -> Entry:
    return Entry(name=name, kind=tarfile.SYMTYPE, target=target, mode=0o777)


def hard(name: str, target: str, mode: int = 0o644) -> Entry:
    return Entry(name=name, kind=tarfile.LNKTYPE, target=target, mode=mode)


def folder(name: str) -> Entry:
    return Entry(name=name, kind=tarfile.DIRTYPE, mode=0o755)


def index(**fields: object) -> Entry:
    """``info/index.json``."""
    return file("info/index.json", json.dumps({**INDEX, **fields}).encode())


def tar_bytes(entries: Iterable[Entry], layout: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=layout) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.linkname, member.mode = entry.kind, entry.target, entry.mode
            member.mtime, member.pax_headers = entry.mtime, dict(entry.pax)  # type: ignore[assignment]
            member.size = len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return stream.getvalue()


def write_bz2(path: Path, entries: Iterable[Entry], layout: int = tarfile.PAX_FORMAT) -> Path:
    """A ``.tar.bz2`` of these members, and of no others."""
    path.write_bytes(bz2.compress(tar_bytes(entries, layout)))
    return path


def write_conda(path: Path, info: Sequence[Entry], package: Sequence[Entry], stem: str = STEM) -> Path:
    """A ``.conda`` of these members."""
    import zstandard

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        for part, entries in (("pkg", package), ("info", info)):
            archive.writestr(f"{part}-{stem}.tar.zst", zstandard.ZstdCompressor().compress(tar_bytes(entries)))
    return path


def members(path: Path) -> list[dict[str, object]]:
    """What a package holds, in order: of a ``.conda`` the info first."""
    if path.name.endswith(".tar.bz2"):
        return _told(bz2.decompress(path.read_bytes()))
    import zstandard

    found = []
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for part in ("info", "pkg"):
            (name,) = (name for name in archive.namelist() if name.startswith(f"{part}-"))
            with zstandard.ZstdDecompressor().stream_reader(archive.read(name)) as plain:
                found += _told(plain.read())
    return found


def _told(data: bytes) -> list[dict[str, object]]:
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            found.append(
                {
                    "name": member.name,
                    "type": member.type,
                    "mode": member.mode,
                    "mtime": member.mtime,
                    "target": member.linkname,
                    "content": stream.read() if stream else None,
                }
            )
    return found


def write_channel(folder: Path, *packages: tuple[Path, dict[str, object]]) -> str:
    """A channel of package files, each with its record; what the files themselves say is not looked at.

    Returns:
        Its address.
    """
    from tests.support.channel import this_platform

    for subdir in ("noarch", this_platform()):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        document: dict[str, dict[str, object]] = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}}
        for path, fields in packages if subdir == "noarch" else ():
            data = path.read_bytes()
            if path.parent != folder / subdir:
                (folder / subdir / path.name).write_bytes(data)
            group = "packages" if path.name.endswith(".tar.bz2") else "packages.conda"
            found = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            }
            document[group][path.name] = {**INDEX, **found, "size": len(data), "timestamp": 1_700_000_000_000, **fields}
        (folder / subdir / "repodata.json").write_text(json.dumps({**document, "repodata_version": 1}))
    return folder.as_uri()
