"""A reverse proxy on loopback that breaks what passes: between a client of object storage and its server.

::

    with fault_proxy(("127.0.0.1", port)) as proxy:
        proxy.fault("PUT", "*/blobs/*", drop_reply=True)       # the put happens, its answer is lost
        proxy.fault("GET", status=503, times=3)
        ...
        assert proxy.count("PUT") == 2

Every request is logged, with its headers, before anything is done about it. Bodies pass in pieces, so the proxy takes
no memory that a test would count.

``emulates`` makes up for what emulators lack. The one of Google's storage (``google``) ignores ``ifGenerationMatch=0``,
so the proxy asks whether the object is there, and forwards or answers 412, one at a time for a name; and it breaks down
over a media upload of no bytes, which the proxy wraps as a multipart one. moto (``moto``) looks, and then puts, with
other requests between: what says ``If-None-Match`` passes one at a time for a name. What does not say so is not held
up, so a client that forgets the condition is found out.

Rules of the file: no test logic; nothing listens but on loopback; it knows no cloud but for those lacks.
"""

from __future__ import annotations

import http.client
import json
import math
import socket
import ssl
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

_HOP = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}
_PIECE = 1 << 16


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with requests of a method whose path matches, ``times`` times.

    Attributes:
        status: Answer this, with ``body`` and ``headers``; the server is not asked.
        cut_after: Promise the whole answer, send so many bytes of its body, and hang up.
        cut_upload: Pass so many bytes of the request's body on, and hang up on both sides.
        drop_reply: Have the server do it, and hang up without a word.
        reset: Reset the connection; the server is not asked.
        stall: Wait so many seconds before the answer's body.
        dribble: Send the answer's body one byte a second.
        wrong_bytes: Flip one byte in the middle of the answer's body.
        strip: Headers of the request that do not pass.
        strip_query: Parts of the query that do not pass.
        skip: Let so many pass first.
    """

    method: str
    pattern: str = "*"
    times: int = 1
    status: int | None = None
    body: bytes = b"fault on order"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    cut_upload: int | None = None
    drop_reply: bool = False
    reset: bool = False
    stall: float = 0.0
    dribble: bool = False
    wrong_bytes: bool = False
    strip: tuple[str, ...] = ()
    strip_query: tuple[str, ...] = ()
    skip: int = 0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request: its path decoded, its query, its headers with lower-case names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class FaultProxy(ThreadingHTTPServer):
    """A running proxy.

    Attributes:
        seen: Every request so far.
        latency: Seconds added before each answer.
        most: The most requests that were under way at once.
        refuse_all: Hang up on everybody: the network is gone.
        drop_connections: Close so many connections before a byte is said: of TLS, before its handshake.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, target: tuple[str, int], *, emulates: str = "", at_once: int = 256, certificate: Path | None = None
    ) -> None:
        self.target = target
        self.emulates = emulates
        self.upstream = threading.BoundedSemaphore(at_once)
        self.seen: list[Seen] = []
        self.latency = 0.0
        self.most = 0
        self.refuse_all = False
        self.drop_connections = 0
        self._spans: list[tuple[float, float]] = []
        self._under_way = 0
        self._faults: list[Fault] = []
        self._guard = threading.Lock()
        self._names: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
        self._scheme = "http" if certificate is None else "https"

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; one that is dropped is an OSError, which the server goes on from."""
        connection, address = super().get_request()
        if self.drop_connections:
            self.drop_connections -= 1
            connection.close()
            raise OSError("dropped on order")
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        return connection, address

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"

    def fault(self, method: str, pattern: str = "*", **what: Any) -> Fault:
        """Order a fault; keywords are the attributes of ``Fault``."""
        order = Fault(method=method, pattern=pattern, **what)
        with self._guard:
            self._faults.append(order)
        return order

    def forget(self) -> None:
        """Empty the log and the faults."""
        with self._guard:
            self.seen.clear()
            self._spans.clear()
            self._faults.clear()
            self.latency, self.most, self.refuse_all, self.drop_connections = 0.0, 0, False, 0

    def matching(self, method: str, pattern: str = "*") -> list[Seen]:
        """The requests of a method (``*`` for any) whose path matches."""
        with self._guard:
            return [item for item in self.seen if method in ("*", item.method) and fnmatchcase(item.path, pattern)]

    def count(self, method: str, pattern: str = "*") -> int:
        """How many requests matched so far."""
        return len(self.matching(method, pattern))

    def rounds(self) -> int:
        """The most requests of which each began after the one before had been answered: round trips, one by one."""
        with self._guard:
            spans = sorted(self._spans, key=itemgetter(1))
        found, last = 0, -math.inf
        for began, ended in spans:
            if began >= last:
                found, last = found + 1, ended
        return found

    def take(self, request: Seen) -> Fault | None:
        """Log a request, and the fault for it, counted down."""
        with self._guard:
            self.seen.append(request)
            for order in self._faults:
                if order.method not in ("*", request.method) or not fnmatchcase(request.path, order.pattern):
                    continue
                if order.skip:
                    order.skip -= 1
                elif order.times:
                    order.times -= 1
                    return order
        return None

    def name_lock(self, name: str) -> threading.Lock:
        """The lock of a name."""
        with self._guard:
            return self._names[name]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One request is under way."""
        with self._guard:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        began = time.monotonic()
        try:
            yield
        finally:
            with self._guard:
                self._under_way -= 1
                self._spans.append((began, time.monotonic()))

    def settle(self, seconds: float = 0.3) -> None:
        """Wait until no request has been under way for so long, a minute at most."""
        end, idle = time.monotonic() + 60, 0.0
        while idle < seconds and time.monotonic() < end:
            time.sleep(0.02)
            idle = 0.0 if self._under_way else idle + 0.02

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are normal here; anything else is a defect of the proxy and is shown."""
        if not isinstance(sys.exc_info()[1], (OSError, http.client.HTTPException)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultProxy

    def log_message(self, format: str, *args: object) -> None:
        """The log is ``FaultProxy.seen``."""

    def handle_expect_100(self) -> bool:
        """Said when the body is wanted."""
        return super().handle_expect_100()

    def do_GET(self) -> None:
        with self.server.counted():
            self._pass()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def _pass(self) -> None:
        server = self.server
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Seen(method=self.command, path=unquote(parts.path), query=parts.query, headers=headers)
        fault = server.take(request)
        if server.latency:
            time.sleep(server.latency)
        if server.refuse_all:
            self._hang_up()
        elif fault and fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
        elif fault and fault.status:
            self._swallow(headers)
            server.closing.wait(fault.stall)
            self._answer(fault.status, fault.body, fault.headers)
        elif (name := self._new_name(request)) and not (fault and "ifGenerationMatch" in fault.strip_query):
            with server.name_lock(name):
                if self._exists(request, name):
                    self._swallow(headers)
                    self._answer(412, b'{"error": {"code": 412, "message": "conditionNotMet"}}', {})
                else:
                    self._forward(request, fault)
        elif server.emulates == "moto" and headers.get("if-none-match") == "*" and self.command in {"PUT", "POST"}:
            with server.name_lock(request.path):
                self._forward(request, fault)
        else:
            self._forward(request, fault)

    def _new_name(self, request: Seen) -> str | None:
        """The object that must not exist, for an upload of Google's under that condition."""
        query = parse_qs(request.query)
        if self.server.emulates != "google" or query.get("ifGenerationMatch") != ["0"]:
            return None
        return query["name"][0]

    def _exists(self, request: Seen, name: str) -> bool:
        bucket = request.path.split("/b/")[1].split("/")[0]
        with self.server.upstream:
            connection = http.client.HTTPConnection(*self.server.target, timeout=60)
            connection.request("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
            answer = connection.getresponse()
            answer.read()
            connection.close()
        return answer.status == 200

    def _forward(self, request: Seen, fault: Fault | None) -> None:
        strip = {name.lower() for name in fault.strip} if fault else set()
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | strip}
        path, empty = self.path, b""
        if (
            self.server.emulates == "google"
            and "uploadType=media" in path
            and request.headers.get("content-length") == "0"
        ):
            path, empty = _empty_multipart(path)
            sent = {"Content-Type": "multipart/related; boundary=b", "Content-Length": str(len(empty))}
        for part in fault.strip_query if fault else ():
            path = "&".join(item for item in path.split("&") if not item.partition("=")[0].endswith(part))
        with self.server.upstream:
            connection = http.client.HTTPConnection(*self.server.target, timeout=60)
            try:
                connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in sent.items():
                    if name.lower() != "content-length" or "chunked" not in request.headers.get(
                        "transfer-encoding", ""
                    ):
                        connection.putheader(name, value)
                connection.putheader("Connection", "close")
                if empty:
                    connection.endheaders(empty)
                elif not self._send_body(request, connection, fault):
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self._hang_up()
                    return
                self._relay(connection.getresponse(), fault)
            finally:
                connection.close()

    def _send_body(self, request: Seen, connection: http.client.HTTPConnection, fault: Fault | None) -> bool:
        """Pass the request's body on; False when it is cut."""
        if "chunked" in request.headers.get("transfer-encoding", ""):
            data = b"".join(self._chunks())
            connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            return True
        connection.endheaders()
        left = int(request.headers.get("content-length") or 0)
        passed = 0
        while left:
            piece = self.rfile.read1(min(_PIECE, left))
            if not piece:
                return False
            if fault and fault.cut_upload is not None and passed + len(piece) > fault.cut_upload:
                connection.send(piece[: fault.cut_upload - passed])
                return False
            connection.send(piece)
            passed += len(piece)
            left -= len(piece)
        return True

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _swallow(self, headers: Mapping[str, str]) -> None:
        if "chunked" in headers.get("transfer-encoding", ""):
            for _ in self._chunks():
                pass
        left = int(headers.get("content-length") or 0)
        while left and (piece := self.rfile.read1(min(_PIECE, left))):
            left -= len(piece)

    def _relay(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        if fault and fault.drop_reply:
            answer.read()
            self._hang_up()
            return
        length = answer.headers.get("Content-Length")
        whole = None if length is not None or self.command == "HEAD" or answer.status in (204, 304) else answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        if whole is not None:
            length = str(len(whole))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        if fault and fault.stall:
            self.wfile.flush()
            self.server.closing.wait(fault.stall)
        sent, size = 0, int(length or 0)
        while self.command != "HEAD" and sent < size:
            piece = whole[sent : sent + _PIECE] if whole is not None else answer.read(min(_PIECE, size - sent))
            if not piece:
                break
            if fault and fault.wrong_bytes and sent <= size // 2 < sent + len(piece):
                at = size // 2 - sent
                piece = piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
            if fault and fault.cut_after is not None and sent + len(piece) > fault.cut_after:
                self.wfile.write(piece[: fault.cut_after - sent])
                self._hang_up()
                return
            if fault and fault.dribble:
                for byte in piece:
                    self.wfile.write(bytes([byte]))
                    if self.server.closing.wait(1.0):
                        return
            self.wfile.write(piece)
            sent += len(piece)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


def _empty_multipart(path: str) -> tuple[str, bytes]:
    name = parse_qs(urlsplit(path).query)["name"][0]
    about = json.dumps({"name": name}).encode()
    parts = (
        b"--b\nContent-Type: application/json\n\n" + about + b"\n--b\nContent-Type: application/octet-stream\n\n\n--b--"
    )
    return path.replace("uploadType=media", "uploadType=multipart"), parts


@contextmanager
def fault_proxy(
    target: tuple[str, int], *, emulates: str = "", at_once: int = 256, certificate: Path | None = None
) -> Iterator[FaultProxy]:
    """A running proxy on a free loopback port.

    Args:
        target: Host and port of the server.
        emulates: ``google``, ``moto`` or nothing: see the module's docstring.
        at_once: Requests that the server gets at once; the others wait here.
        certificate: A folder with ``certificate.pem`` and ``key.pem``: the proxy speaks TLS.
    """
    proxy = FaultProxy(target, emulates=emulates, at_once=at_once, certificate=certificate)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join(timeout=10)
