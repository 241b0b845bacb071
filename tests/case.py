"""A builder for tests of the command line: write a recipe, run a command, compare what a user sees.

::

    Case(tmp_path).recipe("python: 3.11\\n", "x.yaml").run("plan", "x.yaml").shows("...")

``run`` starts ``python -m envbuild`` as a process of its own, in a project folder and with a home of its own. What it
printed is filtered (``filtered``) before it is compared: digests, paths, durations, sizes and ports differ from run to
run. A traceback of envbuild's fails every test.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
_LEAKS = ("ENVBUILD_", "UV_", "PIP_", "CONDA_", "RATTLER_", "MAMBA_", "PIXI_", "VIRTUAL_ENV", "PYTHON")
_KEPT = {"UV_HTTP_TIMEOUT", "PIP_CERT", "UV_NATIVE_TLS"}
_TOOLS = {"PYENV_ROOT": ".pyenv"}
"""Programs on ``PATH`` that look for themselves in the user's home: they are told where they are."""


def clean_environment(folder: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a test's process: nothing of this machine's user leaks in.

    Args:
        folder: Holds the ``home``, ``user`` (``HOME``) and ``config`` folders that the process is told of.
        environ: What is cleaned; this process's environment by default.
    """
    given = os.environ if environ is None else environ
    kept = {name: value for name, value in given.items() if name in _KEPT or not name.startswith(_LEAKS)}
    home, user, settings = folder / "home", folder / "user", folder / "config"
    for place in (user, settings):
        place.mkdir(parents=True, exist_ok=True)
    mine = Path(given.get("HOME") or user)
    return {
        **{name: str(mine / place) for name, place in _TOOLS.items() if (mine / place).is_dir()},
        **kept,
        "ENVBUILD_HOME": str(home),
        "HOME": str(user),
        "XDG_CONFIG_HOME": str(settings),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "NETRC": str(settings / "netrc"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "LC_ALL": "C.UTF-8",
    }


class Case:
    """One test of the command line; see the module's docstring. Every method returns the case, to go on.

    Attributes:
        project: The folder that commands run in.
        home: ``ENVBUILD_HOME``.
        environ: The environment of commands; change it as the test needs.
        code: Exit code of the last command; None before the first.
        out: What the last command wrote to stdout, unfiltered; ``err`` is its stderr.
    """

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        self.environ = clean_environment(folder)
        self.environ["PYTHONPATH"] = str(CHECKOUT)
        self.home = Path(self.environ["ENVBUILD_HOME"])
        self.code: int | None = None
        self.out = ""
        self.err = ""
        self._arguments: tuple[str, ...] = ()
        self._filters: list[tuple[str, str]] = []

    def recipe(self, text: str, name: str = "x.yaml") -> Case:
        """Write a recipe (indentation common to all lines is taken away)."""
        return self.file(name, text)

    def file(self, name: str, text: str) -> Case:
        """Write any file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return self

    def variable(self, name: str, value: str | None) -> Case:
        """Set or (None) unset a variable of the commands that follow."""
        if value is None:
            self.environ.pop(name, None)
        else:
            self.environ[name] = value
        return self

    def hide(self, pattern: str, name: str) -> Case:
        """Replace a regular expression by ``name`` before anything is compared."""
        self._filters.append((pattern, name))
        return self

    def run(self, *arguments: str | Path, code: int | None = 0, stdin: str = "", timeout: float = 300) -> Case:
        """Run ``python -m envbuild`` and check its exit code.

        Args:
            code: The exit code expected; None takes any.
        """
        self._arguments = tuple(map(str, arguments))
        outcome = subprocess.run(
            [sys.executable, "-m", "envbuild", *self._arguments],
            cwd=self.project,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        self.code, self.out, self.err = outcome.returncode, outcome.stdout, outcome.stderr
        ours = re.search(r"^Traceback \(most recent call last\)", self.err, re.MULTILINE)  # a program's is indented
        assert ours is None, self._report("a traceback is a defect")
        assert code is None or self.code == code, self._report(f"exit code {self.code}, not {code}")
        return self

    def program(self, *command: str | Path) -> str:
        """What a program of an environment prints, run as a user would, outside of envbuild."""
        environ = {name: value for name, value in self.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            list(map(str, command)),
            cwd=self.project,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def shows(self, expected: str) -> Case:
        """The filtered stdout is exactly this text."""
        return self._compare("stdout", expected, self.filtered(self.out))

    def says(self, expected: str) -> Case:
        """The filtered stderr is exactly this text."""
        return self._compare("stderr", expected, self.filtered(self.err))

    def mentions(self, *texts: str) -> Case:
        """Each text is somewhere in the filtered stdout or stderr."""
        everything = self.filtered(self.out + "\n" + self.err)
        for text in texts:
            assert text in everything, self._report(f"{text!r} is not mentioned")
        return self

    def hides(self, *texts: str) -> Case:
        """None of the texts (secrets, say) is anywhere in what was printed."""
        for text in texts:
            assert text not in self.out + self.err, self._report(f"{text!r} is shown")
        return self

    def filtered(self, text: str) -> str:
        """A text with all that differs from run to run replaced by a name in brackets."""
        for pattern, name in self._filters:
            text = re.sub(pattern, name, text)
        for path, name in ((self.home, "[home]"), (self.project, "[project]"), (CHECKOUT, "[checkout]")):
            for spelling in (str(path.resolve()), str(path)):
                text = text.replace(spelling, name)
        text = re.sub(r"\[home\]/prefixes/[0-9a-f]{32}[\w.-]*", "[prefix]", text)
        text = re.sub(r"\b[0-9a-f]{64}\b", "[digest]", text)
        text = re.sub(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12}\b", "[id]", text)
        text = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:[port]", text)
        text = re.sub(r"\b\d+(\.\d+)? (ms|s|min|h)\b", "[time]", text)
        text = re.sub(r"\b\d+(\.\d+)? ([kKMG]i?B|bytes|B)\b", "[size]", text)
        return "\n".join(line.rstrip() for line in text.splitlines()) + ("\n" if text.endswith("\n") else "")

    def _compare(self, stream: str, expected: str, shown: str) -> Case:
        wanted = textwrap.dedent(expected).strip("\n").splitlines()
        have = shown.strip("\n").splitlines()
        difference = "\n".join(difflib.unified_diff(wanted, have, "expected", stream, lineterm=""))
        assert not difference, self._report(difference)
        return self

    def _report(self, reason: str) -> str:
        command = " ".join(("envbuild", *self._arguments))
        return f"$ {command}\n{reason}\n--- stdout\n{self.out}--- stderr\n{self.err}"
