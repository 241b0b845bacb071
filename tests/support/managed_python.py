"""A loopback mirror of managed Pythons: an archive as uv's own are, made from a local interpreter, and uv's list of it.

``UV_PYTHON_DOWNLOADS_JSON_URL`` tells uv (0.13) which archives exist, by platform, with address and sha256; with it a
test can install a "managed" Python without leaving the machine. The archive holds ``python/bin``, ``python/lib`` and
``python/include``, relocatable, as the published ``install_only`` archives do.

Rules of the file: nothing here knows the published archives' address.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cache import made_once, source_key
from tests.support.channel import this_platform
from tests.support.conda_package import MTIME, PLACEHOLDER
from tests.support.python_package import Interpreter, find_interpreters, python_recipe
from tests.support.servers import Body, Incoming

BUILD = "20240107"
_SYSTEMS = {
    "linux-64": ("linux", "x86_64", "gnu", "x86_64-unknown-linux-gnu"),
    "linux-aarch64": ("linux", "aarch64", "gnu", "aarch64-unknown-linux-gnu"),
    "osx-arm64": ("darwin", "aarch64", "none", "aarch64-apple-darwin"),
    "osx-64": ("darwin", "x86_64", "none", "x86_64-apple-darwin"),
}


@dataclass(frozen=True, kw_only=True)
class ManagedPython:
    """One archive.

    Attributes:
        archive: The file, named as published ones are.
        version: Such as ``3.11.7``.
        sha256: Of the archive.
        key: uv's name for it, such as ``cpython-3.11.7-linux-x86_64-gnu``.
    """

    archive: Path
    version: str
    sha256: str
    key: str
    system: tuple[str, str, str, str]

    def entry(self, url: str) -> dict[str, Any]:
        """What uv's list says of it."""
        major, minor, patch = map(int, self.version.split("."))
        name, family, libc, _ = self.system
        return {
            "name": "cpython",
            "arch": {"family": family, "variant": None},
            "os": name,
            "libc": libc,
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": url,
            "sha256": self.sha256,
            "variant": None,
            "build": BUILD,
        }

    def content(self, base: str) -> Any:
        """What a server at ``base`` answers: ``/downloads.json`` and ``/<build>/<archive>``."""
        listing = {self.key: self.entry(f"{base}/{BUILD}/{self.archive.name.replace('+', '%2B')}")}

        def answer(request: Incoming) -> Body | None:
            if request.path == "/downloads.json":
                return Body(data=json.dumps(listing).encode(), type="application/json")
            return Body(data=self.archive) if request.path == f"/{BUILD}/{self.archive.name}" else None

        return answer


def _write(folder: Path, interpreter: Interpreter, name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(folder / name, "w:gz", compresslevel=1) as archive:
        recipe = python_recipe(interpreter, this_platform(), Path(scratch))
        for path, content in sorted(recipe.files.items()):
            data = content.read_bytes() if isinstance(content, Path) else content
            data = data.encode() if isinstance(data, str) else data
            if b"\0" not in data:
                data = data.replace(PLACEHOLDER.encode(), b"/install")
            member = tarfile.TarInfo(f"python/{path}")
            member.size, member.mtime = len(data), MTIME
            member.mode = 0o755 if path.startswith("bin/") or ".so" in path else 0o644
            archive.addfile(member, io.BytesIO(data))
        for path, target in sorted(recipe.links.items()):
            member = tarfile.TarInfo(f"python/{path}")
            member.type, member.linkname, member.mtime = tarfile.SYMTYPE, target, MTIME
            archive.addfile(member)


def made_managed_python(series: str = "") -> ManagedPython:
    """The archive of the newest interpreter of the channel, made if this machine has not made it yet.

    Args:
        series: X.Y of another one.

    Raises:
        LookupError: When there is no self-contained interpreter, or no managed Python for this platform.
    """
    interpreters = [
        item for item in find_interpreters() if f"{item.version}.".startswith(f"{series}." if series else "")
    ]
    platform = this_platform()
    if not interpreters or platform not in _SYSTEMS:
        raise LookupError("no self-contained Python >= 3.10 on this machine to make a managed one from")
    interpreter, system = interpreters[-1], _SYSTEMS[platform]
    name = f"cpython-{interpreter.version}+{BUILD}-{system[3]}-install_only_stripped.tar.gz"
    sources = ("managed_python.py", "python_package.py", "conda_package.py")
    key = source_key(sources, str(interpreter.prefix), interpreter.version)
    archive = made_once(f"managed-{key}", lambda folder: _write(folder, interpreter, name)) / name
    return ManagedPython(
        archive=archive,
        version=interpreter.version,
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        key=f"cpython-{interpreter.version}-{system[0]}-{system[1]}-{system[2]}",
        system=system,
    )
