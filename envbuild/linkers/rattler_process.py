"""This process's py-rattler child: started when first needed, shared by all jobs, ended with this process.

Starting Python and importing rattler takes 0.1 s, which is most of a warm link; so one child serves all jobs, and it
is started before its first job is ready. After a job that failed the child is ended before the caller hears of it, for
rattler's threads would go on writing into a folder that is about to be removed; jobs of others that were in it are
sent again. A child that dies by itself gets each of its jobs one more try.

Rules of the file: the only place that holds state beyond a call, all of it in ``_Child`` and behind one lock.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import BuildError

if TYPE_CHECKING:
    from concurrent.futures import Future


class _Ended(Exception):  # noqa: N818  an event, not an error
    """The child ended before it answered."""


class _Child:
    """One running child and the jobs that it owes an answer."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("rattler")
        if found is None or found.origin is None:
            raise BuildError("py-rattler is not installed", reference="link-failed", hint="pip install py-rattler")
        site = str(Path(found.origin).parent.parent)
        program = str(Path(__file__).with_name("rattler_child.py"))
        self.pending: dict[int, Future[dict[str, Any]]] = {}
        self.lock = threading.Lock()
        self.open = True
        self.stopped = False  # by us; a child may also die by itself
        self.owner = os.getpid()  # a child of ours that was forked must have its own
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", program, site],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        threading.Thread(target=self._read, name="rattler-answers", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                answer = json.loads(line)
                with self.lock:
                    future = self.pending.pop(answer["job"], None)
                if future is not None:
                    future.set_result(answer)
        with self.lock:
            self.open = False
            left, self.pending = list(self.pending.values()), {}
        for future in left:
            future.set_exception(_Ended())

    def submit(self, number: int, job: dict[str, Any]) -> Future[dict[str, Any]]:
        from concurrent.futures import Future  # while the child starts

        future: Future[dict[str, Any]] = Future()
        line = json.dumps({"job": number, **job}).encode() + b"\n"
        with self.lock:
            if not self.open:
                future.set_exception(_Ended())
                return future
            self.pending[number] = future
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(line)
                self.process.stdin.flush()
            except (OSError, ValueError):  # it has ended, or was ended by another job
                self.pending.pop(number, None)
                future.set_exception(_Ended())
        return future

    def retire(self) -> None:
        """Kill it; ``end`` waits."""
        with self.lock:
            self.open, self.stopped = False, True
        self.process.kill()

    def end(self) -> None:
        """Kill it and wait, so that nothing writes any more."""
        self.retire()
        self.process.wait()
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()


_guard = threading.Lock()
_numbers = itertools.count(1)
_current: _Child | None = None
_alias: str | None = None


def start() -> None:
    """Have a child running, so that its imports overlap with what the caller does next."""
    _child()


def _child() -> _Child:
    global _current
    with _guard:
        if _current is None or not _current.open or _current.owner != os.getpid():
            if _current is not None and _current.owner == os.getpid():
                _current.end()
            _current = _Child()
        return _current


def end() -> None:
    """End the child, if there is one; the next job starts another."""
    global _current
    with _guard:
        child, _current = _current, None
    if child is not None and child.owner == os.getpid():
        child.end()


def retire() -> None:
    """Say that no more jobs come for now: the child is killed, and what is done next overlaps with its going."""
    with _guard:
        if _current is not None and _current.owner == os.getpid() and not _current.pending:
            _current.retire()


atexit.register(end)


def alias() -> str:
    """The engine's own default address of named channels, with a slash at its end.

    Raises:
        BuildError: ``link-failed`` as ``run_job``.
    """
    global _alias
    if _alias is None:
        _alias = str(run_job({})["alias"])
    return _alias


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job and give its answer; the child is ended first when the answer holds an ``error``.

    Raises:
        BuildError: ``link-failed`` when the child dies twice without an answer.
    """
    deaths = 0
    while deaths < 2:
        child = _child()
        try:
            answer = child.submit(next(_numbers), job).result()
        except _Ended:
            deaths += not child.stopped  # that it was ended after another job's failure says nothing about this one
            child.end()
            continue
        if "error" in answer:
            child.end()
        return answer
    raise BuildError("py-rattler's process ended without an answer", reference="link-failed")
