"""A small world for fault tests: a project with recipes, a home, a server for packages, and eyes on all of it.

One world serves many tests of one process: ``World.fresh`` gives it an empty home at the same path, so that what a
clean run made (``World.clean``) can be compared with what comes of a run that went wrong, byte for byte.

Rules of the file: looks at files, locks and processes from outside; knows envbuild by its command line alone, apart
from the names of its folders.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Body, Incoming, Server, folder_content
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER``: orphans of our children become ours, so that none can hide."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


class World:
    """See the module's docstring.

    Attributes:
        server: Serves the channel below ``/channel`` and the wheels' index below ``/simple``.
        wheels: The folder of the index.
    """

    def __init__(self, folder: Path, channel: TestChannel, server: Server) -> None:
        self.folder = folder
        self.channel = channel
        self.server = server
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        make_wheel(self.wheels, "tool-box", "1.0", requires=["idle-hands"], scripts={"tool-box": "tool_box:main"})
        make_wheel(self.wheels, "idle-hands", "2.1")
        make_wheel(self.wheels, "bulky", "1.0", files={"bulky/data.bin": noise(1_500_000)})
        server.content = self._content()
        self.series = ".".join(channel.pythons[0].split(".")[:2])
        self._clean: dict[str, tuple[dict[str, str], bytes]] = {}
        self.case = Case(folder)
        self.environ = self.case.environ
        self.home, self.project = self.case.home, self.case.project
        self.recipe("small", self.small())
        self.recipe("mixed", self.mixed())
        self.fresh()

    def _content(self):  # type: ignore[no-untyped-def]
        index, conda = WheelIndex(folder=self.wheels), folder_content(self.channel.folder)

        def content(request: Incoming) -> Body | None:
            if request.path.startswith("/channel/"):
                return conda(replace(request, path=request.path.removeprefix("/channel")))
            return index(request)

        return content

    # Recipes

    def conda_lines(self, *packages: str) -> str:
        lines = "".join(f"    {name}\n" for name in packages)
        return f"conda:\n  channels: ['{self.server.url}/channel']\n  packages:\n{lines}"

    def pypi_lines(self, *packages: str) -> str:
        lines = "".join(f"    {name}\n" for name in packages)
        return f"pypi:\n  index: {self.server.url}/simple\n  packages:\n{lines}"

    def small(self) -> str:
        """Conda packages without Python: the cheapest environment there is."""
        return self.conda_lines("data-files: '2.0'", "activated:")

    def mixed(self) -> str:
        """A Python and packages of conda, one of the older format, and wheels."""
        return (
            f"python: {self.series}\n"
            + self.conda_lines("greet: '1.*'", "data-files:", "old-format:")
            + self.pypi_lines("tool-box:", "bulky:")
        )

    def recipe(self, name: str, text: str) -> None:
        (self.project / f"{name}.yaml").write_text(text, encoding="utf-8")

    # Commands

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None, **options) -> subprocess.Popen[bytes]:  # type: ignore[no-untyped-def]
        """A command in a process group of its own, its output in pipes."""
        adopt_orphans()
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [sys.executable, "-m", "envbuild", *arguments],
            cwd=self.project,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )

    def run(
        self, *arguments: str, environ: Mapping[str, str] | None = None, code: int | None = 0, **options
    ) -> Outcome:  # type: ignore[no-untyped-def]
        """A command to its end; a traceback or another exit code than ``code`` (None takes any) fails the test."""
        began = time.monotonic()
        process = self.start(*arguments, environ=environ, **options)
        return self.ended(process, arguments, began, code)

    def ended(
        self,
        process: subprocess.Popen[bytes],
        arguments: tuple[str, ...],
        began: float,
        code: int | None,
        limit: float = 120,
    ) -> Outcome:
        out, err = process.communicate(timeout=limit)
        outcome = Outcome(code=process.returncode, out=out.decode(), err=err.decode(), seconds=time.monotonic() - began)
        report = (
            f"$ envbuild {' '.join(arguments)}\nexit {outcome.code}\n--- stdout\n{outcome.out}--- stderr\n{outcome.err}"
        )
        assert "Traceback (most recent call last)" not in outcome.err, report
        assert code is None or outcome.code == code, f"exit code {code} expected\n{report}"
        return outcome

    # The state of things

    def fresh(self, *, locks: bool = False) -> None:
        """An empty home at the same path, no links, no faults; ``locks`` also removes the recipes' locks."""
        remove(self.home)
        remove(self.project / ".envs")
        for path in self.project.glob(".*.tmp"):
            path.unlink()
        if locks:
            for path in self.project.glob("*.lock.yaml"):
                path.unlink()
        self.server.forget()
        self.server.latency = 0.0
        self.server.sign_in.clear()

    def clean(self, name: str) -> dict[str, str]:
        """The tree of a recipe's prefix after a run from nothing in which nothing went wrong; lock included."""
        if name not in self._clean:
            self.fresh(locks=True)
            self.run("realize", f"{name}.yaml")
            self._clean[name] = (self.tree(name), self.lock(name).read_bytes())
        self.fresh()
        self.lock(name).write_bytes(self._clean[name][1])
        return self._clean[name][0]

    def lock(self, name: str) -> Path:
        return self.project / f"{name}.lock.yaml"

    def lock_bytes(self, name: str) -> bytes:
        """The lock that a clean run wrote; ``clean`` must have been asked for."""
        return self._clean[name][1]

    def prefix(self, name: str) -> Path:
        return (self.project / ".envs" / name).resolve()

    def tree(self, name: str) -> dict[str, str]:
        """What a recipe's prefix holds."""
        return tree_of(self.prefix(name))

    def prefixes(self) -> list[Path]:
        return sorted((self.home / "prefixes").iterdir())

    def blobs(self) -> dict[str, Path]:
        """Every blob by its name."""
        return {path.name: path for path in sorted((self.home / "store" / "blobs" / "sha256").glob("*/*"))}

    def packages(self, name: str) -> dict[str, str]:
        """sha256 to file name of the packages in a recipe's lock."""
        found = {}
        for line in self.lock(name).read_text(encoding="utf-8").splitlines():
            if line.startswith("      - "):
                package = json.loads(line[8:])
                found[package["sha256"]] = package["file"]
        return found

    def downloads(self) -> dict[str, int]:
        """How often each package file was asked for."""
        counts: dict[str, int] = {}
        for request in self.server.matching("*"):
            file = request.path.rpartition("/")[2]
            if file.endswith((".conda", ".tar.bz2", ".whl")):
                counts[file] = counts.get(file, 0) + 1
        return counts

    def leftovers(self) -> list[str]:
        """Temporary files and folders anywhere below the home or in the project."""
        found = [path for folder in ("tmp", "store/tmp") for path in (self.home / folder).glob("*")]
        for folder in ("roots", "stamps", "locks"):
            found += (self.home / folder).glob("*.tmp")
        found += self.project.glob(".*.tmp")
        found += (self.project / ".envs").glob(".*.tmp")
        return [str(path.relative_to(self.folder)) for path in found]

    def seconds_until_free(self, limit: float = 10.0) -> float:
        """How long until nobody holds any lock of the home."""
        began = time.monotonic()
        for path in sorted((self.home / "locks").glob("*")):
            with path.open("rb") as stream:
                while True:
                    try:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        assert time.monotonic() - began < limit, f"{path} is still locked after {limit} s"
                        time.sleep(0.002)
        return time.monotonic() - began

    def recovered(self, name: str, expected: Mapping[str, str], *, stored: frozenset[str] = frozenset()) -> None:
        """After a fault: the next realize works, gives the clean tree, fetches nothing twice, and nothing is left.

        Args:
            name: The recipe.
            expected: The clean tree.
            stored: sha256 of the packages that were in the store already: none of them may be fetched again.
        """
        self.server.forget()
        self.run("realize", f"{name}.yaml")
        assert not differences(self.tree(name), expected)
        again = {self.packages(name)[sha256] for sha256 in stored & set(self.packages(name))} & set(self.downloads())
        assert not again, f"fetched again: {again}"
        verified = self.run("verify")
        assert "0 findings" in verified.err, verified.err
        self.run("gc")
        assert self.leftovers() == []
        assert not differences(self.tree(name), expected), "gc took something of a rooted prefix"


