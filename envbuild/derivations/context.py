"""What a derivation may touch: blobs by digest, the network, processes and folders, all through one value.

Whoever does the work gets a ``Context`` and nothing else, so that the same work runs in a test, in a thread and on
another machine.

Rules of the file: protocols and small values; the real one is ``envbuild.machine.workspace``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from envbuild.addresses import Addresses
from envbuild.digest import Digest
from envbuild.errors import EnvbuildError
from envbuild.package import Origin, Platform
from envbuild.value import dataclass

Clobber = Literal["deny", "warn"]
"""``deny`` refuses packages that bring one file with different contents; ``warn`` tells it."""


LinkMode = Literal["auto", "reflink", "hardlink", "copy"]
"""How files get from the engines' caches into prefixes; ``auto`` is the best that the file system has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A blob that a derivation made: its sha256 and its size in bytes."""

    sha256: Digest
    size: int


Outputs = Mapping[str, Output]
"""Outputs by name; the main one is called ``out``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPython:
    """A Python found on this machine.

    Attributes:
        path: The real path of the executable.
        version: Full version, ``3.11.7``.
        abi: Its SOABI-like tag, ``cpython-311-x86_64-linux-gnu``.
    """

    path: str
    version: str
    abi: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A finished process: its exit code and the last lines of what it printed."""

    returncode: int
    tail: str


class Relayed(Protocol):
    """How an engine that checks every certificate or none reaches hosts whose certificates are not checked."""

    @property
    def places(self) -> Mapping[str, str]:
        """What is asked instead, by the beginning of an address."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """What the engine's environment needs for it."""
        ...

    @property
    def failure(self) -> EnvbuildError | None:
        """Why the last request got no answer."""
        ...

    def instead(self, url: str) -> str:
        """What is asked in place of an address."""
        ...

    def told(self, text: str) -> str:
        """A text of the engine's with the addresses that are meant."""
        ...


