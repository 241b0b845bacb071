"""Writes conda packages: files of a staging folder plus ``info/``, packed as ``.conda`` or ``.tar.bz2``.

A package is described by a ``PackageRecipe``; ``write_package`` fills in ``info/paths.json`` from what is in the
folder: links, text and binary files that hold the placeholder, sizes and sha256. Packing is deterministic: what is
found for one build of a test channel is found for each.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACEHOLDER = "/opt/" + ("envbuild_test_placeholder_" * 11)[:250]
"""255 bytes, as conda-build's: what the prefix is called inside packages until they are linked."""

MTIME = 1_700_000_000


@dataclass(frozen=True, kw_only=True)
class PackageRecipe:
    """One conda package to write.

    Attributes:
        files: Path in the prefix to content: bytes or text, or a ``Path`` to copy; executable below ``bin/``.
        links: Path in the prefix to the target of a symbolic link.
        index: More fields of ``info/index.json``: ``purls``, ``license``, ``python_site_packages_path`` ….
        entry_points: ``name = module:function`` lines of a ``noarch: python`` package.
        timestamp: Milliseconds since 1970; None leaves it out.
        suffix: ``.conda`` or ``.tar.bz2``.
    """

    name: str
    version: str
    subdir: str
    build: str = "0"
    build_number: int = 0
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    noarch: str | None = None
    files: Mapping[str, bytes | str | Path] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)
    entry_points: tuple[str, ...] = ()
    timestamp: int | None = 1_704_067_200_000
    suffix: str = ".conda"

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        return f"{self.name}-{self.version}-{self.build}"


def _index(recipe: PackageRecipe) -> dict[str, Any]:
    system, _, arch = recipe.subdir.partition("-")
    document: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "build": recipe.build,
        "build_number": recipe.build_number,
        "depends": list(recipe.depends),
        "constrains": list(recipe.constrains),
        "subdir": recipe.subdir,
        "arch": None if recipe.noarch else {"64": "x86_64"}.get(arch, arch),
        "platform": None if recipe.noarch else system,
        **recipe.index,
    }
    if recipe.noarch:
        document["noarch"] = recipe.noarch
    if recipe.timestamp is not None:
        document["timestamp"] = recipe.timestamp
    return document


def _path_entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if PLACEHOLDER.encode() in data:
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = "binary" if b"\0" in data else "text"
    return entry


def _add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mtime = len(data), MTIME
    member.mode = 0o755 if path.startswith("bin/") or ".so" in path else 0o644
    archive.addfile(member, io.BytesIO(data))


def _fill(archive: tarfile.TarFile, recipe: PackageRecipe) -> None:
    entries = []
    for path, content in sorted(recipe.files.items()):
        data = content.read_bytes() if isinstance(content, Path) else content
        data = data.encode() if isinstance(data, str) else data
        entries.append(_path_entry(path, data))
        _add(archive, path, data)
    for path, target in sorted(recipe.links.items()):
        resolved = recipe.files.get(str(Path(path).parent / target))
        digest = hashlib.sha256(resolved.read_bytes() if isinstance(resolved, Path) else b"").hexdigest()
        entries.append({"_path": path, "path_type": "softlink", "sha256": digest, "size_in_bytes": 0})
        member = tarfile.TarInfo(path)
        member.type, member.linkname, member.mtime = tarfile.SYMTYPE, target, MTIME
        archive.addfile(member)
    documents: dict[str, Any] = {
        "info/index.json": _index(recipe),
        "info/paths.json": {"paths": sorted(entries, key=lambda item: item["_path"]), "paths_version": 1},
        "info/about.json": {"license": recipe.index.get("license", "MIT"), "summary": f"{recipe.name} of the tests"},
    }
    if recipe.noarch == "python":
        documents["info/link.json"] = {
            "noarch": {"type": "python", "entry_points": list(recipe.entry_points)},
            "package_metadata_version": 1,
        }
    for path, document in documents.items():
        _add(archive, path, json.dumps(document, indent=1, sort_keys=True).encode())
    _add(archive, "info/files", "".join(f"{item['_path']}\n" for item in entries).encode())


def write_package(recipe: PackageRecipe, channel: Path) -> Path:
    """Write one package into its subdirectory of a channel's folder.

    Returns:
        The package's file.
    """
    from conda_package_streaming.create import conda_builder

    folder = channel / recipe.subdir
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.suffix == ".conda":
        with conda_builder(recipe.stem, folder, compression_level=1, compression_threads=1) as archive:
            _fill(archive, recipe)
        _without_times(folder / f"{recipe.stem}.conda")
    else:
        with tarfile.open(folder / (recipe.stem + recipe.suffix), "w:bz2", compresslevel=1) as archive:
            _fill(archive, recipe)
    return folder / (recipe.stem + recipe.suffix)


def _without_times(path: Path) -> None:
    """Write a zip anew without the time of its making, which conda-package-streaming takes from the clock."""
    with zipfile.ZipFile(path) as archive:
        members = [(zipfile.ZipInfo(name), archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for info, data in members:
            archive.writestr(info, data)
