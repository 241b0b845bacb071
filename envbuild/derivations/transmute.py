"""``transmute``: a conda package of one format becomes the same package in the other.

**In the key**: the key of the input (a fetch), the new file's name, the compression level, and the format version of
our own writer. **Not in the key**: scratch paths, and the versions of the libraries that decode and encode; those are
recorded in the result, for another version may give other bytes of the same members. **Outputs**: ``out``, the package,
and ``record``, canonical JSON: how many members and bytes, which libraries wrote it.

The name is in the key because it is in the bytes: its suffix says which format is made, and the parts of a ``.conda``
are called after it. bz2 decodes at 32 MB/s and zstd at more than 700, so transmuting pays from the second use on.

Rules of the file: ``envbuild.transmuting`` does the work; no library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, Purity
from envbuild.digest import Digest, Json, canonical_json, key
from envbuild.value import dataclass

DEFAULT_LEVEL = 3
"""Of zstd. Beyond it the time is no longer bound by decoding bz2: level 22 takes ten times as long."""

FORMATS: Mapping[str, int] = {".conda": DEFAULT_LEVEL, ".tar.bz2": 9}
"""Suffixes of conda packages, each with the level at which it is written: of zstd, of bz2."""

WRITER_FORMAT = 1
"""Raised when our writer gives other bytes for the same members and level."""

RECORD_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmute:
    """One package to write anew.

    Attributes:
        input: Key of the fetch whose output is the package.
        file: The new file's name; its suffix, one of ``FORMATS``, is the format to make.
        level: Compression level: 1 to 22 for ``.conda``, 1 to 9 for ``.tar.bz2``.
        writer: Format version of our writer.
        title: What people see.
        input_size: Bytes of the input, when known.
        key: Computed.
    """

    kind: ClassVar[str] = "transmute"
    version: ClassVar[int] = 1

    input: Digest
    file: str
    level: int = DEFAULT_LEVEL
    writer: int = WRITER_FORMAT
    title: str = field(default="package", compare=False)
    input_size: int | None = field(default=None, compare=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """The same input gives the same members."""
        return "pure"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """The one package."""
        return (self.input,)

    @property
    def label(self) -> str:
        """The title."""
        return self.title

    @property
    def size(self) -> int | None:
        """Bytes to decode."""
        return self.input_size

    def document(self) -> Json:
        """Input, name, level and writer."""
        return {"input": self.input, "file": self.file, "level": self.level, "writer": self.writer}

    @property
    def source(self) -> str:
        """The input's name: the same package in the other format."""
        suffix = next(suffix for suffix in FORMATS if self.file.endswith(suffix))
        other = next(other for other in FORMATS if other != suffix)
        return self.file.removesuffix(suffix) + other


def name_in(file: str, conda_format: str) -> str | None:
    """What a package's file is called in another format.

    Args:
        file: Its name.
        conda_format: A suffix of ``FORMATS``, or ``keep``.

    Returns:
        None when nothing has to be done: it has this format, or keeps its own.
    """
    if conda_format not in FORMATS or file.endswith(conda_format):
        return None
    for suffix in FORMATS:
        if file.endswith(suffix):
            return file.removesuffix(suffix) + conda_format
    return None


def realise(derivation: Transmute, context: Context) -> Outputs:
    """Write the package anew.

    Raises:
        IntegrityError: ``archive-…``: it is broken, or holds what no package may hold.
        BuildError: ``interrupted``.
        NoSpaceError: The disk is full or not writable.
    """
    from envbuild.machine.disk import writing
    from envbuild.transmuting.libraries import libraries
    from envbuild.transmuting.rewrite import Package, rewrite

    package = Package(path=context.blob(derivation.input), file=derivation.source)
    with context.scratch() as folder, writing(folder):
        target = folder / derivation.file
        done = rewrite(package, target, derivation.level, lambda size: context.progress(size, None))
        if done.special:
            context.note(f"{package.file}: {len(done.special)} members lose setuid, setgid or sticky bits")
        record: Json = {
            "format": RECORD_FORMAT,
            "members": done.members,
            "bytes": done.size,
            "special": list(done.special),
            "libraries": dict(libraries()),
        }
        return {"out": context.put(target), "record": context.put_bytes(canonical_json(record))}
