"""Git repositories for tests, and a loopback server that speaks git's smart protocol for them (``git http-backend``).

::

    repository = git_server.repository("toy")
    first = repository.commit({"pyproject.toml": "…", "run": Script("…"), "link": Link("run")})
    repository.tag("v1")
    git_server.url("toy")          # http://127.0.0.1:…/toy.git
    git_server.count("*git-upload-pack", method="POST")

The user's own git configuration is never read: ``HOME`` is the test's.

Rules of the file: no test logic; nothing listens but on loopback.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Script(str):
    """The text of an executable file."""

    __slots__ = ()


class Link(str):
    """The target of a symbolic link."""

    __slots__ = ()


Tree = Mapping[str, "str | bytes | None"]
"""Contents by path; None removes a file."""


def git(*arguments: str, cwd: Path) -> str:
    """Run git for a test, with a name and a time that are always the same; what it wrote."""
    settings = {
        "user.name": "Test",
        "user.email": "test@localhost",
        "init.defaultBranch": "main",
        "protocol.file.allow": "always",
        "core.autocrlf": "false",
        "commit.gpgSign": "false",
    }
    environ = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(cwd),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    command = ["git", *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def write_tree(folder: Path, tree: Tree) -> None:
    """Make files, scripts and links below a folder."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        if content is None:
            continue
        if isinstance(content, Link):
            path.symlink_to(str(content))
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755 if isinstance(content, Script) else 0o644)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository with a work tree; the server serves its ``.git``."""

    folder: Path

    def commit(self, tree: Tree, message: str = "change") -> str:
        """Write files and commit everything; the commit."""
        write_tree(self.folder, tree)
        git("add", "--all", "--force", cwd=self.folder)
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.folder)
        return self.head()

    def head(self) -> str:
        """The commit that is checked out."""
        return git("rev-parse", "HEAD", cwd=self.folder)

    def tag(self, name: str, *, annotated: bool = True) -> None:
        """Tag the commit that is checked out."""
        git("tag", *(("-a", "-m", name) if annotated else ()), name, cwd=self.folder)

    def branch(self, name: str) -> None:
        """Make a branch and check it out."""
        git("checkout", "--quiet", "-B", name, cwd=self.folder)

    def submodule(self, url: str, path: str) -> None:
        """Add a submodule and commit it."""
        git("submodule", "--quiet", "add", "--", url, path, cwd=self.folder)
        git("commit", "--quiet", "-m", f"submodule {path}", cwd=self.folder)


class GitServer(ThreadingHTTPServer):
    """A running server.

    Attributes:
        folder: Where its repositories lie.
        requests: Method and path, with the query, of every request so far.
        redirect: Where requests are sent instead, as a function of their path and query; None answers them.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        self.redirect: str | None = None
        self._sign_in: str | None = None
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, name: str = "") -> str:
        """The address of a repository."""
        return f"http://127.0.0.1:{self.server_address[1]}" + (f"/{name}.git" if name else "")

    def repository(self, name: str) -> Repository:
        """A new repository, without a commit yet."""
        folder = self.folder / f"{name}.git"
        folder.mkdir(parents=True)
        git("init", "--quiet", cwd=folder)
        return Repository(folder=folder)

    def require_basic(self, user: str, password: str) -> None:
        """From now on only this user gets in."""
        self._sign_in = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def count(self, pattern: str = "*", method: str | None = None) -> int:
        """How many requests matched so far."""
        with self._guard:
            return sum(fnmatchcase(path, pattern) and method in (None, word) for word, path in self.requests)

    def forget(self) -> None:
        """Empty the log."""
        with self._guard:
            self.requests.clear()

    def note(self, method: str, path: str) -> None:
        """Log a request."""
        with self._guard:
            self.requests.append((method, path))

    def lets_in(self, authorization: str | None) -> bool:
        """Whether a request may pass."""
        return self._sign_in is None or authorization == self._sign_in

    def close(self) -> None:
        """Stop answering."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are normal here."""


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def log_message(self, format: str, *args: object) -> None:
        """The log is ``GitServer.requests``."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.note(self.command, self.path)
        body = self._body()
        if self.server.redirect is not None:
            self._say(302, {"Location": self.server.redirect + self.path})
        elif not self.server.lets_in(self.headers.get("Authorization")):
            self._say(401, {"WWW-Authenticate": 'Basic realm="test"'})
        else:
            self._run(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _run(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        folder, _, rest = urllib.parse.unquote(path).lstrip("/").partition("/")
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.server.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": f"/{folder}/.git/{rest}",
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": "test",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200" if done.returncode == 0 else "500").split()[0])
        self._say(status, headers, content)

    def _say(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


@contextmanager
def serve_git(folder: Path) -> Iterator[GitServer]:
    """A server of the repositories below a folder.

    Raises:
        LookupError: When there is no git here.
    """
    if shutil.which("git") is None:
        raise LookupError("there is no program git on PATH")
    server = GitServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
