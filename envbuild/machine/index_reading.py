"""Reading a page of an index from where this machine's configuration says that it is.

Rules of the file: one page, one question to each mirror; what it means is ``envbuild.machine.index_page``.
"""

from __future__ import annotations

from envbuild.machine.index_page import PageFile, page_files
from envbuild.machine.locations import ACCEPT, PAGE_LIMIT
from envbuild.machine.workspace import Workspace


def read_page(workspace: Workspace, page: str) -> tuple[PageFile, ...]:
    """The files of a page, from the first mirror that offers any; none when no mirror knows it.

    Args:
        workspace: This machine's.
        page: The absolute address, as locks know it.

    Raises:
        UnreachableError: When a mirror does not answer.
    """
    for address in workspace.addresses.candidates(page):
        data = workspace.downloads.read((address,), limit=PAGE_LIMIT, accept=ACCEPT)
        if data is not None and (found := page_files(data, address)):
            return tuple(found)
    return ()
