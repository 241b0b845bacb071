"""Recipes with included files to requests: what stands at one level, paths, and which files count."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.errors import InvalidInput
from envbuild.projects.project import find_project, load_recipe, make_request, request_notes
from envbuild.recipe import Include, Index, PathSource
from envbuild.request import PlatformRequest, Request


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write(folder, "envbuild.yaml", "channels: [here]\nplatforms: [linux-64]\n")
    return folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def made(folder: Path, recipe: str, **files: str) -> tuple[Request, tuple[Path, ...]]:
    write(folder, "recipes/r.yaml", recipe)
    for name, text in files.items():
        write(folder, f"{name}.txt", text)
    path = folder / "recipes" / "r.yaml"
    return make_request(find_project(path, environ={}), path)


def part(folder: Path, recipe: str, **files: str) -> PlatformRequest:
    return made(folder, recipe, **files)[0].platforms[0]


def told(folder: Path, recipe: str, **files: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        made(folder, recipe, **files)
    return [(issue.reference, issue.message) for issue in caught.value.all_issues()]


def test_the_recipe_and_its_files_are_one(root: Path) -> None:
    write(
        root,
        "environment.yml",
        "channels: [other]\ndependencies: [python=3.11, 'numpy>=1', pip]\nvariables: {A: 1, B: 2}\n",
    )
    request, files = made(
        root,
        "include: [../a.txt, ../environment.yml]\npython: '>=3.10'\nvariables: {A: 9}\n"
        "conda: {packages: {numpy: '<3'}}\npypi: {packages: {six: '>1'}}\n",
        a="six<2\nrich[x] ; os_name=='nt'\nrich\n--extra-index-url https://h/s\n--pre\n",
    )
    found = request.platforms[0]
    assert found.python == "3.11.*"
    assert found.channels == ("other",)
    assert [(item.name, item.version) for item in found.conda] == [("numpy", "<3,>=1"), ("pip", "")]
    assert [(item.name, item.version, item.markers) for item in found.pypi] == [
        ("rich", "", None),
        ("rich", "", 'os_name == "nt"'),
        ("six", "<2,>1", None),
    ]
    assert found.extra_indices == (Index(name="https://h/s", url="https://h/s"),)
    assert found.prereleases is True
    assert request.variables == (("A", "9"), ("B", "2"))
    assert {path.name for path in files} == {"r.yaml", "a.txt", "environment.yml", "envbuild.yaml"}


def test_the_content_counts_and_comments_do_not(root: Path) -> None:
    recipe = "interpreter: host\ninclude: ../a.txt\n"
    first = made(root, recipe, a="six\n")[0]
    assert made(root, recipe, a="# a comment\n\nSIX  # more\n")[0].id == first.id
    assert made(root, recipe, a="six>1\n")[0].id != first.id
    assert made(root, recipe, a=f"six --hash=sha256:{'ab' * 32}\n")[0].id != first.id
    assert made(root, "interpreter: host\npypi: {packages: {six: }}\n")[0].id == first.id


def test_the_recipe_s_own_word_holds_and_files_that_differ_do_not(root: Path) -> None:
    write(root, "one.yml", "channels: [a]\ndependencies: [x]\n")
    write(root, "two.yml", "channels: [b]\ndependencies: [y]\n")
    both = "include: [{path: ../one.yml, format: environment-yml}, ../two.yml]\n"
    ((reference, message),) = told(root, both)
    assert reference == "requirements-disagree"
    assert "[a]" in message
    assert "[b]" in message
    assert part(root, both + "conda: {channels: [c]}\n").channels == ("c",)


def test_pythons_that_cannot_be_both_name_both_places(root: Path) -> None:
    write(root, "environment.yml", "dependencies: [python=3.9]\n")
    ((reference, message),) = told(root, "python: 3.11\ninclude: ../environment.yml\n")
    assert reference == "requirements-disagree"
    assert "recipes/r.yaml:1:9 says '3.11.*'" in message
    assert "environment.yml:1:16 says '3.9.*'" in message


def test_a_base_is_overridden_as_a_whole_name(root: Path) -> None:
    write(root, "base.txt", "numpy==1 ; python_version<'3.12'\nnumpy==2 ; python_version>='3.12'\nsix\n")
    write(root, "recipes/base.yaml", "interpreter: host\ninclude: ../base.txt\n")
    found = part(root, "extends: {path: base.yaml, pin: false}\ninclude: ../a.txt\n", a="numpy==3\n")
    assert [(item.name, item.version) for item in found.pypi] == [("numpy", "==3"), ("six", "")]
    inherited = part(root, "extends: {path: base.yaml, pin: false}\n")
    assert [(item.name, item.version) for item in inherited.pypi] == [("numpy", "==1"), ("numpy", "==2"), ("six", "")]


def test_paths_are_those_of_the_file_and_stay_inside(root: Path) -> None:
    write(root, "deps/r.txt", "./lib#egg=lib\n-f ./wheels\n-r ../a.txt\n")
    found = part(root, "interpreter: host\ninclude: ../deps/r.txt\n", a="six\n")
    assert found.pypi[0].source == PathSource(path="deps/lib")
    assert found.find_links == ("./deps/wheels",)
    write(root, "deps/r.txt", "../../lib#egg=lib\n-f ../../wheels\n-r ../../a.txt\n")
    issues = told(root, "interpreter: host\ninclude: ../deps/r.txt\n")
    assert {reference for reference, _ in issues} == {"bad-path"}


def test_what_a_recipe_includes_is_a_value(root: Path) -> None:
    write(
        root,
        "pyproject.toml",
        "[project]\nname='x'\ndependencies=['six']\n[dependency-groups]\ndev=['rich']\ntest=['a']\n",
    )
    write(
        root, "recipes/r.yaml", "include: ['../pyproject.toml[dev, test]', {path: ../pyproject.toml, choose: [dev]}]\n"
    )
    recipe = load_recipe(find_project(root / "recipes/r.yaml", environ={}), root / "recipes/r.yaml")
    assert recipe.include == (
        Include(path="pyproject.toml", chosen=("dev", "test")),
        Include(path="pyproject.toml", chosen=("dev",)),
    )
    assert [item.name for item in recipe.pypi.packages] == ["a", "rich", "six"]


def test_notes_are_said_with_their_places(root: Path) -> None:
    made(root, "interpreter: host\ninclude: ../a.txt\n", a="six\n--trusted-host h\n")
    path = root / "recipes" / "r.yaml"
    (note,) = request_notes(find_project(path, environ={}), path)
    assert note.startswith("a.txt:2:1: --trusted-host h: ")


def test_two_addresses_of_one_index(root: Path) -> None:
    write(
        root,
        "pyproject.toml",
        "[project]\nname='x'\ndependencies=[]\n[[tool.uv.index]]\nname='i'\nurl='https://h/other'\n",
    )
    recipe = "interpreter: host\ninclude: ../pyproject.toml\npypi: {extra-indices: [{name: i, url: 'https://h/one'}]}\n"
    assert [reference for reference, _ in told(root, recipe)] == ["requirements-disagree"]
