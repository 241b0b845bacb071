"""libstdc++'s symbols in built wheels: read by the real compiler's output, held against the environment at the link."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from envbuild.builders.built_wheel import Target, check_built
from envbuild.builders.elf_check import elf_needs
from envbuild.derivations import Context
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import BuildError
from envbuild.linkers.cpp_floor import check_cpp_symbols, cpp_floor
from envbuild.package import CondaPackage, Platform, SourcePackage
from envbuild.solvers.target import Target as Machine
from envbuild.solvers.target import marker_environment
from tests.support.wheels import make_wheel


def conda(name: str, version: str) -> CondaPackage:
    return CondaPackage(
        name=name,
        version=version,
        build="0",
        build_number=0,
        subdir="linux-64",
        file=f"{name}-{version}-0.conda",
        sha256=digest_bytes(name.encode()),
        channel="x",
    )


def source(**fields: Any) -> SourcePackage:
    return SourcePackage(
        name="thing", version="1.0", file="x.tar.gz", sha256=Digest("0" * 64), index="default", **fields
    )


@pytest.fixture
def library(tmp_path: Path) -> bytes:
    """A shared library that uses libstdc++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("NO C++ COMPILER: g++ is needed on PATH")
    (tmp_path / "x.cc").write_text('#include <string>\nextern "C" void f(void) { throw std::string("x"); }\n')
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "x.so", tmp_path / "x.cc"], check=True)
    return (tmp_path / "x.so").read_bytes()


def test_both_families_are_read_with_a_symbol_of_each(library: bytes) -> None:
    needs = elf_needs(io.BytesIO(library))
    assert needs is not None
    found = {word.partition("_")[0]: (numbers, word, symbol) for numbers, word, symbol in needs.cpp}
    assert set(found) == {"GLIBCXX", "CXXABI"}
    assert found["GLIBCXX"][0][:2] == (3, 4)
    assert found["CXXABI"][0][:2] == (1, 3)
    for numbers, word, symbol in found.values():
        assert word.endswith("_" + ".".join(map(str, numbers)))
        assert symbol.startswith("_")
        assert symbol.endswith(f"@{word}")
    assert needs.glibc is not None, "and glibc's beside them"


def test_a_wheel_that_brings_its_own_libstdcxx_needs_none(tmp_path: Path, library: bytes) -> None:
    target = Target(
        platform=Platform("linux-64"),
        python="3.11",
        abi="cp311",
        floor="2.99",
        markers=marker_environment(Machine(platform=Platform("linux-64"), python="3.11", system=())),
    )
    tag = "cp311-cp311-linux_x86_64"
    plain = check_built(make_wheel(tmp_path, "thing", "1.0", tag=tag, files={"thing/x.so": library}), source(), target)
    assert {word.partition("_")[0] for word, _, _ in plain.cpp} == {"GLIBCXX", "CXXABI"}
    assert {file for _, file, _ in plain.cpp} == {"thing/x.so"}
    files = {"thing/x.so": library, "thing.libs/libstdc++.so.6": library}
    folder = tmp_path / "own"
    folder.mkdir()
    assert check_built(make_wheel(folder, "thing", "1.0", tag=tag, files=files), source(), target).cpp == ()


@pytest.mark.parametrize(
    ("glibc", "glibcxx", "cxxabi"),
    [
        ("2.17", (3, 4, 19), (1, 3, 7)),
        ("2.23", (3, 4, 19), (1, 3, 7)),
        ("2.24", (3, 4, 22), (1, 3, 10)),
        ("2.28", (3, 4, 24), (1, 3, 11)),
        ("2.31", (3, 4, 28), (1, 3, 12)),
        ("2.34", (3, 4, 29), (1, 3, 13)),
        ("2.35", (3, 4, 30), (1, 3, 13)),
        ("2.38", (3, 4, 30), (1, 3, 13)),
        ("2.39", (3, 4, 33), (1, 3, 15)),
        ("2.41", (3, 4, 33), (1, 3, 15)),
    ],
)
def test_what_systems_of_a_glibc_have(glibc: str, glibcxx: tuple[int, ...], cxxabi: tuple[int, ...]) -> None:
    floor = cpp_floor((), glibc)
    assert floor is not None
    assert (floor.glibcxx, floor.cxxabi) == (glibcxx, cxxabi)


