"""What conda users write, in the one form that the solver takes."""

from __future__ import annotations

import pytest

from envbuild.errors import InvalidInput
from envbuild.recipe import CondaRequirement
from envbuild.solvers.conda_spec import check_conda_name, match_spec, normalize_conda, spoken


@pytest.mark.parametrize(
    ("written", "version", "build"),
    [
        ("", "", None),
        ("*", "", None),
        ("1.21.5", "==1.21.5", None),
        ("==1.21.5", "==1.21.5", None),
        ("=1.21", "1.21.*", None),
        ("=1.21.*", "1.21.*", None),
        ("1.26.*", "1.26.*", None),
        ("1.26*", "1.26.*", None),
        ("==1.26.*", "1.26.*", None),
        (">=1,<2", "<2,>=1", None),
        ("<2, >= 1", "<2,>=1", None),
        (">=1 <2", "<2,>=1", None),
        (">=1|<0.5", ">=1|<0.5", None),
        (">=1.2.*", ">=1.2", None),
        ("!=1.3", "!=1.3", None),
        ("~=1.2", "~=1.2", None),
        ("1.26.* *cuda*", "1.26.*", "*cuda*"),
        ("1.21.5 py39_0", "==1.21.5", "py39_0"),
        ("=1.21.5=py39_0", "==1.21.5", "py39_0"),
        ("1.21.5=py39_0", "==1.21.5", "py39_0"),
        ("* cpu_*", "", "cpu_*"),
        ("2024a", "==2024a", None),
        ("1!2.0", "==1!2.0", None),
    ],
)
def test_what_conda_users_write_is_normalized(written: str, version: str, build: str | None) -> None:
    assert normalize_conda(written) == (version, build)
    assert normalize_conda(version)[0] == version, "normalizing twice changes nothing"


@pytest.mark.parametrize("written", [">=", "1.2 a b", "a;b", "$(x)", ">1.*.2", "1,,2", "-1", "1\n2 3 4", "==1 ]", "|"])
def test_what_is_no_constraint_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalize_conda(written)
    assert caught.value.reference == "bad-version"
    assert caught.value.hint


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "1.21.5",
        "* cpu_*",
        "=1.21",
        ">=1,<2",
        "1.26.* *cuda*",
        "~=1.2",
        "!=1.3",
        ">=1|<0.5",
        "=1.21.5=py39_0",
        "1!2.0",
    ],
)
def test_the_engine_takes_every_normalized_constraint(spec: str) -> None:
    from rattler import MatchSpec

    version, build = normalize_conda(spec)
    text = match_spec(CondaRequirement(name="numpy", version=version, build=build), "file:///channel")
    assert MatchSpec(text, strict=True).name.as_package_name().normalized == "numpy"


@pytest.mark.parametrize("name", ["../x", "a b", "nump\u0443", "-x", "x" * 200, "", "a[b", 'a"b'])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_conda_name(name)


def test_names_are_lower_case_and_may_begin_with_an_underscore() -> None:
    assert check_conda_name("NumPy") == "numpy"
    assert check_conda_name("_libgcc_mutex") == "_libgcc_mutex"


def test_a_requirement_is_said_as_people_say_it() -> None:
    assert spoken(CondaRequirement(name="pytorch", version=">=2", channel="pytorch")) == "pytorch::pytorch >=2"
    assert spoken(CondaRequirement(name="ffmpeg")) == "ffmpeg"
