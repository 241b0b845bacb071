"""What a source says of itself: PEP 621, PEP 643, and when neither may be believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from envbuild.builders.core_metadata import WheelMetadata, metadata_text, parse_metadata
from envbuild.builders.project_metadata import FILE_LIMIT, asks_nothing_more, read_project, static_metadata
from envbuild.errors import InvalidInput

PROJECT = '[project]\nname = "Own.Thing"\nversion = "1.0-beta1"\n'


def source(folder: Path, project: str | None = None, info: str | None = None, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    named = {"pyproject.toml": project, "PKG-INFO": info, **{name.replace("_", "."): it for name, it in files.items()}}
    for name, text in named.items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_project_table_tells_all_that_decides(tmp_path: Path) -> None:
    text = PROJECT + (
        'requires-python = ">=3.9"\nlicense = "MIT"\ndynamic = ["readme", "classifiers"]\n'
        'dependencies = ["leaf>=1", "win; sys_platform == \'win32\'"]\n'
        "[project.optional-dependencies]\nFast_Mode = [\"speed\", \"more; os_name == 'nt' or os_name == 'posix'\"]\n"
    )
    told = static_metadata(source(tmp_path / "s", text))
    assert told == WheelMetadata(
        name="Own.Thing",
        version="1.0b1",
        requires=(
            "leaf>=1",
            'win; sys_platform == "win32"',
            'speed ; extra == "fast-mode"',
            'more ; (os_name == "nt" or os_name == "posix") and extra == "fast-mode"',
        ),
        extras=("fast-mode",),
        requires_python=">=3.9",
        license="MIT",
    )


@pytest.mark.parametrize("field", ["version", "dependencies", "optional-dependencies", "requires-python"])
def test_what_decides_and_is_dynamic_needs_a_hook(tmp_path: Path, field: str) -> None:
    text = PROJECT + f'dynamic = ["{field}"]\n'
    assert static_metadata(source(tmp_path / "s", text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[tool.poetry]\nname = "x"\nversion = "1"\n',
        '[project]\nname = "x"\n',
        '[project]\nversion = "1"\n',
        "project = 1\n",
        '[project]\nname = 1\nversion = "1"\n',
        '[project]\nname = "x"\nversion = "not one"\n',
        PROJECT + "dependencies = 1\n",
        PROJECT + 'dependencies = ["a b c"]\n',
        PROJECT + "dependencies = [1]\n",
        PROJECT + "optional-dependencies = []\n",
        PROJECT + 'dynamic = "version"\n',
        PROJECT + '[tool.poetry.dependencies]\nleaf = "*"\n',
    ],
)
def test_what_a_table_does_not_tell_whole(tmp_path: Path, text: str) -> None:
    assert static_metadata(source(tmp_path / "s", text)) is None


def test_poetry_with_its_dependencies_in_the_project_table_is_static(tmp_path: Path) -> None:
    text = PROJECT + 'dependencies = ["leaf"]\n[tool.poetry.dependencies]\nleaf = {source = "x"}\n'
    assert static_metadata(source(tmp_path / "s", text)) is not None


INFO = "Metadata-Version: {}\nName: own\nVersion: 1.0\nRequires-Dist: leaf>=1\nProvides-Extra: x\n{}"


@pytest.mark.parametrize(
    ("version", "more", "static"),
    [
        ("2.2", "", True),
        ("2.4", "Dynamic: license-file\nDynamic: Summary\n", True),
        ("2.2", "Dynamic: Requires-Dist\n", False),
        ("2.2", "Dynamic: requires-python\n", False),
        ("2.2", "Dynamic: provides-extra\n", False),
        ("2.1", "", False),
        ("1.2", "", False),
        ("new", "", False),
        ("2.2", "Requires-Dist: a b c\n", False),
    ],
)
def test_package_information_counts_from_2_2_on(tmp_path: Path, version: str, more: str, static: bool) -> None:
    folder = source(tmp_path / "s", info=INFO.format(version, more))
    told = static_metadata(folder, sdist=True)
    assert (told is not None) == static
    assert static_metadata(folder) is None, "in a working tree it is a leftover"
    if told is not None:
        assert (told.name, told.version, told.requires, told.extras) == ("own", "1.0", ("leaf>=1",), ("x",))


def test_package_information_comes_before_the_project_table(tmp_path: Path) -> None:
    folder = source(tmp_path / "s", PROJECT, INFO.format("2.2", ""))
    told = static_metadata(folder, sdist=True)
    assert told is not None
    assert told.version == "1.0"


def test_broken_and_enormous_files(tmp_path: Path) -> None:
    for number, text in enumerate(("= 1", "x = " + "[" * 50_000, 'a = "\udcff"')):
        folder = source(tmp_path / str(number))
        (folder / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InvalidInput) as caught:
            static_metadata(folder)
        assert caught.value.reference == "bad-project"
    folder = source(tmp_path / "large")
    with (folder / "pyproject.toml").open("wb") as stream:
        stream.truncate(FILE_LIMIT + 1)
    with pytest.raises(InvalidInput):
        read_project(folder)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "pyproject.toml")
    assert read_project(tmp_path / "pipe") == {}, "and nobody waits for it"


def build(backend: str, more: str = "") -> str:
    return f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\n{more}'


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        (build("flit_core.buildapi"), {}, ()),
        (build("poetry.core.masonry.api"), {}, ()),
        (build("flit_core.buildapi", 'backend-path = ["."]\n'), {}, None),
        (build("hatchling.build"), {}, ()),
        (build("hatchling.build", "[tool.hatch.build.hooks.custom]\n"), {}, None),
        (build("hatchling.build", "[tool.hatch.build.targets.wheel.hooks.vcs]\n"), {}, None),
        (build("hatchling.build", '[tool.hatch.build]\ndependencies = ["x"]\n'), {}, None),
        (build("hatchling.build"), {"hatch_toml": ""}, None),
        (build("setuptools.build_meta"), {}, ("setuptools>=70.1",)),
        (build("setuptools.build_meta"), {"setup_py": ""}, None),
        (build("setuptools.build_meta"), {"setup_cfg": ""}, None),
        (build("mesonpy"), {}, None),
        ("", {}, None),
    ],
)
def test_backends_that_need_not_be_asked_for_more(
    tmp_path: Path, text: str, files: dict[str, str], expected: tuple[str, ...] | None
) -> None:
    assert asks_nothing_more(source(tmp_path / "s", text, **files)) == expected


NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
MARKERS = st.sampled_from(["", "; os_name == 'nt'", "; python_version < '3.9' or os_name == 'x'", "; (os_name == 'a')"])
REQUIREMENTS = st.lists(st.builds(lambda name, marker: name + marker, NAMES, MARKERS), max_size=4)


@given(needs=REQUIREMENTS, optional=st.dictionaries(NAMES, REQUIREMENTS, max_size=3))
def test_every_requirement_is_there_and_holds_exactly_when_it_should(
    tmp_path_factory: pytest.TempPathFactory, needs: list[str], optional: dict[str, list[str]]
) -> None:
    lines = "".join(f"{json.dumps(name)} = {json.dumps(several)}\n" for name, several in optional.items())
    text = PROJECT + f"dependencies = {json.dumps(needs)}\n[project.optional-dependencies]\n{lines}"
    told = static_metadata(source(tmp_path_factory.mktemp("s"), text))
    assert told is not None
    assert parse_metadata(metadata_text(told).encode()) == told
    every = [(None, need) for need in needs] + [(extra, it) for extra, several in optional.items() for it in several]
    assert len(told.requires) == len(every)
    for (extra, need), line in zip(every, told.requires, strict=True):
        written, original = Requirement(line), Requirement(need)
        assert written.name == original.name
        for os_name in ("nt", "a", "posix"):
            for asked in ("", told.extras[list(optional).index(extra)] if extra is not None else "other"):
                environment = {"os_name": os_name, "python_version": "3.11", "extra": asked}
                own = original.marker is None or original.marker.evaluate(environment)
                now = written.marker is None or written.marker.evaluate(environment)
                assert now == (own and (extra is None or asked != ""))


def test_a_line_break_is_no_second_field() -> None:
    with pytest.raises(InvalidInput):
        metadata_text(WheelMetadata(name="own", version="1.0\nRequires-Dist: evil"))
