"""Nodes: a bare Python, a shell, and a network that reaches one store and nothing else, or two.

::

    node = Node(folder, port)
    done = node.run("python -c ...", {"AWS_ACCESS_KEY_ID": ...})

The network is a namespace of its own whose loopback leads, at a store's port, through a socket file to that port
outside.

Rules of the file: root, or a user who may make namespaces; whoever may not is told so by ``can_isolate``.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.cache import made_once, source_key

_RELAY = """
import socket, sys, threading
def pump(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def relay(port, listening):
    while True:
        client, _ = listening.accept()
        there = socket.socket(socket.AF_UNIX)
        there.connect(sys.argv[2] + "/" + port)
        for pair in ((client, there), (there, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()

relays = [
    threading.Thread(target=relay, args=(port, socket.create_server(("127.0.0.1", int(port)), backlog=128)))
    for port in sys.argv[1].split(",")
]
for each in relays:
    each.start()
print("ready", flush=True)
"""

# The first process of the namespaces: brings loopback up, gives the node places of Argo's and Airflow's of its own,
# starts the relay, waits for it, runs the command.
_INSIDE = """
ip link set lo up || exit 99
touch /tmp/mf-input-paths && mount --bind "$INPUT_PATHS_FILE" /tmp/mf-input-paths || exit 98
mount -t tmpfs none /mnt && mkdir /mnt/out || exit 97
if [ -n "$XCOM" ]; then mkdir -p /airflow && mount -t tmpfs none /airflow || exit 96; fi
if [ "$2" != none ]; then
    mkfifo "$4"
    "$1" -c "$3" "$2" "$5" > "$4" & relay=$!
    read -r line < "$4"
fi
shift 5
"$@"
code=$?
[ -n "$relay" ] && kill "$relay"
[ -n "$XCOM" ] && umount /airflow && rmdir /airflow
exit $code
"""


def can_isolate() -> bool:
    """Whether network namespaces can be made here."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run(["unshare", "-n", "-m", "ip", "link"], capture_output=True, check=False).returncode == 0


class Node:
    """A machine that has ``sh``, a bare Python and the store.

    Args:
        folder: Of the node alone.
        ports: Of stores, on loopback of both sides; without one there is no network at all.
        python: The interpreter that ``python`` is on the node.
    """

    def __init__(self, folder: Path, *ports: int, python: str = sys.executable) -> None:
        self._folder = folder
        self._ports = ports
        folder.mkdir(parents=True)
        subprocess.run([python, "-m", "venv", "--without-pip", str(folder / "bare")], check=True)
        self.python = folder / "bare" / "bin" / "python"
        self.home = folder / "home"
        self.tmp = folder / "tmp"
        for made in (self.home, self.tmp):
            made.mkdir()

    def run(self, command: str, environ: Mapping[str, str], *, xcom: bool = False) -> subprocess.CompletedProcess[str]:
        """``env -i sh -c command`` with these variables, in the namespace and a folder of its own.

        Args:
            command: For the shell.
            environ: Besides ``PATH`` and ``HOME``.
            xcom: Whether there is the place where Airflow's tasks leave what they found.
        """
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        sockets = Path(tempfile.mkdtemp(prefix="node-"))  # a socket's path has a hundred characters at most
        variables = {
            "PATH": f"{self._folder / 'bare' / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            **environ,
        }
        task = work / "task"
        task.mkdir()
        fifo, paths = work / "fifo", work / "mf-input-paths"
        paths.write_text("")
        ports = ",".join(map(str, self._ports)) or "none"
        inside = ["sh", "-c", _INSIDE, "sh", sys.executable, ports, _RELAY, str(fifo), str(sockets)]
        outside = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), "sh", "-c", command]
        with self._relayed(sockets):
            return subprocess.run(
                ["unshare", "-n", "-m", *inside, *outside],
                cwd=task,
                env={**os.environ, "INPUT_PATHS_FILE": str(paths), "XCOM": "1" if xcom else ""},
                capture_output=True,
                text=True,
                timeout=500,
                check=False,
            )

    @contextlib.contextmanager
    def _relayed(self, folder: Path) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder)
            for port in self._ports:
                listening = stack.enter_context(socket.socket(socket.AF_UNIX))
                listening.bind(str(folder / str(port)))
                listening.listen(128)
                threading.Thread(target=self._serve, args=(listening, port), daemon=True).start()
                stack.callback(_shut, listening)
            yield

    def _serve(self, listening: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                there = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, there), (there, client)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _shut(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _needed(*roots: str) -> dict[str, str]:
    """Distributions that are installed here and needed by some, with their versions."""
    found: dict[str, str] = {}
    left = [Requirement(text) for text in roots]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if name not in found or requirement.extras:
            found[name] = importlib.metadata.version(name)
            for text in importlib.metadata.requires(name) or ():
                needed = Requirement(text)
                if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                    left.append(needed)
    return found


def tool_wheels(*roots: str) -> Path:
    """A folder of real wheels of what is installed here and needed by some distributions; an index is asked once."""
    pins = [f"{name}=={version}" for name, version in sorted(_needed(*roots).items()) if name != "envbuild"]

    def make(folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            str(folder),
        ]
        environ = {name: value for name, value in _ENVIRONMENT.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [*command, "-d", str(folder), *pins], capture_output=True, text=True, env=environ, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return made_once(f"node-tools-{source_key((), *pins)}", make)


_ENVIRONMENT = dict(os.environ)
"""As the test process began: tests clean theirs."""
