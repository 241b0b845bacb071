"""The tutorial and the pages for those who come from elsewhere do what they say, word for word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from tests.docs.playing import Stage
from tests.flows.test_import import solved_records, write_pixi_lock
from tests.metaflow.needs import need_wheels
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.skipif(current_platform() != "linux-64", reason="the texts name linux-64")


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> str:
    """An index with small packages of the names that the pages ask for."""
    folder = tmp_path / "index"
    make_wheel(folder, "rich", "13.9.4", requires=["markdown-it-py>=2.2", "pygments>=2.13"])
    make_wheel(folder, "markdown-it-py", "3.0.0", requires=["mdurl~=0.1"])
    make_wheel(folder, "mdurl", "0.1.2")
    make_wheel(folder, "pygments", "2.18.0")
    make_wheel(folder, "humanize", "4.11.0")
    make_wheel(folder, "pytest", "8.3.3")
    for wheel in need_wheels().glob("*.whl"):
        (folder / wheel.name).symlink_to(wheel)
    return f"{serving(WheelIndex(folder=folder)).url}/simple"


def test_the_tutorial_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("tutorial.md") >= 20


def test_the_page_for_those_who_come_from_uv_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("coming-from-uv.md") >= 7


@pytest.fixture
def stage(tmp_path: Path, index: str, channel: TestChannel) -> Stage:
    """A machine with the index and the channel."""
    return Stage(tmp_path, index, channel.url, series=channel.pythons[0].rpartition(".")[0])


def export(stage: Stage, name: str, form: str) -> None:
    """A file of another tool in the project, of an environment that somebody else has."""
    recipe = stage.user / "elsewhere" / "x.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        f'python: "{stage.series}"\nconda:\n  channels: [{stage.channel}]\n  packages: {{colours: "1.*"}}\n'
    )
    said = stage.type(f"cd {recipe.parent} && envbuild lock x.yaml && envbuild export x.yaml --format {form} -o out")
    assert "[exit" not in said, said
    (recipe.parent / "out").rename(stage.project / name)


def test_the_page_for_those_who_come_from_pixi_is_what_happens(stage: Stage, channel: TestChannel) -> None:
    """The lock is what py-rattler itself writes."""
    records = solved_records(channel, ["colours 1.*", f"python {stage.series}.*"])
    write_pixi_lock(stage.project / "pixi.lock", channel, records)
    assert stage.play("coming-from-pixi.md") >= 8


def test_the_page_for_those_who_come_from_conda_lock_is_what_happens(stage: Stage) -> None:
    export(stage, "conda-lock.yml", "conda-lock")
    assert stage.play("coming-from-conda-lock.md") >= 6


def test_the_page_for_those_who_come_from_nix_is_what_happens(tmp_path: Path, index: str) -> None:
    assert Stage(tmp_path, index).play("coming-from-nix.md") >= 11


def test_the_page_for_those_who_come_from_netflix_s_extension_is_what_happens(stage: Stage) -> None:
    export(stage, "explicit.txt", "explicit")
    assert stage.play("coming-from-metaflow-netflixext.md") >= 10
