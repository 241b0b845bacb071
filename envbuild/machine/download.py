"""Downloads: many at once over kept connections, hashed while they stream, and the only place that retries.

A file is asked of its addresses in turn, up to ``ATTEMPTS`` rounds. What cannot change by asking again (400, 401,
403, 404, 410, other bytes than expected) strikes an address out; what may (no connection, silence, 408, 425, 429, 5xx,
a short body) is asked again after a pause with full jitter, or after ``Retry-After``. A body that stopped is continued
by a range request when the server gave a strong validator and honours ``If-Range``; else it begins anew, and a
continued body with the wrong sha256 is fetched once more from its first byte before it counts as wrong.

A server that packs the body although only ``identity`` was asked for is unpacked; when that gives other bytes than
expected, the body is taken once more as it comes, for some servers call an archive's own compression an encoding.

Rules of the file: no cache, no store; bytes go to a sink; addresses appear in messages only through ``redact``.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from envbuild import faults
from envbuild.digest import CHUNK, Digest
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.machine.credentials import Credentials, redact
from envbuild.machine.disk import writing
from envbuild.machine.http import AgainError, Connections, Patience, continues, is_packed, total_size, validator
from envbuild.machine.line import Line
from envbuild.machine.local_files import check_small, part_of, pieces_of
from envbuild.machine.network_failures import reason
from envbuild.machine.publish import Incoming

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
MOST_SILENCES = 3
"""A server that stalls so often is struck out: each time costs the whole stall time."""

LARGEST_FILE = 32 << 30
"""Bytes; a file of unknown size that is larger is refused."""

_LONGEST_PAUSE = 30.0
_SLOWEST = 1024
"""Bytes that must come within each stall time: one byte a second is silence too."""

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class _Partial:
    """What is known of the body in the sink: from where, and by which validator it can be continued."""

    url: str = ""
    validator: str = ""
    continued: bool = False
    unpacked: bool = False
    as_it_comes: str = ""


class Downloader:
    """Pooled requests of one process; safe for threads.

    Args:
        credentials: Who we are to each server.
        environ: For proxies and certificates.
        patience: See ``Patience``.
        trusted_hosts: Hosts whose certificates are not checked, by the user's own configuration.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        environ: Mapping[str, str],
        patience: Patience,
        trusted_hosts: Sequence[str] = (),
    ) -> None:
        self._patience = patience
        self._connections = Connections(credentials, environ, patience, trusted_hosts)
        self.close = self._connections.close
        self.expect = self._connections.expect
        self.pass_on = self._connections.pass_on
        self._cancelled = threading.Event()
        self._line = Line(self._cancelled.is_set)
        self._open: set[requests.Response] = set()

    def cancel(self) -> None:
        """Give up every transfer that is under way, and begin no other: the threads that wait for one return soon."""
        self._cancelled.set()
        for response in tuple(self._open):
            with suppress(OSError, ValueError, RuntimeError):
                response.raw.shutdown()

    def fetch(
        self,
        urls: Sequence[str],
        sink: Incoming,
        *,
        sha256: Digest | None,
        size: int | None,
        progress: Progress = lambda done, total: None,
        more: Callable[[], Iterable[str]] = tuple,
    ) -> str:
        """Bring a file from the first address that gives the right bytes.

        Args:
            urls: In the order to be tried.
            sink: Where the bytes go; empty, and right when this returns.
            sha256: What they must be; None takes what comes.
            size: Bytes at most, when known.
            progress: Called with bytes done and bytes in all.
            more: Gives further addresses; asked once, when no address of the first round was right.

        Returns:
            The address that gave them.

        Raises:
            IntegrityError: ``wrong-hash`` when an address answers with other bytes and none gives the right ones.
            UnreachableError: When none answers.
        """
        partial = _Partial()

        def attempt(url: str) -> str:
            self._into(url, sink, partial, size, progress)
            with writing(sink.path, sink.need):
                faults.reach("post-download-pre-hash")
            if sha256 is not None and sink.digest != sha256:
                raise self._wrong(url, sink, sha256, partial)
            return url

        return str(self._rounds(urls, attempt, [], more))

    def read(
        self,
        urls: Sequence[str],
        *,
        limit: int,
        span: tuple[int, int] | None = None,
        accept: str = "*/*",
        data: bytes | None = None,
    ) -> bytes | None:
        """A small document from the first address that has it; None when every one says that it is not there.

        Args:
            urls: In the order to be tried.
            limit: Bytes at most.
            span: First and last byte; a negative first counts from the end. A server without ranges gives all.
            accept: Media types wanted.
            data: JSON that is sent along with a question that GET cannot ask.

        Raises:
            InvalidInput: ``too-large``.
            UnreachableError: When none answers and not all say that it is not there.
        """
        refused: list[EnvbuildError] = []
        try:
            return bytes(self._rounds(urls, lambda url: self._small(url, limit, span, accept, data), refused))
        except UnreachableError:
            if refused and all(error.reference == "not-found" for error in refused):
                return None
            raise

    def _rounds(
        self,
        urls: Iterable[str],
        attempt: Callable[[str], Any],
        refused: list[EnvbuildError],
        more: Callable[[], Iterable[str]] = tuple,
    ) -> Any:
        last: EnvbuildError | None = None
        silences: Counter[str] = Counter()
        waiting = list(dict.fromkeys(urls))
        for number in range(ATTEMPTS):
            pause = random.uniform(0, self._patience.pause * 2**number)  # noqa: S311  not a secret
            for url in _and_more(tuple(waiting), waiting, more if number == 0 else tuple, refused):
                if self._cancelled.is_set():
                    raise UnreachableError("the transfer was given up", reference="interrupted")
                try:
                    return attempt(url)
                except AgainError as error:
                    last, pause = error, max(pause, error.after)
                    silences[url] += error.silent
                    if silences[url] == MOST_SILENCES:
                        waiting.remove(url)
                except (IntegrityError, UnreachableError) as error:
                    waiting.remove(url)
                    refused.append(error)
            if not waiting:
                break
            if number < ATTEMPTS - 1:
                self._cancelled.wait(min(pause, _LONGEST_PAUSE))
        raise self._summary(refused, last)

    @staticmethod
    def _summary(refused: list[EnvbuildError], last: EnvbuildError | None) -> EnvbuildError:
        for error in refused:
            if isinstance(error, IntegrityError):
                return error
        if last is not None:
            return UnreachableError(f"{last.message} (asked several times)", retryable=True)
        return (
            refused[-1] if refused else UnreachableError("there is no address to get it from", reference="no-address")
        )

    def _wrong(self, url: str, sink: Incoming, sha256: Digest, partial: _Partial) -> EnvbuildError:
        if partial.continued:
            sink.restart()
            partial.url = ""
            partial.continued = False
            return AgainError(f"{redact(url)} gave two parts that do not belong together")
        if partial.unpacked and partial.as_it_comes != url:
            partial.as_it_comes = url
            return AgainError(f"{redact(url)} packs what it gives")
        return IntegrityError(
            f"{redact(url)} gave other bytes: expected sha256 {sha256}, got {sink.digest} ({sink.size} bytes)",
            reference="wrong-hash",
        )

    def _into(self, url: str, sink: Incoming, partial: _Partial, size: int | None, progress: Progress) -> None:
        limit = LARGEST_FILE if size is None else size
        if urlsplit(url).scheme == "file":
            sink.restart()
            for piece in pieces_of(url):
                sink.write(piece)
                _check_limit(url, sink.size, limit)
                progress(sink.size, size)
            return
        resume = sink.size > 0 and partial.url == url and partial.validator != ""
        headers = {"Range": f"bytes={sink.size}-", "If-Range": partial.validator} if resume else {}
        with self._line.place(size) as came, self._connections.open(url, headers) as response:
            if resume and response.status_code == 206 and continues(response, sink.size):
                partial.continued = True
            elif response.status_code == 200:
                sink.restart()
                partial.url, partial.validator, partial.continued = url, validator(response), False
            else:
                sink.restart()
                partial.url = ""
                raise AgainError(f"{redact(url)} gave another part than the one asked for")
            packed = is_packed(response) and partial.as_it_comes != url
            partial.unpacked = packed
            partial.validator = "" if packed else partial.validator
            total = size if packed else total_size(response, sink.size) or size
            self._stream(url, response, sink, limit, total, progress, came, unpack=packed)

    def _stream(
        self,
        url: str,
        response: requests.Response,
        sink: Incoming,
        limit: int,
        total: int | None,
        progress: Progress,
        came: Callable[[int], None],
        *,
        unpack: bool,
    ) -> None:
        for piece in self._pieces(url, response, unpack=unpack):
            came(len(piece))
            _check_limit(url, sink.size + len(piece), limit)
            sink.write(piece)
            with writing(sink.path, sink.need):
                faults.reach("mid-download")
            progress(sink.size, total)
        if not unpack and total is not None and "Content-Length" in response.headers and sink.size < total:
            raise AgainError(f"{redact(url)} stopped after {sink.size} of {total} bytes")

    def _pieces(self, url: str, response: requests.Response, *, unpack: bool) -> Iterator[bytes]:
        """The body as it comes; a transfer that all but stands still is cut."""
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if unpack else None
        since, moved = time.monotonic(), 0
        self._open.add(response)
        try:
            while piece := response.raw.read1(CHUNK, decode_content=False):
                moved += len(piece)
                now = time.monotonic()
                if now - since >= self._patience.stall:
                    if moved < _SLOWEST:
                        raise AgainError(f"{redact(url)} all but stands still", silent=True)
                    since, moved = now, 0
                if unpacker is None:
                    yield piece
                    continue
                while piece:  # in steps, so that the size limit sees a bomb in time
                    yield unpacker.decompress(piece, CHUNK)
                    piece = unpacker.unconsumed_tail
        except (HTTPError, OSError, zlib.error) as error:
            silent = isinstance(error, (ReadTimeoutError, TimeoutError))
            raise AgainError(f"{redact(url)} broke off: {reason(error)}", silent=silent) from error
        finally:
            self._open.discard(response)

    def _small(
        self, url: str, limit: int, span: tuple[int, int] | None, accept: str, sent: bytes | None = None
    ) -> bytes:
        if urlsplit(url).scheme == "file":
            return part_of(url, limit, span)
        headers = {"Accept": accept}
        if sent is not None:
            headers["Content-Type"] = "application/json"
        if span is not None:
            headers["Range"] = f"bytes={span[0]}" if span[0] < 0 else f"bytes={span[0]}-{span[1]}"
        with self._connections.open(url, headers, sent) as response:
            packed = is_packed(response)
            pieces, size = [], 0
            for piece in self._pieces(url, response, unpack=packed):
                pieces.append(piece)
                size += len(piece)
                check_small(url, size, limit)
            total = total_size(response, 0)
            if not packed and total is not None and size < total:
                raise AgainError(f"{redact(url)} stopped after {size} of {total} bytes")
            data = b"".join(pieces)
            return _cut(data, span) if span is not None and response.status_code == 200 else data


def _and_more(
    now: Sequence[str], waiting: list[str], more: Callable[[], Iterable[str]], refused: list[EnvbuildError]
) -> Iterator[str]:
    """The addresses of a round, then those that are asked for only when these have failed."""
    yield from now
    try:
        for url in more():
            if url not in now and url not in waiting:
                waiting.append(url)
                yield url
    except UnreachableError as error:
        refused.append(error)


def _check_limit(url: str, size: int, limit: int) -> None:
    if size > limit:
        raise IntegrityError(f"{redact(url)} gives more than the {limit} bytes expected", reference="wrong-size")


def _cut(data: bytes, span: tuple[int, int]) -> bytes:
    return data[span[0] :] if span[0] < 0 else data[span[0] : span[1] + 1]
