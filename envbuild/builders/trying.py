"""Trying an environment out: its modules are imported, its programs looked for, its commands run.

Everything runs as a program of a build does: in a scratch folder of its own (home, temporary files and an empty working
folder), with clean variables and those that the environment's activation sets, shut off from other processes, from
writing elsewhere and, unless the section says otherwise, from the network, where the kernel allows it. The prefix can
be read at its own path. There is one time limit for all of it; whoever is late is ended with all that it started.

What is printed lies beside what the programs can see. When anything fails, it is kept where ``envbuild log`` finds it.

Rules of the file: nothing is decided by what a package prints; no shell reads a command.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.isolation import KEPT, Isolation, place_of, probe, run_apart
from envbuild.builders.log_tail import log_tail
from envbuild.builders.trial_child import PASSED
from envbuild.derivations.prefix_names import prefix_folder
from envbuild.digest import Json, canonical_json, short
from envbuild.environments.environment import command_in, environment_variables
from envbuild.errors import BuildError, EnvbuildError
from envbuild.machine.disk import writing
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Completed, Context, Outputs
    from envbuild.derivations.trial import Trial

RECORD_FORMAT = 1

_PROGRAM = "trial_child.py"
_HOME, _TEMPORARY, _WORK = "home", "temporary", "work"
_LAST = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One program to run.

    Attributes:
        title: What it is, in a log.
        passed: The exit code of one that went well.
    """

    title: str
    command: tuple[str, ...]
    passed: int = 0


def try_out(trial: Trial, context: Context) -> Outputs:
    """Try an environment that is linked, and publish what passed with its log.

    Args:
        trial: What to try.
        context: For the prefix, processes and publishing.

    Raises:
        BuildError: ``test-failed`` with the end of what it printed, ``too-slow``, ``too-much-output``,
            ``wrong-builder`` for an environment of another platform.
        UnsatisfiableError: This machine lacks the Python.
    """
    if trial.platform != context.platform:
        raise BuildError(
            f"{trial.label} can only be tested on {trial.platform}",
            reference="wrong-builder",
            hint=f"publish on a machine of {trial.platform}, with the same store",
        )
    host = context.host_python(trial.python) if trial.interpreter == "host" and trial.python else None
    prefix = context.prefix(prefix_folder(trial.environment, host))
    began = time.monotonic()
    with context.scratch() as scratch, writing(scratch):
        log, folder = scratch / "log", scratch / "trial"
        isolation = probe(context)
        try:
            _Room(trial, prefix, folder, isolation, context).run(log, began)
        except EnvbuildError as error:
            raise _told(error, trial, log, context) from error.__cause__
        record: Json = {
            "format": RECORD_FORMAT,
            "passed": [step.title for step in _steps(trial, Path(), prefix)] + list(trial.tests.entry_points),
            "isolated": isolation.apart,
            "network": trial.tests.network,
            "milliseconds": round((time.monotonic() - began) * 1000),
        }
        return {"out": context.put_bytes(canonical_json(record)), "log": context.put(log)}


