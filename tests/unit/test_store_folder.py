"""The folder store: names, records, verification, publishing of trees."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytest

from envbuild.derivations import Output
from envbuild.digest import Digest
from envbuild.errors import IntegrityError, NoSpaceError
from envbuild.machine.publish import Incoming, publish_tree
from envbuild.machine.temporary import remove_tree, scratch_folder, stale, sweep
from envbuild.package import Platform
from envbuild.store import Result
from envbuild.store.folder import FolderStore, open_store, result_from_bytes, result_to_bytes
from envbuild.store.verify import drop, verify_store

KEY = Digest("a" * 64)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> FolderStore:
    return open_store(tmp_path / "store", note=said.append)


def add(store: FolderStore, data: bytes) -> Digest:
    with Incoming(store.incoming) as incoming:
        incoming.write(data)
        store.blobs.adopt(incoming, incoming.digest)
        return incoming.digest


def record(store: FolderStore, **fields: object) -> Result:
    digest = add(store, b"output")
    result = Result(
        kind="solve",
        key=KEY,
        outputs=(("out", Output(sha256=digest, size=6)),),
        platform=Platform("linux-64"),
        created="2026-11-01T00:00:00Z",
        milliseconds=12,
        builder="envbuild",
        notes=("a note",),
    )
    return replace(result, **fields)  # type: ignore[arg-type]


def test_blobs(store: FolderStore, tmp_path: Path) -> None:
    digest = add(store, b"one")
    other = Digest(hashlib.sha256(b"two").hexdigest())
    assert store.blobs.known([digest, other]) == {digest}
    path = store.blobs.path(digest)
    assert path == tmp_path / "store" / "blobs" / "sha256" / digest[:2] / digest
    source = tmp_path / "two"
    source.write_bytes(b"two")
    assert [store.blobs.put(source, other), store.blobs.put(source, other)] == ["created", "exists"]
    with pytest.raises(IntegrityError, match=f"expected sha256 {KEY}, got {other}"):
        store.blobs.put(source, KEY)
    assert sorted(entry[:2] for entry in store.blobs.list()) == sorted([(digest, 3), (other, 3)])
    store.blobs.delete(digest)
    store.blobs.delete(digest)
    assert store.blobs.path(digest) is None


def test_records_round_trip_and_are_written_once(store: FolderStore) -> None:
    result = record(store)
    assert result_from_bytes(result_to_bytes(result)) == result
    assert store.results.get("solve", KEY) is None
    assert store.results.put(result) == "created"
    assert store.results.put(replace(result, builder="another")) == "exists"
    assert store.results.get("solve", KEY) == result
    assert store.results.known("solve", [KEY, Digest("b" * 64)]) == {KEY}
    assert list(store.results.list("solve")) == [KEY]
    store.results.delete("solve", KEY)
    assert store.results.get("solve", KEY) is None
    with pytest.raises(KeyError):
        store.results.get("../solve", KEY)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree | {"version": 2},
        lambda tree: tree | {"kind": "fetch"},
        lambda tree: tree | {"key": "b" * 64},
        lambda tree: tree | {"outputs": {"out": {"sha256": "../../etc/passwd", "size": 1}}},
        lambda tree: tree | {"outputs": {"out": {"sha256": "a" * 64, "size": -1}}},
        lambda tree: tree | {"outputs": [1]},
        lambda tree: tree | {"unknown": 1},
        lambda tree: {},
    ],
)
def test_what_is_no_record_counts_as_absent_is_said_once_and_makes_way(
    store: FolderStore, said: list[str], change: object
) -> None:
    result = record(store)
    store.results.put(result)
    path = store.results.name("solve", KEY)
    path.chmod(0o644)
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))))  # type: ignore[operator]
    assert store.results.get("solve", KEY) is None
    assert store.results.get("solve", KEY) is None
    assert len(said) == 1
    assert store.results.put(result) == "created"
    assert store.results.get("solve", KEY) == result


def test_a_record_asks_the_system_for_what_it_needs_and_for_nothing_twice(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", durability="fast")
    store.results.put(record(store))  # makes the folders
    other = record(store, key=Digest("a" * 63 + "b"))
    asked: Counter[str] = Counter()

    def count(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__module__", "") in {os.link.__module__, fcntl.flock.__module__}:
            asked[called.__name__] += 1

    sys.setprofile(count)
    try:
        store.results.put(other)
    finally:
        sys.setprofile(None)
    once = ("open", "flock", "fstat", "write", "fchmod", "link", "unlink", "close")
    assert {name: asked.pop(name) for name in once} == dict.fromkeys(once, 1)
    assert not asked.keys() & {"stat", "lstat", "mkdir", "fsync"}


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"[" * 5000, b'{"version": 1, "version": 1}', b"1e999", "é".encode("latin-1")]
)
def test_bytes_that_are_no_record(store: FolderStore, data: bytes) -> None:
    path = store.results.name("solve", KEY)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert store.results.get("solve", KEY) is None


def test_verification_finds_everything_and_drop_removes_it(store: FolderStore, tmp_path: Path) -> None:
    good = add(store, b"good")
    store.results.put(record(store))
    assert verify_store(store).findings == ()
    flipped, swapped, linked = (add(store, data) for data in (b"flipped", b"swapped", b"linked"))
    for digest, data in ((flipped, b"fliqped"), (swapped, b"good")):
        path = store.blobs.name(digest)
        path.chmod(0o644)
        path.write_bytes(data)
    outside = tmp_path / "outside"
    outside.write_bytes(b"linked")
    store.blobs.name(linked).unlink()
    store.blobs.name(linked).symlink_to(outside)
    stray = store.path / "blobs" / "sha256" / "zz" / "README"
    stray.parent.mkdir()
    stray.write_text("a stranger")
    store.blobs.delete(Digest(hashlib.sha256(b"output").hexdigest()))
    report = verify_store(store)
    assert set(report.damaged) == {flipped, swapped, linked}
    problems = sorted(finding.problem for finding in report.findings)
    assert problems == ["misplaced", "misplaced", "missing-output", "symbolic-link", "wrong-bytes", "wrong-bytes"]
    drop(store, report)
    assert {finding.problem for finding in verify_store(store).findings} == {"misplaced"}
    assert store.blobs.path(good) is not None
    assert outside.read_bytes() == b"linked"
    assert stray.exists()


def test_a_tree_gets_its_name_once(tmp_path: Path) -> None:
    final = tmp_path / "prefixes" / "one"
    for number, expected in ((1, True), (2, False)):
        with scratch_folder(tmp_path / "tmp") as scratch:
            (scratch / "tree").mkdir()
            (scratch / "tree" / "file").write_text(str(number))
            assert publish_tree(scratch / "tree", final, "safe") is expected
    assert (final / "file").read_text() == "1"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_scratch_may_be_removed_later_and_is_held_until_then(tmp_path: Path) -> None:
    left: list[Callable[[], None]] = []
    folder = tmp_path / "tmp"
    for number in range(2):
        with scratch_folder(folder, left.append) as scratch:
            (scratch / "file").write_text(str(number))
    assert len([path for path in folder.iterdir() if path.is_dir()]) == len(left) == 2
    sweep(folder)  # of another process
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 2
    for remove in left:
        remove()
    assert list(folder.iterdir()) == []


def test_scratch_is_removed_even_when_read_only_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    with scratch_folder(tmp_path / "tmp") as scratch:
        (scratch / "sub").mkdir()
        (scratch / "sub" / "file").write_text("")
        (scratch / "link").symlink_to(outside)
        (scratch / "sub").chmod(0o500)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (outside / "precious").exists()
    (tmp_path / "link").symlink_to(outside)
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "never there")
    assert (outside / "precious").exists()


def test_only_what_nobody_holds_is_stale(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    with scratch_folder(folder), Incoming(folder) as mine:
        mine.write(b"x")
        (folder / "dead").write_text("")
        (folder / "dead-folder").mkdir()
        assert {path.name for path in stale(folder)} == {"dead", "dead-folder"}


@pytest.mark.parametrize("locks", ["files", "none"])
def test_what_another_machine_holds_is_not_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: Literal["files", "none"]
) -> None:
    """As NFS has it: locks of folders stay on their machine, an exclusive one needs a file that may be written."""
    folder = tmp_path / "tmp"
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if locks == "none":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return
        if operation & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, operation)

    with scratch_folder(folder) as scratch, Incoming(folder) as mine:
        monkeypatch.setattr(fcntl, "flock", flock)
        (folder / "dead").write_text("")
        (folder / "dead.hold").write_text("")
        (folder / "dead-folder.hold").write_text("")
        (folder / "dead-folder").mkdir()
        gone = {"dead", "dead.hold", "dead-folder", "dead-folder.hold"} if locks == "files" else set()
        assert {path.name for path in stale(folder)} == gone
        sweep(folder)
        assert scratch.is_dir()
        assert mine.path.exists()


def test_a_temporary_file_that_is_not_published_goes(tmp_path: Path) -> None:
    def fail() -> None:
        with Incoming(tmp_path / "tmp") as incoming:
            incoming.write(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_folder_in_the_way_is_an_error_with_the_path(store: FolderStore) -> None:
    blocked = store.path / "blobs" / "sha256"
    blocked.mkdir(parents=True)
    digest = hashlib.sha256(b"x").hexdigest()
    (blocked / digest[:2]).write_text("a file where a folder must be")
    with pytest.raises(NoSpaceError, match=digest[:2]):
        add(store, b"x")
    assert list(store.incoming.iterdir()) == []
    (blocked / digest[:2]).unlink()
    assert add(store, b"x") == digest
