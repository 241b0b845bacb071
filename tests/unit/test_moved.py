"""Names that would come from another index or channel than the lock before says, and who may say so."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from envbuild.digest import Digest
from envbuild.errors import IntegrityError, Where
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.moved import check_moves
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.recipe import CondaRequirement, Index, PypiRequirement, UrlSource
from envbuild.request import PlatformRequest, Request

LINUX, MAC = Platform("linux-64"), Platform("osx-arm64")


def sha(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def wheel(name: str, index: str | None = "default", **more: str) -> Wheel:
    return Wheel(name=name, version="1", file=f"{name}-1-py3-none-any.whl", sha256=sha(name), index=index, **more)


def source(name: str, index: str | None = "default") -> SourcePackage:
    return SourcePackage(name=name, version="1", file=f"{name}-1.tar.gz", sha256=sha(f"{name} source"), index=index)


def conda(name: str, channel: str) -> CondaPackage:
    return CondaPackage(
        name=name, version="1", build="0", build_number=0, subdir="noarch", file=f"{name}-1-0.conda",
        sha256=sha(f"{name} {channel}"), channel=channel,
    )  # fmt: skip


def environment(*items: Wheel | SourcePackage | CondaPackage, platform: Platform = LINUX) -> LockedEnvironment:
    return LockedEnvironment(
        platform=platform,
        python="3.12",
        interpreter="conda",
        system=(),
        conda=tuple(item for item in items if isinstance(item, CondaPackage)),
        wheels=tuple(item for item in items if isinstance(item, Wheel)),
        sources=tuple(item for item in items if isinstance(item, SourcePackage)),
    )


TEAM = Index(name="team", url="https://team.example/simple")
PART = PlatformRequest(platform=LINUX, python=None, system=(), channels=("a", "b"), extra_indices=(TEAM,))


def check(
    before: LockedEnvironment,
    after: LockedEnvironment,
    part: PlatformRequest = PART,
    allowed: set[str] | None = None,
    bases: dict[str, Lock] | None = None,
) -> None:
    request = Request(
        recipe="x.yaml",
        interpreter="conda",
        exclude_newer=None,
        platforms=(part, replace(part, platform=MAC)),
    )
    old = Lock(request=sha("request"), platforms=(before,))
    check_moves(old, {after.platform: after}, request, allowed or set(), bases or {})


def refused(before: LockedEnvironment, after: LockedEnvironment, part: PlatformRequest = PART) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        check(before, after, part)
    assert caught.value.exit_code == 4
    return caught.value


def test_another_index_is_refused_with_both_and_with_a_way_out() -> None:
    asked = replace(PART, pypi=(PypiRequirement(name="inner", where=Where(file="x.yaml", line=7)),))
    error = refused(environment(wheel("inner")), environment(wheel("inner", "team")), asked)
    assert error.reference == "index-moved"
    assert error.message == "inner was locked from default, and would come from team now"
    assert error.where == Where(file="x.yaml", line=7)
    assert "envbuild lock --upgrade-package inner" in (error.hint or "")
    assert "`inner: {index: team}`" in (error.hint or "")


def test_another_channel_is_refused_too() -> None:
    error = refused(environment(conda("tool", "b")), environment(conda("tool", "a")))
    assert error.reference == "channel-moved"
    assert "`tool: {channel: a}`" in (error.hint or "")


@pytest.mark.parametrize("after", [wheel("inner", "team"), source("inner", "team")])
@pytest.mark.parametrize("before", [wheel("inner"), source("inner")])
def test_wheels_and_sources_are_one_name(before: Wheel | SourcePackage, after: Wheel | SourcePackage) -> None:
    refused(environment(before), environment(after))


def test_the_tools_of_builds_count() -> None:
    old, new = environment(), environment()
    refused(replace(old, build=(wheel("hatchling"),)), replace(new, build=(wheel("hatchling", "team"),)))


def test_find_links_are_a_place() -> None:
    part = replace(PART, find_links=("./wheels",))
    refused(environment(wheel("inner")), environment(wheel("inner", None, find_links="./wheels")), part)


def test_every_name_is_told() -> None:
    error = refused(environment(wheel("x"), wheel("y")), environment(wheel("x", "team"), wheel("y", "team")))
    assert [issue.message.split()[0] for issue in error.issues] == ["x", "y"]


def test_a_platform_that_is_new_is_held_against_the_others() -> None:
    refused(environment(wheel("x")), environment(wheel("x", "team"), platform=MAC))
    check(environment(wheel("x")), environment(wheel("x"), platform=MAC))


def test_a_conda_name_is_no_pypi_name() -> None:
    check(environment(wheel("x")), environment(conda("x", "a")))


def test_who_may_say_that_a_name_moves() -> None:
    before, after = environment(wheel("x")), environment(wheel("x", "team"))
    check(before, after, allowed={"x"})
    check(before, after, replace(PART, pypi=(PypiRequirement(name="x", index="team"),)))
    check(before, after, replace(PART, no_index=True))
    url = replace(PART, pypi=(PypiRequirement(name="x", source=UrlSource(url="https://e.example/x.whl")),))
    check(before, environment(wheel("x", None, url="https://e.example/x.whl")), url)
    base = Lock(request=sha("base"), platforms=(after,))
    check(before, after, bases={"base.yaml": base})
    one, other = environment(conda("x", "b")), environment(conda("x", "a"))
    check(one, other, replace(PART, conda=(CondaRequirement(name="x", channel="a"),)))
    check(one, other, replace(PART, channels=("a",)))
