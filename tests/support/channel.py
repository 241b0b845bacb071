"""A real conda channel, made at test time from local interpreters and small packages, indexed by py-rattler.

``made_channel()`` makes it once per content of these files and per interpreters, in the test cache. After indexing, the
repodata is edited where the shape wants it: ``old-md5`` loses its sha256, and other platforms get records of packages
that do not exist as files, so that locks for several platforms work.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cache import made_once, source_key
from tests.support.channel_packages import compiled_packages, pip_package, pure_packages, python_packages
from tests.support.conda_package import write_package
from tests.support.python_package import Interpreter, find_interpreters, python_recipe

_SOURCES = ("channel.py", "channel_packages.py", "conda_package.py", "python_package.py")
OTHER_PLATFORMS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")


def this_platform() -> str:
    """The conda subdirectory of this machine."""
    system = {"linux": "linux", "darwin": "osx"}.get(sys.platform, "win")
    machine = platform.machine().lower()
    if machine in {"arm64", "aarch64"}:
        return f"{system}-{'aarch64' if system == 'linux' else 'arm64'}"
    return f"{system}-64"


@dataclass(frozen=True, kw_only=True)
class TestChannel:
    """The channel as a folder.

    Attributes:
        folder: Holds ``noarch/`` and one folder per platform; read it, never write.
        platform: This machine's: the only one whose packages exist as files.
        pythons: Full versions of the ``python`` packages, oldest first.
        compiled: Whether ``libfast``, ``fast-tool`` and ``speedups`` are there (a C compiler was).
    """

    __test__ = False

    folder: Path
    platform: str
    pythons: tuple[str, ...]
    compiled: bool

    @property
    def url(self) -> str:
        """The folder as a ``file://`` channel."""
        return self.folder.as_uri()

    def records(self, subdir: str | None = None) -> dict[str, dict[str, Any]]:
        """The repodata records of a subdirectory (this platform's by default), by file name."""
        text = (self.folder / (subdir or self.platform) / "repodata.json").read_text()
        document = json.loads(text)
        return {**document["packages"], **document["packages.conda"]}


def _write(folder: Path, interpreters: tuple[Interpreter, ...], subdir: str) -> None:
    from rattler.index import index_fs

    with tempfile.TemporaryDirectory() as scratch:
        recipes = pure_packages()
        for interpreter in interpreters:
            staging = Path(scratch) / interpreter.series
            recipes += [python_recipe(interpreter, subdir, staging), *python_packages(interpreter, subdir)]
        bundled = [pip for pip in map(pip_package, interpreters) if pip]
        compiled = Path(scratch) / "compiled"
        compiled.mkdir()
        recipes += bundled + compiled_packages(interpreters, subdir, compiled)
        for recipe in {recipe.stem: recipe for recipe in recipes}.values():
            write_package(recipe, folder)
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False))
    shutil.rmtree(folder / ".tmp", ignore_errors=True)
    _forget_sha256(folder / "noarch", "old-md5")
    _pretend_other_platforms(folder, subdir)
    for repodata in folder.glob("*/repodata.json"):
        _compress(repodata)


def _edit(repodata: Path, document: dict[str, Any]) -> None:
    repodata.parent.mkdir(exist_ok=True)
    repodata.write_text(json.dumps(document, indent=1, sort_keys=True))


def _compress(repodata: Path) -> None:
    import zstandard

    repodata.with_suffix(".json.zst").write_bytes(zstandard.ZstdCompressor(level=3).compress(repodata.read_bytes()))


def _forget_sha256(subdir: Path, name: str) -> None:
    document = json.loads((subdir / "repodata.json").read_text())
    for record in document["packages.conda"].values():
        if record["name"] == name:
            data = (subdir / f"{name}-{record['version']}-{record['build']}.conda").read_bytes()
            record["md5"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            record.pop("sha256", None)
    _edit(subdir / "repodata.json", document)


def _pretend_other_platforms(folder: Path, here: str) -> None:
    """Records of this platform again for the others: same names and versions, digests of nothing that exists."""
    document = json.loads((folder / here / "repodata.json").read_text())
    for subdir in OTHER_PLATFORMS:
        if subdir == here:
            continue
        copies: dict[str, Any] = {**document, "info": {"subdir": subdir}}
        for group in ("packages", "packages.conda"):
            copies[group] = {
                file: {
                    **record,
                    "subdir": subdir,
                    "platform": subdir.partition("-")[0],
                    "sha256": hashlib.sha256(f"{subdir}/{file}".encode()).hexdigest(),
                    "md5": hashlib.md5(f"{subdir}/{file}".encode(), usedforsecurity=False).hexdigest(),
                }
                for file, record in document[group].items()
            }
        _edit(folder / subdir / "repodata.json", copies)


def made_channel() -> TestChannel:
    """The channel, made if this machine has not made it yet.

    Raises:
        LookupError: When there is no self-contained interpreter to make a Python package from.
    """
    interpreters = find_interpreters()
    if not interpreters:
        raise LookupError("no self-contained Python >= 3.10 on this machine to make a conda package from")
    subdir = this_platform()
    facts = [f"{item.prefix.resolve()} {item.version} {item.executable.stat().st_mtime_ns}" for item in interpreters]
    name = f"channel-{source_key(_SOURCES, subdir, *facts)}"
    folder = made_once(name, lambda scratch: _write(scratch, interpreters, subdir))
    compiled = any((folder / subdir).glob("libfast-*"))
    versions = tuple(item.version for item in interpreters)
    return TestChannel(folder=folder, platform=subdir, pythons=versions, compiled=compiled)
