"""Final paths in the scripts of a prefix that is made elsewhere.

uv writes the folder where it works into the first line of scripts and into the activation files of a virtual
environment. Before the rename those become the final path. A first line may hold 127 bytes and no space on Linux; a
longer one goes through ``/bin/sh``, as pip, uv and conda do it: the script is then valid in both languages.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from envbuild.linkers.record import edit_record, replace_bytes
from envbuild.pattern import pattern

_PLAIN = pattern(rb"\A#!([^\n]*?)[ \t\r]*\n")
_THROUGH_SHELL = pattern(rb"\A#!/bin/sh\n'''exec' ('[^\n]*?'|\"[^\n]*?\"|[^ \n]+) \"\$0\" \"\$@\"(?:\n' '''| #''')\n")
"""As uv writes it, and as rattler does, which is conda's way."""
SHEBANG_LIMIT = 127


def shebang(interpreter: str) -> bytes:
    """The first line or lines that run a script by an interpreter at any path."""
    plain = f"#!{interpreter}\n".encode()
    if len(plain) <= SHEBANG_LIMIT and not re.search(r"\s", interpreter):
        return plain
    return f"#!/bin/sh\n'''exec' {shlex.quote(interpreter)} \"$0\" \"$@\"\n' '''\n".encode()


def finish_scripts(prefix: Path, final: Path, host: str | None = None) -> None:
    """Put the final path into every script that names the folder where the prefix was made, and state it in RECORD.

    Args:
        prefix: The folder as it is now.
        final: The path that it will have.
        host: The Python that a virtual environment stands on: scripts that name it mean the environment's own.
    """
    named = (_tail(prefix, final)[0], *((os.fsencode(host),) if host else ()))
    changed: dict[str, bytes] = {}
    for path in sorted((prefix / "bin").iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            start = stream.read(4096)
        if path.name.startswith("activate"):
            data = _moved(path.read_bytes(), prefix, final)
        elif start.startswith(b"#!") and any(name in start for name in named):
            data = with_shebang(path.read_bytes(), prefix, final, host)
        else:
            continue
        replace_bytes(path, data)
        changed[path.name] = data
    if changed:
        _state_changes(prefix, changed)


def with_shebang(data: bytes, prefix: Path, final: Path, host: str | None = None) -> bytes:
    """A script with its interpreter's path moved; anything else in it stays."""
    found = interpreter_of(data)
    if found is None:
        return data
    interpreter, end = found
    if interpreter == host:
        return shebang(f"{final}/bin/python") + data[end:]
    if not interpreter.startswith(f"{prefix}/"):
        return data
    return shebang(f"{final}/{interpreter[len(str(prefix)) + 1 :]}") + data[end:]


def interpreter_of(data: bytes) -> tuple[str, int] | None:
    """What a script says that it is run by, and where its first line or lines end; None when it does not say."""
    found = _THROUGH_SHELL.match(data)
    if found:
        return shlex.split(os.fsdecode(found[1]))[0], found.end()
    found = _PLAIN.match(data)
    return None if found is None else (os.fsdecode(found[1]), found.end())


def _tail(prefix: Path, final: Path) -> tuple[bytes, bytes]:
    """The parts of both paths after what they share: plain text that no shell's quoting can have altered."""
    shared = os.path.commonpath([prefix, final])
    return os.fsencode(prefix.relative_to(shared)), os.fsencode(final.relative_to(shared))


def _moved(data: bytes, prefix: Path, final: Path) -> bytes:
    before, after = _tail(prefix, final)
    return data.replace(before, after)


def _state_changes(prefix: Path, changed: dict[str, bytes]) -> None:
    stated = {f"../../../bin/{name}": data for name, data in changed.items()}
    for record in prefix.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        if b"../../../bin/" in record.read_bytes():
            edit_record(record, changed=stated)
