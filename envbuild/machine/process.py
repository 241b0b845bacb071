"""Running other programs: each in its own session, in a clean environment, ended when this process ends.

However this process dies (also by ``kill -9``), no program that it started lives on. A guard, one tiny shell for each
envbuild process, reads the process groups that begin and end from a pipe; when the pipe closes, because its only
writer is gone, the guard kills the groups that are left. A program signs itself in before it becomes itself, so no
moment is uncovered; groups take children's children too. (Linux' parent-death signal would follow the *thread* that
started the program, and spare its children.)

The environment is an allow-list: what users set for their own Pythons and tools (``PYTHONPATH``, ``PIP_*``, ``UV_*``,
``CONDA_*``, ``LD_LIBRARY_PATH`` …) never reaches an engine. Proxies, certificates and credentials go only to programs
that need the network.

Rules of the file: argument lists, never a command line; output is kept to a limit and only its end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from envbuild.derivations import Completed
from envbuild.errors import BuildError
from envbuild.pattern import pattern

TAIL = 64 * 1024
"""Bytes of output kept by default, the last ones."""

GRACE = 2.0
"""Seconds between asking a program to end and killing it."""

_ALWAYS = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "SYSTEMROOT"})
_NETWORK = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "RATTLER_AUTH_FILE"}
    | {"UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL"}
    | {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSL_CAINFO", "XDG_CONFIG_HOME"}
    | {"GIT_ASKPASS", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK"}
    | {name for word in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{word}_PROXY", f"{word.lower()}_proxy")}
)
_UV_CREDENTIAL = pattern(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")

_GUARD = """
groups=" "
while read -r word group; do
  case $word in
    begin) groups="$groups$group " ;;
    end) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
"""

_SIGN_IN = 'echo "begin $$" >&2; exec "$@" 2>&1'
"""Standard error begins as the guard's pipe, and becomes standard output before the program does."""


def clean_environment(environ: Mapping[str, str], *, network: bool) -> dict[str, str]:
    """What a program may see of this process's environment.

    Args:
        environ: Of this process.
        network: True adds proxies, certificates and credentials.
    """
    kept = {name: value for name, value in environ.items() if name in _ALWAYS}
    if network:
        kept |= {name: value for name, value in environ.items() if name in _NETWORK or _UV_CREDENTIAL.fullmatch(name)}
        kept |= _certificates(environ)
    return kept


