"""A conda channel whose index is as large as the largest: 300 MB of ``repodata.json``; also compressed, and in shards.

No package is there, for locking fetches none. Names, versions and dependencies are drawn; the same seed gives the same
channel. Every record has the fields, and about the size, of those of a large public channel.

The three kinds of index are three folders, so that an engine cannot take another one than is meant:
``plain/`` (``repodata.json``), ``compressed/`` (``repodata.json.zst``), ``sharded/`` (``repodata_shards.msgpack.zst``).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from tests.support.cache import made_once, source_key

KINDS = ("plain", "compressed", "sharded")
BYTES = 300_000_000
VERSIONS, POPULAR = 21, 200
"""Of most names, and of the first, on which most others depend: one for each 1.5 MB."""

_EACH = 540  # bytes of a record, about


def names(size: int = BYTES) -> int:
    """How many names a channel of this size has."""
    return size // (VERSIONS * _EACH) - _popular(size) * POPULAR // VERSIONS


def _popular(size: int) -> int:
    return size // 1_500_000


def asked(size: int = BYTES) -> list[str]:
    """What a recipe asks for: forty names, which lead to some hundreds."""
    return [f"library-{number:05d}" for number in range(0, names(size), names(size) // 40)]


def made(platform: str, size: int = BYTES) -> Path:
    """The channels' folder, made once per machine."""
    name = f"large-channel-{source_key((), Path(__file__).read_text(), platform, str(size))}"
    return made_once(name, lambda folder: _write(folder, platform, size))


def _versions(number: int, popular: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of one name, by file."""
    chance = random.Random(number)
    name = f"library-{number:05d}"
    needs = sorted({number // 3, number // 5, number // 7} - {number})
    for version in range(POPULAR if number < popular else VERSIONS):
        text = f"{1 + version // 8}.{version % 8}.{chance.randrange(4)}"
        build = f"h{chance.getrandbits(28):07x}_{version % 3}"
        depends = [f"library-{need:05d} >=1.{chance.randrange(2)},<90.0a0" for need in needs]
        yield (
            f"{name}-{text}-{build}.conda",
            {
                "build": build,
                "build_number": version % 3,
                "constrains": [f"library-{number + 1:05d} >=0.{chance.randrange(9)}.0"],
                "depends": [*depends, "__glibc >=2.17,<3.0.a0"],
                "license": "BSD-3-Clause AND MIT",
                "license_family": "BSD",
                "md5": f"{chance.getrandbits(128):032x}",
                "name": name,
                "sha256": f"{chance.getrandbits(256):064x}",
                "size": chance.randrange(10_000, 9_000_000),
                "subdir": "",
                "timestamp": 1_500_000_000_000 + chance.randrange(200_000_000_000),
                "version": text,
            },
        )


def _write(folder: Path, platform: str, size: int) -> None:
    for kind in KINDS:
        for subdir in (platform, "noarch"):
            (folder / kind / subdir).mkdir(parents=True)
    empty = _document("noarch", iter(()))
    _whole(folder, "noarch", empty)
    _shards(folder / "sharded" / "noarch", "noarch", iter(()))
    records = (
        (file, {**record, "subdir": platform})
        for number in range(names(size))
        for file, record in _versions(number, _popular(size))
    )
    _whole(folder, platform, _document(platform, records))
    named = (
        (
            f"library-{number:05d}",
            {file: {**record, "subdir": platform} for file, record in _versions(number, _popular(size))},
        )
        for number in range(names(size))
    )
    _shards(folder / "sharded" / platform, platform, named)


def _document(subdir: str, records: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[bytes]:
    """A ``repodata.json`` in pieces."""
    yield json.dumps({"info": {"subdir": subdir}, "packages": {}})[:-1].encode() + b', "packages.conda": {'
    for place, (file, record) in enumerate(records):
        yield (b", " if place else b"") + json.dumps(file).encode() + b": " + json.dumps(record).encode()
    yield b'}, "repodata_version": 1}\n'


def _whole(folder: Path, subdir: str, pieces: Iterator[bytes]) -> None:
    compressed = folder / "compressed" / subdir / "repodata.json.zst"
    with (
        (folder / "plain" / subdir / "repodata.json").open("wb") as plain,
        compressed.open("wb") as target,
        zstandard.ZstdCompressor(level=3).stream_writer(target) as stream,
    ):
        for piece in pieces:
            plain.write(piece)
            stream.write(piece)


def _shards(folder: Path, subdir: str, named: Iterator[tuple[str, dict[str, Any]]]) -> None:
    """CEP 16: one small file for each name, called by its sha256, and one that lists them."""
    compressor = zstandard.ZstdCompressor(level=3)
    listed: dict[str, bytes] = {}
    for name, records in named:
        for record in records.values():
            record.update({word: bytes.fromhex(record[word]) for word in ("md5", "sha256")})
        data = compressor.compress(_packed({"packages": {}, "packages.conda": records, "removed": []}))
        digest = hashlib.sha256(data)
        (folder / f"{digest.hexdigest()}.msgpack.zst").write_bytes(data)
        listed[name] = digest.digest()
    information = {"subdir": subdir, "base_url": "./", "shards_base_url": "./", "created_at": "2026-01-01T00:00:00Z"}
    index = {"version": 1, "info": information, "shards": listed}
    (folder / "repodata_shards.msgpack.zst").write_bytes(compressor.compress(_packed(index)))


def _packed(value: Any) -> bytes:
    """MessagePack, always in its longest forms."""
    if isinstance(value, dict):
        return b"\xdf" + len(value).to_bytes(4, "big") + b"".join(_packed(k) + _packed(v) for k, v in value.items())
    if isinstance(value, list):
        return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(map(_packed, value))
    if isinstance(value, str):
        return b"\xdb" + len(value.encode()).to_bytes(4, "big") + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + len(value).to_bytes(4, "big") + value
    assert isinstance(value, int)
    return b"\xcf" + value.to_bytes(8, "big")
