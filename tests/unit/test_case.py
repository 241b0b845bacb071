"""The builder for command-line tests: its filters, and that it fails when it should."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.case import Case, clean_environment


def test_what_differs_from_run_to_run_is_filtered(tmp_path: Path) -> None:
    case = Case(tmp_path)
    text = (
        f"{case.home}/prefixes/{'ab12' * 8}-3.11 in 1.9 s, 12.1 MB from http://127.0.0.1:4711/simple "
        f"{'0a' * 32} {'0a' * 6} {case.project}/x.yaml:3:1 123456789012"
    )
    assert case.filtered(text) == (
        "[prefix] in [time], [size] from http://127.0.0.1:[port]/simple [digest] [id] [project]/x.yaml:3:1 123456789012"
    )


def test_nothing_of_the_user_leaks_in(tmp_path: Path) -> None:
    given = {"UV_INDEX_URL": "x", "PIP_INDEX_URL": "x", "ENVBUILD_JOBS": "3", "CONDA_PREFIX": "/x", "PATH": "/bin"}
    (tmp_path / "me" / ".pyenv").mkdir(parents=True)
    given |= {"HOME": str(tmp_path / "me"), "NETRC": str(tmp_path / "me" / "netrc")}
    clean = clean_environment(tmp_path, given)
    assert clean["PATH"] == "/bin"
    assert not {"UV_INDEX_URL", "PIP_INDEX_URL", "ENVBUILD_JOBS", "CONDA_PREFIX"} & set(clean)
    assert clean["ENVBUILD_HOME"] == str(tmp_path / "home")
    assert clean["HOME"] == str(tmp_path / "user")
    assert clean["PYENV_ROOT"] == str(tmp_path / "me" / ".pyenv"), "its shims must find it"
    assert [name for name, value in clean.items() if str(tmp_path / "me") in value] == ["PYENV_ROOT"]


def test_a_test_has_no_file_of_this_machine_s_user(case: Case, tmp_path: Path) -> None:
    """Neither its own process nor a command: files in the home that it was started with decide nothing."""
    for name in (".netrc", ".gitconfig", ".pip/pip.conf", ".config/envbuild/config.yaml"):
        assert Path.home() / name == tmp_path / "user" / name
    assert os.environ["HOME"] == case.environ["HOME"] == str(tmp_path / "user")
    case.variable("XDG_CONFIG_HOME", None).file("../user/.config/envbuild/config.yaml", "jobs: 7\n")
    assert (
        case.program(sys.executable, "-c", "import os; print(os.path.expanduser('~'))").strip() == case.environ["HOME"]
    )
    case.run("config", "list", "--json").mentions("/user/.config/envbuild/config.yaml")


def test_a_difference_fails_with_both_texts(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.out = "one\ntwo\n"
    case.shows("one\ntwo")
    with pytest.raises(AssertionError, match=r"-three"):
        case.shows("one\nthree")
    with pytest.raises(AssertionError, match="is not mentioned"):
        case.mentions("three")
    with pytest.raises(AssertionError, match="is shown"):
        case.hides("two")
