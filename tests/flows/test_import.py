"""``import``: real files of other tools become recipes and locks that fit, and what they lock is realized."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.lock import Lock
from envbuild.locks.lockfile import parse_lock
from envbuild.machine.uv_program import uv_program
from tests.case import Case
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

Uv = Callable[..., str]


@pytest.fixture
def uv(case: Case, wheel_index: Server) -> Uv:
    """Runs the real uv in the case's project, with the toy index as its only one."""

    def run(*arguments: str, cwd: Path | None = None) -> str:
        environ = {
            **case.environ,
            "UV_DEFAULT_INDEX": f"{wheel_index.url}/simple",
            "UV_CACHE_DIR": str(case.project.parent / "uv-cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_CONFIG": "1",
        }
        done = subprocess.run(
            [uv_program(), *arguments],
            cwd=cwd or case.project,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    return run


PROJECT = f"""
[project]
name = "shop"
version = "1.0"
requires-python = ">={SERIES}"
dependencies = ["toy<2", "toy-extras[colour]>=1"]

[project.optional-dependencies]
more = ["toy-compiled"]

[dependency-groups]
dev = ["toy-old-python"]
"""


def lock_of(case: Case, name: str) -> Lock:
    path = case.project / f"{name}.lock.yaml"
    return parse_lock(path.read_bytes(), str(path))


def test_a_lock_of_uv_is_imported_and_realized(case: Case, uv: Uv) -> None:
    case.file("pyproject.toml", PROJECT)
    uv("lock")
    case.run("import", "uv.lock", "-o", "recipes/shop.yaml")
    case.mentions("left out: the groups dev of shop", "left out: the extras more of shop")
    recipe = (case.project / "recipes/shop.yaml").read_text()
    assert 'toy: "<2"' in recipe
    assert "toy-extras[colour]" in recipe
    case.run("lock", "--check", "recipes/shop.yaml")
    (environment,) = lock_of(case, "recipes/shop").platforms
    assert {wheel.name: wheel.version for wheel in environment.wheels} == {
        "toy": "1.1",
        "toy-core": "1.5",
        "toy-extras": "1.0",
        "toy-paint": "1.0",
    }
    assert {wheel.name for wheel in environment.wheels if wheel.asked} == {"toy", "toy-extras"}
    assert {wheel.index for wheel in environment.wheels} == {"default"}
    case.run("realize", "--locked", "recipes/shop.yaml")
    case.run("run", "recipes/shop.yaml", "--", "python", "-c", "import toy, toy_paint")
    before = (case.project / "recipes/shop.lock.yaml").read_bytes()
    case.run("lock", "recipes/shop.yaml")
    assert (case.project / "recipes/shop.lock.yaml").read_bytes() == before
