"""Addresses and paths that a recipe may name, and the one spelling that envbuild keeps.

Theory: a recipe is text from the internet. Its addresses may lead to package servers, never to a machine's own
metadata service; carry no secret, for recipes lie in Git; and its paths may not leave the project.

Rules of the file: nothing is opened; paths are resolved only to see where symbolic links lead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from envbuild.errors import InvalidInput, beginning
from envbuild.pattern import pattern

REMOTE = frozenset({"https", "http"})
"""Schemes of everything that a recipe names by address."""
WITH_FILES = REMOTE | {"file"}
"""Schemes of channels, indices and find-links."""
GIT = REMOTE | {"ssh", "git"}
"""Schemes of git repositories; ``file`` too where paths may leave the project."""

_BAD_CHARACTERS = pattern(r"[\x00-\x20\x7f\\<>\"`{}|^']")
_SECRET_KEYS = pattern(
    r"(?i)(?:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|.*token|.*passw(?:or)?d|api_?key"
    r"|secret|awsaccesskeyid|googleaccessid)"
)
_SSH = pattern(r"ssh://(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?/[^-].*")
_SCP = pattern(r"(?P<at>[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}):(?P<path>(?![-/])[^:]+)")
_CHANNEL_TOKEN = pattern(r"/t/[A-Za-z0-9._-]{8,}(?:/|$)")
_CHANNEL_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}))*")
_INDEX_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SYSTEMS = {"hg": "Mercurial", "bzr": "Bazaar", "svn": "Subversion"}
_LOCAL_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})


def check_url(text: str, schemes: frozenset[str] = REMOTE) -> str:
    """An address that may stand in a recipe.

    Raises:
        InvalidInput: ``bad-url`` for other schemes, link-local hosts and text that is no address;
            ``secret-in-url`` for a password or token.
    """
    refuse_other_systems(text)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    allowed = ", ".join(sorted(schemes))
    if not separator or scheme not in schemes or _BAD_CHARACTERS.search(text) or not rest or len(text) > 2000:
        raise InvalidInput(
            f"{redacted(text)!r} is not an address with the scheme {allowed}",
            reference="bad-url",
            hint="write the whole address, such as https://host/path",
        )
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError:
        raise InvalidInput(f"{redacted(text)!r} is not an address", reference="bad-url") from None
    if scheme == "file":
        if host not in {"", "localhost"} or not unquote(parts.path).startswith("/"):
            raise InvalidInput(f"{text!r} names a host", reference="bad-url", hint="write file:///path")
        return text
    if parts.username is not None or parts.password is not None:
        raise _secret("a user or password")
    if any(_SECRET_KEYS.fullmatch(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise _secret("a token")
    if _CHANNEL_TOKEN.search(parts.path):
        raise _secret("a token")
    if not host or host.startswith("-") or _is_link_local(host):
        raise InvalidInput(
            f"the host {host!r} may not be asked: it is link-local or none", reference="bad-url", hint="name a server"
        )
    return text


def check_git_url(text: str, *, files: bool = False) -> str:
    """The address of a git repository: https, http, git or ssh. ``git+`` before it is dropped.

    ``git@host:path``, as git itself and many pages write it, becomes ``ssh://git@host/path``. A user's name stands only
    in an ssh address, where it is no secret; names and hosts are such that no ssh takes them for an option.

    Args:
        text: As written.
        files: Whether ``file:`` may be, because the user's configuration lets paths leave the project.

    Raises:
        InvalidInput: ``bad-url``, ``secret-in-url``.
    """
    address = text.removeprefix("git+")
    short = _SCP.fullmatch(address) if "://" not in address else None
    if short is not None:
        address = f"ssh://{short['at']}/{short['path']}"
    scheme, _, rest = address.partition("://")
    if "#" in address or "?" in address:
        raise InvalidInput(
            f"{redacted(address)!r} has more than a repository's address in it",
            reference="bad-url",
            hint="write branch, tag or commit as `rev:`, and a folder as `subdirectory:`",
        )
    if scheme.lower() != "ssh":
        return check_url(address, GIT | {"file"} if files else GIT)
    user, sign, _ = rest.partition("/")[0].rpartition("@")
    if sign and ":" in user:
        raise _secret("a password")
    if not _SSH.fullmatch(address) or _BAD_CHARACTERS.search(address):
        raise InvalidInput(
            f"{redacted(address)!r} is not an address of a repository",
            reference="bad-url",
            hint="write ssh://git@host/path",
        )
    check_url("https://" + rest.rpartition("@")[2] if sign else "https://" + rest)
    return address


def refuse_other_systems(text: str) -> None:
    """Refuse the address of a repository that git does not read.

    Raises:
        InvalidInput: ``not-available`` for Mercurial, Bazaar and Subversion.
    """
    system = _SYSTEMS.get(text.partition(":")[0].partition("+")[0].strip().lower())
    if system is not None:
        raise InvalidInput(
            f"{system} repositories are not read: a lock names a commit by its digest, which only git has",
            reference="not-available",
            hint="use a git mirror of it, an archive's address, or a release from an index",
        )


def _secret(what: str) -> InvalidInput:
    return InvalidInput(
        f"the address holds {what}, and recipes lie in Git",
        reference="secret-in-url",
        hint="take it out; keep credentials in ~/.netrc or a keyring, or in uv's or pip's own settings",
    )


def redacted(text: str) -> str:
    """The beginning of an address, for messages, without its user data."""
    return re.sub(r"//[^/@]*@", "//***@", text)[:80]


def _is_link_local(host: str) -> bool:
    """Whether a host is a link-local address in any notation, or a name of the machine's metadata service."""
    if host.lower() in _LOCAL_NAMES:
        return True
    if not (":" in host or host[:1].isdigit()):
        return False
    import ipaddress  # 4 ms: only for hosts that are numbers

    try:
        if ":" in host:
            address = ipaddress.IPv6Address(host.partition("%")[0])
            mapped = address.ipv4_mapped or address.sixtofour
            return address.is_link_local or (mapped is not None and mapped.is_link_local)
        return ipaddress.IPv4Address(host).is_link_local
    except ValueError:
        return ":" not in host and _is_oddly_link_local(host)


