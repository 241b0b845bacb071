"""Editing recipes: what was asked changes, and not one byte else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.errors import EnvbuildError, InvalidInput, UsageError
from envbuild.reading.document import parse, plain
from envbuild.reading.edit import add_requirements, remove_requirements

ROOT = Path(__file__).parents[2]


def add(content: str, *words: str, ecosystem: str = "conda", platform: str | None = None) -> str:
    return add_requirements(content, words, ecosystem=ecosystem, platform=platform)


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        # the last line of a block
        ("conda:\n  packages:\n    a: 1 # x\n", "b>=2", 'conda:\n  packages:\n    a: 1 # x\n    b: ">=2"\n'),
        ("conda:\n  packages:\n    a: 1", "b", "conda:\n  packages:\n    a: 1\n    b:"),
        (
            "conda:\n  packages:\n    a:   # any\n\n# end\n",
            "b",
            "conda:\n  packages:\n    a:   # any\n    b:\n\n# end\n",
        ),
        (
            "conda:\n  packages:\n    a: {version: 1,\n     build: x}\n",
            "b",
            "conda:\n  packages:\n    a: {version: 1,\n     build: x}\n    b:\n",
        ),
        (
            "conda:\r\n  packages:\r\n    a: 1\r\nname: x\r\n",
            "b",
            "conda:\r\n  packages:\r\n    a: 1\r\n    b:\r\nname: x\r\n",
        ),
        # sections that are empty, or missing
        ("conda:\n  packages:\n", "b", "conda:\n  packages:\n    b:\n"),
        ("conda:\n  packages:  # none\n    # yet\n", "b", "conda:\n  packages:  # none\n    b:\n    # yet\n"),
        ("conda:\n    packages: ~\n", "b", "conda:\n    packages: \n        b:\n"),
        ("conda:\n    channels: [c]\n", "b", "conda:\n    channels: [c]\n    packages:\n        b:\n"),
        ("conda:\n", "b", "conda:\n  packages:\n    b:\n"),
        ("name: x\n", "b", "name: x\nconda:\n  packages:\n    b:\n"),
        ("name: x\n\npython: 3.11\n", "b", "name: x\n\npython: 3.11\n\nconda:\n  packages:\n    b:\n"),
        ("---\nname: x\n...\n", "b", "---\nname: x\nconda:\n  packages:\n    b:\n...\n"),
        # braces
        ("conda: {packages: {a: 1}} # x\n", "b=1.2", 'conda: {packages: {a: 1, b: "=1.2"}} # x\n'),
        ("conda: {packages: {}}\n", "b", "conda: {packages: {b: null}}\n"),
        ("conda: {channels: [c]}\n", "b", "conda: {channels: [c], packages: {b: null}}\n"),
        ("conda: {packages: , channels: [c]}\n", "b", "conda: {packages: {b: null}, channels: [c]}\n"),
        ("conda:\n  packages: {\n    a: 1, # x\n  }\n", "b", "conda:\n  packages: {\n    a: 1, b: null, # x\n  }\n"),
        ("{conda: {packages: {a: 1}}}", "b", "{conda: {packages: {a: 1, b: null}}}"),
        # packages that are there
        ("conda:\n  packages:\n    a: '1'  # x\n    b:\n", "a>=2", 'conda:\n  packages:\n    a: ">=2"  # x\n    b:\n'),
        ("conda:\n  packages:\n    A:  # x\n", "a>=2", 'conda:\n  packages:\n    A: ">=2"  # x\n'),
        ("conda:\n  packages:\n    c::a: 1\n", "a", "conda:\n  packages:\n    c::a: 1\n"),
        ("conda:\n  packages:\n    a: 1\n", "c::a", "conda:\n  packages:\n    c::a: 1\n"),
        # text outside of ASCII before the place
        ("# é \U0001f600\nconda: {packages: {a: 1}}\n", "b", "# é \U0001f600\nconda: {packages: {a: 1, b: null}}\n"),
    ],
)
def test_conda_packages_are_added_where_they_belong(before: str, words: str, after: str) -> None:
    assert add(before, words) == after


def test_pypi_packages_with_extras_markers_and_addresses() -> None:
    content = "pypi:\n  packages:\n    a:\n"
    assert add(content, "B.c[X]>=2,<3", ecosystem="pypi") == content + '    "b-c[x]": ">=2,<3"\n'
    assert add(content, "b ; sys_platform == 'linux'", ecosystem="pypi") == (
        content + "    b: {markers: \"sys_platform == 'linux'\"}\n"
    )
    assert add(content, "b @ git+https://h/b.git", ecosystem="pypi") == content + '    b: {git: "https://h/b.git"}\n'
    whole = "b @ git+ssh://git@h/b.git@v1.0#subdirectory=py"
    keys = '{git: "ssh://git@h/b.git", rev: "v1.0", subdirectory: "py"}'
    assert add(content, whole, ecosystem="pypi") == f"{content}    b: {keys}\n"
    assert add(content, "b @ https://h/b.whl", ecosystem="pypi") == content + '    b: {url: "https://h/b.whl"}\n'
    assert add("pypi:\n  packages:\n    a[x]: 1\n", "a[y]>=2", ecosystem="pypi") == (
        'pypi:\n  packages:\n    "a[x,y]": ">=2"\n'
    )


def test_additions_for_one_platform() -> None:
    assert add("name: x\n", "b", platform="linux-64") == (
        "name: x\ntargets:\n  linux-64:\n    conda:\n      packages:\n        b:\n"
    )
    content = "targets:\n  osx-64: {system: {__osx: 13}}\n"
    assert add(content, "b", platform="osx-64") == (
        "targets:\n  osx-64: {system: {__osx: 13}, conda: {packages: {b: null}}}\n"
    )
    with pytest.raises(UsageError, match="not a platform"):
        add(content, "b", platform="linux-32")


def test_adding_twice_changes_nothing() -> None:
    once = add("name: x\n", "a>=1", "b")
    assert add(once, "a", "b") == once
    assert add(once, "a>=1") == once


@pytest.mark.parametrize(
    "words",
    ["", "-r x", "a b c d", "a; rm -rf", "../x", "a>=", "a[x]", "a @ https://h/x", "--index=x", "a==$(id)", "c d::a"],
)
def test_what_is_no_conda_requirement_is_refused(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        add("name: x\n", words)
    assert caught.value.reference == "bad-requirement"


@pytest.mark.parametrize("words", ["a^1", "a=1", "a[;]", "a @ ext::sh", "a @ https://u:p@h/x", "a ; ", "a\nb: c"])
def test_what_is_no_pypi_requirement_is_refused(words: str) -> None:
    with pytest.raises(UsageError):
        add("name: x\n", words, ecosystem="pypi")


def test_what_cannot_be_edited_safely_is_left_to_the_person() -> None:
    content = "pypi:\n  packages:\n    a: {git: 'https://h/a'}\n"
    with pytest.raises(InvalidInput) as caught:
        add(content, "a>=2", ecosystem="pypi")
    assert (caught.value.reference, caught.value.hint) == ("edit-by-hand", "edit the recipe by hand")


def test_a_wrong_recipe_is_not_edited() -> None:
    with pytest.raises(InvalidInput, match="`nam` is not known"):
        add("nam: x\n", "a")


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        ("conda:\n  packages:\n    a: 1 # x\n    b:\n", "a", "conda:\n  packages:\n    b:\n"),
        ("conda:\n  packages:\n    a: 1\n    # of b\n    b: # x", "b", "conda:\n  packages:\n    a: 1\n    # of b\n"),
        ("conda:\n  packages:\n    a:\n", "A", "conda:\n  packages:\n"),
        ("conda:\n  packages:\n    a: {version: 1,\n      build: x}\n    b:\n", "a", "conda:\n  packages:\n    b:\n"),
        ("pypi:\r\n  packages:\r\n    B_c[x]: 1\r\n    d:\r\n", "b-c", "pypi:\r\n  packages:\r\n    d:\r\n"),
        ("conda: {packages: {a: 1, b: 2, c: }}", "a", "conda: {packages: {b: 2, c: }}"),
        ("conda: {packages: {a: 1, b: 2, c: }}", "c", "conda: {packages: {a: 1, b: 2}}"),
        ("conda: {packages: {a: 1}}", "a", "conda: {packages: {}}"),
        ("conda:\n  packages:\n    c::a: 1\n    b:\n", "a", "conda:\n  packages:\n    b:\n"),
        ("conda: {packages: {a: }}\npypi: {packages: {a: }}\n", "a", "conda: {packages: {}}\npypi: {packages: {}}\n"),
    ],
)
def test_packages_are_removed_with_their_lines(before: str, name: str, after: str) -> None:
    assert remove_requirements(before, [name]) == after


def test_removing_what_is_not_there_names_the_closest() -> None:
    with pytest.raises(InvalidInput) as caught:
        remove_requirements("conda: {packages: {numpy: 1}}\n", ["nunpy"])
    assert (caught.value.reference, caught.value.hint) == ("not-in-recipe", "did you mean `numpy`?")
    with pytest.raises(InvalidInput):
        remove_requirements("conda: {packages: {numpy: 1}}\n", ["numpy"], ecosystem="pypi")
    with pytest.raises(InvalidInput):
        remove_requirements("conda: {packages: {numpy: 1}}\n", ["numpy"], platform="linux-64")


comments = st.sampled_from(["", "  # why", " # é"])
names = st.lists(st.sampled_from(["a", "b", "c-d", "e.f", "g_h", "zlib"]), unique=True, max_size=4)
values = st.sampled_from(["", " 1", " '>=2'", ' "1.*"', " {version: 1}"])


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """A recipe as people write it: blocks or braces, comments, blank lines, any line end."""
    blocks = [["name: x" + draw(comments)], ["python: 3.11"], ["variables: {A: 1}"]]
    for section in draw(st.lists(st.sampled_from(["conda", "pypi"]), unique=True)):
        packages = [name + ":" + draw(values) for name in draw(names)]
        if draw(st.booleans()):
            block = [f"{section}: {{packages: {{{', '.join(line + ' ' for line in packages)}}}}}" + draw(comments)]
        else:
            step = " " * draw(st.sampled_from([1, 2, 4]))
            block = [f"{section}:" + draw(comments), f"{step}packages:" + draw(comments)]
            for line in packages:
                block += [f"{step}{step}# about it"] * draw(st.integers(0, 1)) + [step + step + line + draw(comments)]
        blocks.append(block)
    lines = [line for block in draw(st.permutations(blocks)) for line in [*block, *[""] * draw(st.integers(0, 1))]]
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return ending.join(lines) + draw(st.sampled_from(["", ending, ending + "# end" + ending]))


def _lost(before: str, after: str) -> list[str]:
    import difflib

    lines = difflib.ndiff(before.splitlines(keepends=False), after.splitlines(keepends=False))
    return [line[2:] for line in lines if line.startswith("- ")]


@settings(deadline=None, max_examples=200)
@given(recipes(), st.sampled_from(["conda", "pypi"]), st.sampled_from(["new", "new>=1", "a>=3", "zlib"]))
def test_adding_leaves_every_other_line_as_it_was(content: str, ecosystem: str, words: str) -> None:
    try:
        result = add(content, words, ecosystem=ecosystem)
    except EnvbuildError as error:
        assert error.reference == "edit-by-hand"  # noqa: PT017
        assert "version: 1" in content
        return
    assert len(_lost(content, result)) <= 1
    name = words.partition(">")[0]
    tree = plain(parse(result.encode(), "r"))
    assert isinstance(tree, dict)
    section = tree[ecosystem]
    assert isinstance(section, dict)
    assert isinstance(section["packages"], dict)
    assert name in section["packages"]
    assert ("\r\n" in result) == ("\r\n" in content) or "\n" not in content
    assert result.endswith("\n") == content.endswith("\n")
    if name == "new":
        assert plain(parse(remove_requirements(result, ["new"]).encode(), "r")) is not None


@settings(deadline=None, max_examples=200)
@given(recipes(), st.sampled_from(["a", "c-d", "zlib", "e.f"]))
def test_removing_leaves_every_other_line_as_it_was(content: str, name: str) -> None:
    try:
        result = remove_requirements(content, [name])
    except InvalidInput as error:
        assert error.reference == "not-in-recipe"  # noqa: PT017
        return
    lost = _lost(content, result)
    assert 1 <= len(lost) <= 2
    assert all(name.replace("-", "_") in line.replace("-", "_").replace(".", ".") for line in lost)


def test_the_repositorys_recipes_can_be_edited_and_back() -> None:
    for file in sorted((ROOT / "recipes").rglob("*.yaml")):
        if not file.name.endswith(".lock.yaml"):
            content = file.read_text(encoding="utf-8")
            longer = add(content, "zzz>=1", ecosystem="pypi")
            assert _lost(content, longer) == []
            assert plain(parse(remove_requirements(longer, ["zzz"]).encode(), "r"))
