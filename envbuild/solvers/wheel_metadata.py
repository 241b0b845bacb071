"""What wheels say of themselves: requirements, extras, licence, the Pythons that they run on.

Read for the chosen wheels alone, several at a time: the index's own copy of METADATA (PEP 658) where there is one, else
the end of the wheel by range requests, else the whole wheel. Kept by the wheel's sha256. A server that has had no copy
for one wheel is not asked for copies of the others: each such answer may have taken it as long as the wheel's end.

Rules of the file: effects through ``context``; markers are evaluated for the target, never for this machine.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from envbuild.builders.core_metadata import WheelMetadata as WheelMetadata
from envbuild.builders.core_metadata import parse_metadata as parse_metadata
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, InvalidInput, UnreachableError
from envbuild.linkers.wheel_requirements import REFUTED
from envbuild.package import normalize_pypi_name
from envbuild.solvers.pylock import ChosenWheel
from envbuild.urls import file_path

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.solvers.metadata_ahead import MetadataAhead

METADATA_LIMIT = 8 * 1024 * 1024
WHEEL_LIMIT = 4 * 1024**3
TAIL = 64 * 1024
PARALLEL = 12
"""Wheels asked about at a time: more wait less for far servers, and shake more hands with near ones."""


def load_engines() -> None:
    """Import what choosing and reading wheels needs, while another process works."""
    import packaging.requirements
    import packaging.tags
    import packaging.utils  # noqa: F401


def read_all(
    wheels: Sequence[ChosenWheel], context: Context, ahead: MetadataAhead | None = None
) -> dict[str, WheelMetadata]:
    """The metadata of each wheel by name.

    Args:
        wheels: Whose.
        context: For reading.
        ahead: What was asked for while they were chosen.

    Raises:
        UnreachableError: When a wheel cannot be read.
        IntegrityError: ``identity``, when a wheel is another package than its index says.
    """
    folder = context.engine_cache("metadata")
    without: set[str] = set()
    here = [wheel for wheel in wheels if _is_here(wheel, folder, ahead)]
    found = {wheel.name: _read_one(wheel, folder, without, context, ahead) for wheel in here}
    rest = [wheel for wheel in wheels if wheel.name not in found]
    if rest:
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            read = pool.map(lambda wheel: _read_one(wheel, folder, without, context, ahead), rest)
            found.update(zip((wheel.name for wheel in rest), read, strict=True))
    return found


def _is_here(wheel: ChosenWheel, folder: Path, ahead: MetadataAhead | None) -> bool:
    """Whether nobody need be asked any more: starting a thread costs more than reading what is kept."""
    if ahead is not None and ahead.heard(f"{wheel.url}.metadata"):
        return True
    return wheel.sha256 is not None and (folder / wheel.sha256).exists()


def kept_metadata(sha256: Digest, context: Context) -> WheelMetadata | None:
    """The metadata of a wheel that was read before on this machine, or None; nothing is asked of a server."""
    return _kept(context.engine_cache("metadata") / sha256)


def _read_one(
    wheel: ChosenWheel, folder: Path, without: set[str], context: Context, ahead: MetadataAhead | None
) -> WheelMetadata:
    kept = folder / wheel.sha256 if wheel.sha256 else None
    if kept is not None and (metadata := _kept(kept)) is not None:
        return metadata
    early = None if ahead is None else ahead.metadata(f"{wheel.url}.metadata")
    metadata = early or parse_metadata(_metadata_bytes(wheel, without, context))
    if normalize_pypi_name(metadata.name) != wheel.name or not _same_version(metadata.version, wheel.version):
        raise IntegrityError(f"{wheel.file} says that it is {metadata.name} {metadata.version}", reference="identity")
    if kept is not None:
        _keep(kept, metadata)
    return metadata


def _kept(path: Path) -> WheelMetadata | None:
    try:
        tree: dict[str, Any] = json.loads(path.read_bytes())
        if REFUTED in tree:  # the wheel itself said something else when it was linked
            return None
        return WheelMetadata(**{**tree, "requires": tuple(tree["requires"]), "extras": tuple(tree["extras"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # a cache may be empty or broken at any time


def _keep(path: Path, metadata: WheelMetadata) -> None:
    tree = {name: getattr(metadata, name) for name in WheelMetadata.__slots__}
    part = path.with_name(f"{path.name}.{os.getpid()}.{id(tree)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(tree), encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # a cache that cannot be written only costs time


def _metadata_bytes(wheel: ChosenWheel, without: set[str], context: Context) -> bytes:
    if wheel.url.startswith("file:"):
        return _from_file(wheel)
    server = urlsplit(wheel.url).netloc
    if server not in without:
        try:
            data = context.read(f"{wheel.url}.metadata", limit=METADATA_LIMIT)
        except UnreachableError:
            data = None  # some servers refuse rather than say 404; the wheel itself decides
        if data:
            return data
        without.add(server)
    try:
        return _from_zip(_Ranges(wheel, context), wheel)
    except (zipfile.BadZipFile, InvalidInput, UnreachableError, OSError):
        whole = context.read(wheel.url, limit=wheel.size or WHEEL_LIMIT)
    if whole is None:
        raise UnreachableError(f"{wheel.file} is listed by its index but not there", reference="gone")
    try:
        return _from_zip(io.BytesIO(whole), wheel)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"{wheel.file} is not a wheel: {error}", reference="bad-wheel") from error


def _from_file(wheel: ChosenWheel) -> bytes:
    """METADATA of a wheel in a folder: the engine has just read it from there, and it may be too large to be copied."""
    try:
        return _from_zip(file_path(wheel.url), wheel)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"{wheel.file} is not a wheel: {error}", reference="bad-wheel") from error
    except OSError as error:
        raise UnreachableError(f"{wheel.file} cannot be read: {error.strerror}", reference="gone") from error


def _from_zip(stream: Any, wheel: ChosenWheel) -> bytes:
    with zipfile.ZipFile(stream) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        if len(names) != 1:
            raise IntegrityError(f"{wheel.file} holds {len(names)} METADATA files", reference="bad-wheel")
        if archive.getinfo(names[0]).file_size > METADATA_LIMIT:
            raise IntegrityError(f"the METADATA of {wheel.file} is too large", reference="bad-wheel")
        return archive.read(names[0])


class _Ranges(io.RawIOBase):
    """A wheel on a server as a file: its end is read at once, other places as they are asked for."""

    def __init__(self, wheel: ChosenWheel, context: Context) -> None:
        super().__init__()
        self._wheel, self._context, self._position = wheel, context, 0
        tail = context.read(wheel.url, limit=wheel.size or WHEEL_LIMIT, span=(-TAIL, -1))
        if tail is None:
            raise UnreachableError(f"{wheel.file} is listed by its index but not there", reference="gone")
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + 22:
            raise zipfile.BadZipFile("no end of central directory")
        size, offset = (int.from_bytes(tail[end + at : end + at + 4], "little") for at in (12, 16))
        self._size = wheel.size or max(offset + size + len(tail) - end, len(tail))
        self._pieces = {self._size - len(tail): tail}

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from the position on; a request to the server only for what is not known yet."""
        stop = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if stop <= self._position:
            return b""
        for start, piece in self._pieces.items():
            if start <= self._position and stop <= start + len(piece):
                data = piece[self._position - start : stop - start]
                self._position = stop
                return data
        last = min(self._size, max(stop, self._position + TAIL))
        data = self._context.read(self._wheel.url, limit=WHEEL_LIMIT, span=(self._position, last - 1)) or b""
        if len(data) != last - self._position:
            raise zipfile.BadZipFile("the server does not serve ranges")
        self._pieces[self._position] = data
        return self.read(stop - self._position)


