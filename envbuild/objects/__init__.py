"""Objects: bytes under names, at one address: a folder, a bucket, a web server. Six calls, and no seventh.

Everything that a shared store is made of (blobs, results, closures, names) is an object under a name, and is written
once. The only promise that is asked of the other side is a **create-only put**: of all that put one name, one creates
it, and the others are told that it exists. It is probed (``envbuild.objects.probe``), not assumed. There is no
overwriting, no renaming, no locking, and listing is for collecting and checking only.

Absent is a value: None, or left out. What cannot be asked or answered raises ``UnreachableError``, retryable or not;
what the other side refuses us raises it with ``reference="refused"``. Nothing here believes bytes: who reads hashes
them.

Names are paths with ``/`` of the alphabet ``[a-zA-Z0-9._@+-]``, without empty, ``.`` and ``..`` parts; whoever
makes one checks it (``check_name``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol

from envbuild.errors import IntegrityError, InvalidInput
from envbuild.pattern import pattern
from envbuild.value import dataclass

Put = Literal["created", "exists"]

SMALL = 1 << 20
"""Bytes that a record may have: what ``read`` gives at most when nobody says otherwise."""

Odd = Callable[[str, str], object]
"""Told of what a listing passes over: how it is called there, and what it is, in words."""

_NAME = pattern(r"[a-zA-Z0-9._@+-]{1,255}(/[a-zA-Z0-9._@+-]{1,255}){0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One object as a listing tells it.

    Attributes:
        size: In bytes.
        modified: Seconds since 1970 by the clock of the other side.
    """

    name: str
    size: int
    modified: float


def unheard(_: str, __: str) -> None:
    """Whom nothing is told; see ``Odd``."""


class Writer(Protocol):
    """Takes bytes in order; ``envbuild.machine.publish.Incoming`` is one, and hashes them."""

    def write(self, data: bytes) -> object:
        """Take some more."""
        ...

    def restart(self) -> object:
        """Forget what was written: the transfer begins anew."""
        ...


class Objects(Protocol):
    """One address. Safe to call from many threads; never inherited by a forked process, never pickled."""

    @property
    def address(self) -> str:
        """The address as people may see it: without passwords and signatures."""
        ...

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object, whole.

        Raises:
            UnreachableError: When it cannot be asked for.
            IntegrityError: ``too-large`` when it has more than ``limit`` bytes.
        """
        ...

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object, in bounded memory; False when there is none.

        An object that is shorter than ``size`` is given as it is: whoever hashes it finds out, and may heal it.

        Args:
            name: Which.
            into: Gets the bytes. What it holds after an error is worth nothing.
            size: Its bytes when known: more end the transfer.

        Raises:
            UnreachableError: When it cannot be asked for, or ends before the end that the other side promised.
            IntegrityError: ``too-large``.
        """
        ...

    def put(self, name: str, source: Path | bytes) -> Put:
        """Create an object unless there is one of that name; what is half sent is never seen.

        ``exists`` may be our own: when an answer is lost and the put is asked again, the second answer says so. Whoever
        must know whose it is reads it.

        Raises:
            UnreachableError: When it is not known to be there afterwards; ``refused`` where we may not write.
            OSError: When ``source`` cannot be read.
        """
        ...

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """The bytes of those that exist: one batched question, dozens in flight.

        Raises:
            UnreachableError: When it cannot be answered for one of them.
        """
        ...

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """Every object whose name begins so, in any order; for collecting and checking only.

        Args:
            prefix: The beginning; empty for all.
            odd: Told of what is there and can be no object: keys that are no names, symbolic links, pipes.
        """
        ...

    def delete(self, name: str) -> None:
        """Forget an object; absent is fine."""
        ...


def check_name(name: str) -> str:
    """The name of an object, if it may be one.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not _NAME.fullmatch(name) or any(part in {".", ".."} for part in name.split("/")) or len(name) > 900:
        raise InvalidInput(f"{name[:80]!r} is no name of an object", reference="bad-name")
    return name


def check_size(address: str, name: str, size: int, limit: int) -> None:
    """Refuse an object that has more bytes than it may have.

    Raises:
        IntegrityError: ``too-large``.
    """
    if size > limit:
        raise IntegrityError(f"{address}: {name} has more than the {limit} bytes expected", reference="too-large")
