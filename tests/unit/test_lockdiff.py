"""What changed between two environments, in words: with sources, which may stay the same and be built with others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from envbuild.digest import Digest
from envbuild.lock import LockedEnvironment
from envbuild.locks.dependencies import chains, conda_closure, dependency_table
from envbuild.locks.lockdiff import changes
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel


def sha(letter: str) -> Digest:
    return Digest(letter * 64)


ZLIB = CondaPackage(
    name="zlib",
    version="1.2",
    build="0",
    build_number=0,
    subdir="linux-64",
    file="zlib-1.2-0.conda",
    sha256=sha("a"),
    channel="conda-forge",
    depends=("libc >=2", "__unix"),
)
LIBC = replace(ZLIB, name="libc", sha256=sha("b"), depends=())
TOOL = Wheel(name="flit-core", version="3.9", file="flit_core-3.9-py3-none-any.whl", sha256=sha("c"), index="default")
CLICK = Wheel(name="click", version="8.1", file="click-8.1-py3-none-any.whl", sha256=sha("d"), index="default")
CLIP = SourcePackage(
    name="clip",
    version="1.0",
    file="clip-1.0.tar",
    sha256=sha("e"),
    git="https://g.example/c.git",
    commit="12345678" + "0" * 32,
    requires=("click",),
    asked=True,
    build_requires=(TOOL.file,),
    host=("libc", "zlib"),
)
FOLDER = SourcePackage(name="mine", version="1.0", file="mine-1.0.tar", sha256=sha("f"), path="libs/mine", asked=True)
SDIST = SourcePackage(name="old", version="1.0", file="old-1.0.tar.gz", sha256=sha("1"), index="default")


def environment(**fields) -> LockedEnvironment:
    given = {
        "platform": Platform("linux-64"),
        "python": "3.12",
        "interpreter": "conda",
        "system": (),
        "conda": (LIBC, ZLIB),
        "wheels": (CLICK,),
        "sources": (CLIP,),
        "build": (TOOL,),
    }
    return LockedEnvironment(**(given | fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, []),
        ({"sources": (CLIP, FOLDER, SDIST)}, ["added mine 1.0 (folder libs/mine)", "added old 1.0 (sdist)"]),
        ({"sources": ()}, ["removed clip 1.0"]),
        ({"sources": (replace(CLIP, version="1.1", sha256=sha("2")),)}, ["upgraded clip 1.0 -> 1.1 (git 12345678)"]),
        ({"sources": (replace(CLIP, version="0.9", sha256=sha("2")),)}, ["downgraded clip 1.0 -> 0.9 (git 12345678)"]),
        (
            {"sources": (replace(CLIP, sha256=sha("2"), commit="9" * 40),)},
            ["rebuilt clip 1.0 eeeeeeee -> 1.0 22222222 (git 99999999)"],
        ),
        (
            {"conda": (LIBC, replace(ZLIB, version="1.3", sha256=sha("3")))},
            ["upgraded zlib 1.2 -> 1.3", "rebuilt clip 1.0 -> 1.0 for a changed zlib (git 12345678)"],
        ),
        (
            {"build": (replace(TOOL, sha256=sha("4")),)},
            ["rebuilt clip 1.0 -> 1.0 for a changed flit-core (git 12345678)"],
        ),
        (
            {"sources": (replace(CLIP, variables=("A=1",), settings=("x=y",)),)},
            ["rebuilt clip 1.0 -> 1.0 for a changed config settings, variables (git 12345678)"],
        ),
        (
            {"sources": (replace(CLIP, commit="9" * 40),)},
            ["moved clip https://g.example/c.git 12345678 -> https://g.example/c.git 99999999 (git 99999999)"],
        ),
        (
            {"sources": (), "wheels": (CLICK, replace(CLICK, name="clip", version="1.0", sha256=sha("5")))},
            ["rebuilt clip 1.0 eeeeeeee -> 1.0 55555555"],
        ),
    ],
)
def test_every_difference_is_said_with_what_a_source_is(fields, said):
    assert [str(change) for change in changes(environment(), environment(**fields))] == said


def test_the_environment_id_moves_when_something_is_rebuilt_and_not_when_it_moved():
    same = environment().id
    assert environment(sources=(replace(CLIP, commit="9" * 40),)).id == same
    assert environment(build=(replace(TOOL, sha256=sha("4")),)).id != same


def test_sources_stand_in_the_tree_with_their_origin_and_lead_to_what_they_need():
    table = dependency_table(environment(sources=(CLIP, FOLDER, SDIST)))
    assert {name: table[name].origin for name in ("clip", "mine", "old", "click")} == {
        "clip": "git 12345678 of https://g.example/c.git",
        "mine": "folder libs/mine",
        "old": "sdist of default",
        "click": "default",
    }
    assert chains(table, "click") == (("clip", "click"),)
    assert "flit-core" not in table


def test_what_a_conda_package_needs():
    assert conda_closure((LIBC, ZLIB), ("zlib", "nothing")) == {"zlib", "libc"}
    assert conda_closure((LIBC, ZLIB), ("libc",)) == {"libc"}
