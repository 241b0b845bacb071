"""H16-H19: hostile and damaged locks, by the command line. A lock is read, never repaired, and never written over."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.case import Case
from tests.hostile.attack import attack
from tests.support.servers import Server

Change = Callable[[dict[str, Any]], object]
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def locked(case: Case, wheel_index: Server) -> Case:
    """A project with a recipe ``x.yaml`` and its lock."""
    case.recipe(f"interpreter: host\npython: 3.11\npypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy:\n")
    return case.run("lock", "x.yaml")


def change_first(case: Case, change: Change) -> int:
    """Change the first package line of a lock; its number."""
    path = case.project / "x.lock.yaml"
    lines = path.read_text().splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith("      - "))
    tree = json.loads(lines[number][8:])
    change(tree)
    lines[number] = "      - " + json.dumps(tree)
    path.write_text("\n".join(lines) + "\n")
    return number + 1


PACKAGES: list[tuple[str, Change, str, int]] = [
    ("H16", lambda tree: tree.pop("sha256"), "missing-key", 3),
    ("H16", lambda tree: (tree.pop("sha256"), tree.update(md5="0" * 32)), "unknown-key", 3),
    ("H16", lambda tree: tree.update(sha256="0" * 40), "bad-hash", 3),
    ("H16", lambda tree: tree.update(sha256=tree["sha256"][:63]), "bad-hash", 3),
    ("H16", lambda tree: tree.update(sha256=tree["sha256"].upper().replace("0", "A")), "bad-hash", 3),
    ("H16", lambda tree: tree.update(sha256=EMPTY), "bad-hash", 3),
    ("H16", lambda tree: tree.update(sha256=tree["sha256"][:12]), "bad-hash", 3),
    ("H17", lambda tree: tree.update(version="9.9"), "identity", 4),
    ("H17", lambda tree: tree.update(name="evil"), "identity", 4),
    ("H17", lambda tree: tree.update(file="evil-2.0-py3-none-any.whl"), "identity", 4),
    ("H17", lambda tree: tree.update(file="../../evil-2.0-py3-none-any.whl"), "bad-name", 3),
    ("H18", lambda tree: tree.update(index="https://me:hunter2@x.example/simple"), "secret-in-lock", 3),
    ("H18", lambda tree: tree.update(url="https://x.example/a.whl?X-Amz-Signature=hunter2"), "secret-in-lock", 3),
    ("H18", lambda tree: tree.update(url="https://x.example/a.whl?sig=hunter2"), "secret-in-lock", 3),
    ("H19", lambda tree: tree.update(sha256=hashlib.sha256(b"forged").hexdigest()), "lock-edited", 4),
]


@pytest.mark.parametrize(
    ("row", "change", "reference", "code"), PACKAGES, ids=[f"{row[0]}-{number}" for number, row in enumerate(PACKAGES)]
)
def test_a_hostile_package_is_refused(locked: Case, row: str, change: Change, reference: str, code: int) -> None:
    line = change_first(locked, change)
    for command in (("realize", "x.yaml"), ("realize", "x.yaml", "--frozen"), ("lock", "x.yaml", "--check")):
        outcome = attack(locked, *command, code=code, reference=reference)
        assert "x.lock.yaml" in outcome.err
        if reference != "lock-edited":
            assert f"x.lock.yaml:{line}" in outcome.places, outcome
        assert "hunter2" not in outcome.err + outcome.out


TEXTS = [
    ("H19", "version: 1", "version: 2", "lock-version", 3),
    ("H19", "version: 1", "<<<<<<< ours\nversion: 1\n=======\nversion: 1\n>>>>>>> theirs", "merge-conflict", 3),
    ("H19", "  linux-64:", "  osx-arm64:", "lock-edited", 4),
    ("H19", "  linux-64:", "  amiga-68k:", "bad-platform", 3),
    ("H19", 'python: "3.11"', 'python: "3.12"', "lock-edited", 4),
    ("H19", 'request: "', 'request: "x', "bad-hash", 3),
    ("H19", "platforms:", "surprise: \x1b[31m\nplatforms:", "bad-syntax", 3),
    ("H02", "platforms:", "x: &x [*x]\nplatforms:", "bad-yaml-alias", 3),
    ("H01", "version: 1", "version: !!python/name:os.system 1", "bad-yaml-tag", 3),
]


@pytest.mark.parametrize(
    ("row", "old", "new", "reference", "code"), TEXTS, ids=[f"{row[0]}-{number}" for number, row in enumerate(TEXTS)]
)
def test_a_hostile_lock_is_refused(locked: Case, row: str, old: str, new: str, reference: str, code: int) -> None:
    path = locked.project / "x.lock.yaml"
    text = re.sub(r"  (linux|osx)-(64|arm64|aarch64):", "  linux-64:", path.read_text())
    assert old in text
    path.write_text(text.replace(old, new, 1))
    for command in (("realize", "x.yaml"), ("realize", "x.yaml", "--frozen"), ("show", "x.yaml")):
        outcome = attack(locked, *command, code=code, reference=reference)
        assert "x.lock.yaml" in outcome.err
        assert "hint: " in outcome.err or reference in {"bad-hash", "bad-platform"}, outcome


BOMBS: dict[str, Callable[[Path], object]] = {
    "brackets": lambda path: path.write_text("[" * 400_000),
    "brackets in a line": lambda path: path.write_text("version: 1\nrequest: " + "[" * 400_000 + "\n"),
    "braces in a package": lambda path: path.write_text(
        "version: 1\nplatforms:\n  linux-64:\n    wheels:\n      - " + '{"a":' * 100_000 + "1" + "}" * 100_000 + "\n"
    ),
    "a number of a million digits": lambda path: path.write_text("version: " + "9" * 1_000_000 + "\n"),
    "64 MiB and a byte": lambda path: path.write_bytes(b"#" * ((64 << 20) + 1)),
    "8 GiB of nothing": lambda path: sparse(path, 8 << 30),
    "a flow mapping of 60 MB": lambda path: path.write_bytes(b"version: {" + b"a: 1, " * 10_000_000 + b"}\n"),
    "a list of 60 MB": lambda path: path.write_bytes(b"version: [" + b"a, " * 20_000_000 + b"]\n"),
    "64 MiB of one mapping": lambda path: path.write_bytes(b"version: 1\n" + b"a: 1\n" * (12 << 20)),
}


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_a_lock_costs_little(case: Case, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """H04 for locks: time and memory are bounded, whatever a lock holds."""
    case.recipe("interpreter: host\npython: 3.11\n")
    BOMBS[kind](case.project / "x.lock.yaml")
    monkeypatch.setattr("tests.hostile.attack.contents", lambda folder: {})  # reading 8 GiB is not the point here
    attack(case, "show", "x.yaml", code=3, reference=None, lines=22)
    attack(case, "lock", "x.yaml", code=3, reference=None, lines=22)


def test_a_lock_that_is_a_folder_or_a_pipe(case: Case) -> None:
    case.recipe("interpreter: host\npython: 3.11\n")
    (case.project / "x.lock.yaml").mkdir()
    attack(case, "show", "x.yaml", code=3, reference="bad-path")
