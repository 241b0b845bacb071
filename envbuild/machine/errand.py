"""Work of a command that is no derivation, as the job that a context belongs to: an import, a check, a probe.

Rules of the file: nothing of it is kept, and nobody shares it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from envbuild.derivations import Context, Purity
from envbuild.digest import Digest, Json, digest_bytes
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """It reads no derivation.

    Attributes:
        label: What people see.
    """

    kind: ClassVar[str] = "solve"  # whose programs may use the network
    version: ClassVar[int] = 1
    label: str

    @property
    def key(self) -> Digest:
        """A key for locks and progress."""
        return digest_bytes(self.label.encode())

    @property
    def purity(self) -> Purity:
        """Never shared."""
        return "impure"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """None."""
        return ()

    @property
    def size(self) -> int | None:
        """Unknown."""
        return None

    def document(self) -> Json:
        """What people see, alone."""
        return {"label": self.label}


def for_errand(workspace: Workspace, label: str) -> Context:
    """What an errand may touch.

    Args:
        workspace: This machine's.
        label: What people see: ``import of pylock.toml``.
    """
    return workspace.for_job(Errand(label=label), {})
