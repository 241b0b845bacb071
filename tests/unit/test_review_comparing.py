"""Two locks held against each other: every way in which a package may differ, grouped, with reasons."""

from __future__ import annotations

from envbuild.digest import Digest, digest_bytes
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform, Wheel
from envbuild.recipe import CondaRequirement, CondaSection, PypiRequirement, PypiSection, Recipe, Target
from envbuild.review.comparing import compare
from envbuild.review.comparison import Compared, Diff, PackageChange
from envbuild.review.reasons import Reason
from envbuild.review.requests import RequestChange, request_changes
from envbuild.review.wording import facets, reason_words, version_words
from envbuild.value import replace

LINUX, MAC = Platform("linux-64"), Platform("osx-arm64")
REQUEST = Digest("9" * 64)


def conda(name: str, version: str = "1.0", build: str = "0", *needs: str, **fields) -> CondaPackage:
    given = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "subdir": "linux-64",
        "file": f"{name}-{version}-{build}.conda",
        "sha256": digest_bytes(f"{name} {version} {build}".encode()),
        "channel": "conda-forge",
        "license": "MIT",
        "size": 1000,
        "depends": needs,
    }
    return CondaPackage(**{**given, **fields})


def wheel(name: str, version: str = "1.0", *requires: str, **fields) -> Wheel:
    return Wheel(
        **{
            "name": name,
            "version": version,
            "file": f"{name}-{version}-py3-none-any.whl",
            "sha256": digest_bytes(f"{name} {version}".encode()),
            "index": "default",
            "requires": requires,
            **fields,
        }
    )


def lock(*packages: CondaPackage | Wheel, platforms: tuple[Platform, ...] = (LINUX,), python: str = "3.12") -> Lock:
    return Lock(
        request=REQUEST,
        platforms=tuple(
            LockedEnvironment(
                platform=platform,
                python=python,
                interpreter="conda",
                system=(),
                conda=tuple(item for item in packages if isinstance(item, CondaPackage)),
                wheels=tuple(item for item in packages if isinstance(item, Wheel)),
            )
            for platform in platforms
        ),
    )


def changes(before: Lock, after: Lock, *requests: RequestChange) -> dict[str, PackageChange]:
    return {item.name: item for item in compare("x", before, after, requests=requests).changes}


def reason(before: Lock, after: Lock, name: str, *requests: RequestChange) -> Reason:
    found = changes(before, after, *requests)[name].reason
    assert found is not None
    return found


def test_each_way_in_which_a_package_differs_has_its_word() -> None:
    before = lock(
        conda("gone"),
        conda("up", "1.9"),
        conda("down", "1.10"),
        conda("built", "1.0", "h1_0"),
        conda("moved", channel="bioconda"),
        conda("told", license="MIT"),
        conda("same"),
    )
    after = lock(
        conda("came"),
        conda("up", "1.10"),
        conda("down", "1.9"),
        conda("built", "1.0", "h2_0"),
        conda("moved", channel="conda-forge"),
        conda("told", license="GPL-3.0-only"),
        conda("same"),
    )
    found = changes(before, after)
    assert {name: item.how for name, item in found.items()} == {
        "gone": "removed",
        "came": "added",
        "up": "upgraded",
        "down": "downgraded",
        "built": "rebuilt",
        "moved": "moved",
        "told": "changed",
    }
    assert version_words(found["up"]) == "1.9 -> 1.10"
    assert version_words(found["built"]) == "1.0 h1_0 -> h2_0"
    assert facets(found["moved"]) == ["from bioconda to conda-forge"]
    assert facets(found["told"]) == ["licence MIT -> GPL-3.0-only"]


def test_an_upgrade_tells_that_it_also_moved_and_has_another_licence() -> None:
    found = changes(lock(conda("a")), lock(conda("a", "2.0", channel="other", license=None)))["a"]
    assert found.how == "upgraded"
    assert facets(found) == ["from conda-forge to other", "licence MIT -> unknown"]


