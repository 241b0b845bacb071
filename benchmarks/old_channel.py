"""The synthetic channel with every package as a ``.tar.bz2``: what channels held before there was a ``.conda``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks import synthetic_channel
from tests.support.cache import made_once
from tests.support.channel import TestChannel


def made(channel: TestChannel) -> Path:
    """The channel's folder, made once per machine; written by conda-package-streaming, which is nobody's side."""
    folder = synthetic_channel.made(channel)
    return made_once(f"old-{folder.name}", lambda target: _write(folder, target))


def _write(folder: Path, target: Path) -> None:
    from conda_package_streaming.transmute import transmute_tar_bz2
    from rattler.index import index_fs

    for package in sorted(folder.glob("*/*.conda")):
        place = target / package.parent.name
        place.mkdir(exist_ok=True)
        transmute_tar_bz2(str(package), place)
    asyncio.run(index_fs(target, write_zst=True, write_shards=False))
