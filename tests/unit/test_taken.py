"""What was taken from stores: added up over days and processes, bounded, and never in the way."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from pathlib import Path

from envbuild.store.taken import LARGEST, Given, note_taken, read_taken

TODAY = date(2026, 11, 21)


def test_lines_of_many_at_once_are_added_up(tmp_path: Path) -> None:
    folder = tmp_path / "taken"

    def note() -> None:
        for _ in range(20):
            note_taken(folder, TODAY, {"s3://a": (2, 10), "s3://b": (0, 0)}, (3, 100))

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_taken(folder, TODAY) == {
        "s3://a": Given(count=320, size=1600, wanted=800, runs=160),
        "s3://b": Given(count=0, size=0, wanted=800, runs=160),
    }


def test_a_month_counts_and_older_days_go(tmp_path: Path) -> None:
    for ago in (40, 31, 30, 29, 1, 0):
        note_taken(tmp_path / "taken", TODAY - timedelta(days=ago), {"x": (1, 1)}, (0, 0))
    assert read_taken(tmp_path / "taken", TODAY)["x"].count == 3
    names = sorted(path.name for path in (tmp_path / "taken").iterdir())
    assert names == [f"{(TODAY - timedelta(days=ago)).isoformat()}.jsonl" for ago in (29, 1, 0)]


def test_what_is_no_line_is_passed_over_and_a_full_day_is_full(tmp_path: Path) -> None:
    note_taken(tmp_path / "taken", TODAY, {"x": (1, 5)}, (1, 1))
    (file,) = (tmp_path / "taken").iterdir()
    bad = (
        b'{"stores": {"x": [1]}, "own": [1, 2]}\n{"stores": {"x": [-1, 2]}, "own": [1, 2]}\n[]\n\xff\n{\n' + b"[" * 9999
    )
    file.write_bytes(file.read_bytes() + bad + b"\n")
    note_taken(tmp_path / "taken", TODAY, {"x": (1, 5)}, (1, 1))
    assert read_taken(tmp_path / "taken", TODAY) == {"x": Given(count=2, size=10, wanted=4, runs=2)}
    file.write_bytes(b"x" * (LARGEST + 1))
    note_taken(tmp_path / "taken", TODAY, {"x": (1, 5)}, (1, 1))
    assert file.stat().st_size == LARGEST + 1
    assert read_taken(tmp_path / "taken", TODAY) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    note_taken(tmp_path / "taken", TODAY, {"x": (1, 1)}, (0, 0))
    assert read_taken(tmp_path / "taken", TODAY) == {}
