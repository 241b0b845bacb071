"""An OCI image layout (image-spec 1.1): a folder of blobs by their digests, read and written.

Rules of the file: a base is a stranger's: names come out of digests only, documents are read up to a limit, and every
byte that is taken is held against its digest and size.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from envbuild.errors import IntegrityError, InvalidInput, Where
from envbuild.projects.project import shown_path
from envbuild.value import dataclass

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_DOCKER = {
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER}+gzip",
}
_LAYERS = {LAYER, f"{LAYER}+gzip", f"{LAYER}+zstd"}
_INDICES = {INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"}
_MANIFESTS = {MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"}
_LARGEST_DOCUMENT = 4 << 20
_DEEPEST = 3
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image to stand on.

    Attributes:
        digest: Of its manifest.
        layers: Their descriptors, with OCI's media types.
        config: Its configuration, whole.
    """

    folder: Path
    digest: str
    layers: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]


class Layout:
    """An image layout that is being written.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def document(self, document: object, media_type: str) -> dict[str, Any]:
        """Write a document in its one spelling; its descriptor."""
        data = _spelled(document)
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def stream(self, write: Callable[[Callable[[bytes], object]], object], media_type: str) -> dict[str, Any]:
        """Have a blob written piece by piece, by a function that is given where to write; its descriptor."""
        hashed, size = hashlib.sha256(), 0
        fresh = self._blobs / "being-written"

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            hashed.update(piece)
            stream.write(piece)

        with fresh.open("wb") as stream:
            write(take)
        fresh.rename(self._blobs / hashed.hexdigest())
        return {"mediaType": media_type, "digest": f"sha256:{hashed.hexdigest()}", "size": size}

    def take(self, base: Base, descriptor: Mapping[str, Any]) -> None:
        """Copy a layer of a base.

        Raises:
            IntegrityError: ``bad-image`` when it is not what its descriptor says.
        """
        with _opened(base.folder, descriptor) as source:

            def copy(write: Callable[[bytes], object]) -> None:
                while piece := source.read(_PIECE):
                    write(piece)

            _compare(base.folder, descriptor, self.stream(copy, descriptor["mediaType"]))

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write what makes the folder a layout of one image."""
        (self._folder / "oci-layout").write_bytes(_spelled({"imageLayoutVersion": "1.0.0"}))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}
        (self._folder / "index.json").write_bytes(_spelled(index))


def read_base(folder: Path, architecture: str) -> Base:
    """The one image of a layout for an architecture.

    Args:
        folder: The layout.
        architecture: In Go's words, such as ``amd64``.

    Raises:
        InvalidInput: ``bad-image`` for no layout, no image or several for it, or what is malformed.
        IntegrityError: ``bad-image`` for a document that is not what its descriptor says.
    """
    if not (folder / "oci-layout").is_file():
        raise _bad(folder, "is no OCI image layout: it holds no file oci-layout", hint="skopeo copy docker://… oci:DIR")
    index = _parsed(folder, folder / "index.json")
    found = []
    for descriptor in _manifests(folder, index, _DEEPEST):
        manifest = _document(folder, descriptor)
        config = _document(folder, _entry(folder, manifest, "config"))
        if (config.get("os"), config.get("architecture")) == ("linux", architecture):
            found.append((descriptor["digest"], manifest, config))
    if len({digest for digest, _, _ in found}) != 1:
        what = "no image" if not found else f"{len(found)} images"
        raise _bad(folder, f"holds {what} for linux on {architecture}, and one is needed")
    digest, manifest, config = found[0]
    layers = [_layer(folder, item) for item in _entries(folder, manifest, "layers")]
    root = config.get("rootfs")
    told = root.get("diff_ids") if isinstance(root, dict) else None
    if not _texts(told) or len(told or ()) != len(layers):
        raise _bad(folder, "tells another number of layers in its configuration than in its manifest")
    inner = config.get("config") or {}
    if not isinstance(inner, dict) or not _texts(inner.get("Env") or []) or not _is_map(inner.get("Labels") or {}):
        raise _bad(folder, "has a configuration that is malformed")
    if not isinstance(config.get("history") or [], list):
        raise _bad(folder, "has a configuration that is malformed")
    return Base(folder=folder, digest=digest, layers=tuple(layers), config=config)


