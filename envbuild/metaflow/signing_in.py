"""``METAFLOW_CONDA_SRCS_AUTH_INFO``, ``{"host": ["user", "password"]}``, for every engine: as a netrc of this process.

Every engine that asks a server reads netrc, and has no other place in common. The file is this user's alone, has the
hosts of the user's own netrc too (which come first), and goes when the process ends. It lies in a folder of the home
that is held while the process lives: what a killed one left goes with the next one that does anything.

Rules of the file: secrets are written into that file and nowhere else.
"""

from __future__ import annotations

import atexit
import json
import netrc
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from envbuild.errors import InvalidInput
from envbuild.machine.disk import writing
from envbuild.machine.home import find_home, open_home
from envbuild.machine.temporary import scratch_folder
from envbuild.pattern import pattern

NAME = "METAFLOW_CONDA_SRCS_AUTH_INFO"
_WORD = pattern(r"[^\s\"#]\S*")


def with_hosts(text: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Variables with a netrc that knows these hosts.

    Args:
        text: The setting.
        environ: This process's variables.

    Raises:
        InvalidInput: ``bad-settings``; the message has nothing of the text.
        NoSpaceError: When the file cannot be written.
    """
    own = environ.get("NETRC") or (str(Path(environ["HOME"], ".netrc")) if environ.get("HOME") else "")
    return {**environ, "NETRC": _written(text, own, open_home(find_home(environ)).scratch)}


@cache
def _written(text: str, own: str, scratch: Path) -> str:
    before = _own(own)
    known = _known(own) if before else frozenset()
    lines = [
        f"machine {host} login {user} password {password}\n"
        for host, (user, password) in _hosts(text).items()
        if host not in known
    ]
    held = ExitStack()
    path = held.enter_context(scratch_folder(scratch)) / "netrc"
    atexit.register(_forget, held, os.getpid())
    with writing(path):
        path.touch(0o600)
        path.write_text("".join(lines) + before, encoding="utf-8")
    return str(path)


def _forget(held: ExitStack, owner: int) -> None:
    if os.getpid() == owner:
        with suppress(OSError):
            held.close()


def _own(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _known(path: str) -> frozenset[str]:
    try:
        return frozenset(netrc.netrc(path).hosts)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return frozenset()


def _hosts(text: str) -> dict[str, tuple[str, str]]:
    """The hosts of the setting; a port is none of netrc's, and counts for every port."""
    try:
        tree = json.loads(text)
        found = {str(host).partition(":")[0]: (user, password) for host, (user, password) in tree.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(
            f"{NAME} is not JSON of hosts, users and passwords",
            reference="bad-settings",
            hint=f"""{NAME}='{{"pypi.example.org": ["user", "password"]}}'""",
        ) from None
    for host, words in found.items():
        if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in (host, *words)):
            raise InvalidInput(
                f"{NAME}: what it has for {host[:80]!r} cannot stand in a netrc",
                reference="bad-settings",
                hint="text without spaces and quotes; else keep it in a keyring",
            )
    return found
