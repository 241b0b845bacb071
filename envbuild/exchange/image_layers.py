"""Which file of an environment goes into which layer of its image.

Theory: a registry and a machine have a layer already when its digest is the same, so what changes together belongs
together, and what changes for itself apart. The Python has a layer of its own, and so has each of the largest packages;
all others fall into a fixed number of groups by the hash of their names, so that another version of one moves one group
and a package more or less no other. What belongs to no package (records of the whole environment) comes last.

Rules of the file: reads the records of packages (``conda-meta``, ``RECORD``), writes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from envbuild.package import normalize_pypi_name
from envbuild.value import dataclass

LARGE = 16 << 20
"""Bytes of files from which a package is worth a layer of its own."""

MOST_LARGE = 10
GROUPS = 7
"""With the Python's and the last one 19 layers at most: some tools refuse more than 127 with a base's."""

PYTHON = "python"
REST = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFiles:
    """One layer to write.

    Attributes:
        title: What it holds, for people.
        packages: Their names, sorted.
        names: Paths below the prefix.
    """

    title: str
    packages: tuple[str, ...]
    names: tuple[bytes, ...]


def layers_of(prefix: Path) -> tuple[LayerFiles, ...]:
    """The layers of a linked prefix, those first that change least. Each of its files is in one of them."""
    owners = _owners(prefix)
    interpreter = PYTHON if PYTHON not in owners.values() and any(prefix.glob("bin/python3*")) else None
    files: dict[str, list[bytes]] = {}
    sizes: dict[str, int] = {}
    for name, size in _walk(os.fsencode(prefix)):
        owner = owners.get(name) or _unowned(name, interpreter)
        files.setdefault(owner, []).append(name)
        sizes[owner] = sizes.get(owner, 0) + size
    packages = sorted(set(files) - {PYTHON, REST})
    large = [name for name in packages if sizes[name] >= LARGE]
    large = sorted(large, key=lambda name: (-sizes[name], name))[:MOST_LARGE]
    groups: dict[int, list[str]] = {}
    for package in packages:
        if package not in large:
            groups.setdefault(hashlib.sha256(package.encode()).digest()[0] % GROUPS, []).append(package)
    several = [[PYTHON], *([name] for name in large), *(groups[number] for number in sorted(groups)), [REST]]
    return tuple(
        LayerFiles(
            title=names[0] if len(names) == 1 else f"{len(names)} packages",
            packages=tuple(names),
            names=tuple(found),
        )
        for names in several
        if (found := [file for name in names for file in files.get(name, ())])
    )


def _unowned(name: bytes, interpreter: str | None) -> str:
    """Where a file goes that no package lists: to an unpacked interpreter, but for what tells of the environment."""
    if interpreter is None or name.startswith(b"conda-meta/") or name.endswith(b"/EXTERNALLY-MANAGED"):
        return REST
    return interpreter


def _walk(root: bytes) -> Iterator[tuple[bytes, int]]:
    """Every file, link and empty folder below a folder, with its size."""
    left = [b""]
    while left:
        parent = left.pop()
        entries = list(os.scandir(root + b"/" + parent))
        if not entries and parent:
            yield parent[:-1], 0
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                left.append(parent + entry.name + b"/")
            else:
                yield parent + entry.name, entry.stat(follow_symlinks=False).st_size


def _owners(prefix: Path) -> Mapping[bytes, str]:
    """The package of each file that one lists; of several the last, wheels after conda's packages."""
    owners: dict[bytes, str] = {}
    for record in sorted((prefix / "conda-meta").glob("*.json")):
        document = json.loads(record.read_bytes())
        owners |= dict.fromkeys(map(os.fsencode, document["files"]), document["name"])
        owners[os.fsencode(record.relative_to(prefix))] = document["name"]
    listed = set(owners)
    for record in sorted(prefix.glob("lib/python3*/site-packages/*.dist-info/RECORD")):
        if record.parent.parent.parent.is_symlink() or os.fsencode(record.relative_to(prefix)) in listed:
            continue
        site = os.fsencode(record.parent.parent.relative_to(prefix))
        name = normalize_pypi_name(record.parent.name.split("-", 1)[0])
        with record.open(encoding="utf-8", newline="") as stream:
            paths = [row[0] for row in csv.reader(stream) if row]
        owners |= {os.path.normpath(site + b"/" + os.fsencode(path)): name for path in paths}
    return owners
