"""The hooks of build backends (PEP 517), called in a build's environment, shut off.

The library ``pyproject_hooks`` calls them, inside the isolation (``hook_child``); what comes out of it is a file that
the source may have written too, so it is opened without following links or waiting, and read up to a limit.

Rules of the file: the source is a copy in the build's folder, and stays there; what was built is checked elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.builders.build_system import build_system, checked_requires, is_texts, static_build_requires
from envbuild.builders.isolation import run_apart
from envbuild.builders.log_tail import log_tail
from envbuild.errors import BuildError, EnvbuildError, NoSpaceError
from envbuild.pattern import pattern

if TYPE_CHECKING:
    from envbuild.builders.environment import BuildEnvironment
    from envbuild.derivations import Context

__all__ = ["build_requires", "build_wheel", "prepare_metadata", "static_build_requires"]

_KILLED = 128 + 9
_FULL = pattern("No space left on device|Disk quota exceeded")
_ANSWER_LIMIT = 16 << 20
_FOLDER = "hooks"


def build_requires(
    source: Path,
    environment: BuildEnvironment,
    settings: Sequence[str],
    context: Context,
    variables: Sequence[str] = (),
) -> tuple[str, ...]:
    """What the backend wants besides (``get_requires_for_build_wheel``); the static requirements must be installed.

    Args:
        source: The project's folder, in the build's folder.
        environment: From ``make_build_environment``.
        settings: Config settings, ``KEY=VALUE``.
        context: For processes.
        variables: Declared variables, ``NAME=VALUE``.

    Raises:
        BuildError: ``hook-failed`` with the end of what it printed; ``too-slow`` and the like.
    """
    arguments = {"config_settings": config_settings(settings)}
    found = _call("get_requires_for_build_wheel", source, environment, arguments, variables, context)
    if not is_texts(found):
        raise BuildError("get_requires_for_build_wheel gave no list of requirements", reference="hook-failed")
    return checked_requires(found, "the build backend")


def prepare_metadata(
    source: Path, environment: BuildEnvironment, settings: Sequence[str], variables: Sequence[str], context: Context
) -> bytes:
    """METADATA of the wheel that the source will be; a backend without that hook builds the wheel for it.

    Args:
        source: The project's folder, in the build's folder.
        environment: From ``make_build_environment``, with all build requirements.
        settings: Config settings, ``KEY=VALUE``.
        variables: Declared variables, ``NAME=VALUE``.
        context: For processes.

    Raises:
        BuildError: ``hook-failed`` with the end of what it printed; ``too-slow`` and the like; ``build-output`` when it
            gave no METADATA.
    """
    folder = environment.folder / "metadata"
    folder.mkdir()
    arguments = {
        "metadata_directory": str(environment.inside(folder)),
        "config_settings": config_settings(settings),
    }
    found = _call("prepare_metadata_for_build_wheel", source, environment, arguments, variables, context)
    name = _plain_name(found, "prepare_metadata_for_build_wheel")
    return _read_plain(folder / name, "METADATA")


def build_wheel(
    source: Path,
    environment: BuildEnvironment,
    settings: Sequence[str],
    variables: Sequence[str],
    out: Path,
    log: Path | None,
    context: Context,
) -> Path:
    """Have the backend build the wheel.

    Args:
        source: The project's folder, in the build's folder.
        environment: From ``make_build_environment``, with all build requirements.
        settings: Config settings, ``KEY=VALUE``.
        variables: Declared variables, ``NAME=VALUE``.
        out: An empty folder in the build's folder, for the wheel.
        log: Gets all that is printed; outside of the build's folder.
        context: For processes.

    Returns:
        The wheel: the only file in ``out``, a plain one, with the name that the backend told.

    Raises:
        NoSpaceError: When the disk was full for it.
        BuildError: ``hook-failed`` with the end of what it printed; ``too-slow``, ``too-much-output``;
            ``build-output`` when there is another number of files than one, or what was told is not there.
    """
    arguments = {"wheel_directory": str(environment.inside(out)), "config_settings": config_settings(settings)}
    told = _plain_name(_call("build_wheel", source, environment, arguments, variables, context, log), "build_wheel")
    there = sorted(entry.name for entry in os.scandir(out))
    if there != [told]:
        listed = ", ".join(there) or "nothing"
        raise BuildError(
            f"the build backend says that it built {told}, and its folder holds {listed}", reference="build-output"
        )
    wheel = out / told
    if not stat.S_ISREG(wheel.lstat().st_mode) or not told.endswith(".whl"):
        raise BuildError(f"the build backend left {told}, which is not a wheel's file", reference="build-output")
    return wheel


def config_settings(settings: Sequence[str]) -> Mapping[str, Any]:
    """``KEY=VALUE`` as hooks want them: several values of one key are a list."""
    found: dict[str, Any] = {}
    for item in settings:
        key, _, value = item.partition("=")
        before = found.get(key)
        found[key] = value if before is None else [*([before] if isinstance(before, str) else before), value]
    return found


def declared(variables: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` as a mapping."""
    return {name: value for name, _, value in (item.partition("=") for item in variables)}


