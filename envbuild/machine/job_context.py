"""What one job may touch: a view of the workspace that knows the job's declared inputs and no others.

Rules of the file: it limits and forwards; the workspace and the rooms behind it do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.addresses import Addresses
from envbuild.derivations import Clobber, Completed, Derivation, HostPython, LinkMode, Output, Outputs, Relayed
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest, short
from envbuild.errors import BuildError, IntegrityError, InvalidInput
from envbuild.machine import publish
from envbuild.machine.disk import writing
from envbuild.machine.temporary import scratch_folder
from envbuild.package import FolderOrigin, GitOrigin, Origin, Platform
from envbuild.pattern import pattern

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace

LOG_LIMIT = 64 << 20
"""Bytes that a program whose output is kept may print."""

_NETWORKED = frozenset({"solve"})
"""Kinds whose programs may use the network, and so see proxies, certificates and credentials."""

_SAFE = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")


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
        from envbuild.machine.virtual import current_platform

        return current_platform()

    @property
    def addresses(self) -> Addresses:
        """What the recipe's words mean here."""
        return self._workspace.addresses

    @property
    def build_timeout(self) -> float:
        """Seconds that one program of a build may take."""
        return self._workspace.build_timeout

    @property
    def build_log_limit(self) -> int:
        """Bytes that one program of a build may print."""
        return self._workspace.build_log_limit

    @property
    def clobber(self) -> Clobber | None:
        """What two packages are that bring one file with different contents."""
        return self._workspace.clobber

    @property
    def link(self) -> LinkMode:
        """How files get into prefixes."""
        return self._workspace.link

    def keep_log(self, log: Path) -> None:
        """Keep what a build printed that failed."""
        from envbuild.machine.build_logs import keep_log

        keep_log(self._workspace.home, self._derivation.key, self._derivation.label, log)

    def blob(self, key: Digest, output: str = "out") -> Path:
        """The verified file of a declared input; a damaged one is fetched again, or brought from a shared store.

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
            else:
                self._workspace.bring(sha256, None, key)
            path = self._workspace.blobs.path(sha256)
        if path is None:
            raise _damaged(sha256)
        return path

    def digest(self, key: Digest, output: str = "out") -> Digest:
        """The sha256 of an output of a declared input.

        Raises:
            KeyError: For an input that was not declared.
        """
        return self._inputs[key][output].sha256

    def put(self, path: Path, *, expected: Digest | None = None) -> Output:
        """Publish a file as a blob."""
        return self._workspace.put(path, expected)

    def put_bytes(self, data: bytes) -> Output:
        """Publish a small document as a blob."""
        return self._workspace.put_bytes(data)

    def fetch(self, origin: Origin, *, sha256: Digest | None, size: int | None, urls: Sequence[str] = ()) -> Output:
        """Bring a file from its origin into the store; a commit or a folder is packed."""
        if isinstance(origin, (GitOrigin, FolderOrigin)):
            from envbuild.machine.sources import bring_tree

            return bring_tree(origin, sha256, self._workspace, self)
        return self._workspace.fetch(origin, sha256, size, urls, self._derivation.key)

    def fetched(self, sha256: Digest) -> Path:
        """The verified file of what this job has fetched.

        Raises:
            IntegrityError: ``damaged-blob``.
        """
        path = self._workspace.blobs.path(sha256)
        if path is None:
            raise _damaged(sha256)
        return path

    def read(self, url: str, *, limit: int, span: tuple[int, int] | None = None, accept: str = "*/*") -> bytes | None:
        """A small document from an address or its mirrors; None when it is not there."""
        return self._workspace.downloads.read(self.addresses.candidates(url), limit=limit, span=span, accept=accept)

    def expect(self, url: str) -> None:
        """Ready what asking servers takes."""
        self._workspace.downloads.expect(url)

    def relay(self, urls: Iterable[str]) -> AbstractContextManager[Relayed]:
        """A way to hosts whose certificates are not checked, for an engine."""
        from envbuild.machine.relay import relay_to, trusted_places

        places = trusted_places(urls, self.addresses.trusted_hosts)
        return relay_to(places, self._workspace.downloads.pass_on, self._workspace.environ)

    def remember(self, sha256: Digest, url: str) -> None:
        """Keep an address as a hint for the fetch."""
        self._workspace.hints.add(sha256, url)

    def host_python(self, series: str) -> HostPython:
        """The Python of this machine that serves ``interpreter: host``."""
        return self._workspace.host_python(series)

    def scratch(self, *, later: bool = False) -> AbstractContextManager[Path]:
        """An empty folder on the file system of the prefixes."""
        return scratch_folder(self._workspace.home.scratch, self._workspace.leavings.leave if later else None)

    def engine_cache(self, engine: str) -> Path:
        """An engine's own cache."""
        folder = self._workspace.home.cache / safe_name(engine)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        log: Path | None = None,
        log_limit: int = LOG_LIMIT,
        network: bool | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a program; its temporary files go to a scratch folder of its own."""
        from envbuild.machine.process import clean_environment, run  # subprocess costs what a small link costs

        if self._workspace.cancelled.is_set():
            raise BuildError(f"{self._derivation.label} was interrupted", reference="interrupted")
        if network is None:
            network = self._derivation.kind in _NETWORKED
        with self.scratch() as temporary:
            environ = clean_environment(self._workspace.environ, network=network)
            environ |= {"TMPDIR": str(temporary), **(env or {})}
            return run(
                argv, environ=environ, cwd=cwd, stdin=stdin, timeout=timeout, log=log, log_limit=log_limit, heard=heard
            )

    def prefix(self, name: str) -> Path:
        """The final folder of a prefix."""
        return self._workspace.prefix(name)

    def unpacking(self) -> AbstractContextManager[None]:
        """While engines unpack into their caches."""
        return self._workspace.unsynced.unpacking()

    def begin_writeback(self, folder: Path) -> None:
        """Have the system begin to write a tree that will be published, when publishing waits for that."""
        self._workspace.writeback.begin(folder)

    def publish_tree(self, folder: Path, final: Path) -> bool:
        """Give a finished scratch folder its final name; False when somebody was faster."""
        with self._workspace.unsynced.syncing():
            return publish.publish_tree(folder, final, self._workspace.durability)

    @contextmanager
    def lock(self, name: str, *, patient: bool = False) -> Iterator[None]:
        """An exclusive kernel lock on this machine."""
        with self._workspace.lock(name, patient=patient):
            yield

    def note(self, text: str) -> None:
        """Say something that a user must know."""
        self._workspace.note(text)

    def progress(self, done: int, total: int | None) -> None:
        """How far this job is, in bytes.

        Raises:
            BuildError: ``interrupted``, after Ctrl-C: whoever computes hears of it here.
        """
        if self._workspace.cancelled.is_set():
            raise BuildError(f"{self._derivation.label} was interrupted", reference="interrupted")
        self._workspace.progress(self._derivation.key, done, total)


def _damaged(sha256: Digest) -> IntegrityError:
    return IntegrityError(
        f"blob {short(sha256)} was damaged or is gone", reference="damaged-blob", retryable=True, hint="run it again"
    )


def safe_name(name: str) -> str:
    """A name that is one path component.

    Raises:
        InvalidInput: ``bad-name`` for separators, leading dots or dashes, and anything but ASCII letters and ``._-``.
    """
    if not _SAFE.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot be the name of a file", reference="bad-name")
    return name
