"""uv meets the Python that runs envbuild before it is needed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from envbuild.machine.uv_ahead import meet_python


def _known(home: Path) -> list[Path]:
    return sorted(home.glob("cache/uv/interpreter-*/*/*.msgpack"))


def _meet(home: Path) -> list[Path]:
    meet_python({**os.environ, "ENVBUILD_HOME": str(home)})
    deadline = time.monotonic() + 20
    while not _known(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    return _known(home)


def test_the_cache_knows_this_python_afterwards(tmp_path: Path) -> None:
    assert _meet(tmp_path / "a home")


def test_a_python_that_is_known_is_not_asked_again(tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in _meet(tmp_path / "home")}
    assert {path: path.stat().st_mtime_ns for path in _meet(tmp_path / "home")} == before


def test_a_home_that_cannot_be_is_left_to_the_solve(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    meet_python({"ENVBUILD_HOME": str(tmp_path / "file")})
    meet_python({})
