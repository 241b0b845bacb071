"""The other end of a bundle: envbuild, unpacked from it, realizes what it holds.

Without a prefix the environment goes where ``realize`` would put it. With one nothing but the environment stays, with
one small file beside it, ``.NAME.envbuild-bundle``: it is locked while one process installs, and says what that has
installed, so that the next knows the folder again.

Rules of the file: asks no network; every byte is hashed before a name is given to it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Output
from envbuild.digest import CHUNK, Digest, digest_bytes
from envbuild.errors import IntegrityError
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.environments.realized import Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.lock import Lock
    from envbuild.machine.workspace import Workspace
    from envbuild.store.environments import Identity

_BUILDER = "bundle"
_RECORD = ".{}.envbuild-bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A bundle whose index was held against its sha256 already.

    Attributes:
        path: The file.
        index: What it says.
        start: Where its parts begin.
    """

    path: Path
    index: dict[str, Any]
    start: int

    def pieces(self, digest: Digest) -> Iterator[bytes]:
        """The bytes of a part; who takes them hashes them."""
        at = self.start
        for name, size in self.index["parts"]:
            if name == digest:
                yield from self._read(at, size)
                return
            at += size

    def _read(self, at: int, left: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(at)
            while left:
                try:
                    piece = file.read(min(CHUNK, left))
                except OSError as error:
                    raise IntegrityError(
                        f"{self.path} cannot be read: {error.strerror}", reference="bad-bundle", hint="copy it again"
                    ) from None
                if not piece:
                    return
                left -= len(piece)
                yield piece

    @property
    def identity(self) -> Identity:
        """Of the environment."""
        from envbuild.store.environments import Identity

        platform, request, environment = (self.index[name] for name in ("platform", "request", "environment"))
        return Identity(platform=platform, request=Digest(request), environment=Digest(environment))

    def damaged(self) -> IntegrityError:
        """What to say of a part with other bytes."""
        return IntegrityError(f"{self.path} is cut or damaged", reference="bad-bundle", hint="copy it again")


def look(bundle: Opened) -> Lock:
    """The lock of what a bundle holds; this machine has what it assumes.

    Raises:
        IntegrityError: ``bad-bundle``, ``bad-closure``.
        UnsatisfiableError: ``virtual-package``, ``platform``, ``no-python``.
    """
    from envbuild.machine.virtual import check_system
    from envbuild.store import environments

    closure = b"".join(bundle.pieces(bundle.index["closure"]))
    if digest_bytes(closure) != bundle.index["closure"]:
        raise bundle.damaged()
    lock = environments.parse(closure, bundle.identity)
    (environment,) = lock.platforms
    check_system(environment.platform, environment.system)
    if environment.interpreter == "host" and environment.python is not None:
        from envbuild.machine.interpreters import find_host_python

        find_host_python(".".join(environment.python.split(".")[:2]))
    return lock


def install_apart(
    bundle: Opened, lock: Lock, prefix: Path, opening: Callable[[], Realizer], say: Callable[[str], None]
) -> None:
    """Have the environment in a folder.

    Args:
        bundle: What holds it.
        lock: As ``look`` gives it.
        prefix: The folder; absolute.
        opening: A realizer whose home goes away afterwards, on the file system of ``prefix``.
        say: Told what people should know meanwhile.

    Raises:
        NameConflictError: ``prefix-taken``.
        IntegrityError: ``bad-bundle``.
        NoSpaceError: When it does not fit or may not be written.
    """
    (environment,) = lock.platforms
    with _alone(prefix, say) as record:
        if _is_installed(prefix, record, environment.id):
            say(f"{prefix} is there already")
            return
        _refuse_taken(prefix)
        say(f"installing {len(environment.names())} packages into {prefix}")
        realizer = opening()
        bring(bundle, realizer.workspace)
        _put(realizer, wanted_of(bundle, lock), prefix, record)


def wanted_of(bundle: Opened, lock: Lock) -> Wanted:
    """What a bundle holds, to be realized."""
    from envbuild.environments.realized import Wanted

    (environment,) = lock.platforms
    return Wanted(recipe=bundle.path, name=environment.id[:12], lock=lock, environment=environment, files=(), link=None)


def bring(bundle: Opened, workspace: Workspace) -> None:
    """Have packages and results of the bundle in the home, as if they had been fetched and made here."""
    from envbuild.machine.publish import Incoming
    from envbuild.store import Result

    store, sizes = workspace.store, dict(bundle.index["parts"])
    for digest in bundle.index["packages"]:
        there = store.blobs.path(digest)
        if there is not None and there.stat().st_size == sizes[digest]:
            continue
        with Incoming(store.incoming, sizes[digest]) as incoming:
            for piece in bundle.pieces(digest):
                incoming.write(piece)
            if incoming.digest != digest:
                raise bundle.damaged()
            workspace.blobs.adopt(incoming, digest)
    for kind, key, outputs in bundle.index["results"]:
        store.results.put(
            Result(
                kind=kind,
                key=Digest(key),
                outputs=tuple(
                    (name, Output(sha256=Digest(sha256), size=size)) for name, (sha256, size) in outputs.items()
                ),
                platform=bundle.index["platform"],
                created="1970-01-01T00:00:00Z",
                milliseconds=0,
                builder=_BUILDER,
                notes=(),
            )
        )


def _put(realizer: Realizer, wanted: Wanted, prefix: Path, record: Path) -> None:
    """Link into a folder; what the record says of it stands before the folder gets its name."""
    from envbuild.derivations.link import Link
    from envbuild.environments.elsewhere import put_elsewhere
    from envbuild.environments.pulling import packages_of
    from envbuild.machine.disk import writing
    from envbuild.machine.publish import sync_folder, sync_tree

    graph = realizer.graph(wanted)
    link = graph[graph.targets[0]]
    assert isinstance(link, Link)
    workspace = realizer.workspace
    outcome = realizer.run(packages_of(graph), parts=[(wanted.recipe, graph)])
    host = workspace.host_python(link.python) if link.interpreter == "host" and link.python else None
    identity = wanted.environment.id

    def finish(tree: Path, context: Context) -> None:
        sync_tree(tree)
        _write(record, identity, tree.stat().st_ino)

    put_elsewhere(graph, outcome.outputs, prefix, host, identity, workspace, writable=False, finish=finish)
    with writing(prefix.parent):
        sync_folder(prefix.parent)
    _write(record, identity, None)


@contextmanager
def _alone(prefix: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """One process at a time for a folder; the kernel forgets the lock of one that was killed."""
    from envbuild.machine.disk import writing

    record = prefix.with_name(_RECORD.format(prefix.name))
    with writing(record):
        descriptor = os.open(record, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that installs {prefix}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: the rename still happens once
        yield record
    finally:
        os.close(descriptor)


def _is_installed(prefix: Path, record: Path, environment: Digest) -> bool:
    """Whether a folder is what a process has put there, also one that was killed after it did."""
    try:
        told = json.loads(record.read_bytes())
        if told["environment"] != environment or not any(prefix.iterdir()):
            return False
        return told["inode"] is None or told["inode"] == prefix.stat().st_ino
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refuse_taken(prefix: Path) -> None:
    from envbuild.errors import NameConflictError

    if os.path.lexists(prefix) and not (prefix.is_dir() and not prefix.is_symlink() and not any(prefix.iterdir())):
        raise NameConflictError(
            f"{prefix} is there and is not this environment",
            reference="prefix-taken",
            hint="remove it, or choose another folder",
        )


def _write(record: Path, environment: Digest, inode: int | None) -> None:
    """Into the file itself, which is locked: another file of its name would be no lock."""
    from envbuild.machine.disk import writing

    with writing(record), record.open("r+b") as file:
        file.truncate()
        file.write(json.dumps({"environment": environment, "inode": inode}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
