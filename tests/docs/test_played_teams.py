"""The pages for teams (names, trust, publishing, review, stores, many machines) do what they say, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from tests.docs.playing import Stage
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")


@pytest.fixture
def packages(packages: Path) -> Path:
    """With those that these pages ask for."""
    needs = {"certifi": "2024.8.30", "charset-normalizer": "3.3.2", "idna": "3.7", "urllib3": "2.2.2"}
    for name, version in needs.items():
        make_wheel(packages, name, version)
    for version in ("2.31.0", "2.32.5"):
        source = f'__version__ = "{version}"\nRequest = dict\n'
        make_wheel(packages, "requests", version, requires=list(needs), files={"requests/__init__.py": source})
    make_wheel(packages, "tabulate", "0.9.0")
    return packages


@pytest.fixture
def stage(tmp_path: Path, index: str) -> Stage:
    """Machines with the index."""
    return Stage(tmp_path, index)


def test_the_page_of_names_is_what_happens(stage: Stage) -> None:
    assert stage.play("names.md") >= 15


def test_the_page_of_many_recipes_is_what_happens(stage: Stage) -> None:
    assert stage.play("many-recipes.md") >= 5


def test_the_page_of_publishing_is_what_happens(stage: Stage) -> None:
    assert stage.play("publish.md") >= 4
