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

**Shared stores stand behind the home's own.** What is missing is asked of them before its origin is; what was done is
offered to those that are written, in the background. Of a build, somebody else's result that was faster counts.

Rules of the file: composition; no step of publishing, downloading or locking is done here.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.addresses import Addresses
from envbuild.derivations import Clobber, Derivation, HostPython, LinkMode, Output, Outputs
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import IntegrityError, UnreachableError
from envbuild.machine import publish
from envbuild.machine.disk import writing
from envbuild.machine.done_here import done_here
from envbuild.machine.hints import Hints
from envbuild.machine.home import Home, open_home
from envbuild.machine.job_context import JobContext, safe_name
from envbuild.machine.kernel_lock import DEFAULT_TIMEOUT, KernelLock
from envbuild.machine.leavings import Leavings
from envbuild.machine.publish import Durability, Incoming
from envbuild.machine.shared_work import SharedWork
from envbuild.machine.stall import stall_timeout
from envbuild.machine.unsynced import Unsynced
from envbuild.machine.writeback import Writeback
from envbuild.package import Origin, UrlOrigin
from envbuild.store import Result
from envbuild.store.folder import FolderStore, open_store
from envbuild.store.verified import VerifiedBlobs

if TYPE_CHECKING:
    from envbuild.machine.download import Downloader
    from envbuild.store.layers import Layers