def _certificates(environ: Mapping[str, str]) -> dict[str, str]:
    """The bundle that this process trusts, under the name that every engine knows."""
    if environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"):
        return {}
    bundle = next(
        (environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT") if environ.get(name)), ""
    )
    if not bundle:
        return {}
    return {"SSL_CERT_DIR" if os.path.isdir(bundle) else "SSL_CERT_FILE": bundle}  # noqa: PTH112


class _Guard:
    """The shell that outlives us for an instant. Made anew in a process that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = -1
        self._shell: subprocess.Popen[bytes] | None = None
        self.pipe = -1

    def ready(self) -> int:
        with self._lock:
            if self._owner != os.getpid() or self._shell is None or self._shell.poll() is not None:
                self._shell = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARD],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                    env={"PATH": "/usr/bin:/bin"},
                    bufsize=0,
                )
                assert self._shell.stdin is not None
                self.pipe = self._shell.stdin.fileno()
                self._owner = os.getpid()
            return self.pipe

    def close(self) -> None:
        """Let it go, at the end of the process that made it; it ends what is left."""
        if self._owner == os.getpid() and self._shell is not None and self._shell.stdin is not None:
            self._shell.stdin.close()
            if not _running:  # it has nothing to end: no need to see it go,
                self._shell.returncode = 0  # nor to be warned that nobody did
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._shell.wait(timeout=GRACE)

    def end(self, group: int) -> None:
        with contextlib.suppress(OSError):
            os.write(self.pipe, f"end {group}\n".encode())


_guard = _Guard()
atexit.register(_guard.close)
_running: set[int] = set()
_running_lock = threading.Lock()


def run(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    limit: int = TAIL,
    log: Path | None = None,
    log_limit: int = 64 << 20,
    heard: Callable[[str], None] | None = None,
) -> Completed:
    """Run a program to its end.

    Args:
        argv: The program (a path, or a name on ``PATH`` of ``environ``) and its arguments.
        environ: Its whole environment; see ``clean_environment``.
        cwd: Its working folder; this process's when None.
        stdin: All that it can read.
        timeout: Seconds after which it and its children are ended.
        limit: Bytes of output kept, the last ones.
        log: Gets all of the output, as it is printed.
        log_limit: Bytes of output, when it is kept in a log, after which it and its children are ended.
        heard: Told each line, as it is printed, in another thread.

    Returns:
        Its exit code (negative: ended by that signal) and the end of what it printed on both streams.

    Raises:
        BuildError: ``no-program`` when there is no such program, ``too-slow`` after the timeout,
            ``too-much-output`` beyond the log's limit.
    """
    program = shutil.which(argv[0], path=environ.get("PATH"))
    if program is None:
        raise BuildError(f"there is no program {argv[0]!r}", reference="no-program")
    process = subprocess.Popen(
        ["/bin/sh", "-c", _SIGN_IN, "sh", program, *argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=_guard.ready(),
        cwd=cwd,
        env=dict(environ),
        start_new_session=True,
        umask=0o022,
    )
    with _running_lock:
        _running.add(process.pid)
    try:
        return _converse(process, argv, stdin, timeout, _Listener(process, limit, log, log_limit, heard))
    finally:
        with _running_lock:
            _running.discard(process.pid)
        _guard.end(process.pid)


def _converse(
    process: subprocess.Popen[bytes], argv: Sequence[str], stdin: bytes, timeout: float | None, listener: _Listener
) -> Completed:
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end_group(process.pid)

    timer = threading.Timer(timeout, expire) if timeout is not None else None
    threads = [
        threading.Thread(target=_feed, args=(process, stdin), daemon=True),
        threading.Thread(target=listener.listen, daemon=True),
    ]
    try:
        if timer is not None:
            timer.start()
        for thread in threads:
            thread.start()
        _wait(process)
    except BaseException:
        _end_group(process.pid)
        raise
    finally:
        if timer is not None:
            timer.cancel()
        _kill_group(process.pid, signal.SIGKILL)  # what it left behind, while its id is still its own
        process.wait()
        for thread in threads:
            thread.join(GRACE)
    if expired.is_set():
        raise BuildError(f"{Path(argv[0]).name} took longer than {timeout:g} s and was ended", reference="too-slow")
    if listener.overflown:
        raise BuildError(
            f"{Path(argv[0]).name} printed more than {listener.log_limit:,} bytes and was ended",
            reference="too-much-output",
        )
    return Completed(returncode=process.returncode, tail=listener.tail)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until it has ended, without giving its id back, so that nobody else's group is killed after it."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):  # a program need not read what it is given
        process.stdin.write(data)
    with contextlib.suppress(OSError, ValueError):
        process.stdin.close()


class _Listener:
    """Keeps the end of what a program prints, and all of it in a log when there is one."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limit: int,
        log: Path | None,
        log_limit: int,
        heard: Callable[[str], None] | None,
    ) -> None:
        self._process = process
        self._limit = limit
        self._log = log
        self.log_limit = log_limit
        self._heard = heard
        self._line = b""
        self.overflown = False
        self._pieces: deque[bytes] = deque()

    def listen(self) -> None:
        """Until there is no more output."""
        if self._log is None:
            self._listen(None)
        else:
            with self._log.open("wb") as log:
                self._listen(log)

    def _listen(self, log: BinaryIO | None) -> None:
        assert self._process.stdout is not None
        size = written = 0
        with self._process.stdout as stream:
            while piece := os.read(stream.fileno(), 1 << 16):
                self._pieces.append(piece)
                size += len(piece)
                while size - len(self._pieces[0]) >= self._limit:
                    size -= len(self._pieces.popleft())
                if self._heard is not None:
                    self._tell(piece, self._heard)
                if log is None or self.overflown:
                    continue
                written += len(piece)
                if written > self.log_limit:
                    self.overflown = True
                    _kill_group(self._process.pid, signal.SIGKILL)
                else:
                    log.write(piece)

    def _tell(self, piece: bytes, heard: Callable[[str], None]) -> None:
        *lines, rest = (self._line + piece).split(b"\n")
        self._line = rest[-self._limit :]
        for line in lines:
            heard(line.decode("utf-8", "replace"))

    @property
    def tail(self) -> str:
        """The end of the output."""
        return b"".join(self._pieces)[-self._limit :].decode("utf-8", "replace")


def end_all(grace: float = GRACE) -> None:
    """End every program that this process runs now, with its children: asked first, killed after ``grace`` seconds.

    For the handler of SIGINT and SIGTERM; the threads that wait for the programs then return.
    """
    with _running_lock:
        groups = set(_running)
    for group in groups:
        _kill_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while groups and time.monotonic() < deadline:
        with _running_lock:
            groups &= _running
        time.sleep(0.02)
    for group in groups:
        _kill_group(group, signal.SIGKILL)


def _end_group(group: int) -> None:
    _kill_group(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while _kill_group(group, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill_group(group, signal.SIGKILL)


def _kill_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
