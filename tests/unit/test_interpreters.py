"""Pythons on this machine, and which of them a constraint means."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.machine import interpreters
from envbuild.machine.interpreters import find_host_python, list_host_pythons, own_python
from envbuild.solvers.python_choice import fits, lowest_patch, series_of

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
BASE = Path(sys.base_prefix) / "bin" / f"python{HERE}"


def environ(tmp_path: Path, *folders: Path) -> dict[str, str]:
    """An environment whose home is empty and whose PATH is these folders."""
    return {"HOME": str(tmp_path / "empty"), "PATH": os.pathsep.join(str(item) for item in folders)}


def test_a_python_on_path_is_found_and_says_what_it_is(tmp_path: Path) -> None:
    found = find_host_python(HERE, environ(tmp_path, BASE.parent))
    assert found.version.startswith(f"{HERE}.")
    assert Path(found.path) == Path(found.path).resolve()
    assert found.abi.startswith(f"cpython-{HERE.replace('.', '')}")


def test_this_process_says_of_itself_what_its_executable_would_say(tmp_path: Path) -> None:
    for executable in (sys.executable, BASE):
        shell = tmp_path / f"{Path(executable).name}-started" / f"python{HERE}"
        shell.parent.mkdir()
        shell.write_text(f'#!/bin/sh\nexec {executable} "$@"\n')
        shell.chmod(0o755)
        assert find_host_python(HERE, environ(tmp_path, shell.parent)) == own_python()


def test_a_virtual_environment_stands_for_its_base(tmp_path: Path) -> None:
    if sys.prefix == sys.base_prefix:
        pytest.skip("NO VIRTUAL ENVIRONMENT: this Python is none")
    found = find_host_python(HERE, environ(tmp_path, Path(sys.prefix) / "bin"))
    assert not found.path.startswith(sys.prefix + os.sep)
    assert Path(found.path) == BASE.resolve()


def test_pyenv_versions_are_found_without_its_shims(tmp_path: Path) -> None:
    home = tmp_path / "home"
    versions, shims = home / ".pyenv" / "versions", home / ".pyenv" / "shims"
    (versions / sys.version.split()[0] / "bin").mkdir(parents=True)
    (versions / sys.version.split()[0] / "bin" / "python3").symlink_to(BASE)
    (versions / "3.4.0-dev" / "bin").mkdir(parents=True)
    shims.mkdir()
    shim = shims / f"python{HERE}"
    shim.write_text(f"#!/bin/sh\ntouch {tmp_path}/shim-was-run\nexit 1\n")
    shim.chmod(0o755)
    found = find_host_python(HERE, {"HOME": str(home), "PATH": str(shims)})
    assert Path(found.path) == BASE.resolve()
    assert not (tmp_path / "shim-was-run").exists()


def test_what_uv_installed_is_found(tmp_path: Path) -> None:
    own = tmp_path / "data" / "uv" / "python" / f"cpython-{sys.version.split()[0]}-linux-x86_64-gnu" / "bin"
    own.mkdir(parents=True)
    (own / "python3").symlink_to(BASE)
    found = find_host_python(HERE, {**environ(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")})
    assert Path(found.path) == BASE.resolve()


def test_a_missing_python_is_an_error_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        find_host_python("3.2", environ(tmp_path, BASE.parent))
    assert (caught.value.exit_code, caught.value.reference) == (11, "no-python")
    assert str(BASE.resolve()) in caught.value.message
    with pytest.raises(UnsatisfiableError, match="found: none"):
        find_host_python(HERE, environ(tmp_path, tmp_path))


def test_programs_that_only_look_like_a_python_are_passed_over(tmp_path: Path) -> None:
    for name, text in (("python3", "echo no json"), (f"python{HERE}", "exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python").mkdir()
    found = find_host_python(HERE, environ(tmp_path, tmp_path, BASE.parent))
    assert Path(found.path) == BASE.resolve()
    assert [item.path for item in list_host_pythons(environ(tmp_path, tmp_path))] == []


def test_a_changed_executable_is_asked_again(tmp_path: Path) -> None:
    place = tmp_path / f"python{HERE}"
    place.write_text("#!/bin/sh\nexit 1\n")
    place.chmod(0o755)
    assert list_host_pythons(environ(tmp_path, tmp_path)) == ()
    place.unlink()
    place.symlink_to(BASE)
    assert len(list_host_pythons(environ(tmp_path, tmp_path))) == 1


@pytest.mark.parametrize(
    ("constraint", "newest", "count"),
    [("3.11.*", "3.11", 1), ("==3.11.7", "3.11", 1), (">=3.11,<3.13", "3.12", 2), ("3.9.*|3.11.*", "3.11", 2)],
)
def test_the_series_that_a_constraint_allows(constraint: str, newest: str, count: int) -> None:
    assert series_of(constraint)[0] == newest
    assert len(series_of(constraint)) == count


def test_a_lock_relies_on_the_oldest_patch_that_fits() -> None:
    assert lowest_patch("3.11.*", "3.11") == "3.11.0"
    assert lowest_patch(">=3.11.4,<3.13", "3.11") == "3.11.4"
    assert lowest_patch(">=3.11.4,<3.13", "3.12") == "3.12.0"
    assert lowest_patch("<3.11", "3.11") is None
    assert lowest_patch(None, "3.11") == "3.11.0"


def test_constraints_that_mean_no_python() -> None:
    assert not fits("3.11.*", "3.12.1")
    for text in ("<3", "banana", ">=4"):
        with pytest.raises(InvalidInput):
            series_of(text)


def test_what_an_executable_said_is_remembered_while_it_is_the_same_file(tmp_path: Path) -> None:
    folder, memory = tmp_path / "bin", tmp_path / "memory"
    folder.mkdir()
    asked = tmp_path / "asked"
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"

    def install(version: str) -> None:
        program = folder / name
        said = json.dumps([str(program), version, "cpython-x", "cpython"])
        program.write_text(f"#!/bin/sh\necho x >> '{asked}'\necho '{said}'\n")
        program.chmod(0o755)

    series = name.removeprefix("python")
    environ = {"PATH": str(folder), "HOME": str(tmp_path)}
    install(f"{series}.1")
    for _ in range(3):
        interpreters._ask.cache_clear()  # as another process would
        assert find_host_python(series, environ, memory).version == f"{series}.1"
    assert asked.read_text().count("x") == 1
    install(f"{series}.22")
    interpreters._ask.cache_clear()
    assert find_host_python(series, environ, memory).version == f"{series}.22"
    for note in memory.iterdir():
        note.write_text("damaged")
    interpreters._ask.cache_clear()
    assert find_host_python(series, environ, memory).version == f"{series}.22"
