"""Blobs of a store into files, hashed and synced: ``python fetch_blobs.py WHAT.json single|packed|pack``.

``packed`` reads those that are small as one object, which ``pack`` has put there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from envbuild.machine.publish import Incoming
from envbuild.objects import Objects
from envbuild.objects.opening import open_objects
from envbuild.store.parallel import in_parallel


class Split:
    """Takes the bytes of several files, one after the other."""

    def __init__(self, folder: Path, files: list[tuple[str, int]]) -> None:
        self._folder = folder
        self._files = iter(files)
        self._incoming: Incoming | None = None
        self._name, self._left = "", 0

    def write(self, data: bytes) -> None:
        """Take some."""
        rest = memoryview(data)
        while rest:
            if self._incoming is None:
                self._name, self._left = next(self._files)
                self._incoming = Incoming(self._folder / "tmp", self._left)
            piece = rest[: self._left]
            self._incoming.write(bytes(piece))
            self._left -= len(piece)
            rest = rest[len(piece) :]
            if not self._left:
                _publish(self._incoming, self._folder, self._name)
                self._incoming = None

    def restart(self) -> None:
        """Never on loopback."""
        raise AssertionError("cut")


def _publish(incoming: Incoming, folder: Path, name: str) -> None:
    assert incoming.digest == name.rpartition("/")[2]
    incoming.publish(folder / name, "safe")
    incoming.discard()


def _single(objects: Objects, folder: Path, name: str, size: int) -> None:
    incoming = Incoming(folder / "tmp", size)
    assert objects.fetch(name, incoming, size)
    _publish(incoming, folder, name)


def main(what: dict[str, object], word: str) -> None:
    """Do it."""
    objects, folder = open_objects(str(what["url"])), Path(str(what["folder"]))
    pack = f"packs/{folder.name}"
    blobs: list[tuple[str, int]] = [tuple(item) for item in what["blobs"]]  # type: ignore[attr-defined]
    small = sorted(item for item in blobs if item[1] <= int(str(what["small"])))
    if word == "pack":
        objects.put(pack, b"".join(objects.read(name, size) or b"" for name, size in small))
        return
    rest = [item for item in blobs if word == "single" or item not in small]
    work: list[Callable[[], object]] = [partial(_single, objects, folder, *item) for item in rest]
    if word == "packed":
        work.insert(0, partial(objects.fetch, pack, Split(folder, small), sum(size for _, size in small)))
    in_parallel(lambda each: each(), work, threads=64)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
    os._exit(0)
