"""``build-wheel``: a source becomes a wheel.

**In the key**: the key of the source (a fetch of the archive, or of the canonical tar of a tree, stored when it was
locked) and the folder in it; the Python series and its ABI tag; the platform and its glibc or macOS floor; the locked
build requirements and conda host packages, by the keys of what gives them; config settings; declared environment
variables; the *declared* toolchain. **Not in the key**: log level, number of jobs, paths, and the compiler that
happened to be there, which the result records. **Outputs**: ``out``, the wheel, and ``log``.

Builds are pure by intent: the first result for a key stands. Keys are settled here; building is not part of this
version: a requirement that has only a source is refused when it is locked, and ``compile`` makes no such derivation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, Purity
from envbuild.digest import Digest, Json, key
from envbuild.errors import BuildError
from envbuild.package import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWheel:
    """One wheel to build.

    Attributes:
        source: Key of the fetch whose output is the source's archive.
        subdirectory: The project's folder in it; None for its root.
        python: The series, ``X.Y``.
        abi: The interpreter's ABI tag, such as ``cp311``.
        platform: What the wheel is for.
        floor: Oldest system that it may need: glibc's or macOS's version; None where there is no such thing.
        requires: Keys of the fetches and builds of its build requirements, in link order.
        host: Keys of the fetches and transmutes of its conda host packages, in link order.
        config_settings: For the build backend, sorted pairs.
        environment: Declared variables, sorted pairs.
        toolchain: As the recipe declares it; None for pure Python.
        title: What people see.
        key: Computed.
    """

    kind: ClassVar[str] = "build-wheel"
    version: ClassVar[int] = 1

    source: Digest
    subdirectory: str | None = None
    python: str
    abi: str
    platform: Platform
    floor: str | None = None
    requires: tuple[Digest, ...] = ()
    host: tuple[Digest, ...] = ()
    config_settings: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    toolchain: str | None = None
    title: str = field(default="wheel", compare=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """Pure by intent."""
        return "pure"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """The source, then build requirements, then host packages."""
        return (self.source, *self.requires, *self.host)

    @property
    def label(self) -> str:
        """The title."""
        return self.title

    @property
    def size(self) -> int | None:
        """Unknown: a build's time is not in its bytes."""
        return None

    def document(self) -> Json:
        """Everything that may decide the wheel."""
        return {
            "source": self.source,
            "subdirectory": self.subdirectory,
            "python": self.python,
            "abi": self.abi,
            "platform": self.platform,
            "floor": self.floor,
            "requires": list(self.requires),
            "host": list(self.host),
            "config-settings": dict(self.config_settings),
            "environment": dict(self.environment),
            "toolchain": self.toolchain,
        }


def realise(derivation: BuildWheel, context: Context) -> Outputs:
    """Say that this version cannot.

    Raises:
        BuildError: ``not-available``, always.
    """
    raise BuildError(
        f"{derivation.label} cannot be built: this version of envbuild installs wheels and builds none",
        reference="not-available",
        hint="ask for a version that has a wheel, or put a wheel on an index or in find-links",
    )
