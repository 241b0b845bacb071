"""A store in a folder: the local store of every user, and shared ones on a disk.

The layout is that of ``envbuild.store``; ``tmp/`` beside it holds files on their way in. Blobs are 0444, published by
``envbuild.machine.publish``. A blob's *name* is all that ``known`` and ``path`` look at: who uses the bytes reads them
through ``envbuild.store.verified``. Records are strict JSON: one with an unknown shape, duplicate keys or a foreign key
inside is no record (None), is said once, and its work is done anew.

Rules of the file: nothing is overwritten; nothing but names made from digests and kinds becomes a path.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from envbuild.derivations import KINDS, Output
from envbuild.digest import Digest, sealed, unique_names, unsealed
from envbuild.errors import IntegrityError, StaleError
from envbuild.machine.publish import Durability, Incoming, copy_into, make_folder, publish_bytes
from envbuild.package import Platform
from envbuild.pattern import pattern
from envbuild.store import STORE_FORMAT, Put, Result
from envbuild.value import dataclass

_HEX64 = pattern(r"[0-9a-f]{64}")
_DECODER = json.JSONDecoder(object_pairs_hook=unique_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStore:
    """The two halves of a store in a folder, and the folder for files on their way in."""

    path: Path
    blobs: FolderBlobs
    results: FolderResults

    @property
    def incoming(self) -> Path:
        """Where temporary files go: on the file system of the blobs."""
        return self.path / "tmp"


def open_store(
    path: Path, *, durability: Durability = "safe", note: Callable[[str], None] = lambda _: None
) -> FolderStore:
    """The store in a folder, made when there is none.

    Args:
        path: Absolute.
        durability: Whether publishing waits for the disk.
        note: Told once about each record that cannot be read.

    Raises:
        StaleError: ``store-format`` when a newer envbuild made it: what one does not know, one does not write.
        NoSpaceError: When it cannot be made.
    """
    format_file = path / "format.json"
    with suppress(FileNotFoundError):
        if format_file.stat().st_size == 0:  # the power was lost after it was made, and with it nothing else
            format_file.unlink()
    try:
        found = json.loads(format_file.read_bytes())
    except FileNotFoundError:
        make_folder(path, durability, 0o700)
        # Nothing waits for the disk: what is published after it does, and before that there is nothing to lose.
        publish_bytes(json.dumps({"format": STORE_FORMAT}).encode() + b"\n", format_file, path / "tmp", "fast")
        found = {"format": STORE_FORMAT}
    except ValueError:
        found = None
    if found != {"format": STORE_FORMAT}:
        raise StaleError(
            f"{format_file} is not of format {STORE_FORMAT}: another version of envbuild made this store",
            reference="store-format",
            hint="use that version, or set ENVBUILD_HOME to another folder",
        )
    return FolderStore(
        path=path,
        blobs=FolderBlobs(path, durability=durability),
        results=FolderResults(path, durability=durability, note=note),
    )


class FolderBlobs:
    """Blobs in a folder; implements ``envbuild.store.Blobs``."""

    def __init__(self, root: Path, *, durability: Durability = "safe") -> None:
        self._root = root / "blobs" / "sha256"
        self._text = str(self._root)
        self._incoming = root / "tmp"
        self._durability = durability

    def name(self, digest: Digest) -> Path:
        """Where a blob is, or would be."""
        return self._root.joinpath(digest[:2], digest)

    def known(self, digests: Iterable[Digest]) -> set[Digest]:
        """Which of these are here, by name alone."""
        return {digest for digest in digests if self.path(digest) is not None}

    def path(self, digest: Digest) -> Path | None:
        """The file of a blob, or None. A symbolic link is not a blob."""
        return self.name(digest) if self.size(digest) is not None else None

    def size(self, digest: Digest) -> int | None:
        """How many bytes the file of a blob has; None when there is none."""
        try:
            state = os.lstat(f"{self._text}/{digest[:2]}/{digest}")  # a Path costs more than the question
        except (FileNotFoundError, NotADirectoryError):
            return None
        return state.st_size if stat.S_ISREG(state.st_mode) else None

    def put(self, path: Path, digest: Digest) -> Put:
        """Copy a file in and publish it; the copy is what is hashed.

        Raises:
            IntegrityError: When its bytes are not those of ``digest``.
            NoSpaceError: When it does not fit.
        """
        if self.path(digest) is not None:
            return "exists"
        with Incoming(self._incoming, path.stat().st_size) as incoming:
            copy_into(incoming, path)
            return self.adopt(incoming, digest)

    def adopt(self, incoming: Incoming, digest: Digest) -> Put:
        """Publish a temporary file that was hashed while it was written.

        Raises:
            IntegrityError: ``wrong-hash``, with what was expected and what was found.
        """
        if incoming.digest != digest:
            raise IntegrityError(
                f"expected sha256 {digest}, got {incoming.digest} ({incoming.size} bytes)", reference="wrong-hash"
            )
        return "created" if incoming.publish(self.name(digest), self._durability) else "exists"

    def delete(self, digest: Digest) -> None:
        """Forget a blob; absent is fine. A symbolic link goes, never its target."""
        with suppress(FileNotFoundError):
            self.name(digest).unlink()

    def list(self) -> Iterator[tuple[Digest, int, float]]:
        """Every blob with its size in bytes and its modification time. Names that are not digests are left alone."""
        for folder in sorted(_folders(self._root)):
            for path in sorted(folder.iterdir()):
                if _HEX64.fullmatch(path.name) and path.name[:2] == folder.name:
                    with suppress(FileNotFoundError):
                        state = path.lstat()
                        yield Digest(path.name), state.st_size, state.st_mtime


class FolderResults:
    """Records in a folder; implements ``envbuild.store.Results``."""

    def __init__(
        self, root: Path, *, durability: Durability = "safe", note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._root = root / "results"
        self._blobs = FolderBlobs(root)
        self._incoming = root / "tmp"
        self._durability = durability
        self._note = note
        self._said: set[Path] = set()

    def name(self, kind: str, key: Digest) -> Path:
        """Where a record is, or would be.

        Raises:
            KeyError: For a kind that is not registered.
        """
        if kind not in KINDS:
            raise KeyError(kind)
        return self._root.joinpath(kind, key[:2], f"{key}.json")

    def known(self, kind: str, keys: Iterable[Digest]) -> set[Digest]:
        """Which of these are recorded, by name alone."""
        return {key for key in keys if self.name(kind, key).is_file()}

    def get(self, kind: str, key: Digest) -> Result | None:
        """One record; None when there is none, or when it cannot be read (said once)."""
        path = self.name(kind, key)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            result = result_from_bytes(data)
            if (result.kind, result.key) == (kind, key):
                return result
            problem = "it is the record of something else"
        except (ValueError, KeyError, TypeError) as error:
            problem = str(error)
        if path not in self._said:
            self._said.add(path)
            self._note(f"{path} is not a record ({problem}); its work is done again")
        return None

    def put(self, result: Result) -> Put:
        """Record it unless a readable record is there; one that cannot be read, or whose blobs are gone, makes way.

        Raises:
            NoSpaceError: When it does not fit.
        """
        data, path = result_to_bytes(result), self.name(result.kind, result.key)
        created = publish_bytes(data, path, self._incoming, self._durability)
        if not created and not self._stands(result.kind, result.key):
            self.delete(result.kind, result.key)
            created = publish_bytes(data, path, self._incoming, self._durability)
        return "created" if created else "exists"

    def _stands(self, kind: str, key: Digest) -> bool:
        result = self.get(kind, key)
        return result is not None and all(self._blobs.path(output.sha256) for _, output in result.outputs)

    def delete(self, kind: str, key: Digest) -> None:
        """Forget a record; absent is fine."""
        with suppress(FileNotFoundError):
            self.name(kind, key).unlink()

    def list(self, kind: str) -> Iterator[Digest]:
        """Every key of a kind."""
        for folder in sorted(_folders(self._root / kind)):
            for path in sorted(folder.iterdir()):
                if path.suffix == ".json" and _HEX64.fullmatch(path.stem):
                    yield Digest(path.stem)


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (path for path in root.iterdir() if len(path.name) == 2 and path.is_dir() and not path.is_symlink())


def result_to_bytes(result: Result) -> bytes:
    """A record as stored: one line of JSON with sorted keys, sealed.

    Without indentation, with which the standard library takes fifteen times as long.
    """
    tree = {
        "version": 1,
        "kind": result.kind,
        "key": result.key,
        "outputs": {name: {"sha256": output.sha256, "size": output.size} for name, output in result.outputs},
        "platform": result.platform,
        "created": result.created,
        "milliseconds": result.milliseconds,
        "builder": result.builder,
        "notes": list(result.notes),
    }
    return sealed(json.dumps(tree, sort_keys=True).encode() + b"\n")


def result_from_bytes(data: bytes) -> Result:
    """A record from its bytes.

    Raises:
        ValueError: When it is not a record of version 1, down to every field (KeyError and TypeError likewise).
    """
    try:
        tree = _mapping(_DECODER.decode(unsealed(data).decode()))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if tree.pop("version") != 1:
        raise ValueError("unknown version")
    outputs = []
    for name, output in _mapping(tree.pop("outputs")).items():
        if set(output) != {"sha256", "size"} or not _HEX64.fullmatch(output["sha256"]):
            raise ValueError(f"output {name!r:.60} is malformed")
        outputs.append((name, Output(sha256=Digest(output["sha256"]), size=_whole(output["size"]))))
    result = Result(
        kind=_text(tree.pop("kind")),
        key=Digest(_text(tree.pop("key"))),
        outputs=tuple(outputs),
        platform=Platform(_text(tree.pop("platform"))),
        created=_text(tree.pop("created")),
        milliseconds=_whole(tree.pop("milliseconds")),
        builder=_text(tree.pop("builder")),
        notes=tuple(_text(note) for note in tree.pop("notes")),
    )
    if tree:
        raise ValueError(f"unknown fields {sorted(tree)!s:.60}")
    return result


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("it is not a mapping")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r:.60} is not a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is not text")
    return value