def test_platforms_that_agree_are_one_change_and_those_that_do_not_are_several() -> None:
    before = lock(conda("a"), conda("b"), platforms=(LINUX, MAC))
    after = Lock(
        request=REQUEST,
        platforms=(
            *lock(conda("a", "2.0", "linux"), conda("b", "2.0")).platforms,
            *lock(conda("a", "2.0", "mac"), conda("b", "3.0"), platforms=(MAC,)).platforms,
        ),
    )
    found = compare("x", before, after)
    assert [(item.name, item.platforms) for item in found.changes] == [
        ("a", (LINUX, MAC)),
        ("b", (LINUX,)),
        ("b", (MAC,)),
    ]
    assert found.counts() == {"upgraded": 2}


def test_what_is_asked_for_stands_before_what_is_not() -> None:
    found = compare("x", lock(conda("a"), conda("z", asked=True)), lock(conda("a", "2"), conda("z", "2", asked=True)))
    assert [(item.name, item.direct) for item in found.changes] == [("z", True), ("a", False)]


def test_a_package_that_came_names_the_shortest_chain_from_the_direct_change() -> None:
    before = lock(conda("app", "1", "0", asked=True), conda("old", asked=True))
    after = lock(
        conda("app", "2", "0", "mid", "long >=1", asked=True),
        conda("old", asked=True),
        conda("mid", "1", "0", "leaf >=3"),
        conda("long", "1", "0", "mid"),
        conda("leaf"),
    )
    found = reason(before, after, "leaf")
    assert (found.because, found.chain, found.changed, found.cause) == (
        "needed",
        ("app", "mid", "leaf"),
        "app",
        "upgraded",
    )
    assert found.spec == "leaf >=3"
    assert reason_words(changes(before, after)["leaf"], found) == "needed by app -> mid -> leaf (app was upgraded)"


def test_a_package_that_went_names_who_needed_it() -> None:
    before = lock(conda("app", "1", "0", "leaf", asked=True), conda("other", asked=True), conda("leaf"))
    after = lock(conda("other", asked=True))
    found = reason(before, after, "leaf")
    assert (found.because, found.chain, found.cause) == ("unneeded", ("app", "leaf"), "removed")


def test_a_version_that_somebody_asks_for_now_is_the_reason() -> None:
    before = lock(conda("app", "1", "0", "lib >=1", asked=True), conda("lib", "1.0"))
    after = lock(conda("app", "2", "0", "lib >=2", asked=True), conda("lib", "2.0"))
    found = reason(before, after, "lib")
    assert (found.because, found.chain, found.spec) == ("wanted", ("app", "lib"), "lib >=2")


def test_what_lies_below_a_direct_change_follows_it_and_the_rest_was_solved_again() -> None:
    before = lock(
        wheel("app", "1", "lib", asked=True), wheel("lib", "1"), wheel("else", "1", "far", asked=True), wheel("far")
    )
    after = lock(
        wheel("app", "2", "lib", asked=True),
        wheel("lib", "2"),
        wheel("else", "1", "far", asked=True),
        wheel("far", "2"),
    )
    assert reason(before, after, "lib").because == "follows"
    assert reason(before, after, "far").because == "again"


def test_what_is_built_for_another_python_says_so() -> None:
    before = lock(conda("np", "1", "py311_0", "python >=3.11,<3.12.0a0"), python="3.11")
    after = lock(conda("np", "1", "py312_0", "python >=3.12,<3.13.0a0"), python="3.12")
    assert reason(before, after, "np").because == "python"


def test_a_constraint_of_the_recipe_is_the_reason_of_what_it_bounds() -> None:
    bound = RequestChange(what="pypi constraint", name="Lib", before=None, after="<2")
    before, after = lock(wheel("lib", "2.1")), lock(wheel("lib", "1.9"))
    found = reason(before, after, "lib", bound)
    assert found.because == "constrained"
    assert reason_words(changes(before, after)["lib"], found) == "the recipe: pypi constraint Lib: <2"