def _is_oddly_link_local(host: str) -> bool:
    """The same of an address of version 4 in one of the notations that libraries of the system read besides."""
    import ipaddress
    import socket  # 2 ms

    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)).is_link_local
    except (OSError, ValueError):
        return False


def check_relative(text: str) -> None:
    """Refuse what is no path relative to the file that holds it, wherever it may lead.

    Raises:
        InvalidInput: ``bad-path`` for a path that only one machine has, or that is none.
    """
    if (
        not text
        or text.startswith(("/", "~", "-"))
        or re.match(r"[A-Za-z]:", text)
        or re.search(r"[\x00-\x1f\x7f\\]", text)
        or len(text) > 1000
        or "://" in text
    ):
        raise InvalidInput(
            f"{beginning(text, 80)!r} is not a path relative to this file",
            reference="bad-path",
            hint="write it with `/`, such as ../libs/name",
        )


def check_path(text: str, file: Path, root: Path, outside: bool) -> str:
    """A path as written, as a path from the project's root with ``/``.

    Args:
        text: Relative to the file that holds it.
        file: That file.
        root: The project's root; absolute.
        outside: Whether the user's configuration allows paths outside of the root.

    Raises:
        InvalidInput: ``bad-path`` when it is absolute, or leaves the project, also by a symbolic link.
    """
    check_relative(text)
    joined = os.path.normpath(file.parent / text)
    relative = os.path.relpath(joined, root).replace(os.sep, "/")
    real, real_root = os.path.realpath(joined), os.path.realpath(root)
    inside = relative != ".." and not relative.startswith("../")
    if not outside and not (inside and (real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep))):
        raise InvalidInput(
            f"{beginning(text, 80)!r} leaves the project" + (" by a symbolic link" if inside else ""),
            reference="bad-path",
            hint="move it into the project, or say `allow-outside-paths: true` in your own configuration",
        )
    return relative


def check_place(text: str, file: Path, root: Path, outside: bool) -> str:
    """An address (files too) or a folder: folders as ``./…`` from the project's root.

    Raises:
        InvalidInput: As ``check_url`` and ``check_path``.
    """
    if "://" in text or text.lower().startswith("file:"):
        return check_url(text, WITH_FILES)
    return "./" + check_path(text, file, root, outside).removeprefix("./")


def check_channel(text: str, file: Path, root: Path, outside: bool) -> str:
    """A conda channel: a name, an address, or a folder that begins with ``.``.

    Raises:
        InvalidInput: ``bad-channel``, ``bad-url``, ``bad-path``.
    """
    if text.startswith(".") or "://" in text or text.lower().startswith("file:"):
        return check_place(text, file, root, outside).rstrip("/")
    return check_channel_name(text)


def check_channel_name(text: str) -> str:
    """The name of a conda channel, such as ``conda-forge``.

    Raises:
        InvalidInput: ``bad-channel``.
    """
    if not _CHANNEL_NAME.fullmatch(text):
        raise InvalidInput(
            f"{beginning(text)!r} is not a channel",
            reference="bad-channel",
            hint="write a name (conda-forge), an address, or a folder that begins with ./",
        )
    return text


def check_index_name(text: str) -> str:
    """The name of an index.

    Raises:
        InvalidInput: ``bad-name``; ``default`` is the machine's own.
    """
    if not _INDEX_NAME.fullmatch(text) or text == "default":
        raise InvalidInput(
            f"{beginning(text)!r} cannot name an index",
            reference="bad-name",
            hint="use letters, digits, `.`, `_`, `-`; `default` is the machine's own index",
        )
    return text
