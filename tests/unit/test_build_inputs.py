"""What builds may import as a graph: order, identities, circles; and as text in a lock."""

from __future__ import annotations

import pytest

from envbuild.build_inputs import BuildInputs
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import InvalidInput
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import closure_bytes, lock_text
from envbuild.locks.lockfile import parse_closure, parse_lock
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.value import replace


def source(name: str, *needs: str, version: str = "1.0") -> SourcePackage:
    file = f"{name}-{version}.tar.gz"
    return SourcePackage(
        name=name,
        version=version,
        file=file,
        sha256=digest_bytes(file.encode()),
        index="default",
        build_requires=tuple(f"{item}-1.0.tar.gz" if "." not in item else item for item in needs),
    )


TOOL = Wheel(
    name="setuptools",
    version="80.0",
    file="setuptools-80.0-py3-none-any.whl",
    sha256=digest_bytes(b"setuptools"),
    index="default",
)


def environment(*builds: SourcePackage, sources: tuple[SourcePackage, ...] = ()) -> LockedEnvironment:
    return LockedEnvironment(
        platform=Platform("linux-64"),
        python="3.11",
        interpreter="host",
        system=(("__glibc", "2.28"),),
        sources=sources or (source("own", *(item.file for item in builds)),),
        build=(TOOL,),
        build_sources=builds,
    )


def test_each_source_stands_after_what_it_is_built_with() -> None:
    inputs = BuildInputs(sources=(source("a", "c", "b"), source("b", "c"), source("c"), source("d", "a", TOOL.file)))
    names = [item.name for item in inputs.order()]
    assert sorted(names) == ["a", "b", "c", "d"]
    assert names.index("c") < names.index("b") < names.index("a") < names.index("d")


def test_what_lies_deep_below_a_build_is_in_its_identity_and_in_the_environments() -> None:
    chain = (source("a", "b"), source("b", "c"), source("c", TOOL.file))
    first = environment(*chain)
    for changed in (
        (chain[0], chain[1], replace(chain[2], settings=("x=y",))),
        (chain[0], chain[1], replace(chain[2], sha256=digest_bytes(b"other"))),
        (chain[0], chain[1], replace(chain[2], build_requires=())),
    ):
        other = environment(*changed, sources=first.sources)
        before, after = first.build_inputs.identities(), other.build_inputs.identities()
        assert before["a-1.0.tar.gz"] != after["a-1.0.tar.gz"]
        assert first.id != other.id
    asked = environment(chain[0], chain[1], replace(chain[2], size=7, upload_time="x"), sources=first.sources)
    assert asked.id == first.id


def test_an_environment_without_built_tools_has_the_id_it_had_before_there_were_any() -> None:
    plain = environment(sources=(source("own", TOOL.file),))
    assert plain.id == Digest("c5404011fecce17ae20479d45c3212bf6acb00498de7a8003f4807eb12a45ce5")


@pytest.mark.parametrize(
    "builds",
    [
        (source("a", "b"), source("b", "a")),
        (source("a", "a"),),
        (source("a", "b"), source("b", "c"), source("c", "b"), source("d")),
    ],
)
def test_builds_that_need_each_other_are_refused_with_the_circle(builds: tuple[SourcePackage, ...]) -> None:
    with pytest.raises(InvalidInput) as error:
        environment(*builds)
    assert error.value.reference == "build-circle"
    first, *_, last = error.value.message.partition(": ")[2].split(" -> ")
    assert first == last


def test_one_file_name_for_two_sources_is_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        environment(source("a"), replace(source("a"), sha256=digest_bytes(b"other")))
    assert error.value.reference == "bad-lock"


def test_long_chains_and_wide_diamonds_are_read_in_no_time() -> None:
    chain = tuple(source(f"s{number}", f"s{number + 1}") for number in range(3000))
    assert len(environment(*chain, sources=(source("own", "s0"),)).build_inputs.order()) == 3000
    diamond = tuple(source(f"d{number}", f"d{number + 2}", f"d{number + 1}") for number in range(200))
    assert len(environment(*diamond, sources=(source("own", "d0"),)).build_inputs.identities()) == 200


def test_they_are_lines_of_a_lock_of_their_own_and_no_lock_without_them_has_such() -> None:
    tools = environment(source("tool", TOOL.file))
    lock = Lock(request=digest_bytes(b"request"), platforms=(tools,))
    text = lock_text(lock)
    assert '    build-sources:\n      - {"name": "tool"' in text
    assert parse_lock(text.encode(), "x") == lock
    assert parse_closure(closure_bytes(lock, tools), "x").platforms == (tools,)
    without = Lock(request=lock.request, platforms=(environment(sources=(source("own", TOOL.file),)),))
    assert "build-sources" not in lock_text(without)
    assert b"build-sources" not in closure_bytes(without, without.platforms[0])


def test_a_circle_that_somebody_wrote_into_a_lock_is_an_error_with_its_file() -> None:
    one = environment(source("tool", "other"), source("other"))
    text = lock_text(Lock(request=digest_bytes(b"request"), platforms=(one,)))
    line = '"file": "other-1.0.tar.gz"'
    start = text.index('{"name": "other"')
    end = text.index("}", start)
    edited = text[:end] + ', "build-requires": ["tool-1.0.tar.gz"]' + text[end:]
    assert line in edited
    with pytest.raises(InvalidInput) as error:
        parse_lock(edited.encode(), "x.lock.yaml")
    assert (error.value.reference, error.value.where and error.value.where.file) == ("build-circle", "x.lock.yaml")
