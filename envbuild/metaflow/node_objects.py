"""The objects of a store in a cloud, on a node: read as it began, by a few lines, where the clouds' libraries are not.

To start those takes longer than to read what a step needs: s3fs with botocore half a second, on each node. A node only
reads, and has no other right.

Rules of the file: on nodes only; asks once, as every ``Objects`` does (``envbuild.objects.retrying`` asks again).
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects import Listed, Odd, Put, check_name, check_size, unheard
from envbuild.objects.address import Address
from envbuild.objects.failures import (
    Pace,
    PassingError,
    Renewal,
    answered,
    check_whole,
    failed,
    known_sizes,
    refused,
    retry_after,
)
from envbuild.objects.streamed import Streamed

T = TypeVar("T")

_AT_ONCE = 24
_PIECE = 1 << 18


class NodeObjects(Streamed):
    """The objects at an address; implements ``envbuild.objects.Objects``, but for writing.

    Args:
        url: The address.
        address: The same, read; of S3, Google's or Azure's.
    """

    def __init__(self, url: str, address: Address) -> None:
        self._url = url
        self._shown = address.shown
        self._room: Any = import_module(f"envbuild.metaflow.node.get_{address.scheme}")
        self._renewal = Renewal()
        urllib.request.install_opener(urllib.request.build_opener(_OneContext()))

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """The bytes of those that exist; see ``Objects.sizes``."""
        asked = [check_name(name) for name in names]

        def one(name: str) -> int | UnreachableError | None:
            try:
                found: int | None = self._told(lambda: self._room.size(self._url, name))
            except UnreachableError as error:
                return error
            return found

        if not asked:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
            return known_sizes(asked, pool.map(one, asked))

    def put(self, name: str, source: Path | bytes) -> Put:
        """Not on a node."""
        self._refuse("writing")

    def delete(self, name: str) -> None:
        """Not on a node."""
        self._refuse("deleting")

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """Not on a node."""
        self._refuse("listing")

    def _refuse(self, doing: str) -> NoReturn:
        raise refused(self._shown, doing, "a node only reads")

    def _stream(self, name: str, write: Callable[[bytes], object], limit: int | None) -> bool:
        check_name(name)
        answer: Any = self._told(lambda: self._room.opened(self._url, name))
        if answer is None:
            return False
        with answer:
            promised = answer.headers["content-length"]
            done, pace = 0, Pace(self._shown)
            while piece := self._told(lambda: bytes(answer.read(_PIECE))):
                done += len(piece)
                pace.moved(len(piece))
                if limit is not None:
                    check_size(self._shown, name, done, limit)
                write(piece)
        check_whole(self._shown, done, int(promised) if promised else None)
        return True

    def _told(self, ask: Callable[[], T]) -> T:
        """The answer, or what its failure means."""
        since = time.monotonic()
        try:
            return ask()
        except EnvbuildError:
            raise
        except urllib.error.HTTPError as error:
            if error.code == 401 and self._renewal.helps(since, lambda: None):  # the room has forgotten them
                raise PassingError(f"{self._shown}: the credentials have expired") from None
            raise answered(self._shown, "reading", error.code, retry_after(dict(error.headers))) from None
        except urllib.error.URLError as error:
            cause = error.reason if isinstance(error.reason, OSError) else error
            raise failed(self._shown, "reading", cause) from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise failed(self._shown, "reading", error) from None


class _OneContext(urllib.request.HTTPSHandler):
    """Certificates are read once, which takes 20 ms, not once for each connection; where nobody needs them, never."""

    def __init__(self) -> None:
        urllib.request.AbstractHTTPHandler.__init__(self)  # without a context
        self._reading = threading.Lock()
        self._read: ssl.SSLContext | None = None

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """As of a handler of Python's own."""
        with self._reading:
            if self._read is None:
                self._read = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
        return self.do_open(http.client.HTTPSConnection, req, context=self._read)
