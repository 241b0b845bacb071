"""R33: parsers of what comes from outside, fed with damaged bytes: an error or the truth, never anything else.

Small counts by default, 100,000 inputs for each parser under ``./dev torture``. Inputs are good files with bytes
flipped, cut out, doubled or put elsewhere; the seed is the number of the input, so that each failure can be had again.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from envbuild.digest import digest_bytes
from envbuild.errors import EnvbuildError
from envbuild.linkers.conda_archive import check_structure, package_index
from envbuild.linkers.conda_contents import read_listing
from envbuild.linkers.wheel_check import inspect_wheel
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.machine.locations import page_links
from envbuild.package import CondaPackage, Wheel
from envbuild.solvers.pylock import read_pylock
from envbuild.solvers.wheel_metadata import parse_metadata
from tests.faults.counts import COUNTS
from tests.faults.figures import count
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.wheels import make_wheel

INPUTS = COUNTS.inputs
WORDS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"../", b"\0", b"\xff" * 8, b"[", b'"', b"<base href='", b"{")


def damaged(data: bytes, seed: int) -> bytes:
    """The bytes with one to four things done to them."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        what = chance.randrange(6)
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del changed[at : at + chance.randint(1, 40)]
        elif what == 2:
            changed[at:at] = chance.choice(WORDS)
        elif what == 3:
            changed[at:at] = changed[at : at + chance.randint(1, 60)]
        elif what == 4 and at + 4 <= len(changed):
            changed[at : at + 4] = chance.choice((b"\0" * 4, b"\xff" * 4, b"\1\0\0\0", chance.randbytes(4)))
        else:
            del changed[at:]
        changed = changed or bytearray(b"x")
    return bytes(changed)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return make_wheel(
        folder, "tool-box", "1.0", scripts={"tool-box": "tool_box:main"}, files={"data/x.txt": b"x" * 200}
    )


def test_wheels_are_refused_or_are_what_zipfile_finds(wheel: Path, tmp_path: Path) -> None:
    good, path, passed = wheel.read_bytes(), tmp_path / wheel.name, 0
    for seed in range(INPUTS):
        data = damaged(good, seed)
        path.write_bytes(data)
        locked = Wheel(name="tool-box", version="1.0", file=path.name, sha256=digest_bytes(data), index="default")
        try:
            inspect_wheel(path, locked)
        except EnvbuildError:
            continue
        passed += 1
        with ZipFileView(path) as view, zipfile.ZipFile(io.BytesIO(data)) as archive:
            ours = {entry.name: b"".join(view.pieces(entry)) for entry in view.entries}
            assert ours == {name: archive.read(name) for name in archive.namelist()}, seed
    count("damaged wheels that were refused, or are the same to every reader", INPUTS, INPUTS)
    assert passed < INPUTS


def test_zip_directories_end_in_one_error(wheel: Path, tmp_path: Path) -> None:
    good, path = wheel.read_bytes(), tmp_path / "x.zip"
    directory = good.rindex(b"PK\1\2") - 400
    for seed in range(INPUTS):
        path.write_bytes(good[:directory] + damaged(good[directory:], seed))
        try:
            with ZipFileView(path) as view:
                for entry in view.entries:
                    list(view.pieces(entry))
        except BadZipError:
            continue
    count("damaged zip directories that ended in an error or a good file", INPUTS, INPUTS)


def test_conda_packages_end_in_one_error(tmp_path: Path) -> None:
    recipe = PackageRecipe(name="nice", version="1.0", subdir="noarch", noarch="generic", files={"share/n": "n" * 99})
    path = write_package(recipe, tmp_path)
    good = path.read_bytes()
    package = CondaPackage(
        name="nice", version="1.0", build="0", build_number=0, subdir="noarch", file=path.name,
        sha256=digest_bytes(good), channel="c",
    )  # fmt: skip
    for seed in range(INPUTS):
        path.write_bytes(damaged(good, seed))
        for check in (lambda: check_structure(path, package), lambda: package_index(path, path.name)):
            try:
                check()
            except EnvbuildError:
                continue
    count("damaged conda packages that ended in an error or a good package", INPUTS, INPUTS)


def test_lists_of_files_end_in_one_error() -> None:
    entries = [
        {"_path": f"share/{n}", "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": n} for n in range(5)
    ]
    good = json.dumps({"paths": entries, "paths_version": 1}).encode()
    package = CondaPackage(
        name="nice", version="1.0", build="0", build_number=0, subdir="noarch", file="nice-1.0-0.conda",
        sha256=digest_bytes(good), channel="c",
    )  # fmt: skip
    for seed in range(INPUTS):
        try:
            listed = read_listing(damaged(good, seed), package)
        except EnvbuildError:
            continue
        assert not any(item.path.startswith("/") or ".." in item.path.split("/") for item in listed), seed
    count("damaged lists of files that ended in an error or stayed inside", INPUTS, INPUTS)


PAGE = (
    b'<!DOCTYPE html><html><head><base href="https://files.example/x/"></head><body>'
    b'<a href="../nice-1.0-py3-none-any.whl#sha256=' + b"0" * 64 + b'" data-requires-python="&gt;=3.8">nice</a>'
    b'<a href="nice-1.1.tar.gz">nice</a></body></html>'
)
DOCUMENT = json.dumps(
    {
        "meta": {"api-version": "1.1"},
        "files": [{"url": "../n.whl", "hashes": {"sha256": "0" * 64}, "filename": "n.whl"}],
    }
).encode()


@pytest.mark.parametrize("good", [PAGE, DOCUMENT], ids=["html", "json"])
def test_index_pages_lead_to_servers_only(good: bytes) -> None:
    for seed in range(INPUTS):
        for _, url, _ in page_links(damaged(good, seed), "https://index.example/simple/nice/"):
            assert url.startswith(("https://", "http://")), seed
    count("damaged index pages whose links lead to servers only", INPUTS, INPUTS)


def test_metadata_and_answers_of_engines_end_in_one_error() -> None:
    metadata = (
        b"Metadata-Version: 2.1\nName: nice\nVersion: 1.0\nRequires-Dist: x>=1; extra == 'y'\nProvides-Extra: y\n"
    )
    answer = (
        b'lock-version = "1.0"\n[[packages]]\nname = "nice"\nversion = "1.0"\nwheels = [{ url = "https://e/x.whl" }]\n'
    )
    for seed in range(INPUTS):
        with suppress(EnvbuildError):
            parse_metadata(damaged(metadata, seed))
        with suppress(EnvbuildError):
            read_pylock(damaged(answer, seed))
    count("damaged METADATA and pylock files that ended in an error or a value", INPUTS, INPUTS)
