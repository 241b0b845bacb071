"""``realize --prefix DIR``: an environment in a folder that the user names, instead of the home's prefixes.

The tree is assembled in scratch for its final path and moved there in one step; on another file system, or as a
writable copy, it is copied beside the final name first. A writable copy shares no file with any cache and does not ask
pip to keep off.

Rules of the file: an existing folder is never changed; it is either this environment already, or an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from envbuild.derivations import Context, HostPython, Outputs
from envbuild.derivations.link import Link
from envbuild.digest import Digest
from envbuild.environments.roots import read_roots
from envbuild.errors import NameConflictError, UsageError
from envbuild.graph import Graph
from envbuild.linkers.placing import placer, ways
from envbuild.linkers.prefix import assemble
from envbuild.machine.disk import writing
from envbuild.machine.home import check_name
from envbuild.machine.temporary import remove_tree
from envbuild.machine.workspace import Workspace
from envbuild.value import replace


def put_elsewhere(
    graph: Graph,
    outputs: Mapping[Digest, Outputs],
    final: Path,
    host: HostPython | None,
    environment: Digest,
    workspace: Workspace,
    *,
    writable: bool,
    finish: Callable[[Path, Context], None] | None = None,
) -> bool:
    """Have an environment in a folder.

    Args:
        graph: Its build graph; all that its link reads is in the store.
        outputs: Of the link's inputs.
        final: The folder; absolute.
        host: This machine's Python, in host mode.
        environment: The environment id.
        workspace: Where blobs and scratch are.
        writable: Copy every file and let pip install into it.
        finish: Called with the assembled tree before it goes to its place.

    Returns:
        Whether it was made; False when it was there.

    Raises:
        UsageError: ``prefix-in-home``, ``folder-name``.
        NameConflictError: ``prefix-taken`` when something else stands there.
        NoSpaceError: When it does not fit or may not be written.
    """
    link = graph[graph.targets[0]]
    assert isinstance(link, Link)
    check_name(final)
    if final.is_relative_to(workspace.home.path):
        raise UsageError(
            f"{final} lies in the home of envbuild, where only envbuild puts things",
            reference="prefix-in-home",
            hint="choose a folder elsewhere, or leave --prefix out",
        )
    if os.path.lexists(final) and not _is_empty(final):
        if any(
            root.prefix == str(final) and root.environment == environment
            for _, root in read_roots(workspace.home.roots)
        ):
            if writable and any(final.glob("lib/python3*/EXTERNALLY-MANAGED")):
                raise NameConflictError(
                    f"{final} holds this environment, and is not a private copy",
                    reference="prefix-taken",
                    hint="remove it, or choose another folder",
                )
            return False
        raise NameConflictError(
            f"{final} is there and is not this environment",
            reference="prefix-taken",
            hint="remove it, or choose another folder",
        )
    context = workspace.for_job(
        link, {key: outputs[key] for key in link.inputs}, {key: graph[key] for key in link.inputs}
    )
    with context.scratch() as folder, writing(final):
        prefix = folder / "prefix"
        # Python would not look at sources that somebody edits there
        assemble(replace(link, bytecode=()) if writable else link, prefix, final, host, context)
        if finish is not None:
            finish(prefix, context)
        if writable:
            for mark in prefix.glob("lib/python3*/EXTERNALLY-MANAGED"):
                mark.unlink()
        final.parent.mkdir(parents=True, exist_ok=True)
        beside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        try:
            if writable or prefix.stat().st_dev != final.parent.stat().st_dev:
                own = placer(ways("reflink", prefix, final.parent))
                shutil.copytree(prefix, beside, symlinks=True, copy_function=own)
            else:
                prefix.rename(beside)
            if final.is_dir():
                final.rmdir()
            beside.rename(final)
        finally:
            if beside.exists():
                remove_tree(beside)
    return True


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
