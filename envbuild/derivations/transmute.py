"""``transmute``: a ``.tar.bz2`` conda package becomes a ``.conda`` with the same members.

**In the key**: the key of the input (a fetch), the zstd level, and the format version of our own writer. **Not in the
key**: scratch paths, and the versions of the libraries that decode and encode; those are recorded in the result, for
another version may give other bytes of the same members. **Output**: ``out``, the ``.conda`` blob.

bz2 decodes at 32 MB/s and zstd at more than 700, so transmuting pays from the second use on. Keys are settled here; the
writer is not part of this version: ``compile`` links a ``.tar.bz2`` as it is and makes no such derivation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, Purity
from envbuild.digest import Digest, Json, key
from envbuild.errors import BuildError

DEFAULT_LEVEL = 3
"""Beyond it the time is no longer bound by decoding bz2: level 22 takes ten times as long."""

WRITER_FORMAT = 1
"""Raised when our writer gives other bytes for the same members and level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmute:
    """One package to write anew.

    Attributes:
        input: Key of the fetch whose output is the ``.tar.bz2``.
        level: zstd compression level, 1 to 22.
        writer: Format version of our writer.
        title: What people see.
        input_size: Bytes of the ``.tar.bz2``, when known.
        key: Computed.
    """

    kind: ClassVar[str] = "transmute"
    version: ClassVar[int] = 1

    input: Digest
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
        """Input, level and writer."""
        return {"input": self.input, "level": self.level, "writer": self.writer}


def realise(derivation: Transmute, context: Context) -> Outputs:
    """Say that this version cannot.

    Raises:
        BuildError: ``not-available``, always.
    """
    raise BuildError(
        f"{derivation.label} cannot become a .conda: this version of envbuild links .tar.bz2 packages as they are",
        reference="not-available",
        hint="conda-format: keep",
    )
