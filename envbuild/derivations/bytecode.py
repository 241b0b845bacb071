"""``bytecode``: the modules of one package, compiled once for one Python, as files that no start of Python questions.

**In the key**: the key of what is compiled (the fetch of a conda package as its channel has it, or of a wheel, or the
build of a source), the Python by its full version as the lock has it (by its series for the host's Python), and the
format version of our own archive. **Not in the key**: which of a conda package's formats is read, the platform,
and what the Python is made of. **Output**: ``out``, an archive of ``__pycache__`` files (PEP 552, unchecked hash), with
an index of the sources that they were made of.

The same package and Python are one derivation for every recipe and every machine, so a science stack is compiled once,
and shared like anything else. A link puts a file into its prefix only where the source there is, byte for byte, the one
that was compiled: Python itself would never look.

Rules of the file: ``envbuild.builders`` does the work; no engine is imported here.
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, PackageInput, Purity
from envbuild.digest import Digest, Json, key
from envbuild.value import dataclass

BYTECODE_FORMAT = 1
"""Raised when our archive holds other bytes for the same modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytecode:
    """The modules of one package.

    Attributes:
        source: Key of the fetch of the package as it is locked, or of the build of its source.
        python: The Python's full version, or its series when that is all that the lock knows.
        package: What is read: the same package, perhaps in another format.
        interpreter: ``conda``, ``host`` or ``managed``: where the Python comes from that compiles.
        runs_on: The conda packages or the archive that it is made of; empty for the host's.
        key: Computed.
    """

    kind: ClassVar[str] = "bytecode"
    version: ClassVar[int] = 1

    source: Digest
    python: str
    package: PackageInput = field(compare=False)
    interpreter: str = field(default="host", compare=False)
    runs_on: tuple[PackageInput, ...] = field(default=(), compare=False)
    inputs: tuple[Digest, ...] = field(init=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        several = (self.package.key, *(item.key for item in self.runs_on))
        object.__setattr__(self, "inputs", tuple(dict.fromkeys(several)))
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """One compiler, one result."""
        return "pure"

    @property
    def label(self) -> str:
        """What people see."""
        package = self.package.package
        return f"{getattr(package, 'name', 'package')} {package.version}"

    @property
    def size(self) -> int | None:
        """Bytes to read."""
        return self.package.package.size

    @property
    def series(self) -> str:
        """``X.Y`` of its Python."""
        return ".".join(self.python.split(".")[:2])

    def document(self) -> Json:
        """Package, Python and format."""
        return {"source": self.source, "python": self.python, "format": BYTECODE_FORMAT}


def realise(derivation: Bytecode, context: Context) -> Outputs:
    """Compile the package's modules, and publish what came of them; what does not compile is told and left out.

    Raises:
        IntegrityError: The package cannot be read.
        BuildError: ``bytecode-failed``: the compiler ended again and again.
        UnsatisfiableError: This machine lacks the Python.
        NoSpaceError: The disk is full or not writable.
    """
    from envbuild.builders.bytecode import compile_package

    return compile_package(derivation, context)
