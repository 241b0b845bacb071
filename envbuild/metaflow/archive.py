"""The archives that a node unpacks: envbuild and what it needs there, compiled, without what nobody uses there.

A line of JSON says what it holds, ``{"files": [[path, whether it is run, where it begins, length], …]}``; behind it
stand the files in that order, each as a raw deflate stream of that length. Large ones come in several pieces, so that
all processors inflate them. Paths begin with ``site``, what a Python imports, or ``bin``, what is run.

Large programs, which is uv, have an archive of their own: two thirds of all bytes, and the last that are needed.

Both are made of *parts*, each an archive itself: one for each wheel, and one for envbuild's own code; they stay in the
cache. Modules come as bytecode alone where a Python of the node's series is on this machine: a
node that had to compile them would take seconds. The same wheels and the same Python give the same bytes.

Rules of the file: knows wheels and Python, no store; a part gets its name when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.projects.checkout import replace_file

if TYPE_CHECKING:
    from envbuild.derivations import HostPython

VERSION = "2"
"""Part of every part's name: another one when what stands in parts changes."""

_SERVICES = frozenset(
    {"batch", "dynamodb", "events", "s3", "secretsmanager", "sso", "sso-oidc", "stepfunctions", "sts"}
)
"""What Metaflow asks of Amazon, and what gives it credentials: of the 420 services that botocore describes."""

_PIECE = 4 << 20
_LEFT = (".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp", ".pyc", "/py.typed")
_SOURCES = "_child.py"
"""Modules of envbuild's that are also run as programs, by their path."""

_COMPILE = """
import os, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for folder, folders, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".py"):
            try:
                py_compile.compile(path, path + "c", os.path.relpath(path, sys.argv[1]), True, invalidation_mode=mode)
            except (py_compile.PyCompileError, ValueError):
                pass
"""

Files = Mapping[str, tuple[bytes, bool]]
"""Bytes by path, and whether it is run."""


def packed(files: Files) -> bytes:
    """An archive of some files."""
    pieces = [
        (name, offset) for name, (data, _) in sorted(files.items()) for offset in range(0, max(len(data), 1), _PIECE)
    ]
    with ThreadPoolExecutor(2) as pool:
        streams = list(pool.map(lambda where: _deflated(files[where[0]][0][where[1] : where[1] + _PIECE]), pieces))
    index = [
        [name, files[name][1], offset, len(stream)] for (name, offset), stream in zip(pieces, streams, strict=True)
    ]
    return b"".join([_head(index), *streams])


def joined(parts: Iterable[bytes]) -> tuple[bytes, bytes | None]:
    """One archive of several, and one of their large programs, where there are some."""
    small, large = _Archive(), _Archive()
    for part in parts:
        head, _, body = part.partition(b"\n")
        at = 0
        files = json.loads(head)["files"]
        long = {name for name, _, offset, _ in files if offset and name.startswith("bin/")}
        for file in files:
            name, _, _, length = file
            (large if name in long else small).add(file, body[at : at + length])
            at += length
    return small.whole(), large.whole() if large.index else None


def programs_of(archive: bytes) -> list[str]:
    """The names of the programs in an archive."""
    files = json.loads(archive.partition(b"\n")[0])["files"]
    return sorted({name.removeprefix("bin/") for name, _, _, _ in files if name.startswith("bin/")})


class _Archive:
    """One that is being put together."""

    def __init__(self) -> None:
        self.index: list[object] = []
        self._streams: list[bytes] = []

    def add(self, file: object, stream: bytes) -> None:
        self.index.append(file)
        self._streams.append(stream)

    def whole(self) -> bytes:
        return b"".join([_head(self.index), *self._streams])


def part_of(wheel: Path, digest: str, python: HostPython | None, kept: Path) -> bytes:
    """The part of a wheel.

    Args:
        wheel: Its file.
        digest: Its sha256.
        python: Of the series that the node has; without one, modules come as their source.
        kept: A folder that may be emptied at any time.
    """
    return _remembered(kept, digest, python, lambda: _of_wheel(wheel))


def own_part(files: Mapping[str, Path], python: HostPython | None, kept: Path) -> bytes:
    """The part of envbuild itself.

    Args:
        files: Its files, by their paths where Python imports them.
        python: As of ``part_of``.
        kept: The same.
    """
    read = {f"site/{name}": (path.read_bytes(), False) for name, path in sorted(files.items())}
    state = hashlib.sha256(b"".join(f"{name} {len(data)}\n".encode() + data for name, (data, _) in read.items()))
    return _remembered(kept, state.hexdigest(), python, lambda: read)


def _remembered(kept: Path, digest: str, python: HostPython | None, files: Callable[[], Files]) -> bytes:
    known = f"{VERSION} {digest} {python.version if python is not None else 'as source'}"
    file = kept / hashlib.sha256(known.encode()).hexdigest()
    with suppress(OSError):
        data = file.read_bytes()
        if hashlib.sha256(data[32:]).digest() == data[:32]:
            return data[32:]
    data = packed(_compiled(files(), Path(python.path)) if python is not None else files())
    kept.mkdir(parents=True, exist_ok=True)
    replace_file(file, hashlib.sha256(data).digest() + data)
    return data


def _of_wheel(wheel: Path) -> Files:
    """What a node uses of a wheel."""
    found: dict[str, tuple[bytes, bool]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = _place(member.filename)
            if place is not None and not member.is_dir():
                runs = place.startswith("bin/") or bool(member.external_attr >> 16 & 0o111)
                found[place] = (archive.read(member), runs)
    return found


def _place(name: str) -> str | None:
    """Where a file of a wheel goes; None when nobody uses it on a node."""
    parts = name.split("/")
    if ".." in parts or not parts[0] or name.endswith(_LEFT) or "tests" in parts[:-1]:
        return None
    if parts[0].endswith(".data"):
        where = {"scripts": "bin", "purelib": "site", "platlib": "site"}.get(parts[1])
        return f"{where}/{'/'.join(parts[2:])}" if where is not None and parts[-1] != "uvx" else None
    if parts[0].endswith(".dist-info"):
        return f"site/{name}" if parts[-1] in {"METADATA", "entry_points.txt"} else None
    if parts[:2] in (["botocore", "data"], ["boto3", "data"]) and len(parts) > 3 and parts[2] not in _SERVICES:
        return None
    if parts[:2] == ["boto3", "examples"] or (parts[0] == "zstandard" and "cffi" in parts[-1]):
        return None
    return f"site/{name}"


def _compiled(files: Files, python: Path) -> Files:
    """The same with bytecode in the place of sources."""
    sources = {name: data for name, (data, _) in files.items() if name.endswith(".py")}
    found = dict(files)
    with tempfile.TemporaryDirectory(prefix="envbuild-") as temporary:
        root = Path(temporary)
        for name, data in sources.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        subprocess.run(
            [str(python), "-I", "-S", "-W", "ignore", "-c", _COMPILE, str(root / "site")],
            env={"PYTHONHASHSEED": "0"},
            capture_output=True,
            check=False,
        )
        for name in sources:
            bytecode = root / f"{name}c"
            if bytecode.is_file():
                found[f"{name}c"] = (bytecode.read_bytes(), False)
                if not name.endswith(_SOURCES):
                    del found[name]
    return found


def _head(index: Iterable[object]) -> bytes:
    return json.dumps({"files": list(index)}, separators=(",", ":")).encode() + b"\n"


def _deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(6, wbits=-15)
    return stream.compress(data) + stream.flush()
