"""What a process sees inside a prefix."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from envbuild.environments.environment import command_in, environment_variables
from envbuild.errors import InvalidInput


def test_the_prefix_comes_first_and_once(tmp_path: Path) -> None:
    base = {"PATH": f"/usr/bin:{tmp_path}/bin:/bin", "PYTHONHOME": "/wrong", "KEEP": "1"}
    found = environment_variables(tmp_path, {}, base)
    assert found["PATH"] == f"{tmp_path}/bin:/usr/bin:/bin"
    assert found["KEEP"] == "1"
    assert "PYTHONHOME" not in found
    assert base["PYTHONHOME"] == "/wrong"


def test_a_virtual_environment_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    found = environment_variables(tmp_path, {}, {"VIRTUAL_ENV": "/other", "CONDA_PREFIX": "/conda"})
    assert found["VIRTUAL_ENV"] == str(tmp_path)


def test_recipe_wins_over_packages_and_state_over_env_vars(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/state").write_text('{"env_vars": {"B": "state", "C": "state"}}')
    folder = tmp_path / "etc/conda/env_vars.d"
    folder.mkdir(parents=True)
    (folder / "p.json").write_text('{"A": "package", "B": "package", "LIST": []}')
    (folder / "broken.json").write_text("{")
    found = environment_variables(tmp_path, {"C": "recipe"}, {"VIRTUAL_ENV": "/other"}, "train")
    assert (found["A"], found["B"], found["C"]) == ("package", "state", "recipe")
    assert "LIST" not in found
    assert (found["CONDA_PREFIX"], found["CONDA_DEFAULT_ENV"]) == (str(tmp_path), "train")
    assert "VIRTUAL_ENV" not in found


def test_a_nul_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        environment_variables(tmp_path, {"A": "x\0y"}, {})


def test_commands_run_after_the_scripts_of_packages_with_their_arguments_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a one.sh").write_text("export ONE=1\n")
    (folder / "two.sh").write_text('export TWO="$ONE 2"\n')
    command = ["printf", "%s|", "a b", "$(no)", "*", ""]
    vector = command_in(tmp_path, ["/bin/sh", "-c", 'printf "%s," "$TWO"; exec "$@"', "x", *command])
    done = subprocess.run(vector, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "1 2,a b|$(no)|*||"
    failing = subprocess.run(command_in(tmp_path, ["/bin/sh", "-c", "exit 7"]), check=False)
    assert failing.returncode == 7


def test_without_scripts_no_shell_is_in_between(tmp_path: Path) -> None:
    assert command_in(tmp_path, ["python", "-V"]) == ["python", "-V"]
