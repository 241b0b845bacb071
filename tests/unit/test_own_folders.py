"""What a source folder is known by: its digest, which an edit changes, and its state, which every change changes."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.digest import Digest
from envbuild.environments import folder_state as states
from envbuild.environments.folder_state import folder_state
from envbuild.environments.stamp import Stamp, read_stamp, write_stamp
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.folders import own_digests, own_paths, own_states
from envbuild.locks.staleness import stale_reasons
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.recipe import PathSource, PypiRequirement
from envbuild.request import PlatformRequest, Request

LINUX = Platform("linux-64")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project" / "libs" / "mine"
    (made / "mine").mkdir(parents=True)
    (made / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (made / "mine" / "__init__.py").write_text("x = 1\n")
    return made


def request_for(*paths: str) -> Request:
    asked = tuple(PypiRequirement(name=f"p{number}", source=PathSource(path=path)) for number, path in enumerate(paths))
    part = PlatformRequest(platform=LINUX, python="3.12", system=(), pypi=(*asked, PypiRequirement(name="other")))
    return Request(
        recipe="x.yaml",
        interpreter="host",
        exclude_newer=None,
        platforms=(part, replace(part, platform=Platform("osx-64"))),
    )


def edit(folder: Path) -> None:
    (folder / "mine" / "__init__.py").write_text("x = 2\n")


def touch(folder: Path) -> None:
    os.utime(folder / "mine" / "__init__.py", (1, 1))


def add(folder: Path) -> None:
    (folder / "mine" / "deep" / "deeper").mkdir(parents=True)
    (folder / "mine" / "deep" / "deeper" / "new.py").touch()


def remove(folder: Path) -> None:
    (folder / "mine" / "__init__.py").unlink()


def make_executable(folder: Path) -> None:
    (folder / "mine" / "__init__.py").chmod(0o755)


def run_python(folder: Path) -> None:
    (folder / "mine" / "__pycache__").mkdir()
    (folder / "mine" / "__pycache__" / "x.pyc").touch()


def empty_folder(folder: Path) -> None:
    (folder / "nothing").mkdir()


@pytest.mark.parametrize(
    ("change", "other_state", "other_digest"),
    [
        (edit, True, True),
        (touch, True, False),
        (add, True, True),
        (remove, True, True),
        (make_executable, True, True),
        (run_python, False, False),
        (empty_folder, False, False),
    ],
)
def test_an_edit_changes_the_digest_and_everything_that_may_be_one_changes_the_state(
    change, other_state: bool, other_digest: bool, folder: Path
) -> None:
    root = folder.parents[1]
    state, digest = folder_state(folder), own_digests(root, request_for("libs/mine"), os.environ)
    assert set(digest) == {"libs/mine"}
    change(folder)
    assert (folder_state(folder) != state) == other_state
    assert (own_digests(root, request_for("libs/mine"), os.environ) != digest) == other_digest


def test_what_version_control_says_changes_the_state(folder: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(folder.parents[1]), *words], check=True, capture_output=True)

    git("init", "-q")
    (folder / "notes.txt").write_text("ignored")
    (folder.parents[1] / ".gitignore").write_text("*.txt\n")
    request, root = request_for("libs/mine"), folder.parents[1]
    state, digest = folder_state(folder), own_digests(root, request, os.environ)
    git("add", "-f", "libs/mine/notes.txt")
    assert folder_state(folder) != state
    assert own_digests(root, request, os.environ) != digest
    state = folder_state(folder)
    (folder.parents[1] / ".gitignore").write_text("*.txt\n*.py\n")
    assert folder_state(folder) != state


def test_a_state_that_would_take_long_is_none_and_then_there_is_no_stamp(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(states, "ENTRIES", 1)
    assert folder_state(folder) is None
    stamp = Stamp(prefix=str(tmp_path), out_link=None, host_python=None, summary={})
    write_stamp(tmp_path / "stamp", stamp, (), {str(folder): None})
    assert not (tmp_path / "stamp").exists()


def test_a_stamp_counts_while_the_folder_is_what_it_was(folder: Path, tmp_path: Path) -> None:
    stamp = Stamp(prefix=str(tmp_path), out_link=None, host_python=None, summary={})
    write_stamp(tmp_path / "stamp", stamp, (), {str(folder): folder_state(folder)})
    assert read_stamp(tmp_path / "stamp") == stamp
    edit(folder)
    assert read_stamp(tmp_path / "stamp") is None
    write_stamp(tmp_path / "stamp", stamp, (), {str(tmp_path / "gone"): folder_state(tmp_path / "gone")})
    assert read_stamp(tmp_path / "stamp") == stamp
    (tmp_path / "gone").mkdir()
    assert read_stamp(tmp_path / "stamp") is None


def test_what_is_ignored_is_passed_over_however_large_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = folder.parents[1]
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
    (folder / ".gitignore").write_text(".venv/\n")
    for number in range(20):
        (folder / ".venv" / "lib" / f"d{number}").mkdir(parents=True)
        (folder / ".venv" / "lib" / f"d{number}" / "m.py").touch()
    monkeypatch.setattr(states, "ENTRIES", 15)
    assert folder_state(folder) is None
    own = own_states(root, request_for("libs/mine"), os.environ)
    stamp = Stamp(prefix=str(tmp_path), out_link=None, host_python=None, summary={})
    write_stamp(tmp_path / "stamp", stamp, (), own)
    (folder / ".venv" / "lib" / "new.py").touch()
    assert read_stamp(tmp_path / "stamp") == stamp
    (folder / "new.py").touch()
    assert read_stamp(tmp_path / "stamp") is None
    (folder / "new.py").unlink()
    assert read_stamp(tmp_path / "stamp") == stamp
    subprocess.run(["git", "-C", str(root), "add", "-f", str(folder / ".venv/lib/new.py")], check=True)
    assert read_stamp(tmp_path / "stamp") is None  # tracked, so that it is source now


def test_the_state_of_a_thousand_files_takes_milliseconds(folder: Path) -> None:
    for number in range(1000):
        (folder / f"m{number}.py").touch()

    def seconds() -> float:
        began = time.perf_counter()
        folder_state(folder)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.1


def test_files_and_folders_that_are_not_there(folder: Path) -> None:
    root = folder.parents[1]
    (root / "old-1.0.tar.gz").write_bytes(b"archive")
    request = request_for("old-1.0.tar.gz", "libs/gone", "libs/mine")
    assert own_paths(request) == ("libs/gone", "libs/mine", "old-1.0.tar.gz")
    assert set(own_digests(root, request, os.environ)) == {"libs/mine", "old-1.0.tar.gz"}


def test_a_lock_is_stale_when_a_folder_or_file_of_the_project_is_not_what_it_was() -> None:
    request = request_for("libs/mine", "old-1.0.tar.gz", "wheels/w-1-py3-none-any.whl")
    one, two = Digest("1" * 64), Digest("2" * 64)
    sources = (
        SourcePackage(name="mine", version="1", file="mine-1.tar", sha256=one, path="libs/mine", asked=True),
        SourcePackage(name="old", version="1.0", file="old-1.0.tar.gz", sha256=one, find_links="./."),
    )
    wheel = Wheel(name="w", version="1", file="w-1-py3-none-any.whl", sha256=one, find_links="./wheels")
    environment = LockedEnvironment(
        platform=LINUX, python="3.12", interpreter="host", system=(), wheels=(wheel,), sources=sources
    )
    lock = Lock(request=request.id, platforms=(environment, replace(environment, platform=Platform("osx-64"))))
    same = {"libs/mine": one, "old-1.0.tar.gz": one, "wheels/w-1-py3-none-any.whl": one}
    assert stale_reasons(lock, request, {}, same) == ()
    assert stale_reasons(lock, request, {}) == ()
    for path in same:
        assert stale_reasons(lock, request, {}, {**same, path: two}) == (f"{path} was edited since it was locked",)
