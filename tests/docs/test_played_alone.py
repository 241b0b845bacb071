"""The pages for one person at one machine do what they say, word for word."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from envbuild.projects.project import find_project, make_request
from tests.docs.playing import CHANNEL, Stage
from tests.support.channel import TestChannel
from tests.support.conda_package import PackageRecipe, write_package
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
    for name, version in {**needs, "uvloop": "0.21.0"}.items():
        make_wheel(packages, name, version)
    make_wheel(packages, "idna", "3.7")
    return packages


@pytest.fixture
def stage(tmp_path: Path, index: str) -> Stage:
    """A machine with an index."""
    return Stage(tmp_path, index)


@pytest.fixture
def channels(tmp_path: Path) -> Path:
    """What stands behind the channel alias: ``conda-forge``, with packages of names that everybody knows."""
    from rattler.index import index_fs

    folder = tmp_path / "channels" / "conda-forge"
    for name, version in (("numpy", "1.26.4"), ("pytorch", "2.4.1"), ("sqlite", "3.46.0"), ("ffmpeg", "7.1")):
        write_package(PackageRecipe(name=name, version=version, subdir="noarch", noarch="generic"), folder)
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False))
    return folder.parent


@pytest.fixture
def conda_stage(tmp_path: Path, index: str, channel: TestChannel, channels: Path) -> Stage:
    """A machine with an index, a team's channel that has Python, and a conda-forge."""
    series = channel.pythons[0].rpartition(".")[0]
    return Stage(tmp_path, index, channel.url, series, {"ENVBUILD_CHANNEL_ALIAS": channels.as_uri()})


def test_the_readme_is_what_happens(stage: Stage) -> None:
    module = {"src/till/__init__.py": ""}
    make_project(stage.project / "libs" / "till", "till", "0.1", static=True, requires=["requests"], files=module)
    stage.here.write("pyproject.toml", SHOP)
    assert not stage.type("uv lock --quiet")
    assert stage.play("../README.md") >= 12


def test_the_page_of_recipes_is_what_happens(conda_stage: Stage) -> None:
    conda = f"python: {conda_stage.series}\nconda:\n  channels: [conda-forge, {CHANNEL}]\n  packages: {{pytorch: }}\n"
    conda_stage.here.write("train.yaml", conda)
    assert not conda_stage.type("envbuild lock --quiet train.yaml")
    assert conda_stage.play("recipes.md") == 2


def test_the_page_of_locks_is_what_happens(stage: Stage) -> None:
    def on_a_name() -> None:
        stage.here.write("recipes/report.yaml", "extends: {name: team/base:stable}\nplatforms: [linux-64]\n")
        said = stage.type("envbuild alias recipes/first.yaml team/base:stable && envbuild lock recipes/report.yaml")
        assert "[exit" not in said, said

    assert stage.play("locks.md", {"a recipe on a name": on_a_name}) == 6


def test_the_page_of_foreign_locks_is_what_happens(conda_stage: Stage) -> None:
    conda_stage.here.write("pyproject.toml", SHOP)
    conda_stage.here.write("requirements.txt", "rich>=13\n--trusted-host pypi.example.org\n")
    conda = f"python: {conda_stage.series}\nconda:\n  channels: [{CHANNEL}]\n  packages: {{colours: }}\n"
    conda_stage.here.write("recipes/train.yaml", conda)
    assert conda_stage.play("formats-locks.md") == 4


def test_the_recipe_on_the_page_of_formats_is_accepted(stage: Stage) -> None:
    stage.play("formats.md")
    stage.here.write("requirements.txt", "rich>=13\n")
    stage.here.write("environment.yml", "channels: [conda-forge]\ndependencies: [numpy]\n")
    stage.here.write(
        "pyproject.toml", '[project]\nname = "x"\nversion = "1"\n[dependency-groups]\ntest = ["pytest"]\ndocs = []\n'
    )
    stage.here.write("deps/base", "humanize\n")
    stage.here.write("envbuild.yaml", "recipes: recipes/\n")
    path = stage.project / "recipes" / "train.yaml"
    request, _ = make_request(find_project(path, {}), path)
    assert request.platforms
