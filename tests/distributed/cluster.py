"""A Dask cluster of real processes on loopback: a scheduler, and workers that are machines with homes of their own.

Nothing is waited for but what processes say: a scheduler writes its file, a worker logs that it is registered.

Rules of the file: ports are the system's choice; every process is ended by whoever made the cluster.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tests.case import CHECKOUT, clean_environment

LIMIT = 120.0
"""Seconds after which something has gone wrong."""


def until(reached: Callable[[], object], what: str) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + LIMIT
    while not reached():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.02)


class Cluster:
    """See the module's docstring.

    Args:
        folder: For everything.
        environ: Of every process, such as Dask's settings of certificates.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._environ = environ or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def scheduler(self, *arguments: str, allowed_failures: int = 3) -> str:
        """Start it; its address as envbuild writes it."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
        dask = ("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self._start("scheduler", *dask, *arguments, "--host", "127.0.0.1", environ=allowed)
        until(lambda: self._told(file), "the scheduler")
        self.address = (
            json.loads(file.read_bytes())["address"].replace("tcp://", "dask://").replace("tls://", "dask+tls://")
        )
        return self.address

    def worker(self, name: str, *arguments: str, nanny: bool = False, environ: Mapping[str, str] | None = None) -> None:
        """Start one and wait until the scheduler knows it."""
        log = self._log(name)
        log.unlink(missing_ok=True)
        self._start(
            name,
            *("distributed.cli.dask_worker", "--scheduler-file", str(self.folder / "scheduler.json")),
            *("--name", name, "--nthreads", "2", "--no-dashboard", "--nanny" if nanny else "--no-nanny"),
            *arguments,
            environ=environ,
        )
        until(lambda: b"Registered to" in log.read_bytes(), f"the worker {name}")

    def home(self, name: str) -> Path:
        """A worker's ``ENVBUILD_HOME``."""
        return self.folder / name / "home"

    def builds(self, name: str) -> list[Path]:
        """Builds that a worker has begun: each holds a lock of its own name."""
        return list(self.home(name).glob("locks/build-wheel-*"))

    def results(self, name: str, kind: str = "build-wheel") -> list[Path]:
        """What a worker has done of a kind."""
        return list(self.home(name).glob(f"store/results/{kind}/**/*.json"))

    def kill(self, name: str) -> None:
        """End a process and all that it started, at once."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> None:
        """Let a process stand still: it keeps its connections and answers nothing."""
        os.killpg(self._processes[name].pid, signal.SIGSTOP)

    def dead(self, name: str) -> bool:
        """Whether a process has ended by itself."""
        return self._processes[name].poll() is not None

    def close(self) -> None:
        """End everything."""
        for name in list(self._processes):
            self.kill(name)

    def _told(self, file: Path) -> bool:
        try:
            return bool(json.loads(file.read_bytes()))
        except (OSError, ValueError):
            return False

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        machine = self.folder / name
        local = ["--local-directory", str(machine / "dask")] if "worker" in arguments[0] else []
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments, *local],
                cwd=machine,
                env={
                    **clean_environment(machine),
                    "PYTHONPATH": str(CHECKOUT),
                    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
                    **self._environ,
                    **(environ or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
