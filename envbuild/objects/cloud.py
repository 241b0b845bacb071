"""Objects in a bucket: what S3, Google's and Azure's have in common, over fsspec's loop and connections.

Each cloud gives a ``Bucket``: five questions as coroutines, each one request where the service can do so, without
listings, caches or retries of its library. They run on fsspec's one thread for I/O; callers are any threads. A transfer
is handed over in pieces through a short queue, so it takes the same memory whatever its size, and a caller that gives
up ends it.

The connections belong to the process that made them: a forked child is refused (fsspec's loop does not survive a fork),
and nothing here can be pickled. Processes get an address.

Rules of the file: asks once (``envbuild.objects.retrying`` asks again); knows no cloud.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import Listed, Odd, Put, check_name, check_size, unheard
from envbuild.objects.failures import STALL, AbsentError, Pace, known_sizes
from envbuild.objects.streamed import Streamed

T = TypeVar("T")

IN_FLIGHT = 96
"""Sizes asked for at once. Connections are kept for as many."""

LARGE = 8 << 20
"""Bytes from which a put is large: only two of those are under way at once, so that memory stays bounded."""

_PIECE = 1 << 18
_QUEUED = 2


class Bucket(Protocol):
    """One bucket or container; keys are whole. Every coroutine runs on fsspec's loop, and asks once.

    Absent is ``AbsentError``; everything else that fails raises through ``failure``.
    """

    async def size(self, key: str) -> int:
        """Bytes of an object."""
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of an object, in pieces of any length; ends early only by an exception."""
        ...

    async def create(self, key: str, source: Path | bytes) -> Put:
        """A create-only put."""
        ...

    def pages(self, prefix: str) -> AsyncIterator[list[tuple[str, int, float]]]:
        """Keys, sizes and times of a listing."""
        ...

    async def delete(self, key: str) -> None:
        """Forget an object; absent is fine."""
        ...

    async def unfinished(self, prefix: str) -> list[tuple[str, float]]:
        """Keys of uploads that were begun and not ended, as far as the service keeps such, and when they began."""
        ...

    def failure(self, doing: str, error: Exception, since: float) -> EnvbuildError | AbsentError:
        """What an exception of the cloud's library means, for what was asked at that moment (monotonic)."""
        ...


