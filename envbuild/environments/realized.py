"""What is wanted of a realize, what it plans, and what it made: values that cross from session to screen.

Rules of the file: no effects.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from envbuild.digest import Digest
from envbuild.errors import UnsatisfiableError, UsageError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import Platform, SourcePackage
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.misses import Miss
    from envbuild.price import Moved, Source

Mode = Literal["auto", "locked", "frozen"]
"""``auto``: lock when the lock does not fit. ``locked``: fail then. ``frozen``: use the lock, do not look."""


def mode(*, locked: bool, frozen: bool) -> Mode:
    """The mode that two flags mean.

    Raises:
        UsageError: For both.
    """
    if locked and frozen:
        raise UsageError("--locked looks whether the lock fits, --frozen does not: choose one")
    return "locked" if locked else "frozen" if frozen else "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealizeOptions:
    """Where an environment goes.

    Attributes:
        out_link: The link's place; None for ``.envs/<recipe>`` beside ``envbuild.yaml``, else beside the recipe.
        link: Whether to make one.
        prefix: A folder instead of the home's prefixes.
        writable: With ``prefix``: copied, and free to change.
        editable: With ``prefix``: packages that are used where they lie, each with its folder unless the lock knows it.
        stamp: The options that a stamp is kept under; None for no stamp.
        closure: The sha256 of what its builds came to, which the user vouches for; see ``environments.vouching``.

    Raises:
        UsageError: ``not-editable`` for packages to edit without ``prefix``.
    """

    out_link: Path | None = None
    link: bool = True
    prefix: Path | None = None
    writable: bool = False
    editable: tuple[tuple[str, Path | None], ...] = ()
    stamp: tuple[str, ...] | None = None
    closure: str | None = None

    def __post_init__(self) -> None:
        if self.editable and self.prefix is None:
            raise UsageError(
                "an environment with packages that are edited is your own: say in which folder it goes",
                reference="not-editable",
                hint=f"--prefix DIR --editable {self.editable[0][0]}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Editable:
    """One package that is used where it lies.

    Attributes:
        source: What the lock says of it, when it is built from source.
    """

    name: str
    folder: Path
    source: SourcePackage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One environment to realize, and what decided it.

    Attributes:
        recipe: The recipe's file; of a name or an id the closure's. ``name``: what people call it.
        files: Every file that decided it, also those looked for and not there.
        link: Where its out-link goes when nobody says; None for no link then.
        folders: Source folders and files of the project that decided it, each with its state (``folder_state``).
        editables: Packages that are not linked, but used where they lie.
    """

    recipe: Path
    name: str
    lock: Lock
    environment: LockedEnvironment
    files: tuple[Path, ...]
    link: Path | None
    folders: tuple[tuple[str, str | None], ...] = ()
    editables: tuple[Editable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Realized:
    """A realized environment.

    Attributes:
        prefix: Its folder. ``out_link``: the link to it, or None.
        hits: Packages that were in the store; ``fetched`` those that were not, ``built`` those whose wheels were built.
        pulled: Of these hits, packages that shared stores gave; ``pulled_bytes``: what came from there.
        transmuted: Conda packages that were written anew in the wanted format, whether fetched now or before.
        fetched_bytes: Of the packages fetched; ``build_bytes`` of sources and of what only builds needed.
        present: True when the prefix itself was already there.
        milliseconds: From the start of the run that made it.
        notes: What had to be said.
        sources: Bytes that came for it, by where they came from: what ``Planned.sources`` said.
    """

    recipe: Path
    name: str
    platform: Platform
    environment: Digest
    request: Digest
    prefix: Path
    out_link: Path | None
    variables: tuple[tuple[str, str], ...]
    packages: int
    hits: int
    fetched: int
    fetched_bytes: int
    built: int
    build_bytes: int
    transmuted: int
    present: bool
    milliseconds: int
    notes: tuple[str, ...] = ()
    pulled: int = 0
    pulled_bytes: int = 0
    sources: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One derivation of a plan.

    Attributes:
        state: ``hit``, ``far`` (a shared store has it), ``miss``, ``needs build`` (a miss that takes nobody knows how
            long), or ``not needed``: only hits read it.
        store: Which shared store.
        source: Where its bytes will come from; None where none will.
        moves: How many bytes that are; None where nobody told. Of a result in a store, its files that are not here.
        milliseconds: How long it may take; None for what need not be done, and for a build that nobody has seen.
        miss: Why it has to be done; None for what need not be.
    """

    kind: str
    label: str
    key: Digest
    size: int | None
    state: str
    store: str | None = None
    source: Source | None = None
    moves: int | None = None
    milliseconds: int | None = None
    miss: Miss | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What realizing some environments would do.

    Attributes:
        fetch_bytes: Bytes to download, as far as sizes are known; ``unknown_sizes`` counts the others.
        milliseconds: Expected, on an idle machine, with the slots that there are; see ``envbuild.forecast``.
        builds: Wheels to build whose length nobody knows: they are not in ``milliseconds``.
        sources: Bytes to move, by where they come from.
        chain: Keys of the longest chain of what has to be done, which no slot makes shorter.
        chain_milliseconds: Of that chain.
        earlier: When the version that reasons compare with was realized, RFC 3339 UTC; None without one.
    """

    names: tuple[str, ...]
    platform: Platform
    rows: tuple[Row, ...]
    fetch_bytes: int
    unknown_sizes: int
    milliseconds: int
    builds: int = 0
    sources: tuple[Moved, ...] = ()
    chain: tuple[Digest, ...] = ()
    chain_milliseconds: int = 0
    earlier: str | None = None


def environment_for(lock: Lock, platform: Platform, name: str) -> LockedEnvironment:
    """The environment of this machine.

    Raises:
        UnsatisfiableError: ``no-platform``, with the platforms that there are.
    """
    environment = lock.environment(platform)
    if environment is None:
        have = ", ".join(item.platform for item in lock.platforms) or "none"
        raise UnsatisfiableError(
            f"{name} is not locked for {platform}; it is for: {have}",
            reference="no-platform",
            hint=f"add {platform} under `platforms:` in the recipe",
        )
    return environment
