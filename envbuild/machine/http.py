"""One request: pooled connections, credentials for every hop, safe redirects, and what each answer means.

Credentials are looked up for every hop, so that a redirect to another host carries none of the first host's; https
never falls back to http; link-local addresses are refused. ``identity`` is the only encoding asked for. Bodies of
refusals are never shown; small ones are taken off the connection, so that it can be used again.

Rules of the file: asks once; who retries is ``envbuild.machine.download``. Addresses appear in messages through
``redact``.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from envbuild.errors import UnreachableError
from envbuild.machine.credentials import Access, Credentials, is_whole, redact
from envbuild.machine.network_failures import reason
from envbuild.value import dataclass

if TYPE_CHECKING:
    import requests

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
"""Statuses that may pass."""

_REDIRECTS = 10
_SMALL = 4096
"""Bytes of a body that nobody wants but that is read in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for servers.

    Attributes:
        connect: Seconds for a connection.
        stall: Seconds without (enough) bytes after which a transfer is cut.
        pause: Seconds that the first pause between rounds takes at most; doubled for each round.
    """

    connect: float = 10.0
    stall: float = 30.0
    pause: float = 0.5


class AgainError(UnreachableError):
    """A failure that may pass.

    Attributes:
        after: What the server asked us to wait, in seconds.
        silent: True when the server kept us waiting in vain, which costs more than a refusal.
    """

    def __init__(self, message: str, after: float = 0.0, *, silent: bool = False) -> None:
        super().__init__(message, retryable=True)
        self.after = after
        self.silent = silent


class Connections:
    """Pooled connections of one process; safe for threads.

    Args:
        credentials: Who we are to each server.
        environ: For certificates.
        patience: See ``Patience``.
        trusted_hosts: Hosts whose certificates are not checked, by the user's own configuration.
    """

    def __init__(
        self,
        credentials: Credentials,
        environ: Mapping[str, str],
        patience: Patience,
        trusted_hosts: Sequence[str] = (),
    ) -> None:
        self._credentials = credentials
        self._environ = environ
        self._patience = patience
        self._trusted = frozenset(trusted_hosts)
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._granted: dict[tuple[str, str], str] = {}
        self._proxies_of: dict[tuple[str, str], dict[str, str]] = {}

    def open(self, url: str, headers: Mapping[str, str], data: bytes | None = None) -> requests.Response:
        """An answer of status 200 or 206, after redirects; with ``data``, of a POST, which changes nothing there.

        Raises:
            UnreachableError: For every other answer, and for none; ``AgainError`` when it may pass.
        """
        url, response = self._follow("GET" if data is None else "POST", url, headers, data)
        if response.status_code in {200, 206}:
            return response
        status = response.status_code
        after = _retry_after(response)
        _let_go(response)
        if status in AGAIN:
            raise AgainError(f"{redact(url)} answers {status}", after)
        if status == 416 and "Range" in headers:
            raise AgainError(f"{redact(url)} has no such part")
        raise _refusal(url, status)

    def pass_on(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Whatever is answered after redirects, as it comes: for an engine that reads it itself.

        Raises:
            UnreachableError: When nothing is answered, or a redirect is not followed.
        """
        return self._follow(method, url, headers)[1]

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> tuple[str, requests.Response]:
        """The answer at the end of the redirects, and the address that gave it."""
        for _ in range(_REDIRECTS):
            _check_host(url)
            response = self._answer(method, url, headers, data)
            if response.status_code not in {301, 302, 303, 307, 308} or "Location" not in response.headers:
                return url, response
            target = urljoin(url, response.headers["Location"])
            _let_go(response)
            if urlsplit(target).scheme not in {"https", "http"} or (
                urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
            ):
                raise UnreachableError(
                    f"{redact(url)} redirects to {redact(target)}, which is less safe", reference="unsafe-redirect"
                )
            url = target
        raise UnreachableError(f"{redact(url)} redirects too often", reference="redirects")

    def expect(self, url: str) -> None:
        """Ready what asking an address takes: requests is imported, its certificates are read; nothing is sent.

        Raises:
            InvalidInput: ``certificate``.
        """
        verify = self._verify(url)
        adapter = self._pool().get_adapter(url)
        if verify is not False and url.startswith("https://"):
            adapter.context(verify)  # type: ignore[attr-defined]  # ours

    def _answer(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> requests.Response:
        access = self._credentials.for_url(url)
        host = urlsplit(url).netloc.rsplit("@", 1)[-1]
        granted = self._granted.get((urlsplit(url).scheme, host))
        if granted is not None and not is_whole(access.authorization):
            access = Access(url=access.url, authorization=granted)
        response = self._send(method, access, headers, data)
        if response.status_code in {401, 403} and not is_whole(access.authorization):
            other = self._credentials.from_keyring(url)
            if other is not None:
                _let_go(response)
                response = self._send(method, other, headers, data)
                if response.status_code < 400 and other.authorization is not None:
                    self._granted[urlsplit(url).scheme, host] = other.authorization
        return response

    def _send(self, method: str, access: Access, headers: Mapping[str, str], data: bytes | None) -> requests.Response:
        import requests

        sent = {"Accept-Encoding": "identity", "Accept": "*/*", **headers}
        if access.authorization is not None:
            sent["Authorization"] = access.authorization
        try:
            return self._pool().request(
                method,
                access.url,
                headers=sent,
                data=data,
                stream=True,
                allow_redirects=False,
                timeout=(self._patience.connect, self._patience.stall),
                proxies=self._proxies(access.url),
                verify=self._verify(access.url),
            )
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):  # a handshake that broke off may pass
                raise AgainError(f"{redact(access.url)} does not answer: {reason(error)}") from error
            raise UnreachableError(
                f"{redact(access.url)} has a certificate that is not trusted here",
                reference="certificate",
                hint="set SSL_CERT_FILE to your organisation's certificates, or `trusted-hosts` in your configuration",
            ) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            silent = isinstance(error, requests.exceptions.Timeout)
            raise AgainError(f"{redact(access.url)} does not answer: {reason(error)}", silent=silent) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise UnreachableError(f"{redact(access.url)} cannot be asked: {reason(error)}") from error

    def _proxies(self, url: str) -> dict[str, str]:
        """The proxies for an address; finding them out goes through every variable, so once for each host."""
        parts = urlsplit(url)
        host = (parts.scheme, parts.netloc)
        if host not in self._proxies_of:
            import requests

            self._proxies_of[host] = dict(requests.utils.get_environ_proxies(url))
        return self._proxies_of[host]

    def _verify(self, url: str) -> bool | str:
        parts = urlsplit(url)
        if parts.hostname in self._trusted or parts.netloc in self._trusted:
            return False
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT"):
            if self._environ.get(name):
                return self._environ[name]
        return True

    def _pool(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                import requests

                from envbuild.machine.certificates import TrustingOnce

                if self._trusted:  # what the user asked for is not warned of with each request
                    import urllib3

                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                session = requests.Session()
                session.trust_env = False  # netrc, proxies and certificates are looked up above, once
                adapter = TrustingOnce(pool_connections=64, pool_maxsize=64, max_retries=0)
                session.mount("https://", adapter)
                session.mount("http://", adapter)
                session.headers["User-Agent"] = "envbuild"
                self._session = session
            return self._session

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None


def _let_go(response: requests.Response) -> None:
    """Close an answer whose body is not wanted; its connection stays open when the body is small and has come."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) <= _SMALL:
        from urllib3.exceptions import HTTPError

        with suppress(HTTPError, OSError):
            response.raw.read1(_SMALL, decode_content=False)
    response.close()


def _refusal(url: str, status: int) -> UnreachableError:
    if status in {404, 410}:
        return UnreachableError(f"{redact(url)} is not there ({status})", reference="not-found")
    if status in {401, 403, 407}:
        return UnreachableError(
            f"{redact(url)} refuses ({status})",
            reference="refused",
            hint="put credentials for that host into ~/.netrc (mode 0600), the keyring or RATTLER_AUTH_FILE",
        )
    return UnreachableError(f"{redact(url)} answers {status}", reference="refused")


def _check_host(url: str) -> None:
    host = urlsplit(url).hostname or ""
    try:
        refused = ipaddress.ip_address(host).is_link_local
    except ValueError:
        refused = not host
    if refused:
        raise UnreachableError(f"{redact(url)} is not an address to fetch from", reference="bad-host")


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(min(int(text), 3600))
    if text:
        import email.utils

        try:
            when = email.utils.parsedate_to_datetime(text).timestamp()
        except (TypeError, ValueError):
            return 0.0
        return max(0.0, when - time.time())
    return 0.0


def was_connected(error: AgainError) -> bool:
    """Whether there was a server, which then kept us waiting."""
    import requests

    return isinstance(error.__cause__, requests.exceptions.ReadTimeout)


def is_packed(response: requests.Response) -> bool:
    """Whether the server packed the body."""
    return response.headers.get("Content-Encoding", "identity").lower() in {"gzip", "x-gzip", "deflate"}


def validator(response: requests.Response) -> str:
    """What tells that a file has not changed in between: a strong ETag, else its date; empty when there is neither."""
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return "" if tag else str(response.headers.get("Last-Modified", ""))


def continues(response: requests.Response, start: int) -> bool:
    """Whether an answer of status 206 begins at the byte asked for."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def total_size(response: requests.Response, start: int) -> int | None:
    """Bytes of the whole file, when the answer says them."""
    text = response.headers.get("Content-Length", "")
    return start + int(text) if text.isdigit() else None
