"""One process that packs one tree: ``python -m tests.support.bring_once HOME ROOT ORIGIN [SHA256]``; prints its sha256.

ORIGIN is ``git <url> <commit>`` or ``folder <path>``, as one word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envbuild.addresses import Addresses
from envbuild.derivations import Context
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.machine.workspace import Workspace
from envbuild.package import FolderOrigin, GitOrigin


@contextmanager
def job(workspace: Workspace) -> Iterator[Context]:
    """A job's context for whatever it fetches."""
    origin = FolderOrigin(path="none", file="none.tar")
    yield workspace.for_job(Fetch(sha256=Digest("0" * 64), file="none.tar", origin=origin), {})


def main(home: str, root: str, origin: str, sha256: str | None = None) -> int:
    """Pack it; 1 with the error's reference when that fails."""
    kind, *words = origin.split(" ")
    wanted = (
        GitOrigin(url=words[0], commit=words[1], file="a.tar")
        if kind == "git"
        else FolderOrigin(path=words[0], file="a.tar")
    )
    with Workspace(Path(home), Addresses(root=root), durability="fast") as workspace, job(workspace) as context:
        try:
            output = context.fetch(wanted, sha256=Digest(sha256) if sha256 else None, size=None)
        except EnvbuildError as error:
            print(f"{error.reference}: {error.message}", file=sys.stderr)
            return 1
    print(output.sha256)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
