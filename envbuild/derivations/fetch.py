"""``fetch``: bring one file, known by its sha256, into the store.

Fields: the sha256 and the file name (both in the key); size, origin and addresses found while solving (never in the
key: a changed mirror rebuilds nothing). Output: ``out``, the blob.

The key's document holds the file name, because what reads the blob reads the name too (a wheel's tags, a conda
package's format). The size follows from the sha256, so an index that does not tell it gives the same key.
Two fetches of the same bytes download once: the context locks by sha256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, Purity
from envbuild.digest import Digest, Json, key
from envbuild.errors import UnreachableError
from envbuild.package import Origin
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One file to bring.

    Attributes:
        sha256: What it must be.
        file: Its file name.
        origin: Where it came from, in the recipe's words.
        size: Bytes, when known.
        title: What people see; the file name when empty.
        urls: Addresses to try first.
        key: Computed.
    """

    kind: ClassVar[str] = "fetch"
    version: ClassVar[int] = 1

    sha256: Digest
    file: str
    origin: Origin
    size: int | None = None
    title: str = ""
    urls: tuple[str, ...] = ()
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """Fixed: the key decides the bytes."""
        return "fixed"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """None."""
        return ()

    @property
    def label(self) -> str:
        """The title, or the file name."""
        return self.title or self.file

    def document(self) -> Json:
        """The file name and the sha256."""
        return {"file": self.file, "sha256": self.sha256}


def realise(derivation: Fetch, context: Context) -> Outputs:
    """Bring the file through the context.

    Raises:
        IntegrityError: When every place that answers gives other bytes.
        UnreachableError: When no place answers.
    """
    urls: Sequence[str] = derivation.urls
    try:
        output = context.fetch(derivation.origin, sha256=derivation.sha256, size=derivation.size, urls=urls)
    except UnreachableError as error:
        if error.reference != "no-address":
            raise
        raise UnreachableError(
            f"{derivation.file} is not listed where the lock says that it comes from",
            reference="no-address",
            hint="look whether that channel or index still has it; `envbuild lock --upgrade` chooses anew",
        ) from None
    return {"out": output}
