"""Addresses of stores: which protocols there are, what may stand in one, and how it is shown.

An allow-list, read by ourselves: fsspec's own reader knows dozens of protocols and chains of them (``file::s3://``,
``simplecache::``), some of which run what they find. Secrets have no place in an address: it is kept in configuration,
locks and messages. Of buckets they come from the cloud's usual chain, of web servers from netrc and keyring.

Rules of the file: no file, socket or variable; an address that cannot be right is refused before anything is imported.
"""

from __future__ import annotations

import re
from pathlib import PurePath, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from envbuild.errors import InvalidInput
from envbuild.machine.credentials import redact
from envbuild.pattern import pattern
from envbuild.value import dataclass

_OPTIONS = {
    "s3": frozenset({"endpoint", "region", "profile", "anonymous"}),
    "gs": frozenset({"endpoint", "anonymous"}),
    "az": frozenset({"account", "endpoint", "anonymous"}),
}
_ALIASES = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
_BUCKET = pattern(r"[a-z0-9A-Z$][a-zA-Z0-9._-]{0,254}")
_PREFIX = pattern(r"[a-zA-Z0-9._@+=-]{1,255}(/[a-zA-Z0-9._@+=-]{1,255}){0,15}")
_ACCOUNT_HOST = pattern(r"(?P<account>[a-z0-9]{3,24})\.(?:dfs|blob)\.core\.windows\.net")
_SPELT = pattern(r"[\s%?#\\]")
"""What stands in a path as it is, and in an address in another spelling or not at all."""

_KNOWN = "file, s3, gs, az (or abfs), https, http and memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where objects are.

    Attributes:
        scheme: ``file``, ``memory``, ``https``, ``http``, ``s3``, ``gs`` or ``az``.
        bucket: Of a cloud: the bucket or container. Of memory: the name. Else empty.
        path: Of a file: the absolute folder. Of a cloud: what stands before every name, without slashes around it.
        url: Of a web server: the address to which names are added, with a slash at its end.
        options: ``endpoint``, ``region``, ``profile``, ``account``, ``anonymous``; see docs/stores.md.
        shown: The address as people may see it.
    """

    scheme: str
    shown: str
    bucket: str = ""
    path: str = ""
    url: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        """What the address says for an option."""
        return dict(self.options).get(name)


def parse_address(text: str) -> Address:
    """An address as configuration and command line write it; a path without a protocol is a folder.

    Raises:
        InvalidInput: ``bad-address`` with what is wrong and what to write.
    """
    text = text.strip()
    folder = text.startswith("/")
    if any(ord(letter) < (32 if folder else 33) or ord(letter) == 127 for letter in text) or len(text) > 2048:
        raise _bad(text, f"holds {'' if folder else 'spaces or '}control characters, or is too long")
    if folder:
        return _folder(text, text)
    scheme, separator, _ = text.partition("://")
    if "::" in text or not separator:
        reason = "chains protocols" if "::" in text else "has no protocol"
        raise _bad(text, reason, f"one of {_KNOWN}, followed by ://, or a folder's absolute path")
    scheme = scheme.lower()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _bad(text, "cannot be read") from error
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
            raise _bad(text, "names a host or has a query", "file:///absolute/folder")
        return _folder(unquote(parts.path), text)
    if scheme in {"http", "https"}:
        return _web(text, scheme)
    if parts.fragment:
        raise _bad(text, "has a fragment")
    if scheme == "memory":
        if not _BUCKET.fullmatch(parts.netloc) or parts.path.strip("/") or parts.query:
            raise _bad(text, "is not memory://NAME")
        return Address(scheme=scheme, bucket=parts.netloc, shown=f"memory://{parts.netloc}")
    if scheme not in _ALIASES:
        raise _bad(text, f"has the protocol {scheme[:20]!r}", f"one of {_KNOWN}")
    if port is not None:
        raise _bad(text, "has a port", f"{scheme}://bucket/path?endpoint=https://host:port")
    return _cloud(text, _ALIASES[scheme])


def _folder(path: str, text: str) -> Address:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or len(pure.parts) < 2 or "\0" in path:
        raise _bad(text, "is not the absolute path of a folder", "file:///absolute/folder")
    return Address(scheme="file", path=str(pure), shown=shown_folder(pure))


def shown_folder(path: PurePath) -> str:
    """A folder's address, to be read and to be typed: its path where an address would hold that in another spelling."""
    text = str(path)
    return text if _SPELT.search(text) else f"file://{text}"


def _web(text: str, scheme: str) -> Address:
    parts = urlsplit(text)
    if not parts.hostname or parts.query or parts.fragment:
        raise _bad(text, "has no host, or a query", f"{scheme}://host/path")
    if parts.password is not None:
        raise _bad(text, "holds a password", "the address without it; put it into ~/.netrc or the keyring")
    url = text.rstrip("/") + "/"
    return Address(scheme=scheme, url=url, shown=redact(url.rstrip("/")))


def _cloud(text: str, scheme: str) -> Address:
    parts = urlsplit(text)
    bucket, user_info, options = parts.netloc, "", dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in bucket:
        user_info, host = bucket.rsplit("@", 1)
        found = _ACCOUNT_HOST.fullmatch(host)
        if scheme != "az" or found is None or ":" in user_info:
            raise _bad(text, "holds a user or key", "the address without it; see docs/stores.md for credentials")
        bucket, options["account"] = user_info, found["account"]
    prefix = unquote(parts.path).strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise _bad(text, "names no bucket", f"{scheme}://bucket/path")
    if prefix and (not _PREFIX.fullmatch(prefix) or any(part in {".", ".."} for part in prefix.split("/"))):
        raise _bad(text, "has a path that is none", "letters, digits and ._@+=- between slashes")
    unknown = sorted(set(options) - _OPTIONS[scheme])
    if unknown:
        allowed = ", ".join(sorted(_OPTIONS[scheme]))
        raise _bad(text, f"has the unknown option {unknown[0][:40]!r}", f"one of {allowed}; keys have no place here")
    _check_options(text, options)
    shown = f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
    account = options.get("account")
    return Address(
        scheme=scheme,
        bucket=bucket,
        path=prefix,
        options=tuple(sorted(options.items())),
        shown=f"{shown}?account={account}" if account else shown,
    )


def _check_options(text: str, options: dict[str, str]) -> None:
    endpoint = options.get("endpoint")
    if endpoint is not None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
            raise _bad(text, "has an endpoint that is no address of a server", "endpoint=https://host:port")
    if options.get("anonymous", "true") != "true":
        raise _bad(text, "says neither anonymous=true nor nothing")
    for name in ("region", "profile", "account"):
        if name in options and not re.fullmatch(r"[A-Za-z0-9._ @+-]{1,64}", options[name]):
            raise _bad(text, f"has a {name} that cannot be one")


def _bad(text: str, reason: str, hint: str | None = None) -> InvalidInput:
    shown = redact(text.strip()[:200])
    if shown == text.strip()[:200] and ("@" in shown or "?" in shown):
        shown = shown.partition("?")[0].rpartition("@")[2] or "****"
    shown = "".join(letter if letter.isprintable() else "?" for letter in shown)
    return InvalidInput(f"the store address {shown!r} {reason}", reference="bad-address", hint=hint and f"write {hint}")
