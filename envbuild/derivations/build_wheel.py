"""``build-wheel``: a source becomes a wheel.

**In the key**: the key of the source (a fetch of the archive, or of the canonical tar of a tree, stored when it was
locked) and the folder in it; the Python series and its ABI tag; the platform and its glibc or macOS floor; the locked
build requirements and conda host packages, by the keys of what gives them; config settings; declared environment
variables; the *declared* toolchain. **Not in the key**: log level, number of jobs, paths, and the compiler that
happened to be there, which the result records. **Outputs**: ``out``, the wheel, and ``log``.

Builds are pure by intent: the first result for a key stands. The outputs are ``out``, the wheel; ``record``, canonical
JSON with the wheel's file name, its tags, the compiler that was there and what else somebody may ask later; ``log``.

Rules of the file: ``envbuild.builders`` does the work; no engine is imported here.
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, PackageInput, Purity
from envbuild.digest import Digest, Json, key
from envbuild.package import InterpreterArchive, Platform, SourcePackage
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWheel:
    """One wheel to build.

    Attributes:
        source: Key of the fetch whose output is the source's archive.
        package: What the lock says about it: the wheel must agree. Its subdirectory, settings, variables and toolchain
            are in the key, the rest is not.
        python: The series, ``X.Y``.
        abi: The interpreter's ABI tag, such as ``cp311``.
        platform: What the wheel is for.
        floor: Oldest system that it may need: glibc's or macOS's version; None where there is no such thing.
        requires: Its build requirements' wheels, in link order.
        host: Its conda host packages, in link order.
        interpreter: ``conda``, ``host`` or ``managed``: where the Python that runs the backend comes from. Any of this
            series and ABI gives the same wheel, so it is not in the key, nor are ``runs_on``.
        runs_on: The conda packages or the archive that this Python is made of; empty for the host's.
        names: What METADATA may call the conda packages that it needs: conda's name, and PyPI's. The lock is checked by
            it; not in the key.
        key: Computed.
    """

    kind: ClassVar[str] = "build-wheel"
    version: ClassVar[int] = 1

    source: Digest
    package: SourcePackage = field(compare=False)
    python: str
    abi: str
    platform: Platform
    floor: str | None = None
    requires: tuple[PackageInput, ...] = field(default=(), compare=False)
    host: tuple[PackageInput, ...] = field(default=(), compare=False)
    interpreter: str = field(default="host", compare=False)
    runs_on: tuple[PackageInput, ...] = field(default=(), compare=False)
    names: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), compare=False)
    inputs: tuple[Digest, ...] = field(init=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        several = (self.source, *(item.key for item in (*self.requires, *self.host, *self.runs_on)))
        object.__setattr__(self, "inputs", tuple(dict.fromkeys(several)))
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """Pure by intent."""
        return "pure"

    @property
    def label(self) -> str:
        """What people see."""
        return f"{self.package.name} {self.package.version}"

    @property
    def size(self) -> int | None:
        """Unknown: a build's time is not in its bytes."""
        return None

    def document(self) -> Json:
        """Everything that may decide the wheel."""
        return {
            "source": self.source,
            "subdirectory": self.package.subdirectory,
            "python": self.python,
            "abi": self.abi,
            "platform": self.platform,
            "floor": self.floor,
            "requires": [item.key for item in self.requires],
            "host": [item.key for item in self.host],
            "config-settings": list(self.package.settings),
            "environment": list(self.package.variables),
            "toolchain": self.package.toolchain,
        }


def realise(derivation: BuildWheel, context: Context) -> Outputs:
    """Build the wheel from the declared inputs, check it, and publish it with its record and its log.

    Raises:
        BuildError: The backend failed, or built something else than was locked; its log is kept.
        IntegrityError: An input is not what the lock says, or not safe to unpack.
        UnsatisfiableError: This machine lacks the Python.
        NoSpaceError: The disk is full or not writable.
    """
    from envbuild.builders.building import build
    from envbuild.solvers.target import Target, marker_environment

    target = Target(platform=derivation.platform, python=_full_version(derivation), system=())
    return build(derivation, marker_environment(target), context)


def _full_version(derivation: BuildWheel) -> str:
    """Of the locked Python; the series where the host's is used."""
    for item in derivation.runs_on:
        if isinstance(item.package, InterpreterArchive) or item.package.name == "python":
            return item.package.version
    return derivation.python
