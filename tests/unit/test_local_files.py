"""Parts of local files: only the bytes asked for are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.errors import InvalidInput, UnreachableError
from envbuild.machine.local_files import part_of, pieces_of

CONTENT = bytes(range(100))


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "ä file"
    path.write_bytes(CONTENT)
    return path.as_uri()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (None, CONTENT),
        ((0, 9), CONTENT[:10]),
        ((90, 200), CONTENT[90:]),
        ((-10, 0), CONTENT[-10:]),
        ((-200, 0), CONTENT),
        ((100, 120), b""),
    ],
)
def test_spans(url: str, span: tuple[int, int] | None, expected: bytes) -> None:
    assert part_of(url, 100, span) == expected


def test_pieces(url: str) -> None:
    assert b"".join(pieces_of(url)) == CONTENT


def test_more_than_allowed_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    assert part_of(path.as_uri(), 100, ((1 << 39), (1 << 39) + 9)) == b"\0" * 10
    assert part_of(path.as_uri(), 100, (-10, 0)) == b"\0" * 10
    for span in (None, (0, 1000)):
        with pytest.raises(InvalidInput, match="more than 100 bytes"):
            part_of(path.as_uri(), 100, span)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as error:
        part_of((tmp_path / "none").as_uri(), 100, None)
    assert error.value.reference == "not-found"
    with pytest.raises(UnreachableError) as error:
        part_of(tmp_path.as_uri(), 100, None)
    assert error.value.reference == "refused"
