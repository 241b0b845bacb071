"""Build requirements that an index has as sdists only: built themselves, locked whole, refused in a circle."""

from __future__ import annotations

import pytest

from envbuild.recipe import BuildOptions
from tests.support.source_world import HERE, World, need, only

IMPORTS_TOOL = "\nimport tool\nREQUIRES.append('leaf==' + tool.__version__)\n"


def test_a_build_requirement_without_a_wheel_is_built_for_the_hooks_and_locked_as_a_source(world: World) -> None:
    world.wheel("leaf", "1.0")
    world.wheel("leaf", "2.0")
    world.wheel("base-tool", "1.0")
    world.wheel("below", "3.0")
    world.sdist("tool", "1.0", requires=["below"], build_requires=["base-tool"])
    world.sdist("own", "1.0", build_requires=["tool", "base-tool"], more_backend=IMPORTS_TOOL)
    fragment = world.solve(need("own"))
    own = only(fragment)
    (tool,) = fragment.build_sources
    wheels = {item.name: item.file for item in fragment.build}
    assert [f"{item.name} {item.version}" for item in fragment.wheels] == ["leaf 1.0"], "the hook imported tool 1.0"
    assert own.build_requires == tuple(sorted((wheels["base-tool"], wheels["below"], "tool-1.0.tar.gz")))
    assert (tool.file, tool.index, tool.asked) == ("tool-1.0.tar.gz", "default", False)
    assert tool.requires == ("below",)
    assert tool.build_requires == (wheels["base-tool"],)
    assert fragment.wheels[0].name not in wheels, (
        "what only builds see is no part of the environment, nor the other way"
    )


def test_builds_need_builds_in_turn(world: World) -> None:
    world.sdist("deep", "1.0")
    world.sdist("tool", "1.0", build_requires=["deep"], more_backend="\nimport deep\n")
    world.sdist("own", "1.0", build_requires=["tool"], more_backend="\nimport tool\n")
    fragment = world.solve(need("own"))
    assert {item.name: item.build_requires for item in fragment.build_sources} == {
        "deep": (),
        "tool": ("deep-1.0.tar.gz",),
    }
    assert only(fragment).build_requires == ("tool-1.0.tar.gz",)


def test_a_wheel_is_preferred_for_builds_too(world: World) -> None:
    world.wheel("tool", "1.0")
    world.sdist("tool", "2.0")
    world.sdist("own", "1.0", build_requires=["tool"])
    assert not world.solve(need("own")).build_sources
    world.sdist("other", "1.0", build_requires=["tool>=2"])
    assert [item.version for item in world.solve(need("other")).build_sources] == ["2.0"]


def test_the_version_of_the_lock_before_is_preferred_until_it_is_freed(world: World) -> None:
    world.sdist("tool", "1.0")
    world.sdist("own", "1.0", build_requires=["tool"])
    before = world.solve(need("own"))
    world.sdist("tool", "2.0")
    assert world.again(before, need("own")) == before
    assert [item.version for item in world.again(before, need("own"), free="tool").build_sources] == ["2.0"]


def test_what_a_base_is_built_with_stays(world: World) -> None:
    world.sdist("deep", "1.0")
    world.sdist("tool", "1.0", build_requires=["deep"])
    world.sdist("own", "1.0", build_requires=["tool"])
    base = world.solve(need("own"))
    world.sdist("tool", "2.0", build_requires=["deep"])
    world.sdist("other", "1.0", build_requires=["tool"])
    extended = world.extended(base, need("other"))
    assert [item.file for item in extended.build_sources] == ["deep-1.0.tar.gz", "tool-1.0.tar.gz", "tool-2.0.tar.gz"]
    assert {item.name: item.build_requires for item in extended.sources} == {
        "own": ("tool-1.0.tar.gz",),
        "other": ("tool-2.0.tar.gz",),
    }


