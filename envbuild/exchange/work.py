"""What importing may touch: a job's view of the workspace, and the index pages that it has read.

Rules of the file: composition; asks a page once.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import ClassVar

from envbuild.addresses import DEFAULT_INDEX
from envbuild.derivations import Context, Purity
from envbuild.digest import Digest, Json, digest_bytes
from envbuild.errors import IntegrityError, UnreachableError
from envbuild.machine.index_page import PageFile, page_files
from envbuild.machine.locations import ACCEPT, PAGE_LIMIT, engine_index
from envbuild.machine.workspace import Workspace
from envbuild.value import dataclass

PARALLEL = 12
"""Index pages asked for at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTask:
    """The work of one import as the job that a context belongs to; it reads no derivation and is kept nowhere."""

    kind: ClassVar[str] = "solve"  # whose programs may use the network
    version: ClassVar[int] = 1
    file: str

    @property
    def key(self) -> Digest:
        """A key for locks and progress."""
        return digest_bytes(self.file.encode())

    @property
    def purity(self) -> Purity:
        """Never shared."""
        return "impure"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """None."""
        return ()

    @property
    def label(self) -> str:
        """What people see."""
        return f"import of {self.file}"

    @property
    def size(self) -> int | None:
        """Unknown."""
        return None

    def document(self) -> Json:
        """The file alone."""
        return {"file": self.file}


class Work:
    """The effects of one import or capture.

    Args:
        workspace: This machine's.
        file: What is imported, for messages.
        offline: Use no network.
    """

    def __init__(self, workspace: Workspace, file: str, *, offline: bool) -> None:
        self.context: Context = workspace.for_job(ImportTask(file=file), {})
        self.addresses = workspace.addresses
        self.file = file
        self.offline = offline
        self._workspace = workspace
        self._pages: dict[tuple[str, str], Future[tuple[PageFile, ...]]] = {}
        self._guard = Lock()
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL)

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def say(self, text: str) -> None:
        """Tell people."""
        self.context.note(text)

    def need_network(self, what: str) -> None:
        """Refuse what is not in the file when no network may be used.

        Raises:
            UnreachableError: ``offline``.
        """
        if self.offline:
            raise UnreachableError(
                f"the file does not say {what}, and the network may not be used",
                reference="offline",
                hint="run it without --offline",
            )

    def blob(self, sha256: Digest) -> Path:
        """The file of something that was fetched just now.

        Raises:
            IntegrityError: ``damaged-blob`` when it was damaged meanwhile.
        """
        path = self._workspace.blobs.path(sha256)
        if path is None:
            raise IntegrityError(
                "a file that was fetched is damaged", reference="damaged-blob", retryable=True, hint="run it again"
            )
        return path

    def files(self, index: str, project: str) -> tuple[PageFile, ...]:
        """What an index offers of a project; nothing when it does not know it.

        Args:
            index: ``default``, or an address.
            project: Normalized.

        Raises:
            UnreachableError: When it does not answer.
        """
        return self._asked(index, project).result()

    def expect(self, index: str, project: str) -> None:
        """Begin to read a page that will be wanted."""
        self._asked(index, project)

    def _asked(self, index: str, project: str) -> Future[tuple[PageFile, ...]]:
        with self._guard:
            if (index, project) not in self._pages:
                self._pages[index, project] = self._pool.submit(self._read, index, project)
            return self._pages[index, project]

    def _read(self, index: str, project: str) -> tuple[PageFile, ...]:
        """The first of the places that have the project, as a solve would ask them."""
        here = self.addresses
        places: tuple[str, ...] = (index,)
        if index == DEFAULT_INDEX:
            places = (*here.extra_indices, here.index or engine_index())
        for place in places:
            page = f"{here.absolute(place).rstrip('/')}/{project}/"
            for address in here.candidates(page):
                data = self._workspace.downloads.read((address,), limit=PAGE_LIMIT, accept=ACCEPT)
                if data is not None and (found := page_files(data, address)):
                    return tuple(found)
        return ()
