"""The other end of a bundle: envbuild, unpacked from it, realizes what it holds.

Run by ``bundle_start`` as ``python -m envbuild.exchange.unbundling BUNDLE OFFSET WORK PREFIX CHECK``, whose parts begin
at that offset, in a folder of this process that goes when it ends. Without ``PREFIX`` the environment goes where
``realize`` would put it. With one, the home is in that folder too, and nothing but the environment stays, with one
small file beside it, ``.NAME.envbuild-bundle``: it is locked while one process installs, and says what that has
installed, so that the next knows the folder again.

Rules of the file: asks no network and reads no user's configuration; every byte is hashed before a name is given to it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.derivations import Output
from envbuild.digest import CHUNK, Digest, digest_bytes
from envbuild.errors import EnvbuildError, IntegrityError
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.environments.realized import Wanted
    from envbuild.environments.realizing import Realizer

_STRIPPED = ("ENVBUILD_", "UV_", "PIP_", "CONDA_", "RATTLER_", "PYTHON")
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
                with self.path.open("rb") as file:
                    file.seek(at)
                    left = size
                    while left and (piece := file.read(min(CHUNK, left))):
                        left -= len(piece)
                        yield piece
                return
            at += size

    def damaged(self) -> IntegrityError:
        """What to say of a part with other bytes."""
        return IntegrityError(f"{self.path} is cut or damaged", reference="bad-bundle", hint="copy it again")


def main(words: list[str]) -> int:
    """Install, or only look; the exit code."""
    path, start, work, prefix, check = words
    from envbuild.machine.publish import remove_tree

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        index = json.loads(Path(work, "index.json").read_bytes())
        bundle = Opened(path=Path(path), index=index, start=int(start))
        environ = _environment(Path(work), bool(prefix or check))
        os.environ.clear()
        os.environ.update(environ | index["settings"])
        place = _install(bundle, Path(work), Path(prefix) if prefix else None, check=bool(check))
        print("whole" if place is None else place)  # noqa: T201  the answer
    except EnvbuildError as error:
        from envbuild.cli.errors import say_error

        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        remove_tree(Path(work))
    return 0


def _environment(work: Path, apart: bool) -> dict[str, str]:
    """Variables as they are, without any that configure envbuild or its engines."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STRIPPED)}
    kept["XDG_CONFIG_HOME"] = str(work / "no-configuration")
    if apart:
        kept |= {"ENVBUILD_HOME": str(work / "home"), "ENVBUILD_DURABILITY": "fast", "TMPDIR": str(work)}
    elif home := os.environ.get("ENVBUILD_HOME"):
        kept["ENVBUILD_HOME"] = home
    return kept


def _install(bundle: Opened, work: Path, prefix: Path | None, *, check: bool) -> Path | None:
    """Have the environment where it belongs; None where it was only looked at."""
    from envbuild.machine.virtual import check_system
    from envbuild.session import Session
    from envbuild.store import environments

    index = bundle.index
    closure = b"".join(bundle.pieces(index["closure"]))
    if digest_bytes(closure) != index["closure"]:
        raise bundle.damaged()
    identity = environments.Identity(
        platform=index["platform"], request=Digest(index["request"]), environment=Digest(index["environment"])
    )
    lock = environments.parse(closure, identity)
    (environment,) = lock.platforms
    check_system(environment.platform, environment.system)
    if environment.interpreter == "host" and environment.python is not None:
        from envbuild.machine.interpreters import find_host_python

        find_host_python(".".join(environment.python.split(".")[:2]))
    if check:
        return None
    from envbuild.environments.realized import RealizeOptions, Wanted

    session = Session(work, offline=True)
    with session.installing() as realizer:
        wanted = Wanted(
            recipe=work / identity.object_name,
            name=environment.id[:12],
            lock=lock,
            environment=environment,
            files=(),
            link=None,
        )
        if prefix is None:
            _say(f"installing {len(environment.names())} packages into {realizer.workspace.home.path}")
            _bring(bundle, realizer)
            (made,) = realizer.realize([wanted], RealizeOptions(link=False))
            return made.prefix
        with _alone(prefix) as record:
            if _is_installed(prefix, record, identity.environment):
                _say(f"{prefix} is there already")
                return prefix
            _refuse_taken(prefix)
            _say(f"installing {len(environment.names())} packages into {prefix}")
            _bring(bundle, realizer)
            _put(realizer, wanted, prefix, record)
    return prefix


def _bring(bundle: Opened, realizer: Realizer) -> None:
    """Have packages and results of the bundle in the home, as if they had been fetched and made here."""
    from envbuild.machine.publish import Incoming
    from envbuild.store import Result

    store, sizes = realizer.workspace.store, dict(bundle.index["parts"])
    for digest in bundle.index["packages"]:
        there = store.blobs.path(digest)
        if there is not None and there.stat().st_size == sizes[digest]:
            continue
        with Incoming(store.incoming, sizes[digest]) as incoming:
            for piece in bundle.pieces(digest):
                incoming.write(piece)
            if incoming.digest != digest:
                raise bundle.damaged()
            realizer.workspace.blobs.adopt(incoming, digest)
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
    sync_folder(prefix.parent)
    _write(record, identity, None)


@contextmanager
def _alone(prefix: Path) -> Iterator[Path]:
    """One process at a time for a folder; the kernel forgets the lock of one that was killed."""
    from envbuild.machine.disk import writing

    record = prefix.with_name(_RECORD.format(prefix.name))
    with writing(record):
        descriptor = os.open(record, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that installs {prefix}")
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


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"envbuild: {text}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
