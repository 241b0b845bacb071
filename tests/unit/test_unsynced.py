"""Marks of what is unpacked and not synced: one a process, gone after a sync that nothing was unpacked beside."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from envbuild.machine import unsynced
from envbuild.machine.home import Home
from envbuild.machine.unsynced import Unsynced


@pytest.fixture(autouse=True)
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tells this boot."""
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    monkeypatch.setattr(unsynced, "_BOOT", file)
    monkeypatch.setattr(unsynced, "_MACHINE", tmp_path / "absent")
    return file


def marking(cache: Path, notes: list[str] | None = None, durability: str = "safe") -> Unsynced:
    return Unsynced(Home(path=cache.parent), durability, nullcontext, (notes if notes is not None else []).append)  # type: ignore[arg-type]


def names_of(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "unsynced").glob("*"))


def names(cache: Path) -> list[str]:
    return [name.split(".")[1] for name in names_of(cache)]


def test_a_mark_is_there_from_the_first_unpacking_to_the_sync_after_the_last(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one = marking(cache)
    with one.unpacking():
        assert names(cache) == ["boot-1"]
        with one.unpacking():
            assert names(cache) == ["boot-1"]
    assert names(cache) == ["boot-1"]
    with one.syncing():
        pass
    assert names(cache) == []
    with one.unpacking():
        assert names(cache) == ["boot-1"]


def test_a_sync_beside_which_something_is_unpacked_proves_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one = marking(cache)
    with one.unpacking(), one.syncing():
        pass
    assert names(cache) == ["boot-1"]
    with one.syncing(), one.unpacking():
        pass
    assert names(cache) == ["boot-1"]
    with one.syncing():
        pass
    assert names(cache) == []


def test_a_sync_of_one_process_says_nothing_of_anothers(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one, other = marking(cache), marking(cache)
    with one.unpacking(), other.unpacking():
        assert names(cache) == ["boot-1", "boot-1"]
    with one.syncing():
        pass
    assert names(cache) == ["boot-1"]


def test_after_another_boot_the_caches_go_once(tmp_path: Path, boot: Path) -> None:
    cache, notes = tmp_path / "cache", list[str]()
    with marking(cache).unpacking():
        (cache / "rattler" / "packages").mkdir(parents=True)
        (cache / "hints").mkdir()
    boot.write_text("boot-2\n")
    with marking(cache, notes).unpacking():
        assert not (cache / "rattler").exists()
        assert (cache / "hints").is_dir()
        assert names(cache) == ["boot-2"]
        (cache / "rattler").mkdir()
    with marking(cache, notes).unpacking():
        assert (cache / "rattler").is_dir()
    assert len(notes) == 1


def test_who_has_the_home_alone_syncs_and_takes_marks_of_this_boot_away(tmp_path: Path, boot: Path) -> None:
    cache = tmp_path / "cache"
    with marking(cache).unpacking():
        pass
    boot.write_text("boot-2\n")
    (cache / "unsynced" / f"{names_of(cache)[0].split('.')[0]}.boot-2.1-1").touch()
    unsynced.leave_no_mark(cache)
    assert names(cache) == ["boot-1"]
    boot.unlink()
    unsynced.leave_no_mark(cache)
    assert names(cache) == ["boot-1"]


def test_without_boots_or_syncs_there_are_no_marks(tmp_path: Path, boot: Path) -> None:
    with marking(tmp_path / "fast" / "cache", durability="fast").unpacking():
        assert not (tmp_path / "fast").exists()
    boot.unlink()
    with marking(tmp_path / "cache").unpacking():
        assert not (tmp_path / "cache").exists()
