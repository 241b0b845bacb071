"""``history RECIPE``: the revisions of a real repository that changed a lock, and what each changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def git(case: Case, *words: str) -> None:
    settings = ["-c", "user.name=Ann \x1b[2J", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *words], cwd=case.project, check=True, capture_output=True, env=case.environ)


def commit(case: Case, subject: str) -> None:
    git(case, "add", "-A")
    git(case, "commit", "-q", "--allow-empty", "-m", subject)


@pytest.fixture
def repository(case: Case, wheel_index: Server) -> Case:
    """Three versions of one lock, and a commit that leaves it."""
    if shutil.which("git") is None:
        pytest.skip("NO GIT: it is not on PATH")
    git(case, "init", "-q")
    text = f"interpreter: host\npython: {SERIES}\npypi:\n  index: {wheel_index.url}/simple\n  packages:\n"
    case.recipe(text + "    toy: '==1.0'\n", "train.yaml").run("lock", "train.yaml")
    commit(case, "First")
    case.recipe(text + "    toy: '==1.1'\n    toy-paint:\n", "train.yaml").run("lock", "train.yaml")
    commit(case, "toy 1.1 and paint")
    (case.project / "README").write_text("words", encoding="utf-8")
    commit(case, "Words")
    case.recipe(text + "    toy: '==1.1'\n", "train.yaml").run("lock", "train.yaml")
    commit(case, "No paint")
    return case


def test_every_revision_of_a_lock_says_what_it_changed(repository: Case) -> None:
    shown = repository.run("history", "train.yaml").out.splitlines()
    assert [line.split("  ", 3)[-1] for line in shown if not line.startswith("  ")] == [
        "No paint",
        "toy 1.1 and paint",
        "First",
    ]
    assert "  removed toy-paint 1.0" in shown
    assert "  upgraded toy 1.0 -> 1.1" in shown
    assert "  added toy 1.0" in shown
    assert "\x1b" not in repository.out
    repository.mentions("3 revisions of its lock")
    told = json.loads(repository.run("history", "train.lock.yaml", "--json").out)
    assert [each["subject"] for each in told["revisions"]] == ["No paint", "toy 1.1 and paint", "First"]
    (changes,) = told["revisions"][0]["changes"].values()
    assert [(each["name"], each["how"]) for each in changes] == [("toy-paint", "removed")]


def test_a_version_that_is_no_lock_is_told_and_ends_nothing(repository: Case) -> None:
    lock = repository.project / "train.lock.yaml"
    whole = lock.read_bytes()
    lock.write_text("<<<<<<< ours\n", encoding="utf-8")
    commit(repository, "Oh no")
    lock.write_bytes(whole)
    commit(repository, "Mended")
    shown = repository.run("history", "recipe:train.yaml").out
    assert shown.count("not compared: ") == 2
    assert "  upgraded toy 1.0 -> 1.1" in shown.splitlines()


def test_what_has_no_history(repository: Case, tmp_path: Path) -> None:
    repository.recipe("python: 3.12\n", "new.yaml").run("history", "new.yaml", code=2).mentions("error[no-history]")
    repository.run("history", "nowhere.yaml", code=2).mentions("error[no-history]")
    alone = Case(tmp_path / "alone").recipe("python: 3.12\n", "new.yaml")
    alone.variable("GIT_CEILING_DIRECTORIES", str(tmp_path))
    alone.run("history", "new.yaml", code=2).mentions("error[no-repository]")
