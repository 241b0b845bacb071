"""What a change touches: the recipes and names that hold a package, and what stands on a base."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.environments.affected import asked_package, in_closure, in_lock
from envbuild.errors import UsageError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import HEADER, closure_bytes, lock_text
from envbuild.package import CondaPackage, Platform, Wheel
from envbuild.solvers.conda_versions import matcher
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.servers import Server

HERE = this_platform()
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def conda(name: str, version: str) -> CondaPackage:
    return CondaPackage(
        name=name,
        version=version,
        build="h_0",
        build_number=0,
        channel="conda-forge",
        subdir="linux-64",
        file=f"{name}-{version}-h_0.conda",
        sha256=f"{len(name):x}".rjust(64, "a"),  # type: ignore[arg-type]
    )


def wheel(name: str, version: str) -> Wheel:
    return Wheel(
        name=name,
        version=version,
        file=f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        sha256="b" * 64,  # type: ignore[arg-type]
        index="default",
    )


def lock_of(*packages: CondaPackage | Wheel, build: tuple[Wheel, ...] = ()) -> Lock:
    environment = LockedEnvironment(
        platform=Platform("linux-64"),
        python="3.11",
        interpreter="conda",
        system=(),
        conda=tuple(item for item in packages if isinstance(item, CondaPackage)),
        wheels=tuple(item for item in packages if isinstance(item, Wheel)),
        build=build,
    )
    return Lock(request="c" * 64, platforms=(environment,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "version", "held"),
    [
        ("openssl", "3.1.4", True),
        ("openssl<3.3", "3.1.4", True),
        ("openssl<3.3", "3.3.0", False),
        ("openssl<3.3", "1.1.1w", True),  # no PEP 440 version: conda's order decides
        ("openssl>=1.1.1w", "1.1.1v", False),
        ("openssl 3.1.*", "3.1.4", True),
        ("openssl=3.1", "3.1.4", True),
        ("openssl==3.1", "3.1.4", False),
        ("openssl>=3,<3.1|>=3.2", "3.1.4", False),
        ("OpenSSL", "3.1.4", True),
        ("openssl-fips", "3.1.4", False),
    ],
)
def test_versions_are_read_as_conda_reads_them(asked: str, version: str, held: bool) -> None:
    found = in_lock(lock_text(lock_of(conda("openssl", version))).encode(), "x", asked_package(asked))
    assert bool(found) == held


@pytest.mark.parametrize(
    ("asked", "version", "held"),
    [
        ("My_Tool", "1.0", True),
        ("my-tool~=1.0", "1.5", True),
        ("my-tool<2", "2.0rc1", False),
        ("my.tool<2", "1.0rc1", True),
        ("my-tool!=1.0", "1.0", False),
    ],
)
def test_and_as_pypi_reads_them(asked: str, version: str, held: bool) -> None:
    found = in_lock(lock_text(lock_of(wheel("my-tool", version))).encode(), "x", asked_package(asked))
    assert bool(found) == held


@pytest.mark.parametrize("text", ["", "<3", "a b c d", "openssl<=>3", "openssl<3;x", "../x", "-x", "openssl<3\n4"])
def test_what_is_no_package_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked_package(text)
    assert caught.value.reference == "bad-package"


numbers = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["<", "<=", ">", ">=", "=="]), numbers, numbers)
def test_plain_numbers_are_compared_as_the_engine_compares_them(operator: str, bound: str, version: str) -> None:
    from rattler import Version, VersionSpec

    assert matcher(f"{operator}{bound}")(version) == VersionSpec(f"{operator}{bound}").matches(Version(version))


def test_a_lock_that_another_tool_wrote_anew_is_read_all_the_same() -> None:
    lock = lock_of(conda("openssl", "3.1.4"), wheel("toy", "1.0"), build=(wheel("flit-core", "3.9"),))
    own = lock_text(lock).encode()
    other = yaml.safe_dump(yaml.safe_load(own)).encode()
    assert not other.startswith(HEADER.encode())
    for name in ("openssl", "toy", "flit-core", "nothing"):
        asked = asked_package(name)
        assert in_lock(own, "x", asked) == in_lock(other, "x", asked)
        assert in_closure(closure_bytes(lock, lock.platforms[0]), asked) == in_lock(own, "x", asked)
    (found,) = in_lock(own, "x", asked_package("flit-core"))
    assert (found.kind, found.version) == ("build", "3.9")


def test_a_name_in_other_words_is_no_package() -> None:
    """A package is what stands at the beginning of its line; names in ``depends`` and licenses are not."""
    text = lock_text(lock_of(conda("curl", "8.0"))).replace('"channel": "conda-forge"', '"channel": "openssl"')
    assert in_lock(text.encode(), "x", asked_package("openssl")) == ()


def recipe(index: Server, version: str, more: str = "") -> str:
    return (
        f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}]\n"
        f"pypi:\n  index: {index.url}/simple\n  packages: {{toy: '=={version}'}}\n{more}"
    )


def found(case: Case) -> list[tuple[str, bool | None]]:
    return [
        (Path(item["recipe"]).name if item["recipe"] else item["name"], item["behind"])
        for item in json.loads(case.out)["affected"]
    ]


def test_recipes_and_names_that_hold_a_package(case: Case, wheel_index: Server) -> None:
    case.file("envbuild.yaml", "recipes: recipes/\n")
    for name, version in (("old", "1.0"), ("new", "2.0"), ("never", "1.1")):
        case.recipe(recipe(wheel_index, version), f"recipes/{name}.yaml")
    case.run("lock", "recipes/old.yaml", "recipes/new.yaml")
    case.run("alias", "recipes/old.yaml", "team/old:v1").run("alias", "recipes/new.yaml", "team/new")
    case.run("affected", "--package", "toy<2")
    case.shows(f"recipes/old.yaml  {HERE} toy 1.0\nteam/old:v1       {HERE} toy 1.0")
    case.mentions("1 recipe, 1 name", "not looked into: recipes/never.yaml has no lock")
    assert found(case.run("affected", "--package", "toy-core", "--json")) == [
        ("new.yaml", None),
        ("old.yaml", None),
        ("team/new:latest", None),
        ("team/old:v1", None),
    ]
    case.run("affected", "--package", "nothing").shows("").mentions("0 recipes, 0 names")
    lock = case.project / "recipes" / "old.lock.yaml"
    lock.write_text("<<<<<<< ours\n" + lock.read_text().replace("# Written", "# written"))
    case.run("affected", "--package", "toy").mentions("not looked into: ", "conflict markers")
    assert "recipes/old.yaml" not in case.out
    case.run("affected", code=2).run("affected", "--package", "toy", "--base", "team/new", code=2)


def test_what_stands_on_a_base(case: Case, wheel_index: Server) -> None:
    case.file("envbuild.yaml", "recipes: recipes/\n")
    case.recipe(recipe(wheel_index, "1.0"), "recipes/base.yaml").run("lock", "recipes/base.yaml")
    case.run("alias", "recipes/base.yaml", "team/base:stable")
    known = json.loads(case.run("get", "team/base:stable", "--json").out)["environments"][HERE]
    paint = f"platforms: [{HERE}]\npypi: {{packages: {{toy-paint: }}}}\n"
    case.recipe("extends: {name: 'team/base:stable'}\n" + paint, "recipes/named.yaml")
    case.recipe(f"extends: {{id: '{known}'}}\n" + paint, "recipes/identified.yaml")
    case.recipe("extends: base.yaml\n" + paint, "recipes/file.yaml")
    case.recipe("extends: named.yaml\n", "recipes/through.yaml")
    case.recipe(recipe(wheel_index, "1.0"), "recipes/other.yaml")
    case.run("lock")
    case.run("alias", "recipes/through.yaml", "team/app:v1")
    expected = ["identified.yaml", "named.yaml", "through.yaml"]
    assert found(case.run("affected", "--base", "team/base:stable", "--json")) == [
        *((name, False) for name in expected),
        ("team/app:v1", None),
    ]
    assert found(case.run("affected", "--base", "recipes/base.yaml", "--json")) == [("file.yaml", None)]
    assert found(case.run("affected", "--base", "recipes/named.yaml", "--json"))[0] == ("through.yaml", None)
    case.recipe(recipe(wheel_index, "1.1"), "recipes/base.yaml").run("lock", "recipes/base.yaml")
    case.run("alias", "recipes/base.yaml", "team/base:stable")
    case.run("affected", "--base", "team/base:stable").mentions("recipes/named.yaml    behind")
    assert found(case.run("affected", "--base", "team/base:stable", "--json"))[:2] == [
        ("named.yaml", True),
        ("through.yaml", True),
    ]
    case.run("lock", "recipes/named.yaml", "--upgrade-base")
    case.run("affected", "--base", "team/base:stable").mentions("recipes/named.yaml    as it is now")
    case.run("affected", "--base", "team/none", code=3).run("affected", "--base", "recipes/none.yaml", code=3)
