"""What a stranger meets on the command line before any recipe is read."""

from __future__ import annotations

import json

import pytest

from envbuild.cli.main import COMMANDS
from tests.case import Case


def test_the_list_of_commands_is_whole_on_a_narrow_terminal(case: Case) -> None:
    case.variable("COLUMNS", "80").run("--help")
    assert not any(line.startswith("  ") and line.endswith("...") for line in case.out.splitlines())
    assert set(COMMANDS) - {"realise"} <= {line.split()[0] for line in case.out.splitlines() if line.startswith("  ")}
    lines = [line.strip() for line in case.out.splitlines()]
    assert "envbuild run recipes/train.yaml -- python train.py" in lines


def test_a_wrong_command_names_the_closest(case: Case) -> None:
    case.run("relize", code=2).mentions("Did you mean 'realize'?")


@pytest.mark.parametrize("arguments", [("lock", "--no-such-flag"), ("why", "x.yaml"), ("frobnicate",)])
def test_usage_errors_are_json_too(case: Case, arguments: tuple[str, ...]) -> None:
    case.run(*arguments, "--json", code=2)
    error = json.loads(case.out)["error"]
    assert (error["exit-code"], error["reference"]) == (2, "usage")
    assert "Usage:" in case.err


def test_json_of_another_program_is_not_ours(case: Case) -> None:
    case.run("run", "none.yaml", "--", "tool", "--json", code=3)
    assert case.out == ""


def test_the_json_variable_says_yes_or_no(case: Case) -> None:
    case.variable("ENVBUILD_JSON", "0").run("show", "none.yaml", code=3)
    assert case.out == ""
    case.variable("ENVBUILD_JSON", "1").run("show", "none.yaml", code=3)
    assert json.loads(case.out)["error"]["reference"] == "missing-file"


def test_options_of_run_stand_before_the_recipe(case: Case) -> None:
    case.run("run", "x.yaml", "--frozen", "--", "python", code=2)
    case.mentions("envbuild run --frozen x.yaml -- COMMAND")


@pytest.mark.parametrize("words", ["idna>=3", "", "idna==", "a b", "--idna", "idna==3.*"])
def test_a_package_to_upgrade_is_a_name_or_a_version(case: Case, words: str) -> None:
    case.recipe("interpreter: host\n").run("lock", "x.yaml", f"--upgrade-package={words}", code=2)
    case.mentions("NAME or NAME==VERSION")


def test_a_package_to_upgrade_that_no_lock_has_is_said(case: Case) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\n").run("lock", "x.yaml", "--upgrade-package", "idna==3.7")
    case.mentions("note: idna is in none of these locks")