def edges(
    metadata: Mapping[str, WheelMetadata],
    roots: Iterable[tuple[str, tuple[str, ...], str | None]],
    environment: Mapping[str, str],
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Who needs whom, and with which extras, markers evaluated for the target.

    Args:
        metadata: Of every locked wheel (and of whatever else is there), by normalized name.
        roots: What the recipe asks for: (name, extras, markers).
        environment: The target's marker variables.

    Returns:
        For each name the names that it needs, sorted; and for each name the extras asked of it, sorted.
    """
    extras: dict[str, set[str]] = {name: set() for name in metadata}
    needs: dict[str, set[str]] = {name: set() for name in metadata}
    parsed = {name: _requirements(item) for name, item in metadata.items()}
    todo = []
    for name, wanted, markers in roots:
        if name in metadata and _holds(markers, environment, ""):
            extras[name] |= {normalize_pypi_name(item) for item in wanted}
            todo.append(name)
    todo += [name for name in metadata if name not in todo]
    while todo:
        name = todo.pop()
        for requirement in parsed[name]:
            if not any(_marker_holds(requirement, environment, extra) for extra in ("", *extras[name])):
                continue
            needed = normalize_pypi_name(requirement.name)
            needs[name].add(needed)
            new = {normalize_pypi_name(item) for item in requirement.extras} - extras.get(needed, set())
            if needed in metadata and new:
                extras[needed] |= new
                todo.append(needed)
    return (
        {name: tuple(sorted(items - {name})) for name, items in needs.items()},
        {name: tuple(sorted(items)) for name, items in extras.items()},
    )


def _requirements(metadata: WheelMetadata) -> list[Any]:
    return [found for text in metadata.requires if (found := _requirement(text)) is not None]


@cache
def _requirement(text: str) -> Any:
    """A requirement; None for text that is none: uv has resolved it in its lenient way, an edge less harms nobody."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def parse_ahead(data: bytes) -> WheelMetadata:
    """METADATA as a value, its requirements parsed too while there is time.

    Raises:
        InvalidInput: ``bad-metadata``.
    """
    metadata = parse_metadata(data)
    _requirements(metadata)
    return metadata


def _marker_holds(requirement: Any, environment: Mapping[str, str], extra: str) -> bool:
    return requirement.marker is None or bool(requirement.marker.evaluate({**environment, "extra": extra}))


def _holds(markers: str | None, environment: Mapping[str, str], extra: str) -> bool:
    if not markers:
        return True
    from packaging.markers import Marker

    return Marker(markers).evaluate({**environment, "extra": extra})


def check_python(metadata: WheelMetadata, python: str) -> str | None:
    """What is wrong with a wheel for a Python, or None."""
    if not metadata.requires_python:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(metadata.requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return None
    return None if fits else f"{metadata.name} {metadata.version} needs Python {metadata.requires_python}"


def _same_version(left: str, right: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(left) == Version(right)
    except InvalidVersion:
        return left == right