def _call(
    hook: str,
    source: Path,
    environment: BuildEnvironment,
    arguments: Mapping[str, Any],
    variables: Sequence[str],
    context: Context,
    log: Path | None = None,
) -> Any:
    system = build_system(source)
    folder = _hook_folder(environment)
    answer = folder / f"{hook}.answer.json"
    job = {
        "source": str(environment.inside(source)),
        "backend": system.backend,
        "backend_path": list(system.backend_path),
        "hook": hook,
        "arguments": arguments,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    inside = environment.inside(folder)
    done = run_apart(
        [str(environment.python), str(inside / "hook_child.py"), str(inside / "job.json"), str(inside / answer.name)],
        environment.folder,
        environment.place,
        environment.isolation,
        variables={**environment.variables, **declared(variables)},
        path=environment.path,
        cwd=environment.inside(source),
        context=context,
        log=log,
    )
    if done.returncode != 0:
        killed = " (it was killed; was there too little memory?)" if done.returncode == _KILLED else ""
        raise failed(f"{hook} of {system.backend} ended with exit code {done.returncode}{killed}", done.tail)
    said = _read_answer(answer)
    if "error" in said:
        raise failed(f"{hook} of {system.backend} failed: {_first_line(said.get('message'))}", done.tail)
    return said.get("value")


def failed(what: str, output: str) -> EnvbuildError:
    """The error of a program of a build, with the end of what it printed; a full disk is no defect of the project."""
    hint = None
    if found := _FULL.search(output):
        return NoSpaceError(
            f"{what}: {found[0]}\n{log_tail(output)}".rstrip(), reference="no-space", hint="run: envbuild gc"
        )
    if "setuptools_scm" in output or "setuptools-scm" in output or "hatch_vcs" in output:
        hint = "a source is built without its history: build: {NAME: {env: {SETUPTOOLS_SCM_PRETEND_VERSION: VERSION}}}"
    return BuildError(f"{what}\n{log_tail(output)}".rstrip(), reference="hook-failed", hint=hint)


def _hook_folder(environment: BuildEnvironment) -> Path:
    """The programs that call hooks, where the build's Python can read them."""
    folder = environment.folder / _FOLDER
    if not folder.exists():
        import importlib.util

        found = importlib.util.find_spec("pyproject_hooks")
        if found is None or found.origin is None:
            raise BuildError("pyproject-hooks is not installed", reference="no-program", hint="pip install envbuild")
        shutil.copytree(
            Path(found.origin).parent, folder / "pyproject_hooks", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copyfile(Path(__file__).with_name("hook_child.py"), folder / "hook_child.py")
    return folder


def _read_answer(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(_plain_bytes(path))
    except (OSError, ValueError) as error:
        raise BuildError("the build backend left no answer that can be read", reference="build-output") from error
    if not isinstance(said, dict):
        raise BuildError("the build backend left no answer that can be read", reference="build-output")
    return said


def _read_plain(folder: Path, name: str) -> bytes:
    try:
        if folder.is_symlink():
            raise OSError("a link")
        return _plain_bytes(folder / name)
    except OSError as error:
        raise BuildError(f"the build backend gave no {name} that can be read", reference="build-output") from error


def _plain_bytes(path: Path) -> bytes:
    """A small file that a build left, which may be anything.

    Raises:
        OSError: It is not there, or is a link, a pipe, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _ANSWER_LIMIT:
            raise OSError(f"{path.name} is not a small file")
        return stream.read(_ANSWER_LIMIT)


def _plain_name(found: object, hook: str) -> str:
    if not isinstance(found, str) or found in {"", ".", ".."} or Path(found).name != found or "\0" in found:
        raise BuildError(f"{hook} gave {str(found)[:200]!r}, which is not a file's name", reference="build-output")
    return found


def _first_line(text: object) -> str:
    return (str(text).strip().splitlines() or ["it says no more"])[0][:300]
