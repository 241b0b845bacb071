"""Two sides of a lock as one, and a lock that keeps both sides whole."""

from __future__ import annotations

import pytest

from envbuild.digest import Digest
from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks.conflict import conflict_sides, conflict_text
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.three_way import NO_REQUEST, joined
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.value import replace

LINUX, MAC = Platform("linux-64"), Platform("osx-arm64")
ONE, TWO, THREE = Digest("1" * 64), Digest("2" * 64), Digest("3" * 64)


def wheel(name: str, version: str = "1.0") -> Wheel:
    file = f"{name}-{version}-py3-none-any.whl"
    return Wheel(name=name, version=version, file=file, sha256=Digest(f"{len(name)}{version[0]}" * 32), index="default")


def environment(*wheels: Wheel, platform: Platform = LINUX, **fields) -> LockedEnvironment:
    given = {"platform": platform, "python": "3.12", "interpreter": "host", "system": (), "wheels": wheels}
    return LockedEnvironment(**{**given, **fields})


def lock(request: Digest, *environments: LockedEnvironment, **fields) -> Lock:
    return Lock(request=request, platforms=environments, **fields)


def versions(found: Lock, platform: Platform = LINUX) -> dict[str, str]:
    item = found.environment(platform)
    assert item is not None
    return {package.name: package.version for package in (*item.wheels, *item.sources)}


BASE = lock(ONE, environment(wheel("a"), wheel("b")))


def test_what_one_side_changed_is_that_sides() -> None:
    ours = lock(TWO, environment(wheel("a"), wheel("b", "2.0"), wheel("c")))
    theirs = lock(THREE, environment(wheel("a", "3.0"), wheel("b"), wheel("d")))
    both = joined(BASE, ours, theirs)
    assert versions(both.lock) == {"a": "3.0", "b": "2.0", "c": "1.0", "d": "1.0"}
    assert (both.whole, both.lock.request) == (False, NO_REQUEST)


def test_what_both_changed_has_the_newer_version() -> None:
    both = joined(BASE, lock(TWO, environment(wheel("a", "1.9"))), lock(THREE, environment(wheel("a", "1.10"))))
    assert versions(both.lock) == {"a": "1.10"}


def test_what_one_side_removed_and_the_other_left_alone_goes() -> None:
    both = joined(
        BASE, lock(TWO, environment(wheel("a"))), lock(THREE, environment(wheel("a"), wheel("b"), wheel("c")))
    )
    assert versions(both.lock) == {"a": "1.0", "c": "1.0"}


def test_without_a_beginning_all_of_both_is_preferred() -> None:
    both = joined(None, lock(TWO, environment(wheel("a"))), lock(THREE, environment(wheel("b"))))
    assert versions(both.lock) == {"a": "1.0", "b": "1.0"}


def test_platforms_that_one_side_each_changed_are_right_as_they_are() -> None:
    base = lock(ONE, environment(wheel("a")), environment(wheel("a"), platform=MAC))
    ours = lock(ONE, environment(wheel("a", "2.0")), environment(wheel("a"), platform=MAC))
    theirs = lock(ONE, environment(wheel("a")), environment(wheel("a", "3.0"), platform=MAC))
    both = joined(base, ours, theirs)
    assert (both.whole, both.lock.request) == (True, ONE)
    assert (versions(both.lock), versions(both.lock, MAC)) == ({"a": "2.0"}, {"a": "3.0"})


def test_one_platform_that_was_mixed_makes_the_whole_no_solution() -> None:
    ours, theirs = (
        lock(ONE, environment(wheel("a", "2.0"), wheel("b"))),
        lock(ONE, environment(wheel("a"), wheel("b", "2.0"))),
    )
    assert not joined(BASE, ours, theirs).whole


def test_two_requests_make_no_solution_also_where_packages_are_the_same() -> None:
    assert not joined(BASE, lock(TWO, *BASE.platforms), lock(THREE, *BASE.platforms)).whole


def test_a_platform_that_one_side_took_away_and_the_other_changed_is_asked_for_again() -> None:
    base = lock(ONE, environment(wheel("a")), environment(wheel("a"), platform=MAC))
    both = joined(
        base,
        lock(TWO, environment(wheel("a"))),
        lock(THREE, environment(wheel("a")), environment(wheel("a", "2.0"), platform=MAC)),
    )
    assert not both.whole
    assert versions(both.lock, MAC) == {"a": "2.0"}


def test_a_named_base_that_both_took_anew_is_for_people_to_decide() -> None:
    def on(digest: Digest, path: str = "name:team/base:stable") -> tuple[LockedBase, ...]:
        return (LockedBase(path=path, request=digest, environments=((LINUX, digest),)),)

    def three(path: str) -> tuple[str, ...]:
        sides = (lock(ONE, *BASE.platforms, bases=on(digest, path)) for digest in (ONE, TWO, THREE))
        return joined(*sides).undecided

    assert three("name:team/base:stable") == ("name:team/base:stable",)
    assert three("base.yaml") == ()


def test_builds_that_would_need_each_other_in_a_circle_are_not_mixed() -> None:
    def source(name: str, *requires: str) -> SourcePackage:
        return SourcePackage(
            name=name, version="1.0", file=f"{name}-1.0.tar.gz", sha256=ONE, index="default", build_requires=requires
        )

    one = environment(wheel("a", "2.0"), build_sources=(source("x", "y-1.0.tar.gz"), source("y")))
    other = environment(wheel("b", "2.0"), build_sources=(source("y", "x-1.0.tar.gz"), source("x")))
    both = joined(None, lock(TWO, one), lock(THREE, other))
    assert both.lock.platforms


def test_a_lock_in_conflict_gives_back_both_sides() -> None:
    one, other = (lock_text(replace(BASE, request=digest)).encode() for digest in (TWO, THREE))
    data = conflict_text(one, other, "envbuild lock 'a b.yaml'")
    assert conflict_sides(data) == (one, other)
    assert b"envbuild lock 'a b.yaml'" in data.splitlines()[0]
    assert parse_lock(one, "x").request == TWO


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version: 1\n",
        b"<<<<<<< HEAD\na\n=======\nb\n>>>>>>> branch\n",
        b"<<<<<<< ours: x\na\n>>>>>>> theirs\n",
        b"<<<<<<< ours: x\na\n=======\nb\n=======\nc\n>>>>>>> theirs\n",
        b"<<<<<<< ours: x\na\n=======\nb\n>>>>>>> theirs\nmore\n",
    ],
)
def test_other_conflicts_have_no_whole_sides(data: bytes) -> None:
    assert conflict_sides(data) is None