class Context(Protocol):
    """All that ``realise`` may touch. The real one is ``envbuild.machine.workspace.Workspace``."""

    @property
    def platform(self) -> Platform:
        """This machine's platform."""
        ...

    @property
    def addresses(self) -> Addresses:
        """What the recipe's words for channels and indices mean on this machine."""
        ...

    @property
    def build_timeout(self) -> float:
        """Seconds that one program of a build may take."""
        ...

    @property
    def build_log_limit(self) -> int:
        """Bytes that one program of a build may print."""
        ...

    @property
    def clobber(self) -> Clobber | None:
        """What two packages are that bring one file with different contents; None for what is usual of their kind."""
        ...

    @property
    def link(self) -> LinkMode:
        """How files get into prefixes."""
        ...

    def keep_log(self, log: Path) -> None:
        """Keep what a build printed that failed, in place of what this derivation's last failure left."""
        ...

    def blob(self, key: Digest, output: str = "out") -> Path:
        """The verified file of an output of a declared input.

        Raises:
            KeyError: When ``key`` is not a declared input: a kind that asks for more than it declared is a defect.
            IntegrityError: When the stored bytes are not what their name says.
        """
        ...

    def digest(self, key: Digest, output: str = "out") -> Digest:
        """The sha256 of an output of a declared input; what a derivation made is known by no lock.

        Raises:
            KeyError: When ``key`` is not a declared input.
        """
        ...

    def put(self, path: Path, *, expected: Digest | None = None) -> Output:
        """Publish a file as a blob of the local store; it may be moved away.

        Raises:
            IntegrityError: When ``expected`` is given and the bytes are others; nothing is published then.
            NoSpaceError: When it does not fit; nothing half-written stays.
        """
        ...

    def put_bytes(self, data: bytes) -> Output:
        """Publish a small document as a blob."""
        ...

    def fetch(self, origin: Origin, *, sha256: Digest | None, size: int | None, urls: Sequence[str] = ()) -> Output:
        """Bring a file from its origin into the store: streamed, hashed, retried.

        Args:
            origin: Where it came from, in the recipe's words.
            sha256: What it must be; None only while locking, where a channel gave no sha256.
            size: Bytes expected, when known.
            urls: Addresses to try first, found while solving.

        Raises:
            IntegrityError: When every place that answers gives other bytes.
            UnreachableError: When no place answers.
        """
        ...

    def fetched(self, sha256: Digest) -> Path:
        """The verified file of what this job has fetched.

        Raises:
            IntegrityError: ``damaged-blob`` when the store lost it again.
        """
        ...

    def read(self, url: str, *, limit: int, span: tuple[int, int] | None = None, accept: str = "*/*") -> bytes | None:
        """A small document from an address, with the machine's credentials; None when it is not there (404).

        Args:
            url: https, http or file.
            limit: Bytes at most; more raises InvalidInput.
            span: First and last byte, for a range request; a negative first byte counts from the end.
            accept: Media types wanted.

        Raises:
            UnreachableError: When the server does not answer or refuses.
        """
        ...

    def expect(self, url: str) -> None:
        """Say that addresses like this one will soon be asked for, so that what this takes can be got ready."""
        ...

    def relay(self, urls: Iterable[str]) -> AbstractContextManager[Relayed]:
        """A way for the length of a block to those of these addresses whose hosts are trusted; none when none is."""
        ...

    def remember(self, sha256: Digest, url: str) -> None:
        """Keep an address found while solving as a hint for the fetch; user info is dropped."""
        ...

    def host_python(self, series: str) -> HostPython:
        """The Python of this machine that serves ``interpreter: host``.

        Raises:
            UnsatisfiableError: ``no-python``, with what was found instead. Nothing is ever downloaded.
        """
        ...

    def scratch(self, *, later: bool = False) -> AbstractContextManager[Path]:
        """An empty folder on the file system of the prefixes, removed afterwards, also after a kill, by the next gc.

        Args:
            later: It is removed when there is nothing else to do. A file system may leave the places of thousands of
                removed folders unused for a while, and look past all of them for each folder of a prefix.
        """
        ...

    def engine_cache(self, engine: str) -> Path:
        """A folder that an engine (``rattler``, ``uv``) may use to be fast. May be empty at any time."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        log: Path | None = None,
        log_limit: int = 64 << 20,
        network: bool | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a program in its own process group, ended with this process, in a clean environment plus ``env``.

        Args:
            argv: The program and its arguments.
            env: Variables besides the allowed ones of this process.
            cwd: Its working folder.
            stdin: All that it can read.
            timeout: Seconds after which it and its children are ended.
            log: Gets all that it prints, as it is printed.
            log_limit: Bytes of output after which it is ended.
            network: Whether it sees proxies, certificates and credentials; the kind decides when None.
            heard: Told each line that it prints, as it is printed, in another thread.

        Raises:
            BuildError: ``no-program``, ``too-slow``, ``too-much-output``.
        """
        ...

    def prefix(self, name: str) -> Path:
        """The final folder of a prefix; it may not exist yet."""
        ...

    def unpacking(self) -> AbstractContextManager[None]:
        """While engines unpack into their caches: what a loss of power tears of it is never linked."""
        ...

    def begin_writeback(self, folder: Path) -> None:
        """Part of what will be published is written below a folder: the system may begin to bring it to the disk.

        Where publishing waits for the disk (durability ``safe``), the wait then overlaps with what is left to do.
        """
        ...

    def publish_tree(self, folder: Path, final: Path) -> bool:
        """Give a finished folder of the scratch its final name by one rename, synced first when durability is safe.

        Returns:
            False when that name is already there; the folder stays where it is then.

        Raises:
            NoSpaceError: When the system refuses.
        """
        ...

    def lock(self, name: str, *, patient: bool = False) -> AbstractContextManager[None]:
        """An exclusive kernel lock on this machine.

        Args:
            name: Of the lock.
            patient: Wait for as long as the process that has it lives, as one does for a build.

        Raises:
            LockTimeoutError: When another process keeps it too long.
        """
        ...

    def note(self, text: str) -> None:
        """Say something that a user must know, such as what a cut-off could not judge. Said once per text."""
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Say how far this job is, in bytes.

        Raises:
            BuildError: ``interrupted``: the work is not wanted any more.
        """
        ...
