"""The memory of verified blobs across processes: it saves hashing, and never believes a file that somebody touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from envbuild.digest import Digest, digest_bytes
from envbuild.store import verified
from envbuild.store.folder import FolderBlobs
from envbuild.store.verified import VerifiedBlobs

DATA = b"package" * 1000
NAME = digest_bytes(DATA)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was hashed."""
    seen: list[Path] = []
    real: Callable[[Path], Digest] = verified.digest_file

    def counting(path: Path) -> Digest:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(verified, "digest_file", counting)
    return seen


def another_process(folder: Path) -> VerifiedBlobs:
    """What a new process would open."""
    blobs = FolderBlobs(folder / "store", durability="fast")
    return VerifiedBlobs(blobs, lock=lambda _: nullcontext(), note=lambda _: None, memory=folder / "memory")


def stored(folder: Path) -> Path:
    blobs = another_process(folder)._blobs
    path = blobs.name(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    path.chmod(0o444)
    return path


def test_a_file_is_hashed_once_for_all_processes(tmp_path: Path, hashed: list[Path]) -> None:
    path = stored(tmp_path)
    for _ in range(3):
        assert another_process(tmp_path).path(NAME) == path
    assert hashed == [path]


def same_times(path: Path, state: os.stat_result) -> None:
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"P")
    path.chmod(0o444)


def replace(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(b"P" + DATA[1:])
    fresh.replace(path)


def through_a_hard_link(path: Path) -> None:
    other = path.with_name("other")
    other.hardlink_to(path)
    flip(other)
    other.unlink()


@pytest.mark.parametrize("harm", [flip, replace, through_a_hard_link, lambda path: os.truncate(path, 5), None])
def test_whoever_touches_the_file_is_noticed(
    harm: Callable[[Path], None] | None, tmp_path: Path, hashed: list[Path]
) -> None:
    path = stored(tmp_path)
    assert another_process(tmp_path).path(NAME) == path
    state = path.stat()
    if harm is None:
        path.unlink()
        path.symlink_to("/etc/passwd")
    else:
        harm(path)
        same_times(path, state)
    assert another_process(tmp_path).path(NAME) is None
    assert not os.path.lexists(path)


@pytest.mark.parametrize("text", [b"", b"(1, 2, 3)", b"\xff", b"__import__('os').abort()"])
def test_a_memory_that_says_something_else_is_not_believed(text: bytes, tmp_path: Path, hashed: list[Path]) -> None:
    path = stored(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / NAME).write_bytes(text)
    assert another_process(tmp_path).path(NAME) == path
    assert hashed == [path]


def test_files_of_somebody_else_are_hashed_in_each_process(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    for _ in range(2):
        assert another_process(tmp_path).path(NAME) is not None
    assert len(hashed) == 2
