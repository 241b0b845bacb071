"""Packages that an index has as sdists only: found, read when they are taken, locked with what their builds need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.errors import Where
from envbuild.recipe import BuildOptions, GitSource, Index, PathSource, UrlSource
from envbuild.solvers.sdist_candidates import sdist_version
from tests.support.sdists import make_own_sdist
from tests.support.servers import Server
from tests.support.source_world import HERE, World, found, need, only
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

NO_METADATA = "\ndef prepare_metadata_for_build_wheel(*_, **__):\n    raise SystemExit('this was run')\n"


def test_static_metadata_is_believed_and_nothing_is_run_for_it(world: World) -> None:
    world.wheel("leaf", "1.0")
    sdist = world.sdist("own", "1.0", requires=["leaf"], static=True, more_backend=NO_METADATA)
    fragment = world.solve(need("own"))
    source = only(fragment)
    assert found(fragment) == {"own": "1.0", "leaf": "1.0"}
    assert (source.index, source.file, source.found_on) == ("default", sdist.name, None)
    assert source.sha256 == hashlib.sha256(sdist.read_bytes()).hexdigest()
    assert source.size == sdist.stat().st_size
    assert source.upload_time == "2024-01-01T00:00:00Z"
    assert source.requires == ("leaf",)
    assert source.asked


def test_a_hook_tells_what_is_not_static(world: World) -> None:
    world.wheel("leaf", "1.0")
    world.wheel("paint", "1.0")
    world.sdist("own", "1.0", requires=["leaf", "paint; sys_platform == 'win32'"])
    fragment = world.solve(need("own"))
    assert found(fragment) == {"own": "1.0", "leaf": "1.0"}
    assert only(fragment).found_on == "linux-64 3.11"


def test_sdists_below_wheels_and_below_sdists(world: World) -> None:
    world.wheel("top", "1.0", requires=["middle>=1"])
    world.sdist("middle", "1.5", requires=["bottom", "leaf"])
    world.sdist("bottom", "2.0", static=True)
    world.wheel("leaf", "1.0")
    fragment = world.solve(need("top"))
    assert found(fragment) == {"top": "1.0", "middle": "1.5", "bottom": "2.0", "leaf": "1.0"}
    assert [item.name for item in fragment.sources] == ["bottom", "middle"]
    assert [item.asked for item in fragment.sources] == [False, False]
    assert fragment.sources[1].requires == ("bottom", "leaf")


def test_the_newest_that_truly_fits_and_no_more_are_read(world: World) -> None:
    world.wheel("leaf", "1.0")
    for number in range(1, 6):
        world.sdist("own", f"{number}.0", requires=["leaf<1"] if number > 3 else ["leaf"], static=True)
    fragment = world.solve(need("own"))
    assert found(fragment) == {"own": "3.0", "leaf": "1.0"}
    assert [world.downloads(f"own-{number}.0.tar.gz") for number in range(1, 6)] == [0, 0, 1, 1, 1]


def test_a_wheel_is_preferred_until_a_newer_version_is_asked_for(world: World) -> None:
    world.wheel("own", "1.0")
    world.sdist("own", "1.0")
    world.sdist("own", "2.0")
    assert not world.solve(need("own")).sources
    assert not world.solve(need("own", "==1.0")).sources
    assert only(world.solve(need("own", ">=2"))).version == "2.0"


def test_a_wheel_for_another_platform_is_no_wheel(world: World) -> None:
    world.wheel("own", "1.0", tag="cp311-cp311-win_amd64")
    world.sdist("own", "1.0", static=True)
    assert only(world.solve(need("own"))).version == "1.0"
    fragment = world.solve(need("own"), platform="win-64")
    assert [item.file for item in fragment.wheels] == ["own-1.0-cp311-cp311-win_amd64.whl"]


@pytest.mark.parametrize("no_build", [True, ("own",)])
def test_no_build_is_kept(world: World, no_build: bool | tuple[str, ...]) -> None:
    world.wheel("top", "1.0", requires=["own"])
    world.sdist("own", "1.0")
    error = world.refused(need("top"), no_build=no_build)
    assert (error.exit_code, error.reference, error.where) == (11, "no-build", HERE)
    assert "own" in error.message
    assert "no-build" in (error.hint or "")
    assert world.downloads("own*") == 0
    assert only(world.solve(need("top"), no_build=("other",))).name == "own"


def test_nothing_that_fits_is_said_in_uvs_words_with_the_recipes_lines(world: World) -> None:
    world.sdist("own", "1.0", requires=["leaf>=2"], static=True)
    world.wheel("leaf", "1.0")
    error = world.refused(need("own"))
    assert error.exit_code == 11
    assert "leaf>=2" in error.message
    assert "recipes/x.yaml:7: own" in error.message
    assert "file://" not in error.message


def test_no_source_that_fits_either(world: World) -> None:
    world.sdist("own", "1.0", requires_python=">=3.99")
    error = world.refused(need("own"))
    assert error.exit_code == 11
    world.wheel("other", "1.0", tag="cp311-cp311-win_amd64")
    error = world.refused(need("other"))
    assert error.exit_code == 11
    assert "other" in error.message


def test_requires_python_prereleases_and_yanked_files(world: World) -> None:
    world.sdist("own", "1.0")
    world.sdist("own", "2.0", requires_python=">=3.12")
    world.sdist("own", "3.0rc1")
    taken_back = world.sdist("own", "1.5")
    world.index.yanked = {taken_back.name: "broken"}
    assert only(world.solve(need("own"))).version == "1.0"
    assert only(world.solve(need("own", "==1.5"))).version == "1.5"
    assert only(world.solve(need("own"), prereleases=True)).version == "3.0rc1"


def test_constraints_hold_for_sdists(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.sdist("own", version, static=True)
    assert only(world.solve(need("own"), pypi_constraints=(need("own", "<2"),))).version == "1.0"


def test_a_cut_off_hides_later_sdists(world: World) -> None:
    old, new = (world.sdist("own", version, static=True) for version in ("1.0", "2.0"))
    world.index.dates = {old.name: "2024-01-01T00:00:00Z", new.name: "2024-06-01T00:00:00Z"}
    assert only(world.solve(need("own"), cut_off="2024-03-01T00:00:00Z")).version == "1.0"
    assert only(world.solve(need("own"), cut_off="2024-09-01T00:00:00Z")).version == "2.0"
    world.index.dates = None
    error = world.refused(need("own"), cut_off="2024-09-01T00:00:00Z")
    assert error.exit_code == 11
    assert any("states no upload dates" in note for note in world.notes) or "upload date" in error.message + str(
        error.hint
    )


@pytest.mark.parametrize("json", [True, False])
def test_pages_of_both_kinds(world: World, json: bool) -> None:
    world.sdist("own", "1.0", requires_python=">=3.8", static=True)
    world.sdist("own", "2.0", requires_python=">=3.99", static=True)
    world.index.json = json
    assert only(world.solve(need("own"))).version == "1.0"


def test_an_index_without_hashes_gives_one_all_the_same(world: World) -> None:
    sdist = world.sdist("own", "1.0", static=True)
    world.index.hashes = False
    assert only(world.solve(need("own"))).sha256 == hashlib.sha256(sdist.read_bytes()).hexdigest()


def test_zip_archives_and_odd_names(world: World) -> None:
    world.sdist("own-thing", "1.0", static=True, suffix=".zip")
    source = only(world.solve(need("own-thing")))
    assert source.file == "own_thing-1.0.zip"
    assert str(sdist_version("Own.Thing-1.0.tar.gz", "own-thing")) == "1.0"
    assert str(sdist_version("own-thing-2-1.0.tar.gz", "own-thing-2")) == "1.0"
    assert str(sdist_version("own-1.0-1.tar.bz2", "own")) == "1.0.post1"
    for file in ("own-1.0.whl", "own-1.0.tar.gz.asc", "owner-1.0.tar.gz", "own-latest.tar.gz", "own.tar.gz", "own-1.0"):
        assert sdist_version(file, "own") is None


def test_find_links_folders_and_pages(world: World, tmp_path: Path, serving: Callable[..., Server]) -> None:
    links = world.project / "links"
    make_own_sdist(links, "own", "1.0", scratch=tmp_path / "made", static=True)
    source = only(world.solve(need("own"), find_links=("./links",)))
    assert (source.find_links, source.index) == ("./links", None)
    source = only(world.solve(need("own"), find_links=("./links",), no_index=True))
    assert source.find_links == "./links"
    page = f"{serving(WheelIndex(folder=links)).url}/links"
    assert only(world.solve(need("own"), find_links=(page,), no_index=True)).find_links == page


def test_the_first_index_that_has_a_name_decides(world: World, tmp_path: Path, serving: Callable[..., Server]) -> None:
    first = tmp_path / "first"
    make_own_sdist(first, "own", "1.0", scratch=tmp_path / "made", static=True)
    world.sdist("own", "9.0", static=True)
    extra = Index(name="first", url=f"{serving(WheelIndex(folder=first)).url}/simple")
    source = only(world.solve(need("own"), extra_indices=(extra,)))
    assert (source.version, source.index) == ("1.0", "first")


def test_a_package_bound_to_an_index_is_built_from_there_alone(
    world: World, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    bound = tmp_path / "bound"
    make_own_sdist(bound, "own", "1.0", scratch=tmp_path / "made", requires=["leaf"], static=True)
    make_wheel(bound, "other", "1.0")
    world.sdist("own", "9.0", static=True)
    world.wheel("leaf", "1.0")
    extra = Index(name="bound", url=f"{serving(WheelIndex(folder=bound)).url}/simple")
    source = only(world.solve(need("own", index="bound"), extra_indices=(extra,)))
    assert (source.version, source.index) == ("1.0", "bound")


def test_an_explicit_index_gives_sdists_to_those_who_name_it_alone(
    world: World, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    private = tmp_path / "private"
    make_own_sdist(private, "own", "9.0", scratch=tmp_path / "made", static=True)
    world.sdist("own", "1.0", static=True)
    extra = Index(name="private", url=f"{serving(WheelIndex(folder=private)).url}/simple", explicit=True)
    source = only(world.solve(need("own"), extra_indices=(extra,)))
    assert (source.version, source.index) == ("1.0", "default")
    before = world.solve(need("own", index="private"), extra_indices=(extra,))
    assert (only(before).version, only(before).index) == ("9.0", "private")
    assert only(world.again(before, need("own"), extra_indices=(extra,))).index == "default"


def test_extras_of_a_source(world: World) -> None:
    world.wheel("paint", "1.0")
    world.sdist("own", "1.0", extras={"colour": ["paint"]}, static=True)
    fragment = world.solve(need("own", extras=("colour",)))
    assert found(fragment) == {"own": "1.0", "paint": "1.0"}
    assert (only(fragment).extras, only(fragment).requires) == (("colour",), ("paint",))
    world.solve(need("own", extras=("shape",)))
    assert "own has no extra named shape" in world.notes


def test_a_source_that_is_another_package_is_refused(world: World) -> None:
    sdist = world.sdist("own", "1.0", static=True)
    sdist.rename(sdist.with_name("other-1.0.tar.gz"))
    error = world.refused(need("other"))
    assert (error.exit_code, error.reference, error.where) == (3, "wrong-name", HERE)
    world.sdist("own", "1.0", static=True).rename(sdist.with_name("own-2.0.tar.gz"))
    assert world.refused(need("own")).reference == "wrong-version"


def test_bytes_other_than_the_index_promises_are_refused(world: World) -> None:
    sdist = world.sdist("own", "1.0", static=True)
    world.server.fault(f"*{sdist.name}", wrong_bytes=True, times=100)
    assert world.refused(need("own")).exit_code == 4


# What builds need


def test_build_requirements_are_locked_as_wheels(world: World) -> None:
    world.wheel("tool", "1.0", requires=["tool-core"])
    world.wheel("tool", "2.0")
    world.wheel("tool-core", "1.0")
    world.wheel("asked-by-hook", "1.0")
    world.wheel("asked-by-recipe", "1.0")
    world.sdist("own", "1.0", build_requires=["tool<2"], dynamic_requires=["asked-by-hook"])
    build = (BuildOptions(name="own", requires=("asked-by-recipe>=1",)),)
    fragment = world.solve(need("own"), build=build)
    names = {item.name: item.version for item in fragment.build}
    assert names == {"tool": "1.0", "tool-core": "1.0", "asked-by-hook": "1.0", "asked-by-recipe": "1.0"}
    assert only(fragment).build_requires == tuple(item.file for item in fragment.build)
    assert not fragment.wheels
    assert [item.index for item in fragment.build] == ["default"] * 4
    assert not any(item.asked for item in fragment.build)


def test_versions_of_the_lock_before_are_preferred_for_builds_too(world: World) -> None:
    world.wheel("tool", "1.0")
    world.sdist("own", "1.0", build_requires=["tool"])
    before = world.solve(need("own"))
    world.wheel("tool", "2.0")
    assert world.again(before, need("own")) == before
    assert world.again(before, need("own"), free="tool").build[0].version == "2.0"


def test_build_requirements_that_cannot_hold_together(world: World) -> None:
    world.wheel("tool", "1.0")
    world.sdist("own", "1.0", build_requires=["tool>=2"])
    error = world.refused(need("own"))
    assert (error.reference, error.where) == ("build-requires", HERE)
    assert "tool>=2" in error.message


def test_equal_sets_are_solved_once(world: World) -> None:
    world.wheel("tool", "1.0")
    for name in ("one", "two", "three"):
        world.sdist(name, "1.0", build_requires=["tool"], static=True)
    fragment = world.solve(need("one"), need("two"), need("three"))
    assert [item.name for item in fragment.build] == ["tool"]
    assert world.server.count("/simple/tool/", method="GET") == 1, "uv asks its index again in each run"
    assert {item.build_requires for item in fragment.sources} == {(fragment.build[0].file,)}


def test_what_a_recipe_says_of_builds_stands_in_the_lock(world: World) -> None:
    world.sdist("own", "1.0", more_backend=BY_SETTING)
    options = BuildOptions(
        name="own", env=(("OWN_B", "2"), ("OWN_A", "1")), config_settings=(("version", "9"),), toolchain="gcc 13"
    )
    world.wheel("needed-9", "1.0")
    source = only(world.solve(need("own"), build=(options,)))
    assert source.variables == ("OWN_A=1", "OWN_B=2")
    assert source.settings == ("version=9",)
    assert source.toolchain == "gcc 13"
    assert source.requires == ("needed-9",), "the hook saw settings and variables"


BY_SETTING = """
def _metadata():
    assert os.environ["OWN_A"] == "1"
    return "Metadata-Version: 2.2\\nName: own\\nVersion: 1.0\\nRequires-Dist: needed-" + SEEN["version"] + "\\n"

