"""A package index over a folder: PEP 503 pages, PEP 691 JSON, PEP 658 metadata, PEP 700 dates, each to be had or not.

Use with ``serve``::

    index = WheelIndex(folder, dates={"toy-1.0-py3-none-any.whl": "2024-01-01T00:00:00Z"})
    with serve(index) as server:
        uv pip install --index-url {server.url}/simple toy

The folder is read again for each page, so wheels may come and go while the server runs. Files are below ``/files/``;
``/links`` is one flat page for ``--find-links``.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.support.servers import Body, Incoming

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(kw_only=True)
class WheelIndex:
    """What the index offers; change the attributes while it is served, if a test wants that.

    Attributes:
        folder: Wheels and sdists.
        json: Whether PEP 691 JSON is served to those who accept it.
        dates: File name to upload time (RFC 3339); None: the index has no dates at all.
        default_date: The date of files that ``dates`` does not name.
        metadata: Whether PEP 658 metadata files are offered.
        hashes: Whether pages carry sha256.
        yanked: File name to reason.
        projects: Only these (normalized) names are served; None for all.
    """

    folder: Path
    json: bool = True
    dates: Mapping[str, str] | None = field(default_factory=dict)
    default_date: str = "2024-01-01T00:00:00Z"
    metadata: bool = True
    hashes: bool = True
    yanked: Mapping[str, str] = field(default_factory=dict)
    projects: frozenset[str] | None = None

    def __call__(self, request: Incoming) -> Body | None:
        """Answer a request."""
        parts = request.path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) <= 2:
            as_json = self.json and _JSON in request.headers.get("accept", "")
            return self._page(parts[1], as_json) if len(parts) == 2 else self._root(as_json)
        if parts == ["links"]:
            return self._links()
        if parts[0] == "files" and len(parts) == 2 and not parts[1].startswith("."):
            return self._file(parts[1])
        return None

    def _projects(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".whl":
                name = path.name.split("-")[0]
            elif path.name.endswith((".tar.gz", ".zip")):
                name = path.name.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[0]
            else:
                continue
            name = _normalize(name)
            if self.projects is None or name in self.projects:
                found.setdefault(name, []).append(path)
        return found

    def _root(self, as_json: bool) -> Body:
        names = sorted(self._projects())
        if as_json:
            document = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]}
            return Body(data=json.dumps(document).encode(), type=_JSON)
        links = "".join(f'<a href="/simple/{name}/">{name}</a>\n' for name in names)
        return Body(data=f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), type="text/html")

    def _links(self) -> Body:
        """One flat page of every file, as ``--find-links`` takes it."""
        entries = [self._entry(path) for files in self._projects().values() for path in files]
        links = "".join(_anchor({**entry, "url": f"files/{entry['filename']}"}) for entry in entries)
        return Body(data=f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), type="text/html")

    def _page(self, name: str, as_json: bool) -> Body | None:
        files = self._projects().get(_normalize(name))
        if files is None:
            return None
        entries = [self._entry(path) for path in files]
        if as_json:
            versions = sorted({_version(path.name) for path in files})
            document = {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": entries}
            return Body(data=json.dumps(document).encode(), type=_JSON, headers={"Vary": "Accept"})
        links = "".join(_anchor(entry) for entry in entries)
        page = (
            f'<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>{links}</body>'
        )
        return Body(data=(page + "</html>").encode(), type="text/html", headers={"Vary": "Accept"})

    def _entry(self, path: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "filename": path.name,
            "url": f"../../files/{path.name}",
            "hashes": {"sha256": _sha256(path)} if self.hashes else {},
            "size": path.stat().st_size,
            "yanked": self.yanked.get(path.name, False),
        }
        if path.suffix == ".whl":
            inside = _metadata(path)
            if match := re.search(r"^Requires-Python: (.+)$", inside.decode(), re.MULTILINE):
                entry["requires-python"] = match[1]
            if self.metadata:
                entry["core-metadata"] = {"sha256": hashlib.sha256(inside).hexdigest()}
        elif match := re.search(r"^Requires-Python: (.+)$", _package_information(path), re.MULTILINE):
            entry["requires-python"] = match[1]
        if self.dates is not None:
            entry["upload-time"] = self.dates.get(path.name, self.default_date)
        return entry

    def _file(self, name: str) -> Body | None:
        path = self.folder / name.removesuffix(".metadata")
        if not path.is_file():
            return None
        if name.endswith(".metadata"):
            return Body(data=_metadata(path), type="text/plain") if self.metadata else None
        return Body(data=path)


def _anchor(entry: Mapping[str, Any]) -> str:
    sha256 = entry["hashes"].get("sha256")
    attributes = ""
    if "requires-python" in entry:
        attributes += f' data-requires-python="{html.escape(entry["requires-python"])}"'
    if "core-metadata" in entry:
        attributes += f' data-core-metadata="sha256={entry["core-metadata"]["sha256"]}"'
    if entry["yanked"] is not False:
        attributes += f' data-yanked="{html.escape(entry["yanked"])}"'
    target = entry["url"] + (f"#sha256={sha256}" if sha256 else "")
    return f'<a href="{target}"{attributes}>{entry["filename"]}</a><br>\n'


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(file: str) -> str:
    if file.endswith(".whl"):
        return file.split("-")[1]
    return file.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[2]


def _sha256(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1000)
def _digest(path: Path, size: int, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _metadata(wheel: Path) -> bytes:
    status = wheel.stat()
    return _inside(wheel, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1000)
def _inside(wheel: Path, size: int, modified: int) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        inside = next(
            name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        return archive.read(inside)


def _package_information(sdist: Path) -> str:
    """The text of an sdist's PKG-INFO; empty when it has none, or is no archive."""
    try:
        if sdist.suffix == ".zip":
            with zipfile.ZipFile(sdist) as zipped:
                return zipped.read(
                    next(name for name in zipped.namelist() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
                ).decode()
        with tarfile.open(sdist) as archive:
            name = next(name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
            stream = archive.extractfile(name)
            return stream.read().decode() if stream else ""
    except (StopIteration, OSError, tarfile.TarError, zipfile.BadZipFile):
        return ""
