"""The grammars of names, versions, times, addresses and paths: what passes, in which spelling, and what never does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from envbuild.errors import InvalidInput
from envbuild.reading import places, spelling
from envbuild.reading.cutoff import cut_off, cut_off_text
from envbuild.reading.version_range import both, contradict, intervals, within

NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=timezone.utc)


def refused(grammar: Callable[[str], object], text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        grammar(text)
    assert len(caught.value.message) < 250
    return caught.value.reference


HOSTILE_NAMES = [
    "../x",
    "x\\..\\..\\y",
    ".",
    "..",
    "CON",
    "nul.txt",
    "a" * 300,
    "nump\u0443",
    "a b",
    "a;b",
    "a`b`",
    "$(x)",
    "a\nb",
    "-r",
    "--config=x",
    "a/b",
    "",
    "a\0",
    "a|b",
    "a&b",
    "~a",
    "%2e",
    "a'b",
    "\u212aelvin",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_refused(name: str) -> None:
    assert refused(spelling.conda_name, name) == "bad-name"
    assert refused(spelling.pypi_name, name) == "bad-name"
    assert refused(spelling.pypi_requirement_name, f"{name}[x]") == "bad-name"
    assert refused(spelling.pypi_requirement_name, f"a[{name or '-'}]") == "bad-name"
    assert refused(spelling.system_name, name) == "bad-name"


def test_names_get_one_spelling() -> None:
    assert spelling.conda_name("_libgcc_mutex") == "_libgcc_mutex"
    assert spelling.conda_name("R-Base") == "r-base"
    assert spelling.pypi_name("Ruamel.Yaml__x") == "ruamel-yaml-x"
    assert spelling.pypi_requirement_name("apache-airflow[AIO, b_c]") == ("apache-airflow", ("aio", "b-c"))


def test_an_address_in_the_name_is_told_where_it_goes() -> None:
    with pytest.raises(InvalidInput) as caught:
        spelling.pypi_name("torch @ https://me:pa55@x/y.whl")
    assert "pa55" not in caught.value.message
    assert caught.value.hint == "write where it comes from as the value: `torch: {url: …}`"


def test_a_version_in_the_name_is_told_where_it_goes() -> None:
    with pytest.raises(InvalidInput) as caught:
        spelling.pypi_name("requests>=2")
    assert caught.value.hint == 'write the version as the value: `requests: ">=2"`'
    with pytest.raises(InvalidInput, match="virtual package"):
        spelling.conda_name("__glibc")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("*", ""),
        ("2.31", "==2.31"),
        ("1.26.*", "==1.26.*"),
        (">= 2 , < 3", "<3,>=2"),
        ("~=1.4.2", "~=1.4.2"),
        ("!=1.5,>=1", "!=1.5,>=1"),
        ("==1!2.0rc1.post2.dev3+cpu", "==1!2.0rc1.post2.dev3+cpu"),
        ("===weird-1", "===weird-1"),
        (">=1,>=1", ">=1"),
        ("2024a1", "==2024a1"),
    ],
)
def test_pypi_constraints_get_one_spelling(written: str, kept: str) -> None:
    assert spelling.pypi_constraint(written) == kept


HOSTILE_VERSIONS = [
    "; rm -rf /",
    "`id`",
    "$(id)",
    "1\n2",
    "-1",
    "--pre",
    "1 2",
    "\u0661",
    "1" * 300,
    ">=",
    "\0",
    "1;x",
    "a b c",
]


@pytest.mark.parametrize(
    "text", [*HOSTILE_VERSIONS, "^1.2", "~1.2", "=1.2", ">=1.*", "~=1", "~=1.post1", "~=1.dev1", "latest", "1,,2"]
)
def test_what_is_no_specifier_is_refused(text: str) -> None:
    assert refused(spelling.pypi_constraint, text) == "bad-version"


@pytest.mark.parametrize("text", HOSTILE_VERSIONS)
def test_hostile_conda_versions_are_refused(text: str) -> None:
    if text != "1 2":  # version and build
        assert refused(spelling.conda_constraint, text) == "bad-version"


def test_caret_is_told_what_to_write() -> None:
    with pytest.raises(InvalidInput) as caught:
        spelling.pypi_constraint("^1.2")
    assert caught.value.hint == 'write "~=1.2" or "==1.2.*"'


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~=", ""]).flatmap(
            lambda operator: st.from_regex(r"\A[0-9]{1,2}(\.[0-9]{1,2}){0,2}(rc[0-9]|\.post[0-9]|\.dev1|a1)?\Z").map(
                lambda version: operator + version
            )
        ),
        min_size=1,
        max_size=3,
    ).map(",".join)
)
def test_constraints_are_those_of_packaging(text: str) -> None:
    try:
        ours = spelling.pypi_constraint(text)
    except InvalidInput:
        with pytest.raises(InvalidSpecifier):
            SpecifierSet(text if text[0] in "=!<>~" else "==" + text)
        return
    theirs = SpecifierSet(",".join(piece if piece[0] in "=!<>~" else "==" + piece for piece in text.split(",")))
    assert SpecifierSet(ours) == theirs
    assert spelling.pypi_constraint(ours) == ours


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("3", "3.*"),
        ("3.10", "3.10.*"),
        ("3.11", "3.11.*"),
        ("3.11.*", "3.11.*"),
        ("=3.11", "3.11.*"),
        ("==3.11.*", "3.11.*"),
        ("3.11.4", "==3.11.4"),
        ("==3.11.4", "==3.11.4"),
        (">=3.11, <3.13", "<3.13,>=3.11"),
        ("!=3.11.*,>=3.10", "!=3.11.*,>=3.10"),
        ("~=3.11", "~=3.11"),
    ],
)
def test_python_versions_get_one_spelling(written: str, kept: str) -> None:
    assert spelling.python_constraint(written) == kept
    assert spelling.python_constraint(kept) == kept


@pytest.mark.parametrize("text", ["", "python3", "3.11rc1", ">=3.*", "3.11|3.12", "3.1.1.1", "-3", "cp311", "9999"])
def test_what_is_no_python_is_refused(text: str) -> None:
    assert refused(spelling.python_constraint, text) == "bad-version"


@pytest.mark.parametrize(
    ("written", "kept", "moment"),
    [
        ("2026-11-01", "2026-11-01", "2026-11-02T00:00:00Z"),
        ("2024-02-29", "2024-02-29", "2024-03-01T00:00:00Z"),
        ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00Z", "2026-11-01T12:00:00Z"),
        ("2026-11-01t12:00:00.25+02:00", "2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"),
        ("7d", "7d", "2026-11-14T12:30:15Z"),
        ("24 H", "24h", "2026-11-20T12:30:15Z"),
        ("02w", "2w", "2026-11-07T12:30:15Z"),
    ],
)
def test_cut_offs(written: str, kept: str, moment: str) -> None:
    assert cut_off_text(written) == kept
    assert cut_off(kept, NOW) == moment
    assert cut_off(kept, NOW.astimezone(timezone(timedelta(hours=9)))) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01",
        "2026-02-30",
        "7",
        "7y",
        "-7d",
        "2026-11-01T12:00:00",
        "2026-11-01T25:00:00Z",
        "\u0667d",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert refused(cut_off_text, text) == "bad-time"


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "PATH",
        "Path",
        "PYTHONPATH",
        "PYTHONHOME",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "PATH=x;rm",
        "A-B",
        "1A",
        "",
        "A B",
        "A\n",
        "É",
        "ENVBUILD_HOME",
    ],
)
def test_variables_that_decide_what_runs_are_refused(name: str) -> None:
    assert refused(spelling.variable_name, name) == "bad-variable"


def test_values_of_variables_may_be_any_text() -> None:
    value = 'it\'s "$(rm)" `x`\nnext \\ é'
    assert spelling.variable_value(value) == value
    assert refused(spelling.variable_value, "a\0b") == "bad-variable"
    assert refused(spelling.variable_value, "x" * 40000) == "bad-variable"
    assert spelling.variable_name("OMP_NUM_THREADS") == "OMP_NUM_THREADS"


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        ("ext::sh -c touch% /tmp/x", "bad-url"),
        ("git+file:///etc", "bad-url"),
        ("file:///etc/shadow", "bad-url"),
        ("http://169.254.169.254/latest", "bad-url"),
        ("http://2852039166/", "bad-url"),
        ("http://0xa9fea9fe/", "bad-url"),
        ("http://169.254.43518/", "bad-url"),
        ("http://[fe80::1]/", "bad-url"),
        ("http://[::ffff:169.254.169.254]/", "bad-url"),
        ("http://metadata.google.internal/", "bad-url"),
        ("ssh://-oProxyCommand=x/", "bad-url"),
        ("https://-x/", "bad-url"),
        ("https://", "bad-url"),
        ("https:///x", "bad-url"),
        ("https://a b/", "bad-url"),
        ("https://h/\nx", "bad-url"),
        ("javascript:x", "bad-url"),
        ("ftp://h/x", "bad-url"),
        ("https://[::1/x", "bad-url"),
        ("https://h:99999/", "bad-url"),
        ("https://user:pw@h/x", "secret-in-url"),
        ("https://token@h/x", "secret-in-url"),
        ("https://h/x?X-Amz-Signature=a", "secret-in-url"),
        ("https://h/x?a=1&access_token=a", "secret-in-url"),
        ("https://h/x?sig=a", "secret-in-url"),
        ("https://h/t/tk-1234567890/chan", "secret-in-url"),
    ],
)
def test_addresses_that_a_recipe_may_not_name(url: str, reference: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        places.check_url(url)
    assert caught.value.reference == reference
    assert "pw" not in caught.value.message
    assert "token@" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["https://h.example/a/b.whl", "http://127.0.0.1:8080/x", "http://[::1]:80/", "https://h/t/x"]
)
def test_addresses_that_a_recipe_may_name(url: str) -> None:
    assert places.check_url(url) == url


def test_files_are_addresses_of_channels_and_indices_only() -> None:
    assert places.check_url("file:///srv/channel", places.WITH_FILES) == "file:///srv/channel"
    assert refused(lambda it: places.check_url(it, places.WITH_FILES), "file://host/srv") == "bad-url"


def test_paths_stand_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    file = tmp_path / "recipes" / "a.yaml"
    assert places.check_path("../libs/foo", file, tmp_path, outside=False) == "libs/foo"
    assert places.check_path("b.yaml", file, tmp_path, outside=False) == "recipes/b.yaml"
    assert places.check_place("../wheels", file, tmp_path, outside=False) == "./wheels"
    assert places.check_channel("./c/", file, tmp_path, outside=False) == "./recipes/c"
    assert places.check_channel("conda-forge/label/x", file, tmp_path, outside=False) == "conda-forge/label/x"


@pytest.mark.parametrize(
    "path", ["/etc", "~/x", "../../x", "a/../../../x", "C:\\x", "c:/x", "a\\b", "a\0b", "", "-x", "a\nb", "x://y"]
)
def test_paths_do_not_leave_the_project(path: str, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    with pytest.raises(InvalidInput) as caught:
        places.check_path(path, tmp_path / "recipes" / "a.yaml", tmp_path, outside=False)
    assert caught.value.reference == "bad-path"


def test_links_do_not_leave_the_project_either(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "in").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "around").symlink_to(root / "in")
    assert places.check_path("around/x", root / "a.yaml", root, outside=False) == "around/x"
    with pytest.raises(InvalidInput, match="by a symbolic link"):
        places.check_path("out/x", root / "a.yaml", root, outside=False)
    assert places.check_path("out/x", root / "a.yaml", root, outside=True) == "out/x"
    assert places.check_path("../x", root / "a.yaml", root, outside=True) == "../x"


@pytest.mark.parametrize("name", ["", "a b", "-x", "a;b", "é", "x" * 100, "..", "a//b"])
def test_what_is_no_channel_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        places.check_channel(name, tmp_path / "a.yaml", tmp_path / "root", outside=False)


numbers = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(lambda it: ".".join(map(str, it)))
pieces = st.one_of(
    st.tuples(st.sampled_from(["==", "<=", ">=", "<", ">"]), numbers).map("".join), numbers.map(lambda it: it + ".*")
)
constraints = st.lists(pieces, max_size=3).map(",".join)


def _holds(constraint: str, version: str) -> bool:
    pep = ",".join("==" + piece if piece.endswith(".*") else piece for piece in constraint.split(",") if piece)
    return SpecifierSet(pep).contains(version)


@settings(deadline=None)
@given(constraints, constraints, numbers)
def test_interval_arithmetic_agrees_with_packaging(one: str, other: str, version: str) -> None:
    first, second = _holds(one, version), _holds(other, version)
    assert not (contradict(one, other) and first and second)
    assert not (within(one, other) and first and not second)
    joined = both(one, other)
    assert joined is not None
    assert _holds(joined, version) == (first and second)


def test_interval_arithmetic_says_when_it_does_not_know() -> None:
    assert intervals("==1.0rc1") is None
    assert not contradict("==1.0rc1", "==2")
    assert not within("==1.0rc1", ">=0")
    assert contradict("3.10.*", ">=3.11,<3.13")
    assert contradict("1.2.*|1.3.*", ">=2")
    assert within("3.11.*", ">=3.11,<3.13")
    assert both("3.11.*", ">=3.11,<3.13") == "3.11.*"
    assert both("1.*|2.*", ">=1.5") is None
    assert Version("1.26") == Version("1.26.0")
    assert not contradict("==1.26", "==1.26.0")
