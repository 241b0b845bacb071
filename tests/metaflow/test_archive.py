"""The archive that a node unpacks: what is in it, and what runs of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from envbuild.derivations import HostPython
from envbuild.environments.own_tools import own_files
from envbuild.machine.interpreters import find_host_python
from envbuild.metaflow.archive import Files, joined, own_part, packed, part_of, programs_of
from envbuild.metaflow.inline import first_program

HOSTILE = ("site/../../escape", "bin/../escape", "elsewhere/a", "/site/a", "site//a", "..", "")


@pytest.fixture(scope="module")
def python() -> HostPython:
    """This Python, as it is found."""
    return find_host_python(f"{sys.version_info[0]}.{sys.version_info[1]}")


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def names(archive: bytes) -> list[str]:
    return [name for name, _, _, _ in json.loads(archive.partition(b"\n")[0])["files"]]


def unpacked(archive: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the first program of a node makes of it."""
    folder.mkdir()
    (folder / "first.py").write_bytes(first_program({}, {}) + b"FIRST = 1\n")
    (folder / "archive").write_bytes(archive)
    code = (
        "import runpy, sys\n"
        "space = runpy.run_path('first.py')\n"
        "try:\n    space['unpack'](open('archive', 'rb').read(), 'out', 'out/lib')\n"
        "except space['StopError'] as error:\n    print(error)\n    sys.exit(error.code)\n"
    )
    return subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_a_node_imports_what_was_packed_without_its_sources(tmp_path: Path, python: HostPython) -> None:
    made = wheel(
        tmp_path,
        {
            "toy/__init__.py": b"def where():\n    return __file__\n",
            "toy/data.json": b"{}",
            "toy/old.py": b"print 'no Python 3'\n",
            "toy/hints.pyi": b"",
            "toy/tests/test_toy.py": b"",
            "toy-1.0.dist-info/METADATA": b"Name: toy\n",
            "toy-1.0.dist-info/RECORD": b"",
            "toy-1.0.data/scripts/toy": b"#!/bin/sh\necho toy\n",
            "botocore/data/s3/x/service-2.json.gz": b"s3",
            "botocore/data/ec2/x/service-2.json.gz": b"ec2",
            "botocore/data/endpoints.json": b"{}",
        },
    )
    part = part_of(made, "0" * 64, python, tmp_path / "kept")
    assert names(part) == [
        "bin/toy",
        "site/botocore/data/endpoints.json",
        "site/botocore/data/s3/x/service-2.json.gz",
        "site/toy-1.0.dist-info/METADATA",
        "site/toy/__init__.pyc",
        "site/toy/data.json",
        "site/toy/old.py",
    ]
    more: Files = {"site/large": (bytes(range(256)) * 40000, False), "site/empty": (b"", False)}
    whole, programs = joined([part, packed(more)])
    assert programs is None
    done = unpacked(whole, tmp_path / "node")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "node" / "out"
    assert [(out / "lib" / name).read_bytes() for name in ("large", "empty")] == [bytes(range(256)) * 40000, b""]
    assert subprocess.check_output([out / "bin" / "toy"], text=True) == "toy\n"
    said = subprocess.check_output(
        [sys.executable, "-c", "import toy; print(toy.where())"], env={"PYTHONPATH": str(out / "lib")}, text=True
    )
    assert said == f"{out}/lib/toy/__init__.pyc\n"


def test_large_programs_have_an_archive_of_their_own(tmp_path: Path, python: HostPython) -> None:
    large = b"#!/bin/sh\necho large\nexit\n" + random.Random(1).randbytes(9 << 20)
    made = wheel(tmp_path, {"toy-1.0.data/scripts/toy": large, "toy-1.0.data/scripts/small": b"#!/bin/sh\n"})
    part = part_of(made, "0" * 64, python, tmp_path / "kept")
    more: Files = {"site/large": (large, False), "bin/other": (b"#!/bin/sh\n", True)}
    whole, programs = joined([packed(more), part])
    assert programs is not None
    assert (set(names(whole)), set(names(programs))) == ({"site/large", "bin/other", "bin/small"}, {"bin/toy"})
    assert programs_of(programs) == ["toy"]
    for number, archive in enumerate((whole, programs)):
        done = unpacked(archive, tmp_path / f"node{number}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "node0" / "out" / "lib" / "large").read_bytes() == large
    assert subprocess.check_output([tmp_path / "node1" / "out" / "bin" / "toy"], text=True) == "large\n"


def test_without_a_python_of_the_node_s_series_modules_come_as_they_are(tmp_path: Path) -> None:
    part = part_of(wheel(tmp_path, {"toy/__init__.py": b"VALUE = 1\n"}), "0" * 64, None, tmp_path / "kept")
    assert names(part) == ["site/toy/__init__.py"]


def test_the_same_files_give_the_same_archive_and_a_damaged_one_is_made_again(
    tmp_path: Path, python: HostPython
) -> None:
    kept = tmp_path / "kept"
    source = b"NAMES = {'b', 'a', 'c'}\nKNOWN = frozenset(NAMES)\ndef f(x): return x in {'1', '2', '3'}\n"
    made = wheel(tmp_path, {"toy/__init__.py": source, "toy/more.py": source})
    first = part_of(made, "0" * 64, python, kept)
    assert part_of(made, "0" * 64, python, tmp_path / "elsewhere") == first
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert part_of(made, "0" * 64, python, kept) == first
    made.unlink()  # it is not read again
    assert part_of(made, "0" * 64, python, kept) == first


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_with_a_path_that_leads_out_of_it_is_refused(name: str, tmp_path: Path) -> None:
    done = unpacked(packed({name: (b"bad", False)}), tmp_path / "node")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "has a file" in done.stdout
    assert not list(tmp_path.rglob("escape"))


def test_envbuild_itself_runs_from_its_bytecode(tmp_path: Path, python: HostPython) -> None:
    part = own_part(own_files(), python, tmp_path / "kept")
    assert "site/envbuild/errors.pyc" in names(part)
    assert "site/envbuild/linkers/rattler_child.py" in names(part)  # run by its path
    assert "site/envbuild/errors.py" not in names(part)
    done = unpacked(part, tmp_path / "node")
    assert done.returncode == 0, done.stderr
    code = "import envbuild.errors, envbuild.value; print(envbuild.errors.__file__)"
    lib = tmp_path / "node" / "out" / "lib"
    said = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": str(lib)}, cwd=lib, text=True)
    assert said == f"{lib}/envbuild/errors.pyc\n"
