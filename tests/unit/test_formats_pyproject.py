"""pyproject.toml: PEP 621, groups, uv's and poetry's tables."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from packaging.markers import Marker

from envbuild.errors import InvalidInput
from envbuild.formats import Foreign, read
from envbuild.formats.markers import for_python, negated
from envbuild.formats.poetry_version import poetry_constraint
from envbuild.recipe import GitSource, PathSource, PypiRequirement, UrlSource


def asked(text: str, *chosen: str, file: str = "pyproject.toml", files: Mapping[str, str] | None = None) -> Foreign:
    return read("pyproject", text.encode(), file, lambda path: (files or {})[path].encode(), chosen=chosen)


def names(found: Foreign) -> list[str]:
    return [item.name + item.version for item in found.pypi.packages]


def by_name(found: Foreign) -> dict[str, PypiRequirement]:
    return {item.name: item for item in found.pypi.packages}


def told(text: str, *chosen: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        asked(text, *chosen)
    return [f"{issue.where} {issue.reference}" for issue in caught.value.all_issues()]


PROJECT = """[project]
name = "My_Proj"
requires-python = ">=3.9, <3.13.0a0"
dependencies = [
  "numpy>=1.2,<2",
  "six ; os_name == 'nt'",
]

[project.optional-dependencies]
test = ["pytest>=7", "my-proj[more]"]
more = ["rich", "My.Proj[test]"]
both = ["a"]

[dependency-groups]
dev = [{include-group = "Lint"}, "mypy"]
lint = ["ruff==0.5"]
both = ["b"]
"""


def test_a_project_its_extras_and_groups() -> None:
    alone = asked(PROJECT)
    assert names(alone) == ["numpy<2,>=1.2", "six"]
    assert alone.python == "<3.13.0,>=3.9"
    assert alone.name == "My_Proj"
    assert [str(item.where) for item in alone.pypi.packages] == ["pyproject.toml:5:4", "pyproject.toml:6:4"]
    assert [(note.reference, note.hint) for note in alone.notes] == [("not-chosen", "choose them: pyproject.toml[dev]")]
    chosen = asked(PROJECT, "test", "dev", "group:both")
    assert names(chosen) == ["b", "mypy", "numpy<2,>=1.2", "pytest>=7", "rich", "ruff==0.5", "six"]
    assert not chosen.notes
    assert told(PROJECT, "both", "tst") == ["pyproject.toml bad-choice", "pyproject.toml bad-choice"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "a = 1\n", "[project]\nname = 'x'\n"])
def test_a_file_that_asks_for_nothing(text: str) -> None:
    assert asked(text).pypi.packages == ()


def test_groups_in_a_circle_and_groups_that_are_not_there() -> None:
    text = "[dependency-groups]\na=[{include-group='b'}]\nb=[{include-group='a'}]\nc=[{include-group='d'}, 3]\n"
    assert told(text, "a") == ["pyproject.toml:3:20 include-cycle"]
    assert sorted(line.split()[1] for line in told(text, "c")) == ["bad-choice", "bad-type"]


def test_setuptools_lists_in_files_are_read_and_other_dynamic_lists_refused() -> None:
    text = "[project]\nname='x'\ndynamic=['dependencies']\n"
    table = "[tool.setuptools.dynamic]\ndependencies={file=['r.txt']}\noptional-dependencies.dev={file='d.txt'}\n"
    files = {"sub/r.txt": "six>1\n-c c.txt\n", "sub/c.txt": "six<2\n", "sub/d.txt": "rich\n"}
    found = asked(text + table, "dev", file="sub/pyproject.toml", files=files)
    assert names(found) == ["rich", "six>1"]
    assert [item.name for item in found.pypi.constraints] == ["six"]
    assert told(text) == ["pyproject.toml:3:11 dynamic"]


def test_uv() -> None:
    found = asked(
        """[project]