def test_a_circle_of_packages_ends() -> None:
    before = lock(conda("a", "1", "0", "b"), conda("b", "1", "0", "a"))
    after = lock(conda("a", "2", "0", "b"), conda("b", "2", "0", "a"))
    assert {item.reason.because for item in changes(before, after).values() if item.reason} == {"wanted", "again"} or {
        item.reason.because for item in changes(before, after).values() if item.reason
    } == {"again"}


def test_one_environment_of_another_platform_is_compared_all_the_same() -> None:
    found = compare("a -> b", lock(conda("a")), lock(conda("a", "2"), platforms=(MAC,)), common=True)
    assert [(item.name, item.how, item.platforms) for item in found.changes] == [
        ("a", "upgraded", ("linux-64 -> osx-arm64",))
    ]


def test_an_id_is_held_against_its_own_platform_of_a_whole_lock() -> None:
    whole = lock(conda("a", "2"), platforms=(LINUX, MAC))
    found = compare("a -> b", lock(conda("a")), whole, common=True)
    assert found.platforms == (LINUX,)


def test_platforms_and_python_are_told() -> None:
    found = compare("x", lock(conda("a")), lock(conda("a"), platforms=(LINUX, MAC), python="3.13"))
    assert [(item.what, item.before, item.after) for item in found.heads] == [
        ("platforms", "linux-64", "linux-64, osx-arm64"),
        ("python", "3.12", "3.13"),
    ]


def test_equal_locks_do_not_differ() -> None:
    found = compare("x", lock(conda("a")), lock(conda("a")))
    assert found.state == "same"
    assert not Diff(before="a", after="b", compared=(found,)).different
    assert Diff(before="a", after="b", compared=(Compared(label="x", state="removed"),)).different


RECIPE = Recipe(
    path="x.yaml",
    python="3.11.*",
    conda=CondaSection(channels=("conda-forge",), packages=(CondaRequirement(name="numpy", version="1.26.*"),)),
    pypi=PypiSection(packages=(PypiRequirement(name="rich", version=">=13", extras=("jupyter",)),)),
)


def test_what_a_recipe_asks_for_is_compared_line_by_line() -> None:
    after = replace(
        RECIPE,
        python="3.12.*",
        conda=CondaSection(channels=("conda-forge", "bioconda"), packages=(CondaRequirement(name="scipy"),)),
        pypi=PypiSection(packages=(PypiRequirement(name="rich", version=">=13"),)),
        targets=(Target(platform=LINUX, conda=CondaSection(packages=(CondaRequirement(name="cuda", version="12"),))),),
        variables=(("A", "1"),),
    )
    found = {
        (item.what, item.name): (item.before, item.after, item.platform) for item in request_changes(RECIPE, after)
    }
    assert found == {
        ("python", ""): ("3.11.*", "3.12.*", None),
        ("channels", ""): ("conda-forge", "conda-forge, bioconda", None),
        ("conda", "numpy"): ("1.26.*", None, None),
        ("conda", "scipy"): (None, "any version", None),
        ("conda", "cuda"): (None, "12", LINUX),
        ("pypi", "rich"): (">=13 extras jupyter", ">=13", None),
        ("variable", "A"): (None, "1", None),
    }


def test_one_package_with_two_markers_is_told_whole() -> None:
    two = PypiSection(
        packages=(
            PypiRequirement(name="rich", version="<13", markers="sys_platform == 'win32'"),
            PypiRequirement(name="rich", version=">=13", markers="sys_platform != 'win32'"),
        )
    )
    (found,) = request_changes(RECIPE, replace(RECIPE, pypi=two))
    assert "<13" in (found.after or "")
    assert ">=13" in (found.after or "")
