"""Real flows, run as a user runs them: a file, a process, a datastore of the test's own.

::

    flows.write('''...''').run()
    assert flows.printed("start", "toy") == "1.1"

A flow prints ``step: key=value`` with ``print``; ``printed`` finds it. Nothing here knows how the extension works.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.case import clean_environment

HEADER = """import os, sys
from metaflow import *


def say(step, **what):
    for key, value in what.items():
        print(f"{step}: {key}={value}")


"""
FOOTER = "\n\nif __name__ == '__main__':\n    {name}()\n"


class Flows:
    """One flow's folder, and what its last command said.

    Attributes:
        project: Where the flow is.
        environ: The environment of commands; change it as the test needs.
        out: What was printed, both streams in order; the tests read words, never the clock.
    """

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        self.environ = {
            **clean_environment(folder),
            "USER": "tester",
            "METAFLOW_USER": "tester",
            "METAFLOW_HOME": str(folder / "metaflow-config"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "runs"),
        }
        for name in [name for name in self.environ if name.startswith(("METAFLOW_ENVBUILD", "AWS_"))]:
            del self.environ[name]
        self.home = Path(self.environ["ENVBUILD_HOME"])
        self.runs = folder / "runs" / ".metaflow"
        self.name = ""
        self.file = self.project / "flow.py"
        self.out = ""

    def configure(self, text: str) -> Flows:
        """Write ``envbuild.yaml``."""
        (self.project / "envbuild.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def write(self, text: str) -> Flows:
        """Write the flow; ``say`` and all of Metaflow are imported, and its class is run."""
        body = textwrap.dedent(text).strip("\n")
        found = re.search(r"^class (\w+)\(FlowSpec\)", body, re.MULTILINE)
        assert found is not None
        self.name = found[1]
        self.file.write_text(HEADER + body + FOOTER.format(name=self.name), encoding="utf-8")
        return self

    def run(self, *arguments: str, environment: str = "envbuild", code: int = 0, verb: str = "run") -> Flows:
        """``python flow.py --environment=… run``, and its exit code."""
        return self.command(f"--environment={environment}", "--no-pylint", verb, *arguments, code=code)

    def command(self, *arguments: str, code: int = 0) -> Flows:
        """``python flow.py …``."""
        done = subprocess.run(
            [sys.executable, self.file.name, *arguments],
            cwd=self.project,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        self.out = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{self.out}"
        return self

    def envbuild(self, *arguments: str) -> str:
        """What ``envbuild …`` prints to stdout, in the flow's folder."""
        done = subprocess.run(
            [sys.executable, "-m", "envbuild", *arguments],
            cwd=self.project,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def says(self, *texts: str) -> Flows:
        """Each text was printed, on one line."""
        for text in texts:
            assert text in self.out, f"{text!r} was not said:\n{self.out}"
        return self

    def printed(self, step: str, key: str) -> str:
        """What a step printed with ``say``; the last time."""
        found = re.findall(rf"\] {step}: {key}=(.*)$", self.out, re.MULTILINE)
        assert found, f"{step} did not say {key}:\n{self.out}"
        return str(found[-1])

    def generated(self, step: str) -> Path:
        """The recipe that a run made for a step."""
        return self.project / ".envs" / "flows" / self.name / f"{step}.yaml"

    def committed(self, step: str) -> Path:
        """The recipe of a step in the checkout."""
        return self.project / "recipes" / "flows" / self.name / f"{step}.yaml"

    def told(self, step: str) -> dict[str, str] | None:
        """What the newest task of a step has in its metadata about its environment."""
        records = sorted(
            self.runs.glob(f"{self.name}/*/{step}/*/_meta/*envbuild-environment*.json"),
            key=lambda path: path.stat().st_mtime_ns,
        )
        if not records:
            return None
        told: dict[str, str] = json.loads(json.loads(records[-1].read_text())["value"])
        return told
