"""Which package each file of a prefix belongs to, as the lists say that packages leave there.

conda's are ``conda-meta/*.json``, a wheel's is RECORD in its ``.dist-info``. A file that two packages list belongs to
the first of them; one that none lists (byte code, what a user put there) to none.

Rules of the file: reads lists alone; a list that cannot be read is none.
"""

from __future__ import annotations

import contextlib
import csv
import io
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson  # these lists are some 10 MB

from envbuild.package import normalize_pypi_name
from envbuild.value import dataclass

_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The files of a prefix by package; paths are relative to it.

    Attributes:
        files: By package: conda's name, or a PyPI project's, normalized.
        owner: The package of each file.
        moved: By package: files in which the prefix's path stands, as conda's lists say.
        metadata: By package: the METADATA of the Python projects that it brought.
    """

    files: Mapping[str, tuple[str, ...]]
    owner: Mapping[str, str]
    moved: Mapping[str, frozenset[str]]
    metadata: Mapping[str, tuple[str, ...]]


def owned(prefix: Path) -> Owned:
    """What belongs to whom in a prefix."""
    files: dict[str, tuple[str, ...]] = {}
    moved: dict[str, frozenset[str]] = {}
    for name, listed, placed in _conda(prefix):
        files[name], moved[name] = listed, placed
    owner: dict[str, str] = {}
    for name, listed in files.items():
        for file in listed:
            owner.setdefault(file, name)
    for name, listed in _wheels(prefix, owner):
        files.setdefault(name, listed)
        for file in listed:
            owner.setdefault(file, name)
    metadata: dict[str, list[str]] = {}
    for file, name in owner.items():
        if file.endswith(".dist-info/METADATA"):
            metadata.setdefault(name, []).append(file)
    return Owned(
        files=files, owner=owner, moved=moved, metadata={name: tuple(found) for name, found in metadata.items()}
    )


def _conda(prefix: Path) -> Iterator[tuple[str, tuple[str, ...], frozenset[str]]]:
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            with path.open("rb") as stream:
                record = orjson.loads(stream.read(_LARGEST))
            paths = record.get("paths_data", {}).get("paths", [])
            placed = frozenset(str(item["_path"]) for item in paths if item.get("prefix_placeholder"))
            yield str(record["name"]), tuple(filter(_inside, map(str, record["files"]))), placed


def _wheels(prefix: Path, owner: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every wheel that is not conda's, with its files."""
    for folder in sorted(prefix.glob("lib/python3*/site-packages/*.dist-info")):
        inside = folder.relative_to(prefix).as_posix()
        if f"{inside}/METADATA" in owner or folder.is_symlink():
            continue
        with contextlib.suppress(OSError, ValueError, csv.Error):
            with (folder / "RECORD").open("rb") as stream:
                text = stream.read(_LARGEST).decode("utf-8", "surrogateescape")
            site = posixpath.dirname(inside)
            listed = (posixpath.normpath(f"{site}/{row[0]}") for row in csv.reader(io.StringIO(text)) if row)
            name = normalize_pypi_name(folder.name.removesuffix(".dist-info").rpartition("-")[0])
            yield name, tuple(filter(_inside, listed))


def _inside(file: str) -> bool:
    """Whether a listed file lies in the prefix, by its name."""
    return not file.startswith("/") and "\0" not in file and ".." not in file.split("/")
