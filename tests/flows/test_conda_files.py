"""Conda packages that a recipe names by address or path: solved with the rest, realized, refused when they lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from rattler.index import index_fs

from envbuild.digest import digest_file
from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.hostile.test_conda_packages import LISTS, STRUCTURE, Forged
from tests.support.channel import this_platform
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.servers import Server


@pytest.fixture
def world(case: Case) -> tuple[Path, str]:
    """A channel beside the recipe with ``dep`` 0.5 and 1.0, a file ``needs`` that needs the latter, a beginning."""
    channel, loose = case.project / "channel", case.project / "loose"
    for version in ("0.5", "1.0"):
        write_package(PackageRecipe(name="dep", version=version, subdir="noarch", noarch="generic"), channel)
    needs = PackageRecipe(
        name="needs", version="1.0", subdir="noarch", noarch="generic", depends=("dep >=1",), files={"share/n": "n"}
    )
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
    path = write_package(needs, loose)
    return path, f"platforms: [{this_platform()}]\nconda:\n  channels: [./channel]\n  packages:\n"


def locked(case: Case) -> LockedEnvironment:
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    return environment


def test_by_address_with_its_sha256(case: Case, world: tuple[Path, str], serving: Callable[..., Server]) -> None:
    path, text = world
    server = serving(path.parent)
    url, digest = f"{server.url}/{path.name}", digest_file(path)
    case.recipe(f"{text}    needs: {{url: '{url}', sha256: {digest}}}\n").run("realize", "x.yaml")
    assert (Path(case.out.strip()) / "share/n").read_text() == "n"
    dep, needs = locked(case).conda
    assert (dep.version, dep.channel) == ("1.0", "./channel")
    assert (needs.url, needs.channel, needs.sha256, needs.depends) == (url, None, digest, ("dep >=1",))
    assert "was fetched, and has" not in case.err
    assert server.count(f"/{path.name}") == 1
    case.run("lock", "x.yaml", "--check").run("verify").mentions("0 findings")
    case.run("why", "x.yaml", "dep").mentions("needs 1.0 -> dep 1.0")


def test_without_a_sha256_it_is_fetched_and_said(
    case: Case, world: tuple[Path, str], serving: Callable[..., Server]
) -> None:
    path, text = world
    server = serving(path.parent)
    case.recipe(f"{text}    needs: {{url: '{server.url}/{path.name}'}}\n").run("lock", "x.yaml")
    case.mentions(f"needs has no sha256 in the recipe: {path.name} was fetched, and has [digest]")
    assert locked(case).conda[1].sha256 == digest_file(path)


def test_by_path(case: Case, world: tuple[Path, str]) -> None:
    path, text = world
    case.recipe(f"{text}    needs: {{url: ./loose/noarch/{path.name}}}\n").run("realize", "x.yaml")
    assert locked(case).conda[1].url == f"./loose/noarch/{path.name}"
    assert str(case.project) not in (case.project / "x.lock.yaml").read_text()
    case.recipe(f"{text}    needs: {{url: ../elsewhere/{path.name}}}\n", "y.yaml").run("lock", "y.yaml", code=3)
    case.mentions("bad-path")


def test_other_bytes_than_the_recipe_says(case: Case, world: tuple[Path, str]) -> None:
    path, text = world
    case.recipe(f"{text}    needs: {{url: ./loose/noarch/{path.name}, sha256: {'1' * 64}}}\n")
    case.run("lock", "x.yaml", code=4).mentions("needs-1.0-0.conda")
    assert not (case.project / "x.lock.yaml").exists()


def test_what_contradicts_it_is_found_while_locking(case: Case, world: tuple[Path, str]) -> None:
    path, text = world
    case.recipe(f"{text}    needs: {{url: ./loose/noarch/{path.name}}}\n    dep: 0.5\n")
    case.run("lock", "x.yaml", code=11).mentions("unsatisfiable", "needs", "dep", "x.yaml:6:5")
    case.hides("/named", str(case.home))


def test_another_name_and_another_platform(case: Case, world: tuple[Path, str]) -> None:
    path, text = world
    case.recipe(f"{text}    other: {{url: ./loose/noarch/{path.name}}}\n").run("lock", "x.yaml", code=4)
    case.mentions("says that it is needs, and the recipe asks for other", "x.yaml:5:5")
    elsewhere = "osx-64" if this_platform() != "osx-64" else "linux-64"
    far = write_package(PackageRecipe(name="far", version="1.0", subdir=elsewhere), case.project / "loose")
    case.recipe(f"{text}    far: {{url: ./loose/{elsewhere}/{far.name}}}\n").run("lock", "x.yaml", code=11)
    case.mentions("wrong-platform", f"targets: {elsewhere}:")


def test_a_cut_off_is_no_matter_of_a_file_that_is_named(case: Case, world: tuple[Path, str]) -> None:
    _, text = world
    late = PackageRecipe(name="late", version="1.0", subdir="noarch", noarch="generic", timestamp=4_102_444_800_000)
    path = write_package(late, case.project / "loose")
    case.recipe(f"exclude-newer: 2099-01-01\n{text}    late: {{url: ./loose/noarch/{path.name}}}\n")
    case.run("lock", "x.yaml")
    assert [item.name for item in locked(case).conda] == ["late"]


def test_a_base_with_such_a_file_can_be_extended(case: Case, world: tuple[Path, str]) -> None:
    path, text = world
    case.recipe(f"{text}    needs: {{url: ./loose/noarch/{path.name}}}\n", "base.yaml")
    case.recipe("extends: base.yaml\nconda: {packages: {dep: }}\n").run("realize", "x.yaml")
    assert [(item.name, item.asked) for item in locked(case).conda] == [("dep", True), ("needs", True)]


@pytest.mark.parametrize(
    "forged",
    [
        STRUCTURE["two payloads"],
        STRUCTURE["an unknown version"],
        STRUCTURE["no info"],
        Forged(index={"name": "../evil"}),
        Forged(index={"version": 7}),
        Forged(index={"depends": "dep"}),
        Forged(index={"build": "../../x"}),
        Forged(index={"subdir": "../x"}),
        Forged(index={"depends": ["dep >=1; touch evil"]}),
    ],
)
def test_a_hostile_file_is_refused_while_locking(forged: Forged, case: Case, world: tuple[Path, str]) -> None:
    _, text = world
    forged.write(case.project / "loose")
    case.recipe(f"{text}    nice: {{url: ./loose/nice-1.0-0.conda}}\n").run("lock", "x.yaml", code=None)
    assert case.code in {3, 4, 11}
    assert "error[" in case.err
    assert not (case.project / "x.lock.yaml").exists()
    assert not list((case.home / "tmp").glob("*"))


def test_a_hostile_file_is_refused_while_linking(case: Case, world: tuple[Path, str]) -> None:
    _, text = world
    LISTS["a path out that is there"].write(case.project / "loose")
    case.recipe(f"{text}    nice: {{url: ./loose/nice-1.0-0.conda}}\n")
    case.run("realize", "x.yaml", code=4).mentions("bad-package", "leaves its place")