def _manifests(folder: Path, index: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    for descriptor in _entries(folder, index, "manifests"):
        platform = descriptor.get("platform")
        if isinstance(platform, dict) and platform.get("os") not in {None, "linux"}:
            continue  # of another system, or what tells of an image (`unknown`)
        if descriptor.get("mediaType") in _INDICES and depth:
            yield from _manifests(folder, _document(folder, descriptor), depth - 1)
        elif descriptor.get("mediaType") in _MANIFESTS and (folder / _path(folder, descriptor)).is_file():
            yield descriptor  # a copy for one platform lacks the manifests of the others


def _layer(folder: Path, descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = descriptor.get("mediaType")
    kind = _DOCKER.get(kind, kind) if isinstance(kind, str) else None
    if kind not in _LAYERS:
        raise _bad(folder, "has a layer of a kind that may not be copied")
    return {"mediaType": kind, "digest": descriptor["digest"], "size": descriptor["size"]}


def _entry(folder: Path, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _entries(folder, {name: [document.get(name)]}, name)[0]


def _entries(folder: Path, document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of descriptors, each with a digest that is one and a size."""
    found = document.get(name)
    if not isinstance(found, list) or not all(map(_is_descriptor, found)):
        raise _bad(folder, f"has {name} that are malformed")
    return found


def _is_descriptor(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("digest"), str)
        and re.fullmatch("sha256:[0-9a-f]{64}", item["digest"]) is not None
        and type(item.get("size")) is int
        and item["size"] >= 0
        and isinstance(item.get("mediaType"), (str, type(None)))
    )


def _texts(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(item, str) for item in found)


def _is_map(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(item, str) for item in found.values())


def _document(folder: Path, descriptor: Mapping[str, Any]) -> dict[str, Any]:
    path = _path(folder, descriptor)
    tree = _parsed(folder, folder / path)
    with _plain(folder / path) as stream:
        data = stream.read(_LARGEST_DOCUMENT + 1)
    _compare(folder, descriptor, {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)})
    return tree


def _path(folder: Path, descriptor: Mapping[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _parsed(folder: Path, path: Path) -> dict[str, Any]:
    try:
        with _plain(path) as stream:
            data = stream.read(_LARGEST_DOCUMENT + 1)
        tree = json.loads(data) if len(data) <= _LARGEST_DOCUMENT else None
    except OSError as error:
        raise _bad(folder, f"lacks {path.relative_to(folder)}: {error.strerror}") from None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise _bad(
            folder, f"has in {path.relative_to(folder)} no JSON document of at most {_LARGEST_DOCUMENT >> 20} MiB"
        )
    return tree


@contextmanager
def _opened(folder: Path, descriptor: Mapping[str, Any]) -> Iterator[BinaryIO]:
    path = _path(folder, descriptor)
    try:
        stream = _plain(folder / path)
    except OSError as error:
        raise _bad(folder, f"lacks {path}: {error.strerror}") from None
    with stream:
        yield stream


def _plain(path: Path) -> BinaryIO:
    """A file, opened without waiting for whom a pipe of that name would wait."""
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "not a plain file")
    return stream


def _compare(folder: Path, told: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if (told["digest"], told["size"]) != (found["digest"], found["size"]):
        raise IntegrityError(
            f"{shown_path(folder)} holds as {told['digest'][:19]} other bytes than its digest says",
            reference="bad-image",
            where=Where(file=shown_path(folder)),
        )


def _bad(folder: Path, what: str, hint: str | None = None) -> InvalidInput:
    shown = shown_path(folder)
    return InvalidInput(f"{shown} {what}", reference="bad-image", where=Where(file=shown), hint=hint)


def _spelled(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
