"""What decides a prefix, and what does not."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from envbuild.derivations import PackageInput
from envbuild.derivations.link import Link, manifest
from envbuild.digest import digest_bytes
from envbuild.package import CondaPackage, InterpreterArchive, Platform, Wheel

ONE, TWO, THREE = map(digest_bytes, (b"1", b"2", b"3"))
CONDA = CondaPackage(
    name="c", version="1", build="0", build_number=0, subdir="noarch", file="c-1-0.conda", sha256=ONE, channel="x"
)
WHEEL = Wheel(name="w", version="2", file="w-2-py3-none-any.whl", sha256=TWO, index="default")
ARCHIVE = InterpreterArchive(implementation="cpython", version="3.11.7", build="1", file="p.tar.gz", sha256=THREE)
LINK = Link(
    platform=Platform("linux-64"),
    python="3.11",
    interpreter="conda",
    packages=(PackageInput(key=ONE, package=CONDA), PackageInput(key=TWO, package=WHEEL)),
    variables=(("A", "1"),),
    system=(("__glibc", "2.28"),),
)


@pytest.mark.parametrize(
    "change",
    [
        {"platform": Platform("osx-64")},
        {"python": "3.12"},
        {"python": None},
        {"interpreter": "host"},
        {"variables": (("A", "2"),)},
        {"variables": ()},
        {"options": (("x", "y"),)},
        {"packages": LINK.packages[:1]},
        {"packages": LINK.packages[::-1]},
        {"packages": (PackageInput(key=THREE, package=CONDA), LINK.packages[1])},
        {"packages": (PackageInput(key=ONE, package=replace(CONDA, channel="another")), LINK.packages[1])},
        {"packages": (LINK.packages[0], PackageInput(key=TWO, package=replace(WHEEL, asked=True)))},
        {"packages": (LINK.packages[0], PackageInput(key=TWO, package=replace(WHEEL, index=None, url="file:///w")))},
    ],
)
def test_what_decides_the_content_is_in_the_key(change: dict[str, Any]) -> None:
    assert replace(LINK, **change).key != LINK.key


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"system": ()},
        {"packages": (LINK.packages[0], PackageInput(key=TWO, package=replace(WHEEL, index="mirror")))},
    ],
)
def test_what_does_not_is_not(change: dict[str, Any]) -> None:
    assert replace(LINK, **change).key == LINK.key
    assert replace(LINK, **change) == LINK


def test_a_link_crosses_processes() -> None:
    again = pickle.loads(pickle.dumps(LINK))
    assert again == LINK
    assert again.packages == LINK.packages
    assert again.key == LINK.key


def test_packages_are_told_by_kind() -> None:
    link = replace(LINK, packages=(*LINK.packages, PackageInput(key=THREE, package=ARCHIVE)))
    assert link.conda() == ((ONE, CONDA),)
    assert link.wheels() == ((TWO, WHEEL),)
    assert link.archive() == (THREE, ARCHIVE)
    assert LINK.archive() is None
    assert link.inputs == (ONE, TWO, THREE)


def test_the_manifest_says_what_the_prefix_holds() -> None:
    document = json.loads(manifest(LINK, (ONE, TWO)))
    assert document == {
        "format": 1,
        "platform": "linux-64",
        "python": "3.11",
        "variables": {"A": "1"},
        "packages": [
            {"name": "c", "version": "1", "kind": "conda", "blob": ONE},
            {"name": "w", "version": "2", "kind": "wheel", "blob": TWO},
        ],
        "blobs": sorted([ONE, TWO]),
    }
    with pytest.raises(ValueError, match="zip"):
        manifest(LINK, (ONE,))
