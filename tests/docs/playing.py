"""Plays a page: writes the files that it shows, types the commands that it shows, and compares what comes out.

A block whose second word is a file's name is that file; a ``console`` block holds commands after ``$`` and, below each,
what it prints. Everything of a page happens in one project, in order. What differs from run to run (times, sizes,
digests, patch releases of Python) is compared by its kind only. ``UPDATE_SCREENS=1`` writes the outputs into the page.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.case import CHECKOUT, clean_environment
from tests.docs.pages import DOCS, blocks

INDEX, CHANNEL = "https://pypi.example.org/simple", "https://conda.example.org/team"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
KINDS = (
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?", "[moment]"),
    (r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}\b", "[digest]"),
    (r"\babout \d+(\.\d+)? m?s\b|\b\d+(\.\d+)? m?s\b", "[time]"),
    (r"\b\d+(\.\d+)? [kMG]?B\b", "[size]"),
    (r"\b([Pp]ython)( ?)3\.\d+(\.\d+)?", r"\1\2[version]"),
    (r'\bpython: "3\.\d+(\.\*)?"', "python: [version]"),
    (r"\b(python|python_abi) 3\.\d+(\.\d+)?", r"\1 [version]"),
    (r"\bMetaflow \d+(\.\d+)+", "Metaflow [version]"),
    (r" +", " "),
)
SLOW = r"(note: )?(sending \d+ more of what was done|waiting for .*, held by )"
"""What is said only where a machine is slow."""


class Stage:
    """A user's machine for one page: a home, a project, an index and a channel with the addresses that pages say.

    Args:
        folder: Of the test.
        index: The address of the index.
        channel: The address of the channel.
        series: The Python (X.Y) that stands where pages say 3.11.
    """

    def __init__(self, folder: Path, index: str, channel: str = "", series: str = SERIES) -> None:
        self.series, self.channel = series, channel
        self.environ = clean_environment(folder)
        self.user = Path(self.environ["HOME"])
        self.project = self.user / "shop"
        self.project.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        words = f"#!/bin/sh\nexec {shlex.quote(sys.executable)}"
        for name, arguments in (("envbuild", " -m envbuild"), ("python", "")):
            (programs / name).write_text(f'{words}{arguments} "$@"\n')
            (programs / name).chmod(0o755)
        for name in ("ENVBUILD_HOME", "XDG_DATA_HOME"):
            self.environ.pop(name, None)
        self.environ |= {
            "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{self.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "USER": "ann",
            "METAFLOW_USER": "ann",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.user / "runs"),
            "METAFLOW_HOME": str(folder / "metaflow-config"),
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "UV_DEFAULT_INDEX": index,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        settings = Path(self.environ["XDG_CONFIG_HOME"]) / "envbuild"
        settings.mkdir()
        text = f"index-url: {index}\n" + (f"mirrors:\n  {CHANNEL}: ['{channel}']\n" if channel else "")
        (settings / "config.yaml").write_text(text)
        self.known = [(f"file://{self.user}", "file://…"), (str(self.user), "~"), (index, INDEX)]
        self.known += [(channel, CHANNEL)] if channel else []

    def type(self, command: str) -> str:
        """What a command prints, both streams in order, as a page would show it."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
        assert "Traceback (most recent call last)" not in text, text
        for told, shown in self.known:
            text = text.replace(told, shown)
        if done.returncode:
            text += f"[exit {done.returncode}]\n"
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())

    def play(self, name: str) -> int:
        """Everything of a page; gives how many commands it has."""
        page, count, lines = DOCS / name, 0, {}
        text = page.read_text(encoding="utf-8")
        for block in blocks(text):
            if block.words[:1] == ("console",):
                shown = ""
                for command, _ in commands(block.text):
                    shown += f"$ {command}\n{self.type(command)}"
                    count += 1
                lines[block.line] = (block.text, shown)
            elif len(block.words) == 2:
                file = self.project / block.words[1]
                file.parent.mkdir(parents=True, exist_ok=True)
                own = block.text.replace('"3.11"', f'"{self.series}"').replace("=3.11", f"={self.series}")
                file.write_text(own, encoding="utf-8")
        if os.environ.get("UPDATE_SCREENS"):
            for told, shown in lines.values():
                text = text.replace(f"```console\n{told}```", f"```console\n{shown}```")
            page.write_text(text, encoding="utf-8")
            return count
        for line, (told, shown) in lines.items():
            assert alike(shown) == alike(told), f"{name}:{line}"
        return count


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what the page says that it prints."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, printed = found.pop()
            found.append((command, f"{printed}{line}\n"))
    return found


def alike(text: str) -> list[str]:
    """The lines of an output, with what differs from run to run by its kind."""
    for pattern, kind in KINDS:
        text = re.sub(pattern, kind, text)
    return [line for line in text.splitlines() if not re.match(SLOW, line)]
