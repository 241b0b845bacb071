"""The pages for one person at one machine do what they say, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from tests.docs.playing import Stage
from tests.support.sdists import make_project
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")

SHOP = """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["rich>=13"]

[dependency-groups]
dev = ["pytest"]
"""


@pytest.fixture
def packages(packages: Path) -> Path:
    """With requests and what it needs, of fixed versions."""
    needs = {"certifi": "2024.8.30", "charset-normalizer": "3.4.0", "idna": "3.10", "urllib3": "2.2.3"}
    make_wheel(packages, "requests", "2.32.3", requires=list(needs))
    for name, version in needs.items():
        make_wheel(packages, name, version)
    return packages


@pytest.fixture
def stage(tmp_path: Path, index: str) -> Stage:
    return Stage(tmp_path, index)


def test_the_readme_is_what_happens(stage: Stage) -> None:
    module = {"src/till/__init__.py": ""}
    make_project(stage.project / "libs" / "till", "till", "0.1", static=True, requires=["requests"], files=module)
    lock_with_uv(stage)
    assert stage.play("../README.md") >= 12


def lock_with_uv(stage: Stage) -> None:
    """The project has a ``uv.lock`` of somebody's."""
    (stage.project / "pyproject.toml").write_text(SHOP, encoding="utf-8")
    said = stage.type("uv lock --quiet")
    assert not said, said
