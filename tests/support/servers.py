"""Loopback HTTP servers for tests and benchmarks: keep-alive, ranges, ETags, sign-in, counters, and faults on order.

::

    with serve(folder) as server:
        server.fault("*.conda", status=503, times=2)
        ...
        assert server.count("*.conda") == 3

A server answers from a folder, or from anything with the shape of ``Content``. Every request is logged before it is
answered. A fault is asked first; the first one that matches the path, with times left, is used.

Rules of the file: no test logic; nothing listens but on loopback; closing a server also closes its open connections, so
"the network is gone" is true at once.
"""

from __future__ import annotations

import base64
import email.utils
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.answers import Body, Content, Incoming, folder_content

_PIECE = 1 << 16
"""Bytes that one connection sends before another one's turn comes, where bandwidth is limited."""


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with requests whose path matches ``pattern`` (``fnmatch``), ``times`` times.

    Attributes:
        status: Answer this status instead.
        cut_after: Promise the whole body, send this many bytes of it, and hang up.
        stall: Wait this many seconds before the body (after ``cut_after`` bytes, when that is given too).
        wrong_bytes: One byte in the middle of the body is flipped; the length stays.
        redirect: Answer 302 to this address.
        headers: Added to the answer, such as ``Retry-After``.
        skip: Let this many matching requests pass first.
        method: Only for this method.
    """

    pattern: str
    times: int = 1
    status: int | None = None
    cut_after: int | None = None
    stall: float = 0.0
    wrong_bytes: bool = False
    redirect: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    skip: int = 0
    method: str | None = None


class Server(ThreadingHTTPServer):
    """A running server; see the module's docstring.

    Attributes:
        requests: Every request so far, in order of arrival.
        latency: Seconds added before each answer.
        bandwidth: Bytes a second that leave this server as files, for all connections together; 0 for no limit.
        ranges: Whether ``Range`` is honoured; otherwise the whole body is sent, status 200.
        sign_in: Exact values of the ``Authorization`` header that are let in; empty lets everybody in.
        answers: Statuses answered, in order of answering.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, content: Content, *, host: str = "127.0.0.1", cache_control: str = "no-cache") -> None:
        self.content = content
        self.host = host
        self.cache_control = cache_control
        self.requests: list[Incoming] = []
        self.answers: list[int] = []
        self.faults: list[Fault] = []
        self.latency = 0.0
        self.bandwidth = 0.0
        self._line_is_free = 0.0
        self.ranges = True
        self.sign_in: set[str] = set()
        self.prefix = ""
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://{self.host}:{self.server_address[1]}{self.prefix}"

    def url_with(self, user: str, password: str) -> str:
        """The base address with user information in it."""
        return self.url.replace("://", f"://{urllib.parse.quote(user)}:{urllib.parse.quote(password)}@", 1)

    def require_basic(self, user: str, password: str) -> None:
        """From now on only this user gets in (others: 401)."""
        self.sign_in.add("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())

    def require_bearer(self, token: str) -> None:
        """From now on only this token gets in (others: 401)."""
        self.sign_in.add(f"Bearer {token}")

    def fault(self, pattern: str, **what: Any) -> Fault:
        """Order a fault; keywords are the attributes of ``Fault``."""
        order = Fault(pattern=pattern, **what)
        with self._guard:
            self.faults.append(order)
        return order

    def count(self, pattern: str = "*", method: str | None = "GET") -> int:
        """How many requests matched so far."""
        return len(self.matching(pattern, method))

    def matching(self, pattern: str = "*", method: str | None = "GET") -> list[Incoming]:
        """The requests whose path matches, in order."""
        with self._guard:
            seen = list(self.requests)
        return [item for item in seen if fnmatchcase(item.path, pattern) and method in (None, item.method)]

    def forget(self) -> None:
        """Empty the log and the faults."""
        with self._guard:
            self.requests.clear()
            self.answers.clear()
            self.faults.clear()

    def close(self) -> None:
        """Stop answering, and cut every open connection."""
        if self.closing.is_set():
            return
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def take_fault(self, request: Incoming) -> Fault | None:
        """The fault for this request, counted down."""
        with self._guard:
            for order in self.faults:
                if not fnmatchcase(request.path, order.pattern) or order.method not in (None, request.method):
                    continue
                if order.skip:
                    order.skip -= 1
                elif order.times:
                    order.times -= 1
                    return order
        return None

    def note(self, request: Incoming) -> None:
        """Log a request."""
        with self._guard:
            self.requests.append(request)

    def note_answer(self, status: int) -> None:
        """Log a status."""
        with self._guard:
            self.answers.append(status)

    def await_line(self, length: int) -> None:
        """Wait until the line to the world has carried so many bytes more; connections take turns."""
        with self._guard:
            begin = max(time.monotonic(), self._line_is_free)
            end = self._line_is_free = begin + length / self.bandwidth
        self.closing.wait(end - time.monotonic())

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are normal here; anything else is a defect of the fixture and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """The log is ``Server.requests``."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, sent: bytes = b"") -> None:
        server = self.server
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if server.prefix and path.startswith(server.prefix):
            path = path[len(server.prefix) :] or "/"
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Incoming(method=self.command, path=path, headers=headers, at=time.monotonic(), sent=sent)
        server.note(request)
        if server.latency:
            server.closing.wait(server.latency)
        fault = server.take_fault(request)
        if fault and (fault.status or fault.redirect):
            server.closing.wait(fault.stall)
            location = {"Location": fault.redirect} if fault.redirect else {}
            self._send(fault.status or 302, b"fault on order\n", {**location, **fault.headers})
        elif server.sign_in and headers.get("authorization") not in server.sign_in:
            self._send(401, b"sign in\n", {"WWW-Authenticate": 'Basic realm="tests"'})
        elif (body := server.content(request)) is None:
            self._send(404, b"not found\n", {})
        else:
            self._send_body(request, body, fault)

    def _send_body(self, request: Incoming, body: Body, fault: Fault | None) -> None:
        size, etag = body.size, body.etag
        headers = {
            "ETag": etag,
            "Content-Type": body.type,
            "Accept-Ranges": "bytes" if self.server.ranges else "none",
            "Cache-Control": self.server.cache_control,
            "Last-Modified": email.utils.formatdate(_modified(body), usegmt=True),
            **body.headers,
            **(fault.headers if fault else {}),
        }
        if request.headers.get("if-none-match") == etag and not request.range:
            self._send(304, b"", headers)
            return
        first, last, status = 0, size - 1, 200
        wanted_version = request.headers.get("if-range", etag) == etag
        if request.range and self.server.ranges and wanted_version:
            part = _part(request.range, size)
            if part is None:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            (first, last), status = part, 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if fault is None and isinstance(body.data, Path) and self.command == "GET":
            self._send_file(status, body.data, first, last + 1 - first, headers)
        else:
            self._send(status, body.read(first, last), headers, fault)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.server.note_answer(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_file(self, status: int, path: Path, first: int, length: int, headers: Mapping[str, str]) -> None:
        self._head(status, length, headers)
        with path.open("rb") as stream:
            while length:
                piece = length
                if self.server.bandwidth:
                    piece = min(length, _PIECE)
                    self.server.await_line(piece)
                self.connection.sendfile(stream, first, piece)
                first, length = first + piece, length - piece

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], fault: Fault | None = None) -> None:
        self._head(status, len(data), headers)
        if self.command == "HEAD" or status == 304:
            return
        if fault and fault.wrong_bytes and data:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        sent = 0
        if fault and fault.cut_after is not None:
            sent = fault.cut_after
            self.wfile.write(data[:sent])
            self.server.closing.wait(fault.stall)
            self.close_connection = True
            return
        if fault and fault.stall:
            self.server.closing.wait(fault.stall)
        self.wfile.write(data)


def _modified(body: Body) -> float:
    return body.data.stat().st_mtime if isinstance(body.data, Path) else 1_700_000_000.0


def _part(text: str, size: int) -> tuple[int, int] | None:
    """The first and last byte of a ``Range`` header; None when it cannot be served."""
    unit, _, span = text.partition("=")
    start, dash, end = span.partition("-")
    if unit.strip() != "bytes" or not dash or "," in span:
        return None
    if not start:
        first, last = max(0, size - int(end)), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
    return (first, last) if first <= last and first < size else None


__all__ = ["Body", "Content", "Fault", "Incoming", "Server", "folder_content", "serve"]


@contextmanager
def serve(
    content: Path | Content, *, host: str = "127.0.0.1", cache_control: str = "no-cache", prefix: str = ""
) -> Iterator[Server]:
    """A running server on a free loopback port.

    Args:
        content: A folder, or what answers requests.
        host: The name in ``Server.url``: ``127.0.0.1`` or ``localhost``.
        cache_control: Sent with every body.
        prefix: Path that stands before every path, such as ``/channel``.
    """
    server = Server(
        folder_content(content) if isinstance(content, Path) else content, host=host, cache_control=cache_control
    )
    server.prefix = prefix
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(timeout=10)
