"""Stores that may have names: which of them says what names mean, and whether one is fit to.

Rules of the file: a value and two questions; what names mean is ``envbuild.environments.naming``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from envbuild.errors import StaleError
from envbuild.objects import Objects
from envbuild.store.signed_names import SignedNames
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.store.signatures import Policy, Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class NameStore:
    """A store that may have names and closures.

    Attributes:
        writable: Whether it may be written.
        near: Whether it answers without a network.
        home: Whether it is the home's own, which no other version and no server has a hand in.
        policy: What must be signed of it before it counts; None where its word is enough.
        signer: Gives the key that signs what is moved there; None for nobody.
    """

    objects: Objects
    writable: bool = True
    near: bool = False
    home: bool = False
    policy: Policy | None = None
    signer: Callable[[], Signer] | None = None

    @property
    def signed(self) -> SignedNames:
        """Its names, with what is wanted signed of them."""
        return SignedNames(self.objects, self.policy, self.signer if self.writable else None)


def authority(shared: Sequence[NameStore], home: NameStore) -> NameStore:
    """The one store that says what names mean."""
    return next((store for store in shared if store.writable), shared[0] if shared else home)


def refuse_unfit(store: NameStore) -> None:
    """Refuse to write a store of another version, and one that does not keep what all of this rests on.

    Raises:
        StaleError: ``store-format``.
        UnreachableError: ``overwrites``, ``unfit``, ``no-store``; when it does not answer.
    """
    from envbuild.objects.probe import probe
    from envbuild.store.shared import SharedStore

    objects = store.objects
    if SharedStore(objects.address, lambda: objects).use() != "write":
        raise StaleError(f"{objects.address} is a store of another version of envbuild", reference="store-format")
    if not store.near:  # folders are our own work
        probe(objects)
