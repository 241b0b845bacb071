"""The workspace: the real ``Context``, put together from the rooms that do the work.

One ``Workspace`` serves one process: a home, its store, one pool of connections, the locks. ``for_job`` gives each job
a view that knows its declared inputs only. While a workspace is in use it holds the home's lock shared, so that ``gc``
never takes what it is about to read.

**Damage heals where it is found.** ``known`` goes by names and sizes alone. A job that reads an input's blob gets it
re-hashed; when it is damaged it is dropped, said once, and, if the input is a fetch, brought again at once from its
origin. Where it cannot be brought (another kind made it, or no place answers), the job fails with an error that is
``retryable``: the blob is gone now, so the next run makes it anew.

**One download for many.** A fetch holds the kernel lock of its sha256 and looks again once it has it, so sixteen
processes that need one file bring it once.

Rules of the file: composition; no step of publishing, downloading or locking is done here.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from envbuild import publish
from envbuild.addresses import Addresses
from envbuild.credentials import Credentials
from envbuild.derivations import Completed, Derivation, HostPython, Output, Outputs
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest, digest_bytes, short
from envbuild.download import Downloader, Patience
from envbuild.errors import IntegrityError, InvalidInput, UsageError
from envbuild.hints import Hints
from envbuild.home import Home, open_home
from envbuild.kernel_lock import DEFAULT_TIMEOUT, KernelLock
from envbuild.locations import locate
from envbuild.package import Origin, Platform
from envbuild.process import clean_environment, run
from envbuild.publish import Durability, Incoming
from envbuild.store import Result
from envbuild.store.folder import FolderStore, open_store
from envbuild.store.verified import VerifiedBlobs

_NETWORKED = frozenset({"solve", "build-wheel"})
"""Kinds whose programs may use the network, and so see proxies, certificates and credentials."""

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")


class Workspace:
    """Everything that jobs may touch on this machine.

    Args:
        home: ``ENVBUILD_HOME``, absolute; made when missing. See ``envbuild.home.find_home``.
        addresses: What the recipes' words for channels and indices mean here.
        durability: Whether publishing waits for the disk.
        lock_timeout: Seconds to wait for another process.
        environ: This process's environment; ``os.environ`` when None.
        trusted_hosts: Hosts whose certificates are not checked.
        note: Told each thing once that a user must know.
        progress: Told a job's key, bytes done and bytes in all.

    Raises:
        InvalidInput: ``unsafe-folder``: somebody else could write into the home.
        NoSpaceError: When the home cannot be made.
    """

    def __init__(
        self,
        home: Path,
        addresses: Addresses,
        *,
        durability: Durability = "safe",
        lock_timeout: float = DEFAULT_TIMEOUT,
        environ: Mapping[str, str] | None = None,
        trusted_hosts: Sequence[str] = (),
        note: Callable[[str], None] = lambda _: None,
        progress: Callable[[Digest, int, int | None], None] = lambda key, done, total: None,
    ) -> None:
        self.home: Home = open_home(home)
        self.addresses = addresses
        self.durability: Durability = durability
        self.environ = os.environ if environ is None else environ
        self.progress = progress
        self._lock_timeout = lock_timeout
        self._tell = note
        self._said: set[str] = set()
        self._guard = threading.Lock()
        self._use = KernelLock(self.home.lock, shared=True, timeout=lock_timeout, notice=self.note)
        self.store: FolderStore = open_store(self.home.store, durability=durability, note=self.note)
        self.blobs = VerifiedBlobs(self.store.blobs, lock=self.blob_lock, note=self.note)
        self.hints = Hints(self.home.cache / "hints")
        configured = (addresses.index or "", *addresses.extra_indices, *addresses.find_links, *_mirrors(addresses))
        self.downloads = Downloader(
            Credentials(self.environ, configured, note=self.note),
            environ=self.environ,
            patience=_patience(self.environ),
            trusted_hosts=trusted_hosts,
        )

    def __enter__(self) -> Workspace:
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use(self) -> None:
        """Keep ``gc`` away until ``close``.

        Raises:
            LockTimeoutError: When a collection takes too long.
        """
        with self._guard:
            if not self._use.held:
                self._use.acquire()

    def close(self) -> None:
        """Let go of connections and of the home."""
        self.downloads.close()
        with self._guard:
            self._use.release()

    def note(self, text: str) -> None:
        """Say something that a user must know, once per text."""
        with self._guard:
            if text in self._said:
                return
            self._said.add(text)
        self._tell(text)

    def lock(self, name: str) -> AbstractContextManager[object]:
        """An exclusive lock of this machine by name."""
        return KernelLock(self.home.locks / _safe(name), timeout=self._lock_timeout, notice=self.note)

    def blob_lock(self, digest: Digest) -> AbstractContextManager[object]:
        """The lock of the making of one blob."""
        return self.lock(f"blob-{digest}")

    def for_job(
        self,
        derivation: Derivation,
        inputs: Mapping[Digest, Outputs],
        derivations: Mapping[Digest, Derivation] | None = None,
    ) -> JobContext:
        """The view of one job.

        Args:
            derivation: The job's.
            inputs: Outputs of its declared inputs; no other blob can be read.
            derivations: The inputs themselves, so that a damaged file can be fetched again.
        """
        self.use()
        return JobContext(self, derivation, inputs, derivations or {})

    def known(self, derivations: Iterable[Derivation]) -> dict[Digest, Outputs]:
        """Which of these need not be done, by names and sizes alone, and what they gave.

        A fetch: its blob is there. A link: its record and its prefix are there. Others: the record and its blobs are
        there, and the kind is one whose results are kept.
        """
        self.use()
        found: dict[Digest, Outputs] = {}
        for derivation in derivations:
            outputs = self._known(derivation)
            if outputs is not None:
                found[derivation.key] = outputs
        return found

    def _known(self, derivation: Derivation) -> Outputs | None:
        if isinstance(derivation, Fetch):
            path = self.store.blobs.path(derivation.sha256)
            size = path.stat().st_size if path is not None else None
            if size is None or (derivation.size is not None and size != derivation.size):
                return None
            return {"out": Output(sha256=derivation.sha256, size=size)}
        if derivation.purity == "impure":
            return None
        result = self.store.results.get(derivation.kind, derivation.key)
        if result is None or not self._whole(result):
            return None
        if derivation.kind == "link" and not self._prefix_of(derivation).is_dir():
            return None
        return dict(result.outputs)

    def _whole(self, result: Result) -> bool:
        for _, output in result.outputs:
            path = self.store.blobs.path(output.sha256)
            if path is None or path.stat().st_size != output.size:
                return False
        return True

    def _prefix_of(self, derivation: Derivation) -> Path:
        from envbuild.derivations.link import Link, prefix_name

        assert isinstance(derivation, Link)
        host = None
        if derivation.interpreter == "host" and derivation.python is not None:
            host = self.host_python(derivation.python)
        return self.prefix(prefix_name(derivation, host))

    def prefix(self, name: str) -> Path:
        """The final folder of a prefix; it may not exist."""
        return self.home.prefixes / _safe(name)

    def host_python(self, series: str) -> HostPython:
        """The Python of this machine for a series.

        Raises:
            UnsatisfiableError: ``no-python``.
        """
        from envbuild.interpreters import find_host

        return find_host(series)

    def put(self, path: Path, expected: Digest | None = None) -> Output:
        """Publish a file as a blob; see ``Context.put``."""
        with publish.writing(path), Incoming(self.store.incoming, path.stat().st_size) as incoming:
            publish.copy_into(incoming, path)
            return self.adopt(incoming, expected)

    def put_bytes(self, data: bytes) -> Output:
        """Publish a small document as a blob."""
        with Incoming(self.store.incoming, len(data)) as incoming:
            incoming.write(data)
            return self.adopt(incoming, None)

    def adopt(self, incoming: Incoming, expected: Digest | None) -> Output:
        """Publish a temporary file; a damaged blob of the same name makes way.

        Raises:
            IntegrityError: When ``expected`` is given and the bytes are others.
        """
        digest = incoming.digest if expected is None else expected
        output = Output(sha256=digest, size=incoming.size)
        if digest == incoming.digest and self.blobs.path(digest) is not None:
            return output
        self.blobs.adopt(incoming, digest)
        return output

    def fetch(
        self, origin: Origin, sha256: Digest | None, size: int | None, urls: Sequence[str], key: Digest
    ) -> Output:
        """Bring a file into the store, once for all processes; see ``Context.fetch``."""
        name = f"blob-{sha256}" if sha256 is not None else f"origin-{digest_bytes(repr(origin).encode())}"
        if sha256 is not None and (path := self.blobs.path(sha256)) is not None:
            return Output(sha256=sha256, size=path.stat().st_size)
        with self.lock(name):
            if sha256 is not None and (path := self.blobs.path(sha256, locked=True)) is not None:
                return Output(sha256=sha256, size=path.stat().st_size)
            hints = self.hints.of(sha256) if sha256 is not None else ()
            with Incoming(self.store.incoming, size) as incoming:
                self.downloads.fetch(
                    (*urls, *hints),
                    incoming,
                    sha256=sha256,
                    size=size,
                    progress=lambda done, total: self.progress(key, done, total),
                    more=lambda: locate(origin, self.addresses, self.downloads.read, sha256),
                )
                digest = incoming.digest
                self.blobs.adopt(incoming, digest)
                return Output(sha256=digest, size=incoming.size)


class JobContext:
    """What one job may touch; implements ``envbuild.derivations.Context``."""

    def __init__(
        self,
        workspace: Workspace,
        derivation: Derivation,
        inputs: Mapping[Digest, Outputs],
        derivations: Mapping[Digest, Derivation],
    ) -> None:
        self._workspace = workspace
        self._derivation = derivation
        self._inputs = inputs
        self._derivations = derivations

    @property
    def platform(self) -> Platform:
        """This machine's platform."""
        from envbuild.virtual import current_platform

        return current_platform()

    @property
    def addresses(self) -> Addresses:
        """What the recipe's words mean here."""
        return self._workspace.addresses

    def blob(self, key: Digest, output: str = "out") -> Path:
        """The verified file of a declared input; a damaged fetch is fetched again.

        Raises:
            KeyError: For an input that was not declared.
            IntegrityError: ``damaged-blob``, retryable, when it is damaged and cannot be brought again here.
        """
        sha256 = self._inputs[key][output].sha256
        path = self._workspace.blobs.path(sha256)
        if path is None:
            source = self._derivations.get(key)
            if isinstance(source, Fetch):
                self.fetch(source.origin, sha256=source.sha256, size=source.size, urls=source.urls)
                path = self._workspace.blobs.path(sha256)
        if path is None:
            raise IntegrityError(
                f"blob {short(sha256)} was damaged or is gone",
                reference="damaged-blob",
                retryable=True,
                hint="run it again",
            )
        return path

    def put(self, path: Path, *, expected: Digest | None = None) -> Output:
        """Publish a file as a blob."""
        return self._workspace.put(path, expected)

    def put_bytes(self, data: bytes) -> Output:
        """Publish a small document as a blob."""
        return self._workspace.put_bytes(data)

    def fetch(self, origin: Origin, *, sha256: Digest | None, size: int | None, urls: Sequence[str] = ()) -> Output:
        """Bring a file from its origin into the store."""
        return self._workspace.fetch(origin, sha256, size, urls, self._derivation.key)

    def read(self, url: str, *, limit: int, span: tuple[int, int] | None = None) -> bytes | None:
        """A small document from an address or its mirrors; None when it is not there."""
        return self._workspace.downloads.read(self.addresses.candidates(url), limit=limit, span=span)

    def remember(self, sha256: Digest, url: str) -> None:
        """Keep an address as a hint for the fetch."""
        self._workspace.hints.add(sha256, url)

    def host_python(self, series: str) -> HostPython:
        """The Python of this machine that serves ``interpreter: host``."""
        return self._workspace.host_python(series)

    def scratch(self) -> AbstractContextManager[Path]:
        """An empty folder on the file system of the prefixes."""
        return publish.scratch_folder(self._workspace.home.scratch)

    def engine_cache(self, engine: str) -> Path:
        """An engine's own cache."""
        folder = self._workspace.home.cache / _safe(engine)
        with publish.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes = b""
    ) -> Completed:
        """Run a program; its temporary files go to a scratch folder of its own."""
        network = self._derivation.kind in _NETWORKED
        with self.scratch() as temporary:
            environ = clean_environment(self._workspace.environ, network=network)
            environ |= {"TMPDIR": str(temporary), **(env or {})}
            return run(argv, environ=environ, cwd=cwd, stdin=stdin)

    def prefix(self, name: str) -> Path:
        """The final folder of a prefix."""
        return self._workspace.prefix(name)

    def publish_tree(self, folder: Path, final: Path) -> bool:
        """Give a finished scratch folder its final name; False when somebody was faster."""
        return publish.publish_tree(folder, final, self._workspace.durability)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """An exclusive kernel lock on this machine."""
        with self._workspace.lock(name):
            yield

    def note(self, text: str) -> None:
        """Say something that a user must know."""
        self._workspace.note(text)

    def progress(self, done: int, total: int | None) -> None:
        """How far this job is, in bytes."""
        self._workspace.progress(self._derivation.key, done, total)


def _safe(name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot be the name of a file", reference="bad-name")
    return name


def _mirrors(addresses: Addresses) -> Iterator[str]:
    for _, replacements in addresses.mirrors:
        yield from replacements


def _patience(environ: Mapping[str, str]) -> Patience:
    text = environ.get("ENVBUILD_STALL_TIMEOUT", "")
    if not text:
        return Patience()
    try:
        stall = float(text)
    except ValueError:
        stall = 0.0
    if not 0 < stall < float("inf"):
        raise UsageError(
            f"ENVBUILD_STALL_TIMEOUT is {text!r}, not a number of seconds above 0", reference="bad-setting"
        )
    return Patience(stall=stall)
