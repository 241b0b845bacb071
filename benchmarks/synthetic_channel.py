"""A conda channel of about 60 packages and 12,000 files with the sizes of a science stack, plus a real Python.

File sizes are log-normal (median 3 kB, a few of some MB), half text-like and half incompressible; one file in sixty
holds the prefix placeholder; one package in six is ``noarch: python``. The same seed gives the same channel.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

from tests.support.cache import made_once, source_key
from tests.support.channel import TestChannel
from tests.support.conda_package import PLACEHOLDER, PackageRecipe, write_package

PACKAGES, FILES = 60, 12_000


def _content(chance: random.Random, size: int, number: int) -> bytes:
    if number % 60 == 0:
        return (f"prefix={PLACEHOLDER}\n" + "option = value\n" * (size // 15)).encode()
    if number % 2:
        return chance.randbytes(size)
    line = f"def function_{number}(argument):\n    return argument + {number}\n"
    return (line * (size // len(line) + 1)).encode()[:size]


def _package(chance: random.Random, number: int, files: int, platform: str) -> PackageRecipe:
    name = f"part-{number:02d}"
    pure = number % 6 == 0
    contents: dict[str, bytes | str | Path] = {}
    for place in range(files):
        size = min(int(chance.lognormvariate(8.0, 1.6)) + 20, 8_000_000)
        if pure:
            path = f"site-packages/{name.replace('-', '_')}/part{place}.py"
            contents[path] = f'"""Module {place}."""\n\n' + f"VALUE = {place}\n" * (size // 12)
        else:
            contents[f"{('lib', 'share', 'include')[place % 3]}/{name}/d{place % 23}/f{place}.dat"] = _content(
                chance, size, place
            )
    return PackageRecipe(
        name=name,
        version=f"1.{number}",
        subdir="noarch" if pure else platform,
        noarch="python" if pure else None,
        depends=("python >=3.8",) if pure else (),
        files=contents,
    )


def _write(folder: Path, channel: TestChannel) -> None:
    from rattler.index import index_fs

    chance = random.Random(20_240_501)
    python = next(iter(sorted((channel.folder / channel.platform).glob(f"python-{channel.pythons[0]}-*.conda"))))
    (folder / channel.platform).mkdir()
    shutil.copy(python, folder / channel.platform / python.name)
    shares = [chance.lognormvariate(0, 1) for _ in range(PACKAGES - 1)]
    left = FILES - 900  # the Python package has about this many
    for number, share in enumerate(shares):
        files = max(3, round(left * share / sum(shares)))
        write_package(_package(chance, number, files, channel.platform), folder)
    asyncio.run(index_fs(folder, write_zst=True, write_shards=False))


def made(channel: TestChannel) -> Path:
    """The channel's folder, made once per machine."""
    text = Path(__file__).read_text()
    name = f"synthetic-{source_key(('conda_package.py',), text, channel.folder.name)}"
    return made_once(name, lambda folder: _write(folder, channel))
