"""Plays a page: writes the files that it shows, types the commands that it shows, and compares what comes out.

A block whose last word is a file's name (it has a dot or a slash) is that file; a ``console`` block holds commands
after ``$`` and, below each, what it prints; an indented block holds commands that must succeed. Everything of a page
happens in order, in one shell for each machine, so ``cd`` and ``export`` hold on. What differs from run to run (times,
sizes, digests, keys, patch releases of Python) is compared by its kind only; where a later command has a digest that
was shown, it is typed with the one printed here. ``UPDATE_SCREENS=1`` writes outputs that changed into the page.

Comments of a page, which readers do not see, say what happens beside it::

    <!-- play: git commit -qam "newer" -->     typed before what follows, and must succeed; one line of shell, or more
    <!-- play: the attack -->                  a step that the test gives by that name
    <!-- play on reader -->                    what follows happens on another user's machine, with a home of its own
    <!-- play on reader: git clone … -->       both

``/srv`` and ``/mnt`` are folders that all machines of a page share.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.case import CHECKOUT, clean_environment
from tests.docs.not_played import why_not
from tests.docs.pages import DOCS, Block, blocks, command_blocks

INDEX, CHANNEL = "https://pypi.example.org/simple", "https://conda.example.org/team"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
KEY = r"ed25519:[A-Za-z0-9+/]{43}="
DIGEST = r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}\b"
DIFFERENT = re.compile(f"{KEY}|{DIGEST}")
KINDS = (
    (r'"used": [\d.]+', '"used": [moment]'),
    (KEY, "[public key]"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?", "[moment]"),
    (r"\bsha256/[0-9a-f]{2}/", "sha256/[..]/"),
    (DIGEST, "[digest]"),
    (r"\babout \d+(\.\d+)? m?s\b|\b\d+(\.\d+)? m?s\b", "[time]"),
    (r"\b\d+(\.\d+)? [kMG]?B\b", "[size]"),
    (r"\b([Pp]ython)( ?)3\.\d+(\.\d+)?", r"\1\2[version]"),
    (r'\bpython: "3\.\d+(\.\*)?"', "python: [version]"),
    (r"\b(python|python_abi) 3\.\d+(\.\d+)?", r"\1 [version]"),
    (r"\bMetaflow (\(?)\d+(\.\d+)+", r"Metaflow \1[version]"),
    (r" +", " "),
)
ACT = re.compile(r"^<!-- play(?: on (?P<machine>\w+))?(?::\s(?P<text>.*?))?\s-->$", re.MULTILINE | re.DOTALL)
SHARED = re.compile(r"(?<![\w./~-])/(?=(?:srv|mnt)\b)")
SLOW = r"(note: )?(sending \d+ more of what was done|waiting for .*, held by )"
"""What is said only where a machine is slow."""


class Machine:
    """A user's machine: a home, a shell that stands in a project, an index and a channel with the addresses of pages.

    Args:
        folder: Of this machine.
        shared: Holds the ``srv`` and ``mnt`` of all machines of a page.
        user: Who works here.
        index: The address of the index.
        channel: The address of the channel; none when empty.
        environ: More variables.
    """

    def __init__(
        self, folder: Path, shared: Path, user: str, index: str, channel: str, environ: Mapping[str, str]
    ) -> None:
        self.shared = shared
        self.environ = clean_environment(folder)
        self.user = Path(self.environ["HOME"])
        self.project = self.user / "shop"
        self.project.mkdir()
        self._state = folder / "shell"
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
            "USER": user,
            "METAFLOW_USER": user,
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.user / "runs"),
            "METAFLOW_HOME": str(folder / "metaflow-config"),
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "UV_DEFAULT_INDEX": index,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_NAME": user.capitalize() for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": f"{user}@example.org" for who in ("AUTHOR", "COMMITTER")},
            **environ,
        }
        settings = Path(self.environ["XDG_CONFIG_HOME"]) / "envbuild"
        settings.mkdir()
        text = f"index-url: {index}\n" + (f"mirrors:\n  {CHANNEL}: ['{channel}']\n" if channel else "")
        (settings / "config.yaml").write_text(text)
        self.known = [(f"file://{self.user}", "file://…"), (str(self.user), "~"), (str(settings.parent), "~/.config")]
        self.known += [(str(shared), ""), (index, INDEX)] + ([(channel, CHANNEL)] if channel else [])

    def type(self, command: str) -> str:
        """What a command prints, both streams in order, as a page would show it."""
        state = shlex.quote(str(self._state))
        kept = f'[ ! -e {state} ] || . {state}; trap \'(export -p; printf "cd %q\\n" "$PWD") >{state}\' EXIT\n'
        done = subprocess.run(
            ["bash", "-c", kept + SHARED.sub(f"{self.shared}/", command)],
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

    @property
    def folder(self) -> Path:
        """Where the shell stands."""
        if not self._state.exists():
            return self.project
        return Path(shlex.split(self._state.read_text().splitlines()[-1])[1])

    def write(self, name: str, text: str) -> None:
        """A file that a page shows, below where the shell stands."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SHARED.sub(f"{self.shared}/", text), encoding="utf-8")


