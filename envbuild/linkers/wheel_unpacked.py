"""The files of wheels against RECORD, once they are unpacked.

Unpacking a wheel for that alone would take as long as installing it, so its files are hashed where uv has put them,
which the system still has in memory: a gigabyte a second for each processor, and nothing once a wheel is known. A file
in whose place another wheel's lies, and what uv writes anew (the first line of scripts, its notes in ``.dist-info``),
are unpacked after all.

Rules of the file: reads; a prefix appears only after this.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envbuild.digest import file_pieces
from envbuild.linkers.checked_wheel import CheckedWheel, Rest, Unpacked, recall, remember
from envbuild.linkers.wheel_contents import HASHED, check_member, full_place, is_stated
from envbuild.linkers.wheel_inside import bad_wheel, damaged_cache
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.package import Wheel
from envbuild.value import replace


def check_unpacked(
    wheels: Sequence[tuple[Path, Wheel, CheckedWheel]],
    left: Sequence[Rest],
    site: Path,
    prefix: Path,
    memory: Path,
    taken: Collection[str] = (),
) -> None:
    """Hold the files of wheels against RECORD, unless that was done before.

    Args:
        wheels: Verified files with what the lock says and what was found in them.
        left: What is left of looking into them: the small files.
        site: The ``site-packages`` that uv has filled.
        prefix: Where the rest is.
        memory: The folder of what is known of wheels.
        taken: Places where several wheels have put files.

    Raises:
        IntegrityError: ``bad-wheel``; ``damaged-cache`` when the wheel is good, and what uv unpacked of it is not.
    """

    def look(blob: Path, wheel: Wheel, line: str) -> None:
        stated, _, place = line.partition(" ")
        path = prefix / place[1:] if place.startswith("/") else site / place
        elsewhere = place in taken or not path.is_file()
        if elsewhere or not is_stated(file_pieces(path), stated):
            _unpack_after_all(blob, wheel, place, stated)
            if not elsewhere and not place.startswith("/bin/"):
                raise damaged_cache(wheel, place)

    unpacked = _reader(site, taken)
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(look, blob, wheel, line) for blob, wheel, found in wheels for line in found.large]
        jobs += [pool.submit(rest, unpacked) for rest in left]
        for job in jobs:
            job.result()  # the first error of any
    for _, wheel, checked in wheels:
        if checked.large and (known := recall(memory, wheel)) is not None:
            remember(memory, wheel, replace(known[0], large=()), known[1])


def _reader(site: Path, taken: Collection[str]) -> Unpacked:
    """What reads a small file by its place; thousands are asked for."""
    root = f"{site}/"

    def read(place: str) -> bytes | None:
        if place in taken:
            return None
        try:
            descriptor = os.open(root + place, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(descriptor, HASHED + 1)
        finally:
            os.close(descriptor)

    return read


def _unpack_after_all(blob: Path, wheel: Wheel, place: str, stated: str) -> None:
    try:
        with ZipFileView(blob) as view:
            (folder,) = {name for entry in view.entries if (name := entry.name.split("/", 1)[0]).endswith(".dist-info")}
            stem = folder.removesuffix(".dist-info")
            for entry in view.entries:
                if not entry.is_folder and full_place(entry.name, stem) == place:
                    check_member(view, entry, stated)
    except BadZipError as error:
        raise bad_wheel(wheel, error) from error
