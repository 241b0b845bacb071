"""Files named by ``file:`` addresses, read as downloads are: in pieces, whole or in part, never more than allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from envbuild.digest import CHUNK
from envbuild.errors import InvalidInput, UnreachableError
from envbuild.machine.credentials import redact
from envbuild.urls import file_path


def pieces_of(url: str) -> Iterator[bytes]:
    """The bytes of a file, in pieces.

    Raises:
        UnreachableError: ``not-found``, or ``refused`` when it cannot be read.
    """
    with _opened(url) as stream:
        while piece := stream.read(CHUNK):
            yield piece


def part_of(url: str, limit: int, span: tuple[int, int] | None) -> bytes:
    """A small file, or some bytes of one of any size.

    Args:
        url: Its address.
        limit: Bytes that the answer may have.
        span: First and last byte, or ``(-n, …)`` for the last n; None for the whole.

    Raises:
        InvalidInput: ``too-large``. UnreachableError: as ``pieces_of``.
    """
    with _opened(url) as stream:
        size = os.fstat(stream.fileno()).st_size
        first, last = (0, size - 1) if span is None else (size + span[0], size - 1) if span[0] < 0 else span
        first, count = max(0, first), max(0, min(last, size - 1) - max(0, first) + 1)
        check_small(url, count, limit)
        stream.seek(first)
        return stream.read(count)


def check_small(url: str, size: int, limit: int) -> None:
    """Refuse more bytes than allowed.

    Raises:
        InvalidInput: ``too-large``.
    """
    if size > limit:
        raise InvalidInput(f"{redact(url)} gives more than {limit} bytes", reference="too-large")


@contextmanager
def _opened(url: str) -> Iterator[BinaryIO]:
    path = file_path(url)
    try:
        with path.open("rb") as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreachableError(f"{path} is not there", reference="not-found") from error
    except OSError as error:
        raise UnreachableError(f"{path} cannot be read: {error.strerror}", reference="refused") from error