class CloudObjects(Streamed):
    """The objects under a prefix of a bucket; implements ``envbuild.objects.Objects``.

    Args:
        connect: Makes the bucket's connections; called on the first question, once.
        prefix: What stands before every name, without slashes around it.
        shown: The address as people may see it.
        stall: Seconds without enough bytes after which a transfer is cut.
        answered: Told when a question was asked, as soon as the first byte of its answer is there.
    """

    def __init__(
        self,
        connect: Callable[[], Bucket],
        prefix: str,
        shown: str,
        stall: float = STALL,
        answered: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._answered = answered
        self._prefix = f"{prefix}/" if prefix else ""
        self._shown = shown
        self._stall = stall
        self._process = os.getpid()
        self._guard = threading.Lock()
        self._large = threading.BoundedSemaphore(2)
        self._refusal: UnreachableError | None = None
        self._opened: tuple[Bucket, asyncio.AbstractEventLoop] | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("connections to a store are not pickled: give the address")

    def put(self, name: str, source: Path | bytes) -> Put:
        """Create an object; see ``Objects.put``."""
        key = self._prefix + check_name(name)
        bytes_ = len(source) if isinstance(source, bytes) else source.stat().st_size
        if isinstance(source, Path) and bytes_ < LARGE:
            source = source.read_bytes()
        if bytes_ < LARGE:
            return self._run("writing", lambda bucket: bucket.create(key, source))
        before = self._refusal
        if name in self.sizes((name,)):  # one question, rather than all of its bytes in vain
            return "exists"
        with self._large:
            if self._refusal is not None and self._refusal is not before:  # while we waited: what was said holds for us
                raise self._refusal
            try:
                return self._run("writing", lambda bucket: bucket.create(key, source))
            except UnreachableError as error:
                if error.reference == "refused":
                    self._refusal = error
                raise

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes, ``IN_FLIGHT`` asked for at once; see ``Objects.sizes``."""
        wanted = tuple(dict.fromkeys(check_name(name) for name in names))
        if not wanted:
            return {}
        return known_sizes(wanted, self._run("reading", lambda bucket: self._sizes(bucket, wanted)))

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """A listing; see ``Objects.list``."""
        pages: queue.SimpleQueue[list[tuple[str, int, float]] | None] = queue.SimpleQueue()
        yielding = self._handed(lambda bucket: bucket.pages(self._prefix + prefix), pages, "listing")
        for page in yielding:
            for key, size, modified in page:
                listed = self._listed(key, size, modified)
                if listed is not None:
                    yield listed
                else:
                    odd(key.removeprefix(self._prefix), "is no name of an object")

    def delete(self, name: str) -> None:
        """Forget an object."""
        key = self._prefix + check_name(name)
        self._run("deleting", lambda bucket: bucket.delete(key))

    def unfinished(self) -> Sequence[tuple[str, float]]:
        """Uploads that were begun and not ended, by the keys that they were to have, and when they began.

        Raises:
            UnreachableError: ``refused`` where we may not list them; or when it does not answer.
        """
        return self._run("listing", lambda bucket: bucket.unfinished(self._prefix))

    def _listed(self, key: str, size: int, modified: float) -> Listed | None:
        name = key.removeprefix(self._prefix)
        try:
            return Listed(name=check_name(name), size=size, modified=modified)
        except EnvbuildError:
            return None

    def _stream(self, name: str, write: Callable[[bytes], object], limit: int | None) -> bool:
        key = self._prefix + check_name(name)
        pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        done = 0
        try:
            for piece in self._handed(lambda bucket: self._paced(bucket.stream(key)), pieces, "reading"):
                done += len(piece)
                if limit is not None:
                    check_size(self._shown, name, done, limit)
                write(piece)
        except AbsentError:
            return False
        return True

    async def _paced(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of a transfer, larger ones, and none of a transfer that all but stands still."""
        pace = Pace(self._shown, self._stall)
        held = bytearray()
        began: float | None = time.monotonic()
        async for piece in stream:
            if began is not None:
                self._answered(began)
                began = None
            pace.moved(len(piece))
            held += piece
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    def _handed(
        self,
        begin: Callable[[Bucket], AsyncIterator[T]],
        pieces: queue.SimpleQueue[T | None],
        doing: str,
    ) -> Iterator[T]:
        """What a coroutine gives, in this thread; at most ``_QUEUED`` pieces wait in between."""
        bucket, loop = self._open(doing)
        slots = asyncio.Semaphore(_QUEUED)

        async def pump() -> None:
            try:
                async with aclosing(begin(bucket)) as stream:  # type: ignore[type-var]  # generators, all of them
                    async for piece in stream:
                        await slots.acquire()
                        pieces.put(piece)
            finally:
                pieces.put(None)

        running = asyncio.run_coroutine_threadsafe(self._told(bucket, doing, pump()), loop)
        try:
            while (piece := pieces.get()) is not None:
                loop.call_soon_threadsafe(slots.release)
                yield piece
            running.result()
        finally:
            running.cancel()

    async def _sizes(self, bucket: Bucket, names: tuple[str, ...]) -> Sequence[int | UnreachableError | None]:
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(name: str) -> int | UnreachableError | None:
            async with slots:
                began = time.monotonic()
                try:
                    size = await self._told(bucket, "reading", bucket.size(self._prefix + name))
                    self._answered(began)
                    return size
                except AbsentError:
                    return None
                except UnreachableError as error:
                    return error

        return await asyncio.gather(*(one(name) for name in names))

    def _run(self, doing: str, ask: Callable[[Bucket], Coroutine[Any, Any, T]]) -> T:
        bucket, loop = self._open(doing)
        running = asyncio.run_coroutine_threadsafe(self._told(bucket, doing, ask(bucket)), loop)
        try:
            return running.result()
        finally:
            running.cancel()

    async def _told(self, bucket: Bucket, doing: str, asking: Coroutine[Any, Any, T]) -> T:
        """The answer, or what its failure means."""
        since = time.monotonic()
        try:
            return await asking
        except (EnvbuildError, AbsentError):
            raise
        except Exception as error:
            # Without the cause: its text is the server's, which may repeat our own headers.
            raise bucket.failure(doing, error, since) from None

    def _open(self, doing: str) -> tuple[Bucket, asyncio.AbstractEventLoop]:
        if os.getpid() != self._process:
            raise UnreachableError(
                f"{self._shown} was opened before this process was forked, which its connections do not survive",
                reference="forked",
                hint='start processes by "spawn" or "forkserver", and open the store in each',
            )
        with self._guard:
            if self._opened is None:
                from fsspec.asyn import get_loop

                self._opened = (self._connect(), get_loop())
            return self._opened


def proxy_for(address: str) -> str | None:
    """The proxy of the usual variables, for libraries whose own reading of them would also send what netrc says."""
    parts = urlsplit(address)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
