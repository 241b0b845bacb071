"""What a derivation is, and the registry of kinds; what it may touch is ``context``.

A derivation is one unit of work as a frozen, picklable value. Its ``document`` holds everything that decides its
result; ``key`` is that document's digest; ``inputs`` are the keys of the derivations whose results it reads. The work
itself is a function ``realise(derivation, context)`` in the module of the kind, found by name in ``KINDS``, so that
planning imports no engine.

Rules of the room: one kind, one file; no kind imports another; effects come from the ``Context`` argument alone: no
store is opened here, no environment variable read. A further kind is one file, one folder of golden keys and one line
in ``KINDS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol, cast

from envbuild.derivations.context import Clobber as Clobber
from envbuild.derivations.context import Completed as Completed
from envbuild.derivations.context import Context as Context
from envbuild.derivations.context import HostPython as HostPython
from envbuild.derivations.context import LinkMode as LinkMode
from envbuild.derivations.context import Output as Output
from envbuild.derivations.context import Outputs as Outputs
from envbuild.derivations.context import Relayed as Relayed
from envbuild.digest import Digest, Json
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel
from envbuild.value import dataclass

Purity = Literal["fixed", "pure", "impure"]
"""``fixed``: the key is the result's own digest. ``pure``: the same key, the same result. ``impure``: not shared."""

KINDS: Mapping[str, str] = {
    "solve": "envbuild.derivations.solve",
    "fetch": "envbuild.derivations.fetch",
    "transmute": "envbuild.derivations.transmute",
    "build-wheel": "envbuild.derivations.build_wheel",
    "bytecode": "envbuild.derivations.bytecode",
    "link": "envbuild.derivations.link",
    "test": "envbuild.derivations.trial",
}


class Derivation(Protocol):
    """One unit of work as a value.

    Attributes:
        kind: A name in ``KINDS``.
        version: Part of the key's tag; raised when the same document comes to mean something else.
        key: The digest of the document, computed once when the value is made.
        inputs: Keys of the derivations whose outputs it reads, in the order in which it reads them.
        label: What people see: ``numpy 1.26.4``.
        size: Bytes that doing it moves, when known; for plans and progress only.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    @property
    def key(self) -> Digest:
        """See the class; likewise below."""
        ...

    @property
    def purity(self) -> Purity:
        """Whether the key decides the result."""
        ...

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """Keys that it reads."""
        ...

    @property
    def label(self) -> str:
        """What people see."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes that doing it moves."""
        ...

    def document(self) -> Json:
        """Everything that decides the result, and nothing else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInput:
    """One package that a derivation reads, and the derivation that gives its bytes.

    Attributes:
        key: Key of the fetch, transmute or build-wheel whose output ``out`` is the package file.
        package: What the lock says about it; the file must agree.
        file: The name under which the bytes are read: ``package.file``, or the transmuted package's name. What is
            built from source has its wheel's name in the output ``record``.
    """

    key: Digest
    package: CondaPackage | Wheel | InterpreterArchive | SourcePackage
    file: str = ""

    def __post_init__(self) -> None:
        if not self.file:
            object.__setattr__(self, "file", self.package.file)


class Realise(Protocol):
    """The work of a kind."""

    def __call__(self, derivation: Any, context: Context, /) -> Outputs:
        """Do the work and publish its outputs through the context."""
        ...


def realiser(kind: str) -> Realise:
    """The function that does the work of a kind; importing it may import that kind's engine.

    Raises:
        KeyError: For a kind that is not registered.
    """
    return cast(Realise, importlib.import_module(KINDS[kind]).realise)


def preparer(kind: str) -> Callable[[Any, Digest, Context], None] | None:
    """The function that readies one finished input of a kind before the others are there, or None.

    ``prepare(derivation, input_key, context)`` may only make the later ``realise`` faster or fail earlier: leaving it
    out changes no result. It is what lets the unpacking of one package overlap the download of the next.
    """
    return getattr(importlib.import_module(KINDS[kind]), "prepare", None)