def test_options_of_the_recipe_count_for_a_build_requirement(world: World) -> None:
    seen = "\nVERSION = os.environ['TOOL_VERSION']\n"
    world.sdist("tool", "1.0", more_backend=seen)
    world.sdist("own", "1.0", build_requires=["tool"])
    fragment = world.solve(need("own"), build=(BuildOptions(name="tool", env=(("TOOL_VERSION", "1.0"),)),))
    assert [item.variables for item in fragment.build_sources] == [("TOOL_VERSION=1.0",)]


def test_a_circle_is_an_error_that_names_the_chain(world: World) -> None:
    world.sdist("hen", "1.0", build_requires=["egg"])
    world.sdist("egg", "2.0", build_requires=["hen"])
    world.sdist("own", "1.0", build_requires=["egg"])
    error = world.refused(need("own"))
    assert (error.exit_code, error.reference, error.where) == (11, "build-circle", HERE)
    assert "egg 2.0 is needed to build itself: own 1.0 -> egg 2.0 -> hen 1.0 -> egg 2.0" in error.message
    world.wheel("hen", "1.0")
    assert [item.name for item in world.solve(need("own")).build_sources] == ["egg"], (
        "as the hint says: a wheel ends it"
    )


@pytest.mark.parametrize("no_build", [("tool",), ("other", "tool")])
def test_no_build_speaks_of_build_requirements_too(world: World, no_build: tuple[str, ...]) -> None:
    world.sdist("tool", "1.0")
    world.sdist("own", "1.0", build_requires=["tool"])
    error = world.refused(need("own"), no_build=no_build)
    assert (error.exit_code, error.reference, error.where) == (11, "no-build", HERE)
    assert "own 1.0" in error.message
    assert "tool would be built from source, and `no-build` forbids it" in error.message


def test_a_build_requirement_that_cannot_be_had_in_any_form(world: World) -> None:
    world.sdist("tool", "1.0", requires_python=">=3.99")
    world.sdist("own", "1.0", build_requires=["tool"])
    error = world.refused(need("own"))
    assert (error.exit_code, error.reference, error.where) == (11, "build-requires", HERE)
    assert "own 1.0" in error.message
    assert "tool" in error.message


def test_a_build_requirement_that_cannot_be_built_says_so_with_its_name(world: World) -> None:
    fails = "\ndef build_wheel(*_, **__):\n    raise SystemExit('no flux capacitor')\n"
    world.sdist("tool", "1.0", more_backend=fails)
    world.sdist("own", "1.0", build_requires=["tool"], more_backend="\nimport tool\n")
    error = world.refused(need("own"))
    assert (error.exit_code, error.where) == (9, HERE)
    assert "tool 1.0, which a build needs, was not built" in error.message
    assert "no flux capacitor" in error.message


def test_hooks_that_are_known_build_nothing_again(world: World) -> None:
    world.sdist("tool", "1.0", more_backend="\nprint('somebody looks')\n")
    world.sdist("own", "1.0", build_requires=["tool"], more_backend="\nimport tool\n")
    first = world.solve(need("own"))
    for path in (world.home / "store").rglob("*"):
        if path.is_file() and path.stat().st_size < 2000:
            path.chmod(0o644)
    assert world.solve(need("own")) == first
    assert world.downloads("tool-1.0.tar.gz") == 1
    assert world.downloads("own-1.0.tar.gz") == 1


def test_for_another_platform_hooks_get_tools_of_this_machine(world: World) -> None:
    world.wheel("tool", "1.0", tag="cp311-cp311-win_amd64")
    world.sdist("tool", "1.0")
    world.sdist("own", "1.0", build_requires=["tool"], more_backend="\nimport tool\n")
    windows = world.solve(need("own"), platform="win-64")
    assert [item.name for item in windows.build] == ["tool"]
    assert not windows.build_sources
    assert [item.name for item in world.solve(need("own")).build_sources] == ["tool"]
