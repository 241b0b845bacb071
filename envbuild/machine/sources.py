"""Sources that are trees become blobs: a git commit or a folder of the project, packed as its canonical tar.

A tree's digest is the sha256 of its tar, so a source behaves like any other file that is fetched: once in the store, it
is never asked for again, and shared stores are asked before a repository is. The digest of a commit is remembered in a
cache, so that locking again asks no server. While locking, a folder has the digest that it has; afterwards it must have
the one that the lock says, or it has changed.

Rules of the file: one tree is packed by one process at a time; what is packed goes straight into the store.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.derivations import Context, Output
from envbuild.digest import Digest, digest_bytes, parse_digest
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, StaleError, UnreachableError
from envbuild.machine.publish import Incoming, copy_into
from envbuild.package import FolderOrigin, GitOrigin

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace

TreeOrigin = GitOrigin | FolderOrigin


def bring_tree(origin: TreeOrigin, sha256: Digest | None, workspace: Workspace, context: Context) -> Output:
    """Have the canonical tar of a commit or folder in the store.

    Args:
        origin: The commit or folder. A path that is a file gives its own bytes.
        sha256: What the lock says; None while locking.
        workspace: Whose store, cache and locks.
        context: Runs git.

    Raises:
        StaleError: ``folder-changed`` when a folder is not what the lock says.
        IntegrityError: ``wrong-tree`` when a commit is not.
        UnreachableError: When the repository or folder is not there.
        InvalidInput: ``bad-source`` for what no source may hold.
        BuildError: ``no-git``.
    """
    name = digest_bytes(_name(origin).encode())
    memory = workspace.home.cache / "trees" / name
    output = _there(origin, sha256, memory, workspace)
    if output is not None:
        return output
    with workspace.lock(f"tree-{name[:32]}", patient=True):  # a clone may take longer than a lock may
        output = _there(origin, sha256, memory, workspace)
        if output is None and sha256 is not None and (isinstance(origin, GitOrigin) or not _is_here(origin, workspace)):
            output = workspace.bring(sha256, None, sha256)  # packed by somebody else, who had it
        if output is not None:
            return output
        with Incoming(workspace.store.incoming) as incoming:
            _pack(origin, incoming, workspace, context)
            if sha256 is not None and incoming.digest != sha256:
                raise _another(origin, sha256, incoming.digest)
            output = workspace.adopt(incoming, None)
    if isinstance(origin, GitOrigin):
        _remember(memory, output.sha256)
    return output


def _is_here(origin: FolderOrigin, workspace: Workspace) -> bool:
    return Path(workspace.addresses.root, origin.path).exists()


def _name(origin: TreeOrigin) -> str:
    if isinstance(origin, GitOrigin):
        return f"git {origin.url} {origin.commit}"
    return f"folder {origin.path}"


def _there(origin: TreeOrigin, sha256: Digest | None, memory: Path, workspace: Workspace) -> Output | None:
    """What need not be packed: the lock names it, or this commit was packed before, and the store has it."""
    if sha256 is None and isinstance(origin, GitOrigin):
        with suppress(OSError, UnicodeDecodeError, InvalidInput):
            sha256 = parse_digest(memory.read_text("utf-8").strip())
    path = workspace.blobs.path(sha256) if sha256 is not None else None
    return Output(sha256=sha256, size=path.stat().st_size) if sha256 is not None and path is not None else None


def _remember(memory: Path, digest: Digest) -> None:
    """Best effort: what cannot be remembered is packed again."""
    temporary = memory.with_name(f"{memory.name}.{os.urandom(4).hex()}")
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(digest + "\n", "utf-8")
            temporary.replace(memory)
        finally:
            temporary.unlink(missing_ok=True)


def _pack(origin: TreeOrigin, incoming: Incoming, workspace: Workspace, context: Context) -> None:
    if isinstance(origin, GitOrigin):
        from envbuild.builders.git_tree import stream_commit

        try:
            stream_commit(origin.url, origin.commit, incoming.write, context)
        except UnreachableError as error:
            if not error.retryable:
                raise
            incoming.restart()  # the cache was damaged, and is gone now
            stream_commit(origin.url, origin.commit, incoming.write, context)
        return
    folder = Path(workspace.addresses.root) / origin.path
    if folder.is_file():
        copy_into(incoming, folder)
        return
    from envbuild.builders.tree import stream_folder
    from envbuild.machine.git_names import names_by_git

    stream_folder(folder, incoming.write, names_by_git(workspace.environ))


def _another(origin: TreeOrigin, expected: Digest, found: Digest) -> EnvbuildError:
    if isinstance(origin, FolderOrigin):
        return StaleError(
            f"the source folder {origin.path} changed since it was locked",
            reference="folder-changed",
            hint="envbuild lock, or restore it",
        )
    return IntegrityError(
        f"commit {origin.commit} of {origin.url} has the tree {found}, and the lock says {expected}",
        reference="wrong-tree",
        hint="restore the lock from Git, or remove it and lock again",
    )