name = "x"
dependencies = ["torch>=2", "foo>=1", "bar", "baz", "qux[e]", "plain"]
[tool.uv]
constraint-dependencies = ["grpcio<1.65"]
override-dependencies = ["werkzeug==2.3.0"]
prerelease = "allow"
no-build-package = ["Numpy"]
exclude-newer = "2024-01-01"
config-settings-package = { foo = { opt = "3" } }
extra-build-dependencies = { foo = ["cython"] }
dev-dependencies = ["pytest"]
[[tool.uv.index]]
name = "cpu"
url = "https://h/cpu"
explicit = true
[[tool.uv.index]]
url = "https://h/simple"
default = true
[[tool.uv.index]]
url = "../links"
format = "flat"
[tool.uv.sources]
torch = [{ index = "cpu", marker = "sys_platform == 'linux'" }]
foo = { git = "https://h/foo", tag = "v1", subdirectory = "s" }
bar = { url = "https://h/bar-1.0.tar.gz" }
baz = { path = "../baz", editable = true }
qux = [{ path = "../qux", extra = "other" }]
""",
        "dev",
        file="sub/pyproject.toml",
    )
    packages = by_name(found)
    assert packages["foo"].source == GitSource(git="https://h/foo", rev="v1", subdirectory="s")
    assert packages["bar"].source == UrlSource(url="https://h/bar-1.0.tar.gz")
    assert packages["baz"].source == PathSource(path="baz")
    assert packages["qux"].source is None
    assert "pytest" in packages
    torch = [(item.index, item.markers) for item in found.pypi.packages if item.name == "torch"]
    assert torch == [(None, 'sys_platform != "linux"'), ("cpu", 'sys_platform == "linux"')]
    assert [(index.name, index.url, index.explicit) for index in found.pypi.extra_indices] == [
        ("cpu", "https://h/cpu", True)
    ]
    assert found.pypi.index is not None
    assert found.pypi.index.url == "https://h/simple"
    assert found.pypi.find_links == ("./links",)
    assert found.pypi.prereleases is True
    assert found.pypi.no_build == ("numpy",)
    assert sorted((item.name, item.version) for item in found.pypi.constraints) == [("foo", ">=1"), ("grpcio", "<1.65")]
    assert [(item.name, item.version) for item in found.pypi.overrides] == [("werkzeug", "==2.3.0")]
    assert [(item.name, item.config_settings, item.requires) for item in found.build] == [
        ("foo", (("opt", "3"),), ("cython",))
    ]
    assert sorted(note.reference for note in found.notes) == ["lost", "lost"]


@pytest.mark.parametrize(
    ("table", "reference"),
    [
        ("[tool.uv.sources]\na={workspace=true}", "not-available"),
        ("[tool.uv.sources]\na={index='nope'}", "unknown-index"),
        ("[tool.uv.sources]\na={git='https://h/a', url='https://h/a-1.zip'}", "bad-value"),
        ("[tool.uv.sources]\na={path='/home/x/a'}", "bad-path"),
        ("[tool.uv.sources]\na={git='https://h/a', rev='--upload-pack=x'}", "bad-name"),
        ("[[tool.uv.index]]\nname='a'", "missing-key"),
        ("[[tool.uv.index]]\nurl='https://me:pw@h/s'", "secret-in-url"),
        ("[tool.uv]\nconstraint-dependencies=['a=1']", "bad-requirement"),
        ("[tool.uv]\nconstraint-dependencies='a'", "bad-type"),
        ("[tool.poetry]\nsource=[{name='x'}]", "missing-key"),
        ("[tool.x\n", "bad-syntax"),
        ("[project]\n", "bad-syntax"),
    ],
)
def test_what_is_refused_of_tables(table: str, reference: str) -> None:
    assert [line.split()[-1] for line in told(f"[project]\nname='x'\ndependencies=['a']\n{table}\n")] == [reference]


POETRY = """[tool.poetry]
name = "x"
[tool.poetry.dependencies]
python = "^3.8"
requests = { version = "^2.28", extras = ["socks"], allow-prereleases = true }
a = [{version="<=1.9", python=">=3.6,<3.8"}, {version="^2.0", python=">=3.8"}]
g = {git="https://h/g.git", branch="main"}
w = {version = "*", platform = "win32", markers = "python_version > '3'"}
o = {version="*", optional=true}
p = {path="../p", develop=true}
u = {url="https://h/u-1.0.zip"}
s = {version="1.2", source="priv"}
[tool.poetry.extras]
opt = ["o"]
[tool.poetry.group.dev.dependencies]
pytest = "~7.1"
[[tool.poetry.source]]
name = "priv"
url = "https://h/simple/"
priority = "explicit"
"""


def test_poetry() -> None:
    found = asked(POETRY, "opt", "dev", file="sub/pyproject.toml")
    packages = by_name(found)
    assert found.python == "<4,>=3.8"
    assert packages["requests"].version == "<3,>=2.28"
    assert packages["requests"].extras == ("socks",)
    assert packages["pytest"].version == "<7.2,>=7.1"
    assert packages["g"].source == GitSource(git="https://h/g.git", rev="main")
    assert packages["p"].source == PathSource(path="p")
    assert packages["u"].source == UrlSource(url="https://h/u-1.0.zip")
    assert (packages["s"].version, packages["s"].index) == ("==1.2", "priv")
    assert packages["w"].markers == 'python_version > "3" and sys_platform == "win32"'
    assert "o" in packages
    assert [item.markers for item in found.pypi.packages if item.name == "a"] == [
        'python_version < "3.8" and python_version >= "3.6"',
        'python_version >= "3.8"',
    ]
    assert found.pypi.prereleases == ("requests",)
    assert [index.explicit for index in found.pypi.extra_indices] == [True]
    assert "o" not in by_name(asked(POETRY))
    assert [note.reference for note in asked(POETRY).notes] == ["lost", "not-chosen"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("^1.2.3", "<2,>=1.2.3"),
        ("^0.2.3", "<0.3,>=0.2.3"),
        ("^0.0.3", "<0.0.4,>=0.0.3"),
        ("^0.0", "<0.1,>=0.0"),
        ("^0", "<1,>=0"),
        ("~1.2.3", "<1.3,>=1.2.3"),
        ("~1", "<2,>=1"),
        ("1.2.*", "==1.2.*"),
        ("*", ""),
        ("1.2", "==1.2"),
        (">=1 <2", "<2,>=1"),
        ("!=1.*,>1", "!=1.*,>1"),
        ("^2.0 || ^3.0", "<4,>=2.0"),
        (">=1,<2 || *", ""),
        ("^1.2.3b1", "<2,>=1.2.3b1"),
    ],
)
def test_versions_of_poetry(written: str, said: str) -> None:
    assert poetry_constraint(written) == said


@pytest.mark.parametrize("written", ["~2.7 || ^3.6", "1.0 - 2.0", "^1!2", ">=x", "^", "1 2 3 - 4"])
def test_versions_of_poetry_that_no_specifier_can_say(written: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        poetry_constraint(written)
    assert caught.value.reference == "bad-version"


@pytest.mark.parametrize(
    "text",
    [
        "os_name == 'nt'",
        "os_name == 'nt' and python_version < '3.9'",
        "os_name == 'a' or os_name == 'b' and 'x' in os_name",
    ],
)
def test_a_negated_marker_holds_exactly_when_the_other_does_not(text: str) -> None:
    for name in ("nt", "a", "b", "bx"):
        for version in ("3.8", "3.12"):
            environment = {"os_name": name, "python_version": version}
            assert Marker(negated(text)).evaluate(environment) is not Marker(text).evaluate(environment)


def test_markers_for_pythons() -> None:
    assert for_python("3.9.*") == 'python_version == "3.9"'
    assert for_python("<4,>=3.8.1") == 'python_version < "4" and python_full_version >= "3.8.1"'