def remove(path: Path) -> None:
    """Remove a tree with read-only parts in it."""
    for parent, _, _ in os.walk(path):
        with suppress(OSError):
            Path(parent).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
    assert not path.exists(), path


def noise(size: int) -> bytes:
    """Bytes that do not compress, always the same."""
    return b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(size // 32))


def tree_of(root: Path) -> dict[str, str]:
    """Every path with its type, mode, content and target; what Python writes while it runs does not count."""
    assert root.is_dir(), root
    found = {}
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if path.is_symlink():
                told = f"link to {path.readlink()}"
            elif path.is_file():
                told = f"file {mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            else:
                told = f"folder {mode:o}"
            found[str(path.relative_to(root))] = told
    return found


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The paths that differ between two trees, with what they are and should be."""
    return [
        f"{path}: {found.get(path)}, not {expected.get(path)}"
        for path in sorted({*found, *expected})
        if found.get(path) != expected.get(path)
    ]


# Processes


def adopt_orphans() -> None:
    """Make orphans of this process's children its own children, so that whoever outlives a command is seen."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """The children of a process; ended ones count until somebody waits for them."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(text) for text in path.read_text().split()]
    return found


def command_of(pid: int) -> str:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


@contextmanager
def nobody_stays(limit: float = 5.0) -> Iterator[None]:
    """No process that was started inside lives on ``limit`` seconds after the block."""
    adopt_orphans()
    before = set(children(os.getpid()))
    yield
    deadline = time.monotonic() + limit
    while True:
        for pid in set(children(os.getpid())) - before:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        left = {pid: command_of(pid) for pid in set(children(os.getpid())) - before}
        if not left:
            return
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"still running {limit:g} s later: {left}")
        time.sleep(0.01)


def kill_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to the whole process group of a command."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


_ONE_LINE = re.compile(r"^error\[[a-z-]+\]: ", re.MULTILINE)


def one_error(outcome: Outcome) -> str:
    """The one error line of a command that failed."""
    lines = [line for line in outcome.err.splitlines() if _ONE_LINE.match(line)]
    assert len(lines) == 1, f"one error line expected\n{outcome.err}"
    return lines[0]
