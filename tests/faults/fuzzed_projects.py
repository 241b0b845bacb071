"""What lies in folders and is looked into without being run: projects, compiled files, environments of other tools.

Rules of the file: see ``subjects``.
"""

from __future__ import annotations

import io
import json
import struct
import sysconfig
from collections.abc import Callable
from pathlib import Path
from random import Random

from envbuild.builders.elf_check import elf_needs
from envbuild.builders.project_metadata import asks_nothing_more, static_metadata
from envbuild.errors import EnvbuildError
from envbuild.exchange.installed import installed
from envbuild.package import Platform
from tests.faults.fuzzed_texts import METADATA, refused
from tests.faults.mutations import changed_text

Each = Callable[[Random], bool]

PROJECT = b"""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "nice"
version = "1.0"
requires-python = ">=3.10"
license = "MIT"
dependencies = ["numpy>=1.26,<3", "tomli; python_version < '3.11'"]
dynamic = ["readme"]

[project.optional-dependencies]
fast = ["orjson"]

[tool.hatch.build.targets.wheel]
packages = ["src/nice"]
"""


def projects(folder: Path) -> Each:
    """What a project's ``pyproject.toml`` and ``PKG-INFO`` promise."""
    information = METADATA.replace(b"Metadata-Version: 2.1", b"Metadata-Version: 2.2")

    def each(chance: Random) -> bool:
        texts = [PROJECT, information]
        at = chance.randrange(2)
        texts[at] = changed_text(texts[at], chance, [PROJECT, information])
        (folder / "pyproject.toml").write_bytes(texts[0])
        (folder / "PKG-INFO").write_bytes(texts[1])
        try:
            told = static_metadata(folder, sdist=at == 1)
            asks_nothing_more(folder)
        except EnvbuildError as error:
            return refused(error, placed=False)
        if told is None:
            return False
        assert all(isinstance(item, str) for item in (told.name, told.version, *told.requires, *told.extras)), told
        return True

    return each


def compiled(folder: Path) -> Each:
    """A compiled file: what it needs, or that it cannot be told."""
    modules = Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")
    good = min(modules, key=lambda path: path.stat().st_size).read_bytes()
    assert elf_needs(io.BytesIO(good)) is not None
    sections, size, count = struct.unpack("<Q", good[40:48])[0], *struct.unpack("<HH", good[58:62])

    def each(chance: Random) -> bool:
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            begin, length = chance.choice(((0, 64), (sections, size * count), (sections, size * count), (0, len(data))))
            at = min(begin + chance.randrange(max(1, length)), len(data) - 1)
            width = chance.choice((1, 4, 8))
            number = chance.choice((0, 1, 2**31, 2**40, 2**63, 2**64 - 1, len(data), at, chance.randrange(2**16)))
            data[at : at + width] = struct.pack("<Q", number)[:width]
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        return elf_needs(io.BytesIO(bytes(data))) is not None

    return each


def prefixes(folder: Path) -> Each:
    """An environment that another tool made, as ``capture`` reads it."""
    site = folder / "prefix" / "lib" / "python3.11" / "site-packages"
    records = folder / "prefix" / "conda-meta"
    records.mkdir(parents=True)
    record = {
        "name": "python", "version": "3.11.7", "build": "h0_0", "build_number": 0, "subdir": "linux-64",
        "fn": "python-3.11.7-h0_0.conda", "url": "https://u:p@conda.example/t/abc/forge/linux-64/python-3.11.7-h0_0.conda",
        "channel": "forge", "sha256": "ab" * 32, "md5": "cd" * 16, "size": 5, "depends": ["libc >=2"],
        "files": ["lib/python3.11/site-packages/pip-1.dist-info/RECORD"], "requested_spec": "python 3.11.*",
        "timestamp": 1_700_000_000_000,
    }  # fmt: skip
    told = {"url": "https://git.example/nice", "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}, "subdirectory": "x"}
    state = {"env_vars": {"GREETING": "hello"}}
    files = {
        records / "python-3.11.7-h0_0.json": json.dumps(record, indent=1).encode(),
        records / "state": json.dumps(state).encode(),
        site / "nice-1.0.dist-info" / "METADATA": METADATA,
        site / "nice-1.0.dist-info" / "direct_url.json": json.dumps(told, indent=1).encode(),
        site / "nice-1.0.dist-info" / "INSTALLER": b"pip\n",
    }
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    others = list(files.values())

    def each(chance: Random) -> bool:
        path = chance.choice(list(files))
        path.write_bytes(changed_text(files[path], chance, others))
        try:
            found = installed(folder / "prefix", folder, Platform("linux-64"))
        except EnvbuildError as error:
            return refused(error)
        finally:
            path.write_bytes(files[path])
        for item in found.environments[0].packages():
            assert isinstance(item.name, str)
            assert "/" not in item.name, item
            inside = getattr(item, "subdirectory", None) or ""
            assert not inside.startswith("/"), item
        return True

    return each


SUBJECTS: dict[str, Callable[[Path], Each]] = {
    "projects": projects,
    "compiled files": compiled,
    "environments of other tools": prefixes,
}
