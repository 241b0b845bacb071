"""Lines of ``sources`` in a lock: each stands in one place, and the place is one that a recipe could name."""

from __future__ import annotations

from typing import Any

import pytest

from envbuild.errors import InvalidInput
from envbuild.package import SourcePackage
from envbuild.pinned import package_from_tree, package_tree

GIT: dict[str, Any] = {
    "name": "clip",
    "version": "1.0",
    "file": "clip-1.0.tar",
    "sha256": "5" * 64,
    "git": "https://git.example/clip.git",
    "commit": "1" * 40,
}
FOLDER: dict[str, Any] = {**{k: v for k, v in GIT.items() if k not in {"git", "commit"}}, "path": "libs/clip"}


@pytest.mark.parametrize(
    "tree",
    [
        GIT,
        {**GIT, "git": "ssh://git@git.example/clip.git"},
        {**GIT, "git": "file:///srv/clip.git", "commit": "a" * 64},
        {**GIT, "subdirectory": "python/clip"},
        FOLDER,
        {**FOLDER, "path": "../beside"},
        {**FOLDER, "path": "."},
    ],
)
def test_what_a_lock_may_say(tree: dict[str, Any]) -> None:
    package = package_from_tree(SourcePackage, tree)
    assert package_tree(package) == tree


@pytest.mark.parametrize(
    ("change", "reference"),
    [
        ({"git": "ext::sh -c touch"}, "bad-url"),
        ({"git": "--upload-pack=touch"}, "bad-url"),
        ({"git": "ssh://-oProxyCommand=touch"}, "bad-url"),
        ({"git": "https://me:hunter2@git.example/clip.git"}, "secret-in-lock"),
        ({"git": "ssh://me:hunter2@git.example/clip.git"}, "secret-in-lock"),
        ({"commit": "main"}, "bad-source"),
        ({"commit": "--exec=touch"}, "bad-source"),
        ({"commit": "1" * 39}, "bad-source"),
        ({"commit": None}, "bad-source"),
        ({"git": None}, "bad-source"),
        ({"path": "libs/clip"}, "bad-source"),
        ({"index": "default"}, "bad-source"),
        ({"git": None, "commit": None}, "bad-source"),
        ({"git": None, "commit": None, "path": "/etc"}, "bad-path"),
        ({"git": None, "commit": None, "path": "~/x"}, "bad-path"),
        ({"git": None, "commit": None, "path": ""}, "bad-path"),
        ({"git": None, "commit": None, "path": "a\nb"}, "bad-path"),
        ({"subdirectory": "../.."}, "bad-path"),
        ({"subdirectory": "/etc"}, "bad-path"),
        ({"subdirectory": "a//b"}, "bad-path"),
        ({"file": "../clip.tar"}, "bad-name"),
    ],
)
def test_what_it_may_not(change: dict[str, Any], reference: str) -> None:
    tree = {name: value for name, value in {**GIT, **change}.items() if value is not None}
    with pytest.raises(InvalidInput) as error:
        package_from_tree(SourcePackage, tree)
    assert error.value.reference == reference
    assert "hunter2" not in error.value.message
