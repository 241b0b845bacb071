"""Trusted hosts for an engine that checks every certificate or none: what it asks of them goes through this process.

The conda solver can leave out the check of certificates for all hosts only. So, while it runs, the addresses of trusted
hosts are led to a server on loopback, which asks on with ``envbuild.machine.http``: that leaves the check out for those
hosts alone, gives each hop its own credentials, and refuses redirects that are less safe. Other hosts are asked by the
engine itself, certificates checked.

Rules of the file: it answers who knows the secret path only, for trusted hosts only; nothing is kept.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from envbuild.errors import EnvbuildError
from envbuild.machine.http import AgainError

CHUNK = 1 << 16
_HOST = "127.0.0.1"
_ASKED = ("Accept", "Accept-Encoding", "If-Modified-Since", "If-None-Match", "If-Range", "Range")
_TOLD = ("Cache-Control", "Content-Encoding", "Content-Range", "Content-Type", "ETag", "Last-Modified", "Retry-After")


class Answer(Protocol):
    """What is used of an answer of ``Connections.pass_on``; it is told by no name, for requests stays in its room."""

    raw: Any
    status_code: int

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""
        ...

    def close(self) -> None:
        """Let the connection go."""
        ...


Ask = Callable[[str, str, Mapping[str, str]], Answer]
"""Method, address and headers to an answer: ``Connections.pass_on``."""


def trusted_places(urls: Iterable[str], trusted: Sequence[str]) -> tuple[str, ...]:
    """The beginnings of addresses that must go through a relay; none when no address is one of a trusted host.

    Args:
        urls: What the engine will ask for.
        trusted: Hosts, with a port or without, as in the settings.
    """
    asked = set()
    for parts in map(urlsplit, urls):
        host = _host(parts)
        if parts.scheme == "https" and (parts.hostname in trusted or host in trusted):
            asked.add(host)
    return tuple(f"https://{host}/" for host in sorted({*asked, *trusted})) if asked else ()


def _host(parts: SplitResult) -> str:
    return parts.netloc.rsplit("@", 1)[-1]


class Relay:
    """A relay while it runs.

    Attributes:
        places: What is asked instead, by the beginning of an address; both end with a slash.
        variables: The engine needs these, so that it asks loopback itself and not a proxy.
    """

    def __init__(self, places: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.places = places
        self.variables = variables
        self._failures: dict[str, EnvbuildError] = {}

    @property
    def failure(self) -> EnvbuildError | None:
        """Why a request got no answer, not when it was repeated either; None when all did."""
        return next(reversed(tuple(self._failures.values())), None)

    def heard(self, url: str, failure: EnvbuildError | None) -> None:
        """Keep how a request went."""
        if failure is None:
            self._failures.pop(url, None)
        else:
            self._failures[url] = failure

    def instead(self, url: str) -> str:
        """What is asked in place of an address; user info is left out, as the relay finds it itself."""
        if not self.places:
            return url
        parts = urlsplit(url)
        bare = parts._replace(netloc=_host(parts)).geturl()
        for place, here in self.places.items():
            if bare.startswith(place):
                return here + bare[len(place) :]
        return url

    def told(self, text: str) -> str:
        """A text of the engine's with the addresses that are meant."""
        for place, here in self.places.items():
            text = text.replace(here, place)
        return text


@contextmanager
def relay_to(places: Sequence[str], ask: Ask, environ: Mapping[str, str]) -> Iterator[Relay]:
    """A relay for the length of a block; nothing listens when there are no places.

    Args:
        places: Beginnings of addresses, each with a slash at its end.
        ask: Asks on.
        environ: Of this process, for ``NO_PROXY``.
    """
    if not places:
        yield Relay({}, {})
        return
    token = secrets.token_urlsafe(24)
    server = _Server(token, places, ask)
    base = f"http://{_HOST}:{server.server_address[1]}/{token}"
    relay = Relay({place: f"{base}/{number}/" for number, place in enumerate(places)}, _past_proxies(environ))
    server.relay = relay
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    known = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    told = known if known.strip() == "*" else ",".join(item for item in (known, _HOST) if item)
    return {"NO_PROXY": told, "no_proxy": told}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    relay: Relay

    def __init__(self, token: str, places: Sequence[str], ask: Ask) -> None:
        self.token = token
        self.places = places
        self.ask = ask
        super().__init__((_HOST, 0), _Handler)

    def meant(self, path: str) -> str | None:
        """The address that a path stands for; None for strangers."""
        words = path.split("/", 3)
        if len(words) != 4 or not secrets.compare_digest(words[1].encode(), self.token.encode()):
            return None
        if not words[2].isdigit() or int(words[2]) >= len(self.places):
            return None
        return self.places[int(words[2])] + words[3]

    def handle_error(self, request: object, client_address: object) -> None:
        """An engine that hangs up is no defect, and its requests are its own to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: addresses may hold secrets."""

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        url = self.server.meant(self.path)
        if url is None:
            self._empty(404)
            return
        headers = {name: value for name in _ASKED if (value := self.headers.get(name))}
        try:
            response = self.server.ask(self.command, url, headers)
        except EnvbuildError as error:
            self.server.relay.heard(url, error)
            self._empty(503 if isinstance(error, AgainError) else 403)  # the engine asks again after a 503
            return
        self.server.relay.heard(url, None)
        with closing(response):
            self._answer(response)

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, response: Answer) -> None:
        length = response.headers.get("Content-Length")
        bare = self.command == "HEAD" or response.status_code in {204, 304}
        self.send_response(response.status_code)
        for name in _TOLD:
            if name in response.headers:
                self.send_header(name, response.headers[name])
        if length is not None:
            self.send_header("Content-Length", length)
        elif not bare:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if bare:
            return
        from urllib3.exceptions import HTTPError

        with suppress(HTTPError, OSError):
            while piece := response.raw.read1(CHUNK, decode_content=False):
                self.wfile.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
            if length is None:
                self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True  # a body that broke off must not look whole
