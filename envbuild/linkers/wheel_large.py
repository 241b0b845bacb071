"""The large files of wheels against RECORD, once they are unpacked.

Small files are held against RECORD in the zip (``wheel_contents``). Unpacking the large ones for that too would take as
long as installing them, so they are hashed where uv has put them, which the system still has in memory: a gigabyte a
second for each processor, and nothing once a wheel is known. A file in whose place another wheel's lies, and a script
whose first line uv has written, are unpacked after all.

Rules of the file: reads; a prefix appears only after this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envbuild.digest import file_pieces
from envbuild.errors import IntegrityError
from envbuild.linkers.checked_wheel import CheckedWheel, recall, remember
from envbuild.linkers.wheel_check import bad_wheel
from envbuild.linkers.wheel_contents import check_member, full_place, is_stated
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.package import Wheel
from envbuild.value import replace


def check_large(
    wheels: Sequence[tuple[Path, Wheel, CheckedWheel]],
    site: Path,
    prefix: Path,
    memory: Path,
    taken: Collection[str] = (),
) -> None:
    """Hold the large files of wheels against RECORD, unless that was done before.

    Args:
        wheels: Verified files with what the lock says and what was found in them.
        site: The ``site-packages`` that uv has filled.
        prefix: Where the rest is.
        memory: The folder of what is known of wheels.
        taken: Places where several wheels have put files.

    Raises:
        IntegrityError: ``bad-wheel``; ``damaged-cache`` when the wheel is good, and what uv unpacked of it is not.
    """
    waiting = [(blob, wheel, line) for blob, wheel, found in wheels for line in found.large]
    if not waiting:
        return

    def look(job: tuple[Path, Wheel, str]) -> None:
        blob, wheel, line = job
        stated, _, place = line.partition(" ")
        path = prefix / place[1:] if place.startswith("/") else site / place
        elsewhere = place in taken or not path.is_file()
        if elsewhere or not is_stated(file_pieces(path), stated):
            _unpack_after_all(blob, wheel, place, stated)
            if not elsewhere and not place.startswith("/bin/"):
                raise IntegrityError(
                    f"uv's cache holds {place} of {wheel.name} {wheel.version} with other bytes than the wheel",
                    reference="damaged-cache",
                    hint="remove the folder cache/uv of envbuild's home; it is filled again",
                )

    with ThreadPoolExecutor() as pool:
        list(pool.map(look, waiting))  # the first error of any
    for _, wheel, checked in wheels:
        if checked.large and (known := recall(memory, wheel)) is not None:
            remember(memory, wheel, replace(known[0], large=()), known[1])


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
