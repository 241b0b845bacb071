"""R33 for source archives: whatever is done to an archive's bytes, it is unpacked inside its folder or refused.

Small by default; ``./dev torture`` tries a hundred thousand of each kind. A seed that fails is in the message.
"""

from __future__ import annotations

import gzip
import io
import random
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from envbuild.builders.unpack import unpack_source
from envbuild.errors import IntegrityError
from tests.faults.counts import SCALE
from tests.faults.figures import count, worst
from tests.support.git_server import Link, Script, write_tree

TRIES = max(150, round(100_000 * SCALE))
SECONDS = 5.0

TREE = {
    "p-1/pyproject.toml": "[project]\nname = 'p'\n",
    "p-1/src/ü.py": "x = 1\n" * 40,
    "p-1/run": Script("#!/bin/sh\n"),
    "p-1/src/link": Link("../run"),
    "p-1/" + "long" * 40: "name\n",
}


def tars(folder: Path, form: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        tar.add(folder / "p-1", "p-1")
        link = tarfile.TarInfo("p-1/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "p-1/run"
        tar.addfile(link)
    return data.getvalue()


def zips(folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if not path.is_symlink():
                archive.write(path, path.relative_to(folder))
    return data.getvalue()


def with_right_sums(data: bytes) -> bytes:
    """A tar whose headers' checksums are right again, so that a change gets past them."""
    changed = bytearray(data)
    for at in range(0, len(changed) - 511, 512):
        block = changed[at : at + 512]
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + sum(block[156:]) + 256
            changed[at + 148 : at + 156] = b"%06o\0 " % (total % (1 << 18))
    return bytes(changed)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """An archive after one to six changes of its bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if not changed:
            break
        at = chance.randrange(len(changed))
        match chance.randrange(8):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice(b"\0\xff/.\\0179 \x80")
            case 2:
                del changed[at : at + chance.choice((1, 7, 512, 513))]
            case 3:
                changed[at:at] = chance.choice((b"\0", b"../", b"/", bytes(512), b"PK\5\6" + bytes(18)))
            case 4:
                other = chance.randrange(len(changed))
                changed[at : at + 512] = changed[other : other + 512]
            case 5:
                block = at // 512 * 512
                field, text = chance.choice(FIELDS)
                changed[block + field : block + field + len(text)] = text
            case 6:
                del changed[at:]
            case _:
                changed += changed[: chance.randrange(2000)]
    return bytes(changed)


FIELDS = (
    *((0, b"../x\0"), (0, b"/x\0"), (124, b"77777777777\0"), (124, b"\xff" * 12), (157, b"../../x\0")),
    *((156, bytes([kind])) for kind in b"01234567xgLKSV"),
)
"""Places in a header, and what is put there."""

KINDS: Mapping[str, tuple[str, Callable[[Path], bytes], Callable[[bytes], bytes]]] = {
    "pax tars": (".tar", lambda folder: tars(folder, tarfile.PAX_FORMAT), bytes),
    "pax tars with right sums": (".tar", lambda folder: tars(folder, tarfile.PAX_FORMAT), with_right_sums),
    "gnu tars with right sums": (".tar", lambda folder: tars(folder, tarfile.GNU_FORMAT), with_right_sums),
    "gzipped tars": (".tar.gz", lambda folder: gzip.compress(tars(folder, tarfile.PAX_FORMAT), 1), bytes),
    "zips": (".zip", zips, bytes),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_archive_is_unpacked_inside_or_refused(kind: str, tmp_path: Path) -> None:
    ending, make, mend = KINDS[kind]
    write_tree(tmp_path / "in", TREE)
    honest = make(tmp_path / "in")
    work = tmp_path / "work"
    good = 0
    slowest = 0.0
    for seed in range(TRIES):
        chance = random.Random(f"{kind} {seed}")
        work.mkdir()
        (work / "archive").write_bytes(mend(mutated(honest, chance)))
        (work / "out").mkdir()
        began = time.monotonic()
        try:
            top = unpack_source(work / "archive", f"p-1{ending}", work / "out")
        except IntegrityError:
            pass
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
        else:
            assert top.parent == work / "out", seed
            for path in top.rglob("*"):
                assert path.resolve().is_relative_to(top.resolve()), (seed, path)
        slowest = max(slowest, time.monotonic() - began)
        assert slowest < SECONDS, seed
        assert {path.name for path in work.iterdir()} == {"archive", "out"}, seed
        assert not (tmp_path / "x").exists(), seed
        good += 1
        shutil.rmtree(work)
    count(f"R33 changed {kind}: inside or refused", good, TRIES)
    worst("R33 seconds for one changed archive", slowest)
