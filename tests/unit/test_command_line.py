"""What a stranger meets on the command line before any recipe is read."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from envbuild.cli.main import _HIDDEN, COMMANDS
from tests.case import CHECKOUT, Case


def test_the_list_of_commands_is_whole_on_a_narrow_terminal(case: Case) -> None:
    case.variable("COLUMNS", "80").run("--help")
    assert not any(line.startswith("  ") and line.endswith("...") for line in case.out.splitlines())
    assert set(COMMANDS) - _HIDDEN <= {line.split()[0] for line in case.out.splitlines() if line.startswith("  ")}
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


def test_keys_of_json_have_dashes() -> None:
    trees = [ast.parse(file.read_text()) for file in (CHECKOUT / "envbuild" / "cli").glob("*.py")]
    written = [key for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    keys = {key.value for key in written if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    clicks = {"help_option_names", "max_content_width", "ignore_unknown_options", "allow_interspersed_args"}
    assert {key for key in keys if "_" in key and key.islower()} == clicks


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


def _shell(case: Case, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, where ``eb`` is envbuild; no line may give a traceback."""
    words = f'eb() {{ "{sys.executable}" -m envbuild "$@"; }}; {command}'
    outcome = subprocess.run(
        ["bash", "-c", words], cwd=case.project, env=case.environ, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in outcome.stdout + outcome.stderr
    return outcome


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("eb config list >/dev/full", 8),
        ("eb config list --json >/dev/full", 8),
        ("eb --help >/dev/full", 8),
        ("eb show none.yaml --json >/dev/full", 3),
        ("eb show none.yaml 2>/dev/full", 3),
        ("eb frobnicate 2>/dev/full", 2),
        ("eb config list >&-", 0),
        ("eb config list <&- >&- 2>&-", 0),
        ("eb show none.yaml --json >&-", 3),
        ("eb show none.yaml 2>&-", 3),
        ("eb frobnicate 2>&-", 2),
        ("eb lock x.yaml >&- 2>&-", 0),
        ("eb config list > >(true); exit $?", 0),
        ("eb show none.yaml 2> >(exec 0<&-)", 3),
    ],
)
def test_streams_that_take_nothing_change_no_exit_code(case: Case, command: str, code: int) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\n")
    assert _shell(case, command).returncode == code


def test_a_program_prints_nothing_into_a_file_that_took_the_place_of_a_closed_stream(case: Case) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\n").run("realize", "x.yaml")
    assert _shell(case, "eb run x.yaml -- python -c 'print(1)' >&-").returncode == 0
    assert all(path.read_bytes() != b"1\n" for path in case.home.rglob("*") if path.is_file())


def test_notes_that_nobody_reads_do_not_end_the_work(case: Case) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\nvariables: {API_TOKEN: secret}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "envbuild", "lock", "x.yaml"]
    try:
        ended = subprocess.run(command, cwd=case.project, env=case.environ, stderr=writer, check=False)
    finally:
        os.close(writer)
    assert ended.returncode == 0
    assert (case.project / "x.lock.yaml").is_file()
    (case.project / "x.lock.yaml").unlink()
    case.run("lock", "x.yaml").mentions("note: ", "API_TOKEN")


def test_a_project_whose_folder_is_no_text_works(case: Case) -> None:
    folder = os.fsencode(case.project) + b"/\xff"
    os.mkdir(folder)  # noqa: PTH102
    case.project = type(case.project)(os.fsdecode(folder))
    case.variable("PYTHONIOENCODING", "utf-8:strict")
    case.recipe("interpreter: host\npypi: {no-index: true}\n").run("realize", "x.yaml").run("realize", "x.yaml")
    (prefix,) = case.out.splitlines()
    case.run("list", "--json")
    (found,) = json.loads(case.out)["environments"]
    assert (found["prefix"], os.fsencode(found["recipe"])) == (prefix, folder + b"/x.yaml")


@pytest.mark.parametrize("name", ["a:b", "a\nb", os.fsdecode(b"\xff")])
def test_places_in_which_no_environment_works_are_refused(case: Case, name: str) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\n")
    case.run("realize", "x.yaml", "--prefix", name, code=2).mentions("error[folder-name]")
    case.variable("ENVBUILD_HOME", str(case.project / name)).run("realize", "x.yaml", code=2)
    case.mentions("error[folder-name]")
    assert sorted(path.name for path in case.project.iterdir()) == ["x.lock.yaml", "x.yaml"]


def test_under_nohup_a_terminal_that_is_closed_ends_nothing(case: Case) -> None:
    case.recipe("interpreter: host\npypi: {no-index: true}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "envbuild", "realize", "x.yaml"],
        cwd=case.project,
        env=case.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_IGN),  # what nohup does
    )
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    assert process.returncode == 0, process.communicate()
    process.communicate()
