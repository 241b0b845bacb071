"""The pages for one person at one machine do what they say, word for word."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.machine.virtual import current_platform
from envbuild.projects.project import find_project, make_request
from tests.case import CHECKOUT
from tests.docs.playing import CHANNEL, SERIES, Stage
from tests.flows.test_import import solved_records, write_pixi_lock
from tests.metaflow.needs import need_wheels
from tests.metaflow.nodes import tool_wheels
from tests.support.channel import TestChannel
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.osv_service import OsvService, advisory
from tests.support.sdists import make_project
from tests.support.servers import Server
from tests.support.wheels import make_wheel, real_wheels

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


@pytest.fixture(scope="session")
def real_rich() -> Path:
    """Real wheels of rich and what it needs, from this machine's index, downloaded once."""
    try:
        return real_wheels(["rich==13.9.4"])
    except LookupError as missing:
        pytest.skip(f"NO REAL WHEELS: {missing}")


def test_the_demonstration_of_the_readme_runs(
    stage: Stage, packages: Path, real_wheel_folder: Path, real_rich: Path
) -> None:
    """What ``./dev demo`` runs once its Python is set up, on real packages of a local index."""
    for wheel in (*real_wheel_folder.glob("*.whl"), *real_rich.glob("*.whl")):
        (packages / wheel.name).unlink(missing_ok=True)
        (packages / wheel.name).symlink_to(wheel)
    shutil.copytree(CHECKOUT / "demo", stage.project / "demo")
    (stage.project / "recipes").mkdir()
    shutil.copy(CHECKOUT / "recipes" / "quickstart.yaml", stage.project / "recipes")
    said = stage.type(f"ENVBUILD_PYTHON={SERIES} python -m demo")
    assert "[exit" not in said, said
    assert "numpy says: 5.0" in said
    assert "already there" in said


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


TRAIN = f"""
name: shop/train
python: "{{series}}"
platforms: [linux-64]
conda:
  channels: [conda-forge, {CHANNEL}]
  packages: {{{{colours: }}}}
pypi:
  packages:
    rich: "13.*"
    mine: {{{{path: ../libs/mine}}}}
test:
  imports: [rich]
"""
FAST = f"""
python: "{{series}}"
platforms: [linux-64]
conda:
  channels: [{CHANNEL}]
  packages: {{{{speedups: , libfast: }}}}
"""
STORES = """
recipes: recipes/
stores:
  - {name: team, url: /srv/team}
  - {name: public, url: /srv/public}
"""


def test_the_page_of_commands_is_what_happens(
    conda_stage: Stage, packages: Path, compiled_channel: TestChannel, serving: Callable[..., Server]
) -> None:
    """Each command of the reference does what it says, one after the other, in one project."""
    stage, write = conda_stage, conda_stage.here.write
    make_wheel(packages, "ipykernel", "6.29.5")
    make_project(stage.project / "libs" / "mine", "mine", "1.0", static=True)
    records = solved_records(compiled_channel, ["colours 1.*", f"python {stage.series}.*"])
    write_pixi_lock(stage.project / "pixi.lock", compiled_channel, records)
    write("pyproject.toml", SHOP)
    write("requirements.txt", "rich>=13\n")
    write("envbuild.yaml", STORES)
    write("recipes/train.yaml", TRAIN.format(series=stage.series))
    write("recipes/fast.yaml", FAST.format(series=stage.series))
    with zipfile.ZipFile(stage.project / "all.zip", "w") as archive:
        archive.writestr("X-1.json", json.dumps(advisory("X-1", "mdurl", ("introduced", "9"))))
    done(stage, f"export ENVBUILD_DATABASE={serving(OsvService()).url}")
    done(stage, "git init -q -b main && uv lock --quiet")
    for store in ("/srv/bucket", "/srv/team", "/srv/public", "/mnt/disk/envbuild"):
        done(stage, f"envbuild store init {store}")
    done(stage, "envbuild realize recipes/fast.yaml")
    stage.meant["s3://bucket/envbuild"] = "/srv/bucket"

    def names_and_ids() -> None:
        done(stage, "envbuild key new mine && export ENVBUILD_SIGNING_KEY=mine && envbuild realize recipes/train.yaml")
        given = {"train": ["shop/train:stable", "team/train:candidate", "team/train:v1", "team/train:stable"]}
        given |= {"first": ["team/train:v2", "team/train:stable"], "fast": ["team/base:stable"]}
        for recipe, names in given.items():
            for name in names:
                done(stage, f"envbuild alias recipes/{recipe}.yaml {name}")
        done(stage, "envbuild alias recipes/train.yaml team/train:stable")
        shown = json.loads(stage.type("envbuild show recipes/train.yaml --json"))
        stage.meant |= {"5f4b4de": shown["environment"][:7], "5e210f5": shown["request"][:7]}
        rows = json.loads(stage.type("envbuild plan recipes/train.yaml --json"))["plans"][0]["rows"]
        stage.meant["3f2a91c"] = next(row["key"] for row in rows if row["kind"] == "build-wheel")[:7]

    assert stage.play("commands.md", {"names and ids": names_and_ids}) >= 80


def test_the_pages_of_metaflow_are_what_happens(stage: Stage, packages: Path) -> None:
    """One after the other, at one machine: what a later page says of a run is that of the first."""
    for wheel in need_wheels().glob("*.whl"):
        (packages / wheel.name).unlink(missing_ok=True)
        (packages / wheel.name).symlink_to(wheel)
    for version in ("4.9.0", "4.10.0"):
        make_wheel(packages, "humanize", version)
    stage.here.write("envbuild.yaml", "interpreter: host\n")
    assert stage.play("metaflow.md") == 4
    shown = (stage.project / "train.yaml").read_text(encoding="utf-8")
    assert (stage.project / ".envs" / "flows" / "Train" / "train.yaml").read_text(encoding="utf-8") == shown

    run = (stage.user / "runs" / ".metaflow" / "Train" / "latest_run").read_text(encoding="utf-8")
    stage.meant["Train/1795271657791711"] = f"Train/{run.strip()}"
    assert stage.play("metaflow-runs.md") == 4

    stage.here.write("requirements.txt", "humanize\n")
    assert stage.play("metaflow-commands.md") == 2

    done(stage, "rm -r recipes/flows && mv train.py flow.py")
    assert stage.play("metaflow-migration.md") == 1


def test_the_page_of_bundles_is_what_happens(stage: Stage, packages: Path) -> None:
    for wheel in tool_wheels("envbuild").glob("*.whl"):
        (packages / wheel.name).unlink(missing_ok=True)
        (packages / wheel.name).symlink_to(wheel)
    make_wheel(packages, "numpy", "2.2.1")
    stage.here.write("envbuild.yaml", f'recipes: recipes/\npython: "{SERIES}"\n')
    stage.here.write("recipes/quickstart.yaml", (CHECKOUT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"))
    assert stage.play("bundles.md") == 3


def done(stage: Stage, command: str) -> None:
    """Type what the page takes for granted."""
    said = stage.type(command)
    assert "[exit" not in said, said