SEEN = {}
_prepare = prepare_metadata_for_build_wheel

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    SEEN.update(config_settings)
    return _prepare(metadata_directory, config_settings)
"""


def test_a_host_package_that_is_not_there_is_an_error_with_its_place(world: World) -> None:
    world.sdist("own", "1.0")
    options = BuildOptions(name="own", host=("libxml2",), where=Where(file="recipes/x.yaml", line=12))
    error = world.refused(need("own"), build=(options,))
    assert (error.exit_code, error.reference) == (3, "unknown-host")
    assert error.where == Where(file="recipes/x.yaml", line=12)


# Locking again, bases, platforms


def test_a_locked_sdist_stays_until_it_is_upgraded(world: World) -> None:
    world.sdist("own", "1.0", static=True)
    before = world.solve(need("own"))
    world.sdist("own", "2.0", static=True)
    world.wheel("extra", "1.0")
    after = world.again(before, need("own"), need("extra"))
    assert after.sources == before.sources
    assert found(after) == {"own": "1.0", "extra": "1.0"}
    assert found(world.again(before, need("own"), free="own")) == {"own": "2.0"}
    assert found(world.again(before, need("own", ">=2"))) == {"own": "2.0"}


def test_locking_again_runs_no_hook(world: World) -> None:
    world.sdist("own", "1.0")
    before = world.solve(need("own"))
    cached = sorted((world.home / "cache" / "sources").iterdir())
    assert len(cached) == 2, "what it says, and what its hooks say"
    times = [path.stat().st_mtime_ns for path in cached]
    assert world.again(before, need("own")) == before
    assert [path.stat().st_mtime_ns for path in cached] == times


def test_a_broken_cache_only_costs_time(world: World) -> None:
    world.sdist("own", "1.0")
    before = world.solve(need("own"))
    for path in (world.home / "cache" / "sources").iterdir():
        path.write_bytes(b"[1]")
    assert world.again(before, need("own")) == before


def test_a_locked_sdist_that_left_its_index_gives_way(world: World) -> None:
    sdist = world.sdist("own", "1.0", static=True)
    before = world.solve(need("own"))
    sdist.unlink()
    world.sdist("own", "2.0", static=True)
    moved = World(folder=world.folder, home=world.folder / "home-2", server=world.server, index=world.index)
    moved.home.mkdir(mode=0o700)
    assert found(moved.again(before, need("own"))) == {"own": "2.0"}


def test_a_base_with_sources_is_extended_without_source_or_hook(world: World) -> None:
    world.wheel("leaf", "1.0")
    world.wheel("tool", "1.0")
    sdist = world.sdist("own", "1.0", requires=["leaf"], build_requires=["tool"])
    base = world.solve(need("own"))
    sdist.unlink()
    world.wheel("top", "1.0", requires=["own>=1", "leaf"])
    world.wheel("tool", "2.0")
    elsewhere = World(folder=world.folder, home=world.folder / "home-2", server=world.server, index=world.index)
    elsewhere.home.mkdir(mode=0o700)
    derived = elsewhere.extended(base, need("own"), need("top"))
    assert derived.sources == base.sources
    assert derived.build == base.build
    assert found(derived) == {"own": "1.0", "leaf": "1.0", "top": "1.0"}
    error = elsewhere.refused(
        need("own", ">=2"), fields={"pins_wheels": base.wheels, "pins_sources": base.sources, "pins_build": base.build}
    )
    assert error.exit_code == 11
    assert "pinned by the base" in error.message


def test_another_platform_is_locked_from_here(world: World) -> None:
    world.wheel("leaf", "1.0", tag="cp311-cp311-macosx_11_0_arm64")
    world.wheel("tool", "1.0", tag="cp311-cp311-macosx_11_0_arm64")
    world.wheel("tool", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    world.sdist("own", "1.0", requires=["leaf; sys_platform == 'darwin'"], build_requires=["tool"])
    fragment = world.solve(need("own"), platform="osx-arm64")
    assert found(fragment) == {"own": "1.0", "leaf": "1.0"}
    assert only(fragment).found_on == "linux-64 3.11"
    assert [item.file for item in fragment.build] == ["tool-1.0-cp311-cp311-macosx_11_0_arm64.whl"]


def test_a_python_that_is_missing_for_a_hook_is_named(world: World) -> None:
    world.sdist("own", "1.0")
    error = world.refused(need("own"), platform="osx-arm64", python="3.19.*")
    assert (error.exit_code, error.reference, error.where) == (11, "no-python", HERE)
    assert "own 1.0 for osx-arm64" in error.message
    assert "3.19" in error.message


def test_what_an_sdist_wants_by_address_is_refused(world: World) -> None:
    world.sdist("own", "1.0", requires=["evil @ https://host.invalid/evil-1.0.tar.gz"], static=True)
    error = world.refused(need("own"))
    assert (error.exit_code, error.reference, error.where) == (11, "address-in-metadata", HERE)
    assert "evil" in error.message


def test_only_what_is_the_same_tomorrow_is_pure(world: World) -> None:
    def purity(**fields: object) -> str:
        solve = world.question(need("own", **fields), cut_off="2024-01-01T00:00:00Z", python="3.11.*")
        return replace(solve, interpreter="conda", after="a" * 64).purity

    commit = "0123456789012345678901234567890123456789"
    assert purity() == "pure"
    assert purity(source=GitSource(git="https://h.example/x.git", rev=commit)) == "pure"
    assert purity(source=GitSource(git="https://h.example/x.git", rev="main")) == "impure"
    assert purity(source=GitSource(git="https://h.example/x.git")) == "impure"
    assert purity(source=PathSource(path="libs/x")) == "impure"
    assert purity(source=UrlSource(url="https://h.example/x-1.tar.gz")) == "impure"
    assert purity(source=UrlSource(url="https://h.example/x-1.tar.gz", sha256="a" * 64)) == "pure"