class Stage:
    """What a page plays on: the machine of Ann, and others as the page names them.

    Args:
        folder: Of the test.
        index: The address of the index.
        channel: The address of the channel.
        series: The Python (X.Y) that stands where pages say 3.11.
        environ: More variables of each machine.

    Attributes:
        here: The machine that a page is at.
        meant: What commands of a page write (an address, an id) to what is typed for it.
    """

    def __init__(
        self,
        folder: Path,
        index: str,
        channel: str = "",
        series: str = SERIES,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.index, self.channel, self.series = folder, index, channel, series
        self._environ = environ or {}
        self._machines: dict[str, Machine] = {}
        self._said: dict[str, str] = {}
        self.meant: dict[str, str] = {}
        for name in ("srv", "mnt"):
            (folder / "shared" / name).mkdir(parents=True)
        self.here = self.machine("ann")

    def machine(self, user: str) -> Machine:
        """The machine of a user, new when he is."""
        if user not in self._machines:
            self._machines[user] = Machine(
                self.folder if user == "ann" else self.folder / "machines" / user,
                self.folder / "shared",
                user,
                self.index,
                self.channel,
                self._environ,
            )
        return self._machines[user]

    @property
    def user(self) -> Path:
        """The home of the user of this machine."""
        return self.here.user

    @property
    def project(self) -> Path:
        """The project of the user of this machine."""
        return self.here.project

    def type(self, command: str) -> str:
        """What a command prints on this machine."""
        return self.here.type(command)

    def play(self, name: str, steps: Mapping[str, Callable[[], object]] | None = None) -> int:
        """Everything of a page; gives how many commands it has.

        Args:
            steps: What the page's comments name and no command does.
        """
        page, count = DOCS / name, 0
        text = page.read_text(encoding="utf-8")
        changed: list[tuple[Block, str]] = []
        failed: list[str] = []
        self.here = self.machine("ann")
        for line, part in parts(text):
            if isinstance(part, re.Match):
                self.here = self.machine(part["machine"]) if part["machine"] else self.here
                self._act(part["text"] or "", steps or {}, f"{page.name}:{line}")
            elif part not in command_blocks(text):
                own = self._now(part.text).replace('"3.11"', f'"{self.series}"').replace("=3.11", f"={self.series}")
                self.here.write(part.words[-1], own)
            else:
                shown = ""
                for command, told in commands(part.text):
                    printed = told
                    if why_not(page.name, command) is None:
                        printed = self._typed(command, told)
                        count += 1
                    shown += f"$ {command}\n{printed}"
                    if part.words == ("typed",) and "[exit" in printed:
                        failed.append(f"{page.name}:{line}: $ {command}\n{printed}")
                print(shown, end="")  # where it fails, what was said before is wanted
                if part.words != ("typed",) and alike(shown) != alike(part.text):
                    changed.append((part, shown))
        assert not failed, "\n".join(failed)
        if os.environ.get("UPDATE_SCREENS"):
            lines = text.splitlines(keepends=True)
            for block, shown in reversed(changed):
                lines[block.line - 1 : block.line - 1 + len(block.text.splitlines())] = [shown]
            page.write_text("".join(lines), encoding="utf-8")
            return count
        for block, shown in changed:
            assert alike(shown) == alike(block.text), f"{page.name}:{block.line}"
        return count

    def _act(self, text: str, steps: Mapping[str, Callable[[], object]], where: str) -> None:
        if text in steps:
            steps[text]()
        elif text:
            printed = self.type(f"set -e\n{self._now(text)}")
            assert "[exit" not in printed, f"{where}: {printed}"

    def _typed(self, command: str, told: str) -> str:
        """What a command prints, with the digests that the page shows for what they name."""
        printed = self.type(self._now(command))
        lines = {"".join(alike(line)): line for line in told.splitlines()}
        for line in printed.splitlines():
            shown = DIFFERENT.findall(lines.get("".join(alike(line)), ""))
            self._said |= dict(zip(shown, DIFFERENT.findall(line), strict=False))
        return _swapped(printed, [(now, shown) for shown, now in self._said.items()])

    def _now(self, text: str) -> str:
        """What a page shows, with the digests that were printed here, and with what its words mean here."""
        for written, here in self.meant.items():
            text = text.replace(written, here)
        return _swapped(text, list(self._said.items()))


def _swapped(text: str, pairs: list[tuple[str, str]]) -> str:
    """The second of each pair for the first, also for the beginning of a digest."""

    def other(found: re.Match[str]) -> str:
        return next((new[: len(found[0])] for old, new in pairs if old.startswith(found[0])), found[0])

    return re.sub(f"{KEY}|\\b[0-9a-f]{{7,64}}\\b", other, text)


def parts(text: str) -> list[tuple[int, Block | re.Match[str]]]:
    """What is typed, what is a file, and what comments say of it, in order, each with its line."""
    files = [block for block in blocks(text) if len(block.words) > 1 and re.search(r"[./]", block.words[-1])]
    found: list[tuple[int, Block | re.Match[str]]] = [(block.line, block) for block in (*files, *command_blocks(text))]
    found += [(text.count("\n", 0, act.start()) + 1, act) for act in ACT.finditer(text)]
    assert text.count("<!-- play") == len(ACT.findall(text)), "a comment of a play is not well formed"
    return sorted(found, key=lambda item: item[0])


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what the page says that it prints: nothing, where none stands after ``$``."""
    found: list[tuple[str, str]] = []
    if not re.search(r"^\$ ", text, re.MULTILINE):
        return [(line, "") for line in text.splitlines()]
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
