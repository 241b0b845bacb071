"""A loopback HTTP proxy that counts: requests by absolute address, and tunnels (CONNECT), all led to one server.

Names that only the proxy knows (``packages.invalid``) prove that a request went through it.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "proxy-authorization"}


class Proxy(ThreadingHTTPServer):
    """A running proxy.

    Attributes:
        asked: Each address that was asked for, and ``CONNECT host:port`` for tunnels.
        agents: The ``User-Agent`` of each request by address.
    """

    daemon_threads = True

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.asked: list[str] = []
        self.agents: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """The log is ``Proxy.asked``."""

    def do_GET(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def _forward(self) -> None:
        self.server.asked.append(self.path)
        self.server.agents.append(self.headers.get("User-Agent", ""))
        parts = urlsplit(self.path)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(*self.server.target, timeout=20)
        connection.request(self.command, path, headers={**self.headers, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        there = socket.create_connection(self.server.target, timeout=20)
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=_pour, args=(there, self.connection), daemon=True)
        back.start()
        _pour(self.connection, there)
        back.join(20)
        self.close_connection = True


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """A proxy that leads every name to one server."""
    server = Proxy((host, port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