class Workspace:
    """Everything that jobs may touch on this machine.

    Args:
        home: ``ENVBUILD_HOME``, absolute; made when missing. See ``envbuild.machine.home.find_home``.
        addresses: What the recipes' words for channels and indices mean here.
        durability: Whether publishing waits for the disk.
        lock_timeout: Seconds to wait for another process.
        build_timeout: Seconds that one program of a build may take.
        build_log_limit: Bytes that one program of a build may print.
        clobber: What two packages are that bring one file with different contents.
        link: How files get into prefixes.
        environ: This process's environment; ``os.environ`` when None.
        trusted_hosts: Hosts whose certificates are not checked.
        note: Told each thing once that a user must know.
        progress: Told a job's key, bytes done and bytes in all.
        shared: Shared stores, near to far; none when None.
        origins: Whether what no store has may be fetched from where it comes from.

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
        build_timeout: float = 3600.0,
        build_log_limit: int = 64 << 20,
        clobber: Clobber | None = None,
        link: LinkMode = "auto",
        environ: Mapping[str, str] | None = None,
        trusted_hosts: Sequence[str] = (),
        note: Callable[[str], None] = lambda _: None,
        progress: Callable[[Digest, int, int | None], None] = lambda key, done, total: None,
        shared: Layers | None = None,
        origins: bool = True,
    ) -> None:
        self.home: Home = open_home(home)
        self.addresses = addresses
        self.durability: Durability = durability
        self.environ = os.environ if environ is None else environ
        self.progress = progress
        self._lock_timeout = lock_timeout
        self.build_timeout = build_timeout
        self.build_log_limit = build_log_limit
        self.clobber: Clobber | None = clobber
        self.link: LinkMode = link
        self._tell = note
        self._said: set[str] = set()
        self._guard = threading.Lock()
        self._entering = threading.Lock()  # held while waiting for a collection, which may say something meanwhile
        self._use = KernelLock(self.home.lock, shared=True, timeout=lock_timeout, notice=self.note)
        self.store: FolderStore = open_store(self.home.store, durability=durability, note=self.note)
        self.blobs = VerifiedBlobs(
            self.store.blobs, lock=self.blob_lock, note=self.note, memory=self.home.cache / "verified"
        )
        self.hints = Hints(self.home.cache / "hints")
        self.shared = SharedWork(self, shared) if shared is not None else None
        self._trusted_hosts = trusted_hosts
        self._origins = origins
        self._downloads: Downloader | None = None
        self._waited_for: set[Digest] = set()
        self.cancelled = threading.Event()
        self.leavings = Leavings()
        self.writeback = Writeback(durability)
        self.unsynced = Unsynced(self.home, durability, lambda: self.lock("unsynced"), self.note)
        stall_timeout(self.environ)  # a wrong setting is said at once

    def __enter__(self) -> Workspace:
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def downloads(self) -> Downloader:
        """The pool of connections, made when the first is needed: what is in the store needs none."""
        with self._guard:
            if self._downloads is None:
                from envbuild.machine.credentials import Credentials
                from envbuild.machine.download import Downloader
                from envbuild.machine.http import Patience

                here = self.addresses
                configured = (here.index or "", *here.extra_indices, *here.find_links, *_mirrors(here))
                self._downloads = Downloader(
                    Credentials(self.environ, configured, note=self.note),
                    environ=self.environ,
                    patience=Patience(stall=stall_timeout(self.environ)),
                    trusted_hosts=self._trusted_hosts,
                )
            return self._downloads

    def use(self) -> None:
        """Keep ``gc`` away until ``close``.

        Raises:
            LockTimeoutError: When a collection takes too long.
        """
        with self._entering:
            if not self._use.held:
                self._use.acquire()

    def close(self) -> None:
        """Let go of connections and of the home, once what was done is with the shared stores."""
        self.settle()
        with self._guard:
            if self._downloads is not None:
                self._downloads.close()
        with self._entering:
            self._use.release()

    def cancel(self) -> None:
        """Give up what jobs wait for (programs, transfers, locks), so that their threads return soon. Not undone.

        For the handler of SIGINT and SIGTERM; what was published stays, what was not leaves nothing.
        """
        from envbuild.machine.process import end_all

        self.cancelled.set()
        if self.shared is not None:
            self.shared.cancel()
        if self._downloads is not None:
            self._downloads.cancel()
        end_all()

    def note(self, text: str) -> None:
        """Say something that a user must know, once per text."""
        with self._guard:
            if text in self._said:
                return
            self._said.add(text)
        self._tell(text)

    def lock(self, name: str, *, patient: bool = False) -> AbstractContextManager[object]:
        """An exclusive lock of this machine by name; ``patient`` waits for as long as its holder lives."""
        return KernelLock(
            self.home.locks / safe_name(name),
            timeout=math.inf if patient else self._lock_timeout,
            notice=self.note,
            given_up=self.cancelled.is_set,
        )

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
        """Which of these need not be done, as ``done_here`` says, and what they gave."""
        self.use()
        found: dict[Digest, Outputs] = {}
        for derivation in derivations:
            outputs = done_here(derivation, self.store, self._prefix_of)
            if outputs is not None:
                found[derivation.key] = outputs
        return found

    def pull(self, derivation: Derivation) -> Outputs | None:
        """Bring what somebody else has recorded, and record it here; None when it is gone."""
        return self.shared.pull(derivation) if self.shared is not None else None

    def made_since(self, derivation: Derivation) -> Outputs | None:
        """What somebody else has recorded since the plan was made, if this would take long; asked when it begins."""
        return self.shared.made_since(derivation) if self.shared is not None else None

    def share(self, derivation: Derivation, outputs: Outputs, result: Result | None) -> Outputs:
        """Offer what was done to shared stores; gives what counts, which may be what somebody else was faster with."""
        return self.shared.offer(derivation, outputs, result) if self.shared is not None else outputs

    def settle(self) -> None:
        """Wait until what was done is with the shared stores, or known not to get there."""
        if self.shared is not None:
            self.shared.settle()

    def came_from(self, outputs: Outputs) -> str | None:
        """The shared store that these were brought from by this process."""
        return self.shared.layers.came_from(outputs) if self.shared is not None else None

    def waited_for(self, outputs: Outputs) -> bool:
        """Whether another process brought these, while this one was about to fetch them."""
        return any(output.sha256 in self._waited_for for output in outputs.values())

    def _prefix_of(self, derivation: Derivation) -> Path:
        from envbuild.derivations.link import Link, prefix_name

        assert isinstance(derivation, Link)
        host = None
        if derivation.interpreter == "host" and derivation.python is not None:
            host = self.host_python(derivation.python)
        return self.prefix(prefix_name(derivation, host))

    @contextmanager
    def using(self, name: str, *, inheritable: bool = False) -> Iterator[None]:
        """Keep ``gc`` from a prefix while a program runs in it, also after ``close``.

        Args:
            name: The prefix's folder name.
            inheritable: True lets a program that replaces this process keep the lock to its own end.

        Raises:
            LockTimeoutError: When a collection takes too long.
        """
        self.use()  # no collection is between its mark and its sweep when the prefix becomes held
        lock = KernelLock(self.home.locks / f"use-{safe_name(name)}", shared=True, timeout=self._lock_timeout)
        with lock:
            os.set_inheritable(lock.fileno(), inheritable)
            yield

    def mend(self, sha256: Digest) -> bool:
        """Bring a blob again, from a shared store or the addresses that were kept for it; False when none is right."""
        if self.bring(sha256, None, sha256) is not None:
            return True
        urls = self.hints.of(sha256)
        if not urls:
            return False
        try:
            self.fetch(UrlOrigin(url=urls[0], file=sha256), sha256, None, urls, sha256)
        except (IntegrityError, UnreachableError):
            return False
        return True

    def prefix(self, name: str) -> Path:
        """The final folder of a prefix; it may not exist."""
        return self.home.prefixes / safe_name(name)

    def host_python(self, series: str) -> HostPython:
        """The Python of this machine for a series.

        Raises:
            UnsatisfiableError: ``no-python``.
        """
        from envbuild.machine.interpreters import find_host_python

        return find_host_python(series, self.environ, self.home.cache / "host-pythons")

    def put(self, path: Path, expected: Digest | None = None) -> Output:
        """Publish a file as a blob; see ``Context.put``."""
        with writing(path), Incoming(self.store.incoming, path.stat().st_size) as incoming:
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

    def bring(self, sha256: Digest, size: int | None, key: Digest) -> Output | None:
        """A blob from here or from a shared store; None when no store has it."""
        if self.shared is None or not self.shared.layers.offers(sha256):
            return None
        with self.blob_lock(sha256):
            path = self.blobs.path(sha256, locked=True)
            if path is not None:
                return Output(sha256=sha256, size=path.stat().st_size)
            return self.shared.bring(sha256, size, key)

    def fetch(
        self, origin: Origin, sha256: Digest | None, size: int | None, urls: Sequence[str], key: Digest
    ) -> Output:
        """Bring a file into the store, once for all processes; see ``Context.fetch``."""
        name = f"blob-{sha256}" if sha256 is not None else f"origin-{digest_bytes(repr(origin).encode())}"
        if sha256 is not None and (path := self.blobs.path(sha256)) is not None:
            return self._brought_by_others(sha256, path)
        with self.lock(name):
            if sha256 is not None and (path := self.blobs.path(sha256, locked=True)) is not None:
                return self._brought_by_others(sha256, path)
            if self.shared is not None and sha256 is not None:
                output = self.shared.bring(sha256, size, key)
                if output is not None:
                    return output
            if not self._origins:
                raise UnreachableError(f"no store has {name} with the right bytes", reference="not-in-stores")
            from envbuild.machine.locations import locate

            hints = self.hints.of(sha256) if sha256 is not None else ()
            with Incoming(self.store.incoming, size) as incoming:
                url = self.downloads.fetch(
                    (*urls, *hints),
                    incoming,
                    sha256=sha256,
                    size=size,
                    progress=lambda done, total: self.progress(key, done, total),
                    more=lambda: locate(origin, self.addresses, self.downloads.read, sha256),
                )
                digest = incoming.digest
                self.blobs.adopt(incoming, digest)
                self.hints.add(digest, url)
                return Output(sha256=digest, size=incoming.size)

    def _brought_by_others(self, sha256: Digest, path: Path) -> Output:
        self._waited_for.add(sha256)
        return Output(sha256=sha256, size=path.stat().st_size)


def _mirrors(addresses: Addresses) -> Iterator[str]:
    for _, replacements in addresses.mirrors:
        yield from replacements
