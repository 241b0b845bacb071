"""Activation in the shells that are installed: values arrive byte for byte, and deactivation puts everything back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.environments.activation import SHELLS, shell_hook
from envbuild.errors import InvalidInput, UsageError

HOSTILE = {
    "PLAIN": "1",
    "EMPTY": "",
    "QUOTES": """it's "quoted" '' and ''' too""",
    "DOLLARS": "$HOME $(touch owned) `touch owned` ${PATH} %PATH% !! !$",
    "NEWLINES": "one\ntwo\n\nthree\t\r\n",
    "BACKSLASH": "\\ \\n \\' \\",
    "SEMICOLON": "; touch owned; & | > owned < # not a comment",
    "UNICODE": "grün \u2018curly\u2019 \u202e",
    "LEADING": "'",
    "SPACES": "  two  ",
    "GLOB": "* ? [a] {a,b} ~",
}


def command(shell: str, code: str) -> list[str]:
    """A shell that runs code without any start-up file."""
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    return [shell, *options, "-c", code]


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed on this machine: its activation code was not run")


def conda_prefix(folder: Path) -> Path:
    prefix = folder / "a prefix's"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "conda-meta").mkdir()
    for moment, line, fish in (
        ("activate", 'export SOURCED="$CONDA_PREFIX"', 'set -gx SOURCED "$CONDA_PREFIX"'),
        ("deactivate", "unset SOURCED", "set -e SOURCED"),
    ):
        scripts = prefix / "etc/conda" / f"{moment}.d"
        scripts.mkdir(parents=True)
        (scripts / "x.sh").write_text(line + "\n")
        (scripts / "x.fish").write_text(fish + "\n")
    variables = prefix / "etc/conda/env_vars.d"
    variables.mkdir()
    (variables / "x.json").write_text('{"OF_PACKAGE": "yes", "PLAIN": "loses", "bad name;": "never"}')
    return prefix


def show(folder: Path, name: str) -> str:
    """A command that writes the whole environment, NUL between variables, to a file."""
    return f"env -0 > {folder}/{name}"


def seen(path: Path) -> dict[str, str]:
    pairs = (item.split("=", 1) for item in os.fsdecode(path.read_bytes()).split("\0") if item)
    noise = {"_", "SHLVL", "PWD", "OLDPWD"}
    return {name: value for name, value in pairs if name not in noise}


def run(shell: str, code: str, folder: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        command(shell, code), cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_values_arrive_byte_for_byte_and_everything_comes_back(shell: str, tmp_path: Path) -> None:
    needs(shell)
    prefix = conda_prefix(tmp_path)
    hook = tmp_path / "hook"
    hook.write_text(shell_hook(shell, prefix, HOSTILE, "train"), encoding="utf-8")
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "PLAIN": "before 'it'\n",
        "VIRTUAL_ENV": "/other",
        "PYTHONHOME": "/wrong",
    }
    steps = [show(tmp_path, "before"), f". {hook}", show(tmp_path, "inside"), "deactivate", show(tmp_path, "after")]
    run(shell, "\n".join(steps), tmp_path, environ)
    inside = seen(tmp_path / "inside")
    assert {name: inside[name] for name in HOSTILE} == HOSTILE
    assert inside["PATH"] == f"{prefix}/bin:{environ['PATH']}"
    assert inside["CONDA_PREFIX"] == inside["SOURCED"] == str(prefix)
    assert inside["OF_PACKAGE"] == "yes"
    assert "VIRTUAL_ENV" not in inside
    assert "PYTHONHOME" not in inside
    assert seen(tmp_path / "after") == seen(tmp_path / "before")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_eval_of_the_printed_code_is_what_users_type(shell: str, tmp_path: Path) -> None:
    needs(shell)
    prefix = conda_prefix(tmp_path)
    hook = tmp_path / "hook"
    hook.write_text(shell_hook(shell, prefix, HOSTILE), encoding="utf-8")
    code = f"cat {hook} | source" if shell == "fish" else f'eval "$(cat {hook})"'
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    run(shell, f"{code}\n{show(tmp_path, 'inside')}", tmp_path, environ)
    inside = seen(tmp_path / "inside")
    assert {name: inside[name] for name in HOSTILE} == HOSTILE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_second_activation_leaves_the_first(shell: str, tmp_path: Path) -> None:
    needs(shell)
    for name in ("one", "two"):
        prefix = tmp_path / name
        (prefix / "bin").mkdir(parents=True)
        (prefix / "pyvenv.cfg").touch()
        (tmp_path / f"hook-{name}").write_text(shell_hook(shell, prefix, {f"ONLY_{name.upper()}": "1"}, name))
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    steps = [f". {tmp_path}/hook-one", f". {tmp_path}/hook-two", show(tmp_path, "inside"), "deactivate"]
    run(shell, "\n".join([show(tmp_path, "before"), *steps, show(tmp_path, "after")]), tmp_path, environ)
    inside = seen(tmp_path / "inside")
    assert inside["VIRTUAL_ENV"] == str(tmp_path / "two")
    assert inside["PATH"] == f"{tmp_path}/two/bin:/usr/bin:/bin"
    assert "ONLY_ONE" not in inside
    assert seen(tmp_path / "after") == seen(tmp_path / "before")


def test_powershell_is_as_it_was_reviewed() -> None:
    code = shell_hook("powershell", Path("/p"), {"A": "it's \u2018x\u2019 $(no) `n\nend"}, "n")
    assert code == POWERSHELL


POWERSHELL = """\
if ($null -ne $global:_ENVBUILD_ACTIVE) { deactivate }
$global:_ENVBUILD_OLD_A = [Environment]::GetEnvironmentVariable('A')
$global:_ENVBUILD_OLD_ENVBUILD_ACTIVE_PREFIX = [Environment]::GetEnvironmentVariable('ENVBUILD_ACTIVE_PREFIX')
$global:_ENVBUILD_OLD_PYTHONNOUSERSITE = [Environment]::GetEnvironmentVariable('PYTHONNOUSERSITE')
$global:_ENVBUILD_OLD_PYTHONHOME = [Environment]::GetEnvironmentVariable('PYTHONHOME')
$global:_ENVBUILD_OLD_VIRTUAL_ENV = [Environment]::GetEnvironmentVariable('VIRTUAL_ENV')
$global:_ENVBUILD_OLD_PATH = [Environment]::GetEnvironmentVariable('PATH')
[Environment]::SetEnvironmentVariable('A', 'it''s \u2018\u2018x\u2019\u2019 $(no) `n
end')
[Environment]::SetEnvironmentVariable('ENVBUILD_ACTIVE_PREFIX', '/p')
[Environment]::SetEnvironmentVariable('PYTHONNOUSERSITE', '1')
[Environment]::SetEnvironmentVariable('PYTHONHOME', $null)
[Environment]::SetEnvironmentVariable('VIRTUAL_ENV', $null)
$Env:PATH = '/p/bin' + [IO.Path]::PathSeparator + $Env:PATH
$global:_ENVBUILD_OLD_PROMPT = $function:prompt
function global:prompt { Write-Host -NoNewline '(n) '; & $global:_ENVBUILD_OLD_PROMPT }
$global:_ENVBUILD_ACTIVE = '/p'
function global:deactivate {
    [Environment]::SetEnvironmentVariable('A', $global:_ENVBUILD_OLD_A)
    Remove-Variable -Scope global _ENVBUILD_OLD_A
    [Environment]::SetEnvironmentVariable('ENVBUILD_ACTIVE_PREFIX', $global:_ENVBUILD_OLD_ENVBUILD_ACTIVE_PREFIX)
    Remove-Variable -Scope global _ENVBUILD_OLD_ENVBUILD_ACTIVE_PREFIX
    [Environment]::SetEnvironmentVariable('PYTHONNOUSERSITE', $global:_ENVBUILD_OLD_PYTHONNOUSERSITE)
    Remove-Variable -Scope global _ENVBUILD_OLD_PYTHONNOUSERSITE
    [Environment]::SetEnvironmentVariable('PYTHONHOME', $global:_ENVBUILD_OLD_PYTHONHOME)
    Remove-Variable -Scope global _ENVBUILD_OLD_PYTHONHOME
    [Environment]::SetEnvironmentVariable('VIRTUAL_ENV', $global:_ENVBUILD_OLD_VIRTUAL_ENV)
    Remove-Variable -Scope global _ENVBUILD_OLD_VIRTUAL_ENV
    [Environment]::SetEnvironmentVariable('PATH', $global:_ENVBUILD_OLD_PATH)
    Remove-Variable -Scope global _ENVBUILD_OLD_PATH
    $function:prompt = $global:_ENVBUILD_OLD_PROMPT
    Remove-Variable -Scope global _ENVBUILD_ACTIVE
    Remove-Item function:deactivate
}
"""


@pytest.mark.parametrize("name", ["PATH=x;rm", "1A", "A-B", "", "A B", "A\n", "Ä"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_that_shells_cannot_hold_is_refused(shell: str, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        shell_hook(shell, Path("/p"), {name: "x"})
    assert caught.value.reference == "bad-variable"


def test_an_unknown_shell_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="tcsh"):
        shell_hook("tcsh", Path("/p"), {})
