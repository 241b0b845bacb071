"""``trivial``: a kind that does next to nothing, so that what is measured is everything around it.

It writes its own label as its one output. It is no kind of the product: ``register`` makes it one for the process that
measures, which is all that a kind takes (see CONTRIBUTING.md).

Its key document has the fields of a derivation of Nix with the same shape: a name, a program and what it reads.
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, cast

from envbuild.derivations import KINDS, Context, Outputs, Purity
from envbuild.digest import Digest, Json, key
from envbuild.value import dataclass

SHAPES = ("chain", "wide", "apart")
"""Each reads the one before it; one reads all others; nobody reads anybody, and every one is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trivial:
    """A derivation that gives its own name.

    Attributes:
        salt: Another one makes another derivation, so that it has to be done again.
    """

    kind: ClassVar[str] = "trivial"
    version: ClassVar[int] = 1

    name: str
    salt: str = ""
    inputs: tuple[Digest, ...] = ()
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """The same name gives the same bytes."""
        return "pure"

    @property
    def label(self) -> str:
        """The name."""
        return self.name

    @property
    def size(self) -> int | None:
        """It moves nothing."""
        return None

    def document(self) -> Json:
        """Everything."""
        program = ["/bin/sh", "-c", f"echo {self.name} {self.salt} > $out"]
        return {"name": self.name, "program": program, "inputs": list(self.inputs)}


def realise(derivation: Trivial, context: Context) -> Outputs:
    """Write the name."""
    return {"out": context.put_bytes(f"{derivation.name} {derivation.salt}\n".encode())}


def register() -> None:
    """Make it a kind of this process."""
    cast("dict[str, str]", KINDS)[Trivial.kind] = __name__


def shaped(shape: str, count: int, salt: str = "") -> list[Trivial]:
    """So many derivations of a shape; the last one is what a chain or a wide graph is for."""
    if shape == "chain":
        made: list[Trivial] = []
        for number in range(count):
            made.append(Trivial(name=f"d{number}", salt=salt, inputs=tuple(item.key for item in made[-1:])))
        return made
    leaves = count - 1 if shape == "wide" else count
    made = [Trivial(name=f"d{number}", salt=salt) for number in range(leaves)]
    if shape == "wide":
        made.append(Trivial(name=f"d{leaves}", salt=salt, inputs=tuple(item.key for item in made)))
    return made