@pytest.mark.parametrize(
    ("package", "glibcxx"),
    [
        (conda("libstdcxx-ng", "7.3.0"), (3, 4, 24)),
        (conda("libstdcxx-ng", "9.3.0"), (3, 4, 28)),
        (conda("libstdcxx-ng", "10.3.0"), (3, 4, 28)),
        (conda("libstdcxx-ng", "12.2.0"), (3, 4, 30)),
        (conda("libstdcxx-ng", "13.2.0"), (3, 4, 32)),
        (conda("libstdcxx", "14.1.0"), (3, 4, 33)),
    ],
)
def test_what_condas_libstdcxx_has_whatever_the_floor(package: CondaPackage, glibcxx: tuple[int, ...]) -> None:
    floor = cpp_floor((conda("zlib", "1.3"), package), "2.17")
    assert floor is not None
    assert floor.glibcxx == glibcxx


def test_what_the_tables_do_not_know_refuses_nothing() -> None:
    assert cpp_floor((), "2.42") is None
    assert cpp_floor((), None) is None
    assert cpp_floor((conda("libstdcxx", "15.1.0"),), "2.17") is None


class Records:
    """A context that holds the record of one build."""

    def __init__(self, *needs: str, record: bytes | None = None) -> None:
        told = [{"version": item, "file": "thing/x.so", "symbol": f"_Zx@{item}"} for item in needs]
        self._record = record if record is not None else json.dumps({"file": "x", "cpp": told}).encode()

    def typed(self, folder: Path) -> Context:
        self._path = folder / "record"
        self._path.write_bytes(self._record)
        return cast(Context, self)

    def blob(self, key: Digest, output: str = "out") -> Path:
        assert output == "record"
        return self._path


def check(folder: Path, records: Records, *packages: CondaPackage, own_python: bool = True, **fields: Any) -> None:
    check_cpp_symbols(
        [(Digest("1" * 64), source(**fields))],
        packages,
        own_python=own_python,
        glibc="2.28",
        context=records.typed(folder),
    )


def test_newer_symbols_are_refused_with_the_ways_out(tmp_path: Path) -> None:
    check(tmp_path, Records("GLIBCXX_3.4.24", "CXXABI_1.3.11"))
    check(tmp_path, Records("GLIBCXX_3.4", "CXXABI_1.3"))
    with pytest.raises(BuildError) as caught:
        check(tmp_path, Records("CXXABI_1.3.11", "GLIBCXX_3.4.30"))
    error = caught.value
    assert (error.reference, error.exit_code) == ("newer-symbols", 9)
    assert "thing/x.so of thing 1.0 needs _Zx@GLIBCXX_3.4.30" in error.message
    assert "systems with glibc 2.28 (GLIBCXX_3.4.24)" in error.message
    assert "libstdcxx-ng: '>=12.1'" in str(error.hint)
    assert '__glibc: "2.35"' in str(error.hint)
    with pytest.raises(BuildError, match=r"CXXABI_1\.3\.13.*CXXABI_1\.3\.11"):
        check(tmp_path, Records("CXXABI_1.3.13"))


def test_condas_libstdcxx_is_what_counts_where_it_is_found(tmp_path: Path) -> None:
    library = conda("libstdcxx-ng", "12.2.0")
    check(tmp_path, Records("GLIBCXX_3.4.30"), library)
    with pytest.raises(BuildError, match=r"libstdcxx-ng 12\.2\.0"):
        check(tmp_path, Records("GLIBCXX_3.4.31"), library)
    check(tmp_path, Records("GLIBCXX_3.4.30"), library, own_python=False, host=("libxml2",))
    with pytest.raises(BuildError, match="systems with glibc"):
        check(tmp_path, Records("GLIBCXX_3.4.30"), library, own_python=False)


@pytest.mark.parametrize("record", [b"{}", b"[]", b"{", b'{"cpp": 5}', b'{"cpp": [{}]}', b'{"cpp": ["x"]}'])
def test_a_record_that_says_nothing_refuses_nothing(tmp_path: Path, record: bytes) -> None:
    check(tmp_path, Records(record=record))
