"""Credentials: who this user is to a server, from the usual places; and how secrets stay out of what people read.

Asked in this order: user info in the address itself (a machine's configuration may hold it), user info that the
configuration gives for the same server, ``UV_INDEX_<NAME>_USERNAME``/``_PASSWORD``, rattler's credentials file
(``RATTLER_AUTH_FILE``, else ``~/.rattler/credentials.json``), netrc (``NETRC``, else ``~/.netrc``); and, only after a
server has refused, the keyring. What is found goes into a request's header (or conda's ``/t/<token>/`` path) and
nowhere else: never into a record, a hint, a lock, a log or a message. ``redact`` is how addresses get into messages.

Rules of the file: nothing here sends or stores; every credential is for one host name and port.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from envbuild.pattern import pattern
from envbuild.value import dataclass

_SECRET_WORDS = pattern(r"sig|token|secret|password|passwd|credential|auth|api[-_]?key|access[-_]?key", re.IGNORECASE)
_CONDA_TOKEN = pattern(r"/t/[^/]+/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An address to ask, and what to say to the server. Not shown by ``repr``.

    Attributes:
        url: Without user info.
        authorization: Value of the header, or None.
    """

    url: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)


def redact(url: str) -> str:
    """An address that may be shown: user info, conda tokens and signature-like query values replaced by ``****``."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
        if "@" in netloc:
            userinfo, host = netloc.rsplit("@", 1)
            user, colon, _ = userinfo.partition(":")
            netloc = (f"{user}:****@" if colon else "****@") + host
        query = parts.query
        if query and _SECRET_WORDS.search(query):
            pairs = parse_qsl(query, keep_blank_values=True)
            shown = [(name, "****" if _SECRET_WORDS.search(name) else value) for name, value in pairs]
            query = urlencode(shown, safe="*")
        return urlunsplit(parts._replace(netloc=netloc, query=query, path=_CONDA_TOKEN.sub("/t/****/", parts.path)))
    except ValueError:
        return "****"


def without_user_info(url: str) -> str:
    """The address without user info, conda token, query or fragment: what may be kept at rest."""
    parts = urlsplit(url)
    path = _CONDA_TOKEN.sub("/", parts.path)
    return urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], path, "", ""))


class Credentials:
    """All credentials of one user on this machine.

    Args:
        environ: Environment variables.
        configured: Addresses of the machine's configuration; those with user info count.
        note: Told once about files that others may read.
    """

    def __init__(
        self, environ: Mapping[str, str], configured: Iterable[str] = (), note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._environ = environ
        self._note = note
        self._basic: dict[str, str] = {}
        for url in (*configured, *_uv_addresses(environ)):
            found = _user_info(url)
            if found is not None:
                self._basic.setdefault(_server(url), found)
        self._files: tuple[dict[str, Any], Any] | None = None
        self._keyring: dict[str, str | None] = {}

    def for_url(self, url: str) -> Access:
        """What to send for an address, without asking the keyring."""
        bare = _bare(url)
        found = _user_info(url) or self._basic.get(_server(url))
        if found is not None:
            return Access(url=bare, authorization=found)
        if self._files is None:
            self._files = (self._read_rattler(), self._read_netrc())
        stored, netrc = self._files
        host = urlsplit(url).hostname or ""
        for name in _host_patterns(host, urlsplit(url).port):
            if name in stored:
                return _rattler_access(bare, stored[name])
        entry = netrc.authenticators(host) if netrc is not None else None
        if entry is not None:
            return Access(url=bare, authorization=_basic(entry[0] or "", entry[2] or ""))
        return Access(url=bare)

    def from_keyring(self, url: str) -> Access | None:
        """What the keyring holds for the server of an address that has just refused; None when it holds nothing."""
        server = _server(url)
        if server not in self._keyring:
            self._keyring[server] = _ask_keyring(urlsplit(url), self._environ)
        found = self._keyring[server]
        return None if found is None else Access(url=_bare(url), authorization=found)

    def _read_rattler(self) -> dict[str, Any]:
        name = self._environ.get("RATTLER_AUTH_FILE")
        path = Path(name) if name else self._home(".rattler", "credentials.json")
        text = self._private_text(path, follow=False)
        if text is None:
            return {}
        try:
            tree = json.loads(text)
        except ValueError:
            self._note(f"{path} is not JSON; it is ignored")
            return {}
        return tree if isinstance(tree, dict) else {}

    def _read_netrc(self) -> Any:
        name = self._environ.get("NETRC")
        path = Path(name) if name else self._home(".netrc")
        if path is None or self._private_text(path, follow=True) is None:
            return None
        import netrc

        try:
            return netrc.netrc(str(path))
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
            self._note(f"{path} cannot be read as netrc; it is ignored")
            return None

    def _home(self, *names: str) -> Path | None:
        home = self._environ.get("HOME")
        return Path(home, *names) if home else None

    def _private_text(self, path: Path | None, *, follow: bool) -> str | None:
        if path is None:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(f"{path} is ignored: {os.strerror(error.errno or 0)}, or a symbolic link")
            return None
        with os.fdopen(descriptor, "rb") as stream:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                self._note(f"others may read {path}, which holds credentials: chmod 600 {path}")
            return stream.read(1 << 20).decode("utf-8", "replace")


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]))


def _server(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{(parts.hostname or '').lower()}:{port}"


def _user_info(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return _basic(unquote(parts.username), unquote(parts.password or ""))


def is_whole(authorization: str | None) -> bool:
    """Whether credentials are all there: a user's name alone may be a token, or may want the keyring's word."""
    if authorization is None:
        return False
    scheme, _, value = authorization.partition(" ")
    return scheme != "Basic" or not base64.b64decode(value).endswith(b":")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def signed_index(entry: str, environ: Mapping[str, str]) -> str:
    """An index as uv's variables give it, ``name=https://…`` or an address, as an address that can be asked.

    A name brings the user info of its ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD``, as uv would look it up.
    """
    found = re.fullmatch(r"([A-Za-z0-9._-]+)=((?:[A-Za-z]+:|\.|/).*)", entry)
    if found is None:
        return entry
    name, url = found.groups()
    variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = environ.get(variable + "_USERNAME"), environ.get(variable + "_PASSWORD")
    if "://" not in url or not (user or password):
        return url
    parts = urlsplit(url)
    info = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"
    return urlunsplit(parts._replace(netloc=f"{info}@{parts.netloc.rsplit('@', 1)[-1]}"))


def _uv_addresses(environ: Mapping[str, str]) -> Iterator[str]:
    """Addresses of ``UV_INDEX`` and ``UV_DEFAULT_INDEX`` with the user info of their ``UV_INDEX_<NAME>_`` variables."""
    text = " ".join((environ.get("UV_INDEX", ""), environ.get("UV_DEFAULT_INDEX", "")))
    return (signed_index(entry, environ) for entry in text.split())


def _host_patterns(host: str, port: int | None) -> Iterator[str]:
    if port is not None:
        yield f"{host}:{port}"
    yield host
    labels = host.split(".")
    for start in range(len(labels) - 1):
        yield "*." + ".".join(labels[start:])


def _rattler_access(url: str, entry: Any) -> Access:
    match entry:
        case {"BearerToken": str(token)}:
            return Access(url=url, authorization=f"Bearer {token}")
        case {"BasicHTTP": {"username": str(user), "password": str(password)}}:
            return Access(url=url, authorization=_basic(user, password))
        case {"CondaToken": str(token)}:
            parts = urlsplit(url)
            return Access(url=urlunsplit(parts._replace(path=f"/t/{token}{parts.path}")))
        case _:
            return Access(url=url)


def _ask_keyring(parts: Any, environ: Mapping[str, str]) -> str | None:
    address = f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}"
    try:
        import keyring
    except ImportError:
        return _ask_keyring_program(address, environ)
    for name in (address, parts.hostname or ""):
        try:
            found = keyring.get_credential(name, None)
        except Exception:  # noqa: S112  whatever a backend raises, it has no password for us
            continue
        if found is not None:
            return _basic(found.username or "", found.password or "")
    return None


def _ask_keyring_program(address: str, environ: Mapping[str, str]) -> str | None:
    program = shutil.which("keyring", path=environ.get("PATH"))
    if program is None:
        return None
    argv = [program, "--mode", "creds", "--output", "json", "get", address]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        tree = json.loads(done.stdout)
        return _basic(str(tree["username"]), str(tree["password"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
