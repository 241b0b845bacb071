"""Objects behind a web server: read only, over envbuild's own connections (credentials, proxies, certificates).

A bucket behind such an address answers 403 for a name that is not there when its listing is not public; that is absent,
told by the headers that such servers send with every answer. Any other 401 or 403 is a refusal.

Rules of the file: asks once; ``envbuild.objects.retrying`` asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from envbuild.errors import UnreachableError
from envbuild.machine.http import AgainError, Connections, is_packed
from envbuild.machine.network_failures import reason
from envbuild.objects import Listed, Odd, Put, check_name, check_size, unheard
from envbuild.objects.failures import (
    STALL,
    AbsentError,
    Pace,
    PassingError,
    answered,
    check_whole,
    known_sizes,
    retry_after,
)
from envbuild.objects.streamed import Streamed

IN_FLIGHT = 64
_PIECE = 1 << 17
_BUCKET_HEADERS = ("x-amz-request-id", "x-guploader-uploadid")


class WebObjects(Streamed):
    """The objects below an http or https address; implements ``envbuild.objects.Objects``.

    Args:
        url: The address to which names are added, with a slash at its end.
        shown: The address as people may see it.
        connections: Who asks.
        stall: Seconds without enough bytes after which a transfer is cut.
    """

    def __init__(self, url: str, shown: str, connections: Connections, stall: float = STALL) -> None:
        self._url = url
        self._shown = shown
        self._connections = connections
        self._stall = stall

    def put(self, name: str, source: Path | bytes) -> Put:
        """Refused.

        Raises:
            UnreachableError: ``read-only``, always.
        """
        raise self._refusal()

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes, ``IN_FLIGHT`` asked for at once; see ``Objects.sizes``."""
        from concurrent.futures import ThreadPoolExecutor

        wanted = tuple(dict.fromkeys(check_name(name) for name in names))
        if not wanted:
            return {}
        with ThreadPoolExecutor(max_workers=min(IN_FLIGHT, len(wanted))) as pool:
            return known_sizes(wanted, pool.map(self._size_or_error, wanted))

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """Refused: a web server has no listing that means anything.

        Raises:
            UnreachableError: ``no-listing``, always.
        """
        raise UnreachableError(f"{self._shown} is a web server, which lists nothing", reference="no-listing")

    def delete(self, name: str) -> None:
        """Refused.

        Raises:
            UnreachableError: ``read-only``, always.
        """
        raise self._refusal()

    def _refusal(self) -> UnreachableError:
        return UnreachableError(
            f"{self._shown} is a web server, which is only read",
            reference="read-only",
            hint="write to the bucket or folder behind it",
        )

    def _size_or_error(self, name: str) -> int | UnreachableError | None:
        try:
            return self._size(name)
        except UnreachableError as error:
            return error

    def _size(self, name: str) -> int | None:
        try:
            with closing(self._ask("HEAD", name)) as response:
                length = response.headers.get("Content-Length", "")
                if length.isdigit() and not is_packed(response):
                    return int(length)
        except AbsentError:
            return None
        raise UnreachableError(f"{self._shown} does not say the size of {name}", reference="bad-answer")

    def _stream(self, name: str, write: Callable[[bytes], object], limit: int | None) -> bool:
        from urllib3.exceptions import HTTPError

        pace = Pace(self._shown, self._stall)
        done = 0
        try:
            with closing(self._ask("GET", check_name(name))) as response:
                promised = response.headers.get("Content-Length", "")
                if is_packed(response):
                    raise UnreachableError(f"{self._shown} packs what it gives", reference="bad-answer")
                if limit is not None and promised.isdigit():
                    check_size(self._shown, name, int(promised), limit)
                while piece := self._piece(response, HTTPError):
                    done += len(piece)
                    pace.moved(len(piece))
                    if limit is not None:
                        check_size(self._shown, name, done, limit)
                    write(piece)
                check_whole(self._shown, done, int(promised) if promised.isdigit() else None)
                return True
        except AbsentError:
            return False

    def _piece(self, response: Any, kind: type[Exception]) -> bytes:
        try:
            piece: bytes = response.raw.read1(_PIECE, decode_content=False)
        except (kind, OSError) as error:
            raise PassingError(f"{self._shown} broke off: {reason(error)}") from None
        return piece

    def _ask(self, method: str, name: str) -> Any:
        try:
            response = self._connections.pass_on(method, self._url + name, {})
        except AgainError as error:
            raise PassingError(error.message, error.after) from None
        status = response.status_code
        if status == 200:
            return response
        bucket = any(header in response.headers for header in _BUCKET_HEADERS)
        after = retry_after(response.headers)
        response.close()
        if status in {404, 410} or (status == 403 and bucket):
            raise AbsentError(name)
        raise answered(self._shown, "reading", status, after)
