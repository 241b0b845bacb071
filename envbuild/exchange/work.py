"""What importing may touch: a job's view of the workspace, and the index pages that it has read.

Rules of the file: composition; asks a page once.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from envbuild.addresses import DEFAULT_INDEX
from envbuild.derivations import Context
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, UnreachableError
from envbuild.machine.errand import for_errand
from envbuild.machine.index_page import PageFile
from envbuild.machine.index_reading import read_page
from envbuild.machine.locations import engine_index
from envbuild.machine.workspace import Workspace

PARALLEL = 12
"""Index pages asked for at a time."""


class Work:
    """The effects of one import or capture.

    Args:
        workspace: This machine's.
        file: What is imported, for messages.
        offline: Use no network.
    """

    def __init__(self, workspace: Workspace, file: str, *, offline: bool) -> None:
        self.context: Context = for_errand(workspace, f"import of {file}")
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
            if found := read_page(self._workspace, page):
                return found
        return ()