class _Room:
    """The folder that an environment is tried in.

    Args:
        trial: What is tried.
        prefix: Its prefix.
        folder: Scratch, not there yet.
        isolation: From ``probe``.
        context: For processes.
    """

    def __init__(self, trial: Trial, prefix: Path, folder: Path, isolation: Isolation, context: Context) -> None:
        self._trial, self._prefix, self._folder = trial, prefix, folder
        self._isolation, self._context = isolation, context
        for name in (KEPT, _HOME, _TEMPORARY, _WORK):
            (folder / name).mkdir(parents=True)
        shutil.copyfile(Path(__file__).with_name(_PROGRAM), folder / _PROGRAM)
        seen = (prefix, Path(os.path.realpath(prefix / "bin" / "python")))
        self._place = place_of(folder, isolation, None)
        for path in seen:  # what the folder would hide must be seen
            if path.is_relative_to(self._place):
                self._place = place_of(folder, isolation, str(path))
        self._variables = self._seen_variables()

    def _seen_variables(self) -> dict[str, str]:
        home, temporary = str(self._place / _HOME), str(self._place / _TEMPORARY)
        base = {
            "HOME": home,
            "TMPDIR": temporary,
            "USER": "test",
            "LOGNAME": "test",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "LC_CTYPE": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPYCACHEPREFIX": f"{temporary}/bytecode",
        }
        found = environment_variables(self._prefix, dict(self._trial.variables), base, self._trial.name)
        if "PATH" not in dict(self._trial.variables):
            del found["PATH"]  # ``run_apart`` makes it of this machine's, the prefix's programs first
        return found

    def run(self, log: Path, began: float) -> None:
        """Run every step, until one fails.

        Raises:
            BuildError: As ``try_out``.
        """
        with log.open("wb"):
            pass
        tests = self._trial.tests
        self._look_for_programs()
        for step in _steps(self._trial, self._place, self._prefix):
            left = tests.timeout - (time.monotonic() - began)
            with log.open("ab") as stream:
                stream.write(f"$ {step.title}\n".encode(errors="replace"))
            part = log.with_name("part")
            try:
                if left <= 0:
                    raise BuildError(f"{step.title} was not begun", reference="too-slow")
                done = run_apart(
                    command_in(self._prefix, step.command),
                    self._folder,
                    self._place,
                    self._isolation,
                    variables=self._variables,
                    path=(str(self._prefix / "bin"),),
                    cwd=self._place / _WORK,
                    context=self._context,
                    log=part,
                    timeout=left,
                    network=tests.network,
                    seen=(self._prefix,),
                )
            except BuildError as error:
                if error.reference != "too-slow":
                    raise
                raise BuildError(
                    f"it took longer than {tests.timeout} s, and {step.title} was ended",
                    reference="too-slow",
                    hint="`timeout:` of the test section allows more",
                ) from None
            finally:
                _append(log, part)
            if done.returncode != step.passed:
                raise BuildError(_failure(step, done), reference="test-failed")

    def _look_for_programs(self) -> None:
        if self._trial.tests.imports and self._trial.python is None:
            raise BuildError("there is no Python in it that could import anything", reference="test-failed")
        missing = [name for name in self._trial.tests.entry_points if not _is_program(self._prefix / "bin" / name)]
        if missing:
            raise BuildError(f"no package has installed {', '.join(missing)}", reference="test-failed")


def _steps(trial: Trial, place: Path, prefix: Path) -> Iterator[_Step]:
    tests = trial.tests
    if tests.imports or (tests.entry_points and trial.python is not None):
        python = str(prefix / "bin" / "python")
        job = json.dumps({"imports": list(tests.imports), "entry-points": list(tests.entry_points)})
        title = " ".join(("import", ", ".join(tests.imports))) if tests.imports else "entry points"
        yield _Step(title=title, command=(python, str(place / _PROGRAM), job), passed=PASSED)
    for words in tests.commands:
        yield _Step(title=shlex.join(words), command=words)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _failure(step: _Step, done: Completed) -> str:
    if step.passed:
        last = (done.tail.strip().splitlines() or [""])[-1]
        if last.startswith("failed: "):
            return f"{last.removeprefix('failed: ')} failed"
    return f"{step.title} ended with exit code {done.returncode}" + (
        ", before all was imported" if step.passed and done.returncode == 0 else ""
    )


def _append(log: Path, part: Path) -> None:
    if part.exists():
        with log.open("ab") as stream, part.open("rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
        part.unlink()


def _told(error: EnvbuildError, trial: Trial, log: Path, context: Context) -> EnvbuildError:
    """The error with the name of what was tried and the end of what it printed; the log is kept."""
    printed = ""
    if log.is_file():
        with log.open("rb+") as stream:
            stream.seek(-min(_LAST, log.stat().st_size), os.SEEK_END)
            printed = stream.read(_LAST).decode("utf-8", "replace")
            stream.write(f"\nenvbuild: {error.message.splitlines()[0]}\n".encode(errors="replace"))
        context.keep_log(log)
    told = log_tail(printed) if error.reference in {"test-failed", "too-slow"} else ""
    return type(error)(
        f"{trial.label} did not pass its test: {error.message}" + (f"\n{told}" if told else ""),
        reference=error.reference,
        where=error.where,
        hint=error.hint or f"all that it printed: envbuild log {short(trial.key)}",
        retryable=error.retryable,
        issues=error.issues,
    )
