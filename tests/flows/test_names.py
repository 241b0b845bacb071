"""Which PyPI project a conda package is: said by ``why``, and changed by the recipe or the configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rattler.index import index_fs

from envbuild.compile import build_graph
from envbuild.conda_names import names_of_needs
from envbuild.derivations.build_wheel import BuildWheel
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.sdists import make_project, pack_sdist
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel, metadata


@pytest.fixture
def world(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, Path, str]:
    """A channel with packages of odd names, an index with what goes with them, and the beginning of a recipe."""
    channel, index = tmp_path / "channel", tmp_path / "index"
    index.mkdir()
    needs = ("python",)
    write_package(PackageRecipe(name="python", version="3.12.1", subdir=this_platform()), channel)
    for name, version, more in (
        ("pytorch", "2.1.0", {}),
        ("odd-name", "1.5", {}),
        ("told", "3.0", {"purls": ["pkg:pypi/told-at-home@3.0.1"]}),
        ("plain", "1.0", {}),
    ):
        write_package(
            PackageRecipe(name=name, version=version, subdir="noarch", noarch="python", depends=needs, index=more),
            channel,
        )
    write_package(PackageRecipe(name="library", version="1.0", subdir="noarch", noarch="generic"), channel)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
    make_wheel(index, "vision", "1.0", requires=["torch>=2"])
    make_wheel(index, "needs-odd", "1.0", requires=["proper-name>=1"])
    make_wheel(index, "proper-name", "1.9")
    make_wheel(index, "torch", "2.9")
    server = serving(WheelIndex(folder=index))
    text = (
        f"python: 3.12\nplatforms: [{this_platform()}]\npypi:\n  index: {server.url}/simple\n  packages: {{PYPI}}\n"
        f"conda:\n  channels: ['{channel.as_uri()}']\n"
        "  packages: {pytorch: , odd-name: , told: , plain: , library: }\n"
    )
    return channel, index, text


def wheels(case: Case) -> dict[str, str]:
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    return {item.name: item.version for item in environment.wheels}


def test_why_says_what_conda_counts_as_and_on_whose_word(case: Case, world: tuple[Path, Path, str]) -> None:
    _, _, text = world
    case.recipe(text.replace("PYPI", "vision: ")).run("lock", "x.yaml")
    assert wheels(case) == {"vision": "1.0"}  # torch is conda's pytorch
    case.run("why", "x.yaml", "pytorch")
    case.mentions("vision 1.0 -> pytorch 2.1.0", "conda's pytorch counts as PyPI's torch 2.1.0, by envbuild's table")
    case.run("why", "x.yaml", "torch").mentions("conda's pytorch counts as PyPI's torch 2.1.0")
    case.run("why", "x.yaml", "told").mentions(
        "counts as PyPI's told-at-home 3.0.1, as its channel's record says (purl)"
    )
    case.run("why", "x.yaml", "plain").mentions("counts as PyPI's plain 1.0, by its name")
    case.run("why", "x.yaml", "library").hides("counts as")
    answer = json.loads(case.run("why", "x.yaml", "torch", "--json").out)
    assert answer["package"] == "pytorch"
    assert [item["by"] for item in answer["counts-as"]] == ["table"]
    case.run("why", "x.yaml", "no-such", code=2)


def test_a_recipe_says_what_a_conda_package_counts_as(case: Case, world: tuple[Path, Path, str]) -> None:
    _, _, text = world
    text = text.replace("PYPI", "needs-odd: ")
    case.recipe(text).run("lock", "x.yaml")
    assert wheels(case) == {"needs-odd": "1.0", "proper-name": "1.9"}
    case.recipe(text + "  provides: {odd-name: proper_name}\n")
    case.run("lock", "x.yaml", "--check", code=10)  # part of the request
    case.run("lock", "x.yaml")
    assert wheels(case) == {"needs-odd": "1.0"}
    case.run("why", "x.yaml", "proper-name")
    case.mentions("needs-odd 1.0 -> odd-name 1.5", "PyPI's proper-name 1.5, as `conda: provides:` says")
    # It may count as several, or as none.
    case.recipe(text + "  provides: {odd-name: [proper-name, other], pytorch: }\n").run("lock", "x.yaml")
    case.run("why", "x.yaml", "other").mentions("PyPI's other 1.5")
    case.run("why", "x.yaml", "pytorch").hides("counts as")
    case.recipe(text.replace("needs-odd: ", "vision: ") + "  provides: {pytorch: }\n").run("lock", "x.yaml")
    assert wheels(case) == {"vision": "1.0", "torch": "2.9"}


def test_a_project_says_it_for_all_its_recipes_and_a_recipe_comes_first(
    case: Case, world: tuple[Path, Path, str]
) -> None:
    _, _, text = world
    text = text.replace("PYPI", "needs-odd: ")
    case.file("envbuild.yaml", "conda-provides: {odd-name: proper-name}\n").recipe(text).run("lock", "x.yaml")
    assert wheels(case) == {"needs-odd": "1.0"}
    case.run("config", "list").mentions("conda-provides", "proper-name")
    case.recipe(text + "  provides: {odd-name: }\n").run("lock", "x.yaml")
    assert wheels(case) == {"needs-odd": "1.0", "proper-name": "1.9"}
    case.variable("ENVBUILD_CONDA_PROVIDES", "{odd-name: proper-name}").recipe(text).run("lock", "x.yaml")
    assert wheels(case) == {"needs-odd": "1.0"}


def test_bases_that_disagree_and_bad_names(case: Case, world: tuple[Path, Path, str]) -> None:
    _, _, text = world
    case.recipe(text.replace("PYPI", "") + "  provides: {odd-name: a}\n", "one.yaml")
    case.recipe(text.replace("PYPI", "") + "  provides: {odd-name: b}\n", "two.yaml")
    case.recipe("extends: [one.yaml, two.yaml]\n").run("lock", "x.yaml", code=3)
    case.mentions("bases-disagree", "conda: provides: odd-name")
    case.recipe("conda: {provides: {'../x': 'a b'}}\n", "y.yaml").run("lock", "y.yaml", code=3).mentions("bad-name")


def test_what_is_built_must_need_what_was_locked_whatever_conda_calls_it(
    case: Case, world: tuple[Path, Path, str], tmp_path: Path
) -> None:
    _, index, text = world
    needs = ["torch>=2", "told-at-home", "proper-name", "plain"]
    pyproject = '[build-system]\nrequires = ["flit_core>=3.2"]\nbuild-backend = "flit_core.buildapi"\n'
    project = make_project(tmp_path / "made", "built", "1.0", files={"pyproject.toml": pyproject})
    pack_sdist(project, index, "built", "1.0", pkg_info=metadata("built", "1.0", requires=needs))
    make_wheel(index, "flit-core", "3.12.0")
    recipe = text.replace("PYPI", "built: ") + "  provides: {odd-name: proper-name}\n"
    case.recipe(recipe).run("lock", "x.yaml")
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    (source,) = environment.sources
    assert source.requires == ("odd-name", "plain", "pytorch", "told")
    assert source.provided == ("proper-name=odd-name",), "what no record and no table tells"
    assert names_of_needs(source, environment.conda) == (
        ("odd-name", ("proper-name", "odd-name")),
        ("plain", ("plain",)),
        ("pytorch", ("torch", "pytorch")),
        ("told", ("told-at-home", "told")),
    )
    graph = build_graph(parse_lock((case.project / "x.lock.yaml").read_bytes(), "x"), environment)
    (build,) = (item for item in graph if isinstance(item, BuildWheel))
    assert build.names == names_of_needs(source, environment.conda)
