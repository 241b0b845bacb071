"""Run one command of the command line on something hostile, and measure all that it may not do.

Every attack is held to the same rules, whatever it is: an exit code and a reference, a place and a hint, few lines, no
traceback, no control character echoed, every file of the project as it was, nothing new in the home's store, less than
ten seconds of a processor and less than 512 MB. What waits for nothing is ended after two minutes, however busy the
machine is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.case import Case

SECONDS = 10.0
PATIENCE = 120
MEGABYTES = 512
MOST_LINES = 12
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float

    @property
    def places(self) -> set[str]:
        """Each ``file:line:column`` that is named."""
        return set(re.findall(r"^error\[[a-z-]+\]: (\S+?:\d+(?::\d+)?): ", self.err, re.MULTILINE))

    @property
    def references(self) -> set[str]:
        """Each reference of an error."""
        return set(re.findall(r"^error\[([a-z-]+)\]", self.err, re.MULTILINE))


def contents(folder: Path, *, without: str = ".envs") -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and without not in path.parts
    }


def attack(case: Case, *arguments: str, code: int, reference: str | None, lines: int = MOST_LINES) -> Outcome:
    """Run a command that must be refused, and hold it to the rules of the module.

    Args:
        case: Its project is what must not change.
        arguments: The command.
        code: The exit code expected.
        reference: The error's reference; None where a usage error has none.
        lines: Most lines of stderr.
    """
    project, store = contents(case.project), contents(case.home / "store")
    outcome = _measured(case, arguments)
    told = f"$ envbuild {' '.join(arguments)}\n{outcome}"
    assert "Traceback" not in outcome.err, told
    assert outcome.code == code, told
    if reference is not None:
        assert reference in outcome.references, told
    assert not _CONTROL.search(outcome.err + outcome.out), told
    assert len(outcome.err.splitlines()) <= lines, told
    assert len(outcome.err) < 10_000, "an error is no place to repeat a file"
    assert outcome.seconds < SECONDS, told
    assert outcome.megabytes < MEGABYTES, told
    assert contents(case.project) == project, "input files stay as they are"
    assert contents(case.home / "store") == store, "nothing hostile reaches the store"
    left = list((case.home / "tmp").glob("*")) if case.home.exists() else []
    assert not left, left
    return outcome


_LAUNCHER = """
import json, os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as stream:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime], stream)
"""
"""A process that begins small: a child's peak begins with that of the process that started it, and a test runner that
has read much is larger than anything that is measured."""


def _measured(case: Case, arguments: tuple[str, ...]) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as result:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, result.name, sys.executable, "-m", "envbuild", *arguments],
            cwd=case.project,
            env=case.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=True,
            timeout=PATIENCE,
        )
        code, peak, seconds = json.loads(Path(result.name).read_bytes())
        out.seek(0)
        err.seek(0)
        return Outcome(
            code=code,
            out=out.read().decode("utf-8", "replace"),
            err=err.read().decode("utf-8", "replace"),
            seconds=seconds,
            megabytes=peak / (1024 if sys.platform != "darwin" else 1 << 20),
        )
