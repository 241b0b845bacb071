"""``check --origin``: changed lines of locks held against a real channel and a real index."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.review_project import commit
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.value import replace
from tests.case import Case
from tests.support.channel import TestChannel, this_platform
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

HERE = this_platform()
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def rewritten(case: Case, change: Callable[[LockedEnvironment], LockedEnvironment], name: str = "x") -> None:
    """Write a lock anew, with ids that fit."""
    file = case.project / f"{name}.lock.yaml"
    lock: Lock = parse_lock(file.read_bytes(), file.name)
    file.write_text(lock_text(replace(lock, platforms=tuple(map(change, lock.platforms)))))


def made_of(environment: LockedEnvironment, **changes: Any) -> LockedEnvironment:
    said = {
        name: getattr(environment, name)
        for name in ("platform", "python", "interpreter", "system", "conda", "wheels", "sources", "build")
    }
    return LockedEnvironment(**{**said, **changes})


def forged(environment: LockedEnvironment, name: str, **changes: Any) -> LockedEnvironment:
    """One wheel or conda package is something else."""
    return made_of(
        environment,
        conda=tuple(replace(item, **changes) if item.name == name else item for item in environment.conda),
        wheels=tuple(replace(item, **changes) if item.name == name else item for item in environment.wheels),
    )


@pytest.fixture
def wheels(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, Server]:
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "apple", "1.0", requires=["core>=1"])
    make_wheel(folder, "core", "1.0")
    return folder, serving(WheelIndex(folder=folder))


@pytest.fixture
def locked(case: Case, wheels: tuple[Path, Server]) -> Case:
    """A committed recipe and its lock."""
    case.file("envbuild.yaml", "recipes: .\n")
    case.recipe(
        f"interpreter: host\npython: {SERIES}\nplatforms: [{HERE}]\n"
        f"pypi:\n  index: {wheels[1].url}/simple\n  packages:\n    apple:\n"
    )
    case.run("lock")
    commit(case.project, "first")
    wheels[1].forget()
    return case


def test_lines_that_stood_there_before_ask_nobody(locked: Case, wheels: tuple[Path, Server]) -> None:
    locked.run("check", "--origin", "--base", "HEAD").mentions("nothing found")
    assert wheels[1].requests == []


def test_every_line_is_asked_where_nothing_was_before(case: Case, wheels: tuple[Path, Server]) -> None:
    case.file("envbuild.yaml", "recipes: .\n").recipe(
        f"interpreter: host\npython: {SERIES}\nplatforms: [{HERE}]\n"
        f"pypi:\n  index: {wheels[1].url}/simple\n  packages:\n    apple:\n"
    )
    case.run("lock")
    wheels[1].forget()
    case.variable("GIT_CEILING_DIRECTORIES", str(case.project.parent))
    case.run("check", "--origin").mentions("2 origins asked")
    assert wheels[1].count("/simple/*") == 2
    assert wheels[1].count("/files/*") == 0


@pytest.mark.parametrize("changes", [{"sha256": "ab" * 32}, {"size": 1}], ids=["sha256", "size"])
def test_a_lie_about_a_wheel_is_found_at_its_line(
    locked: Case, wheels: tuple[Path, Server], changes: dict[str, Any]
) -> None:
    rewritten(locked, lambda item: forged(item, "core", **changes))
    locked.run("check").mentions("nothing found")  # all ids fit
    locked.run("check", "--origin", "--base", "HEAD", code=4).mentions("1 origin asked")
    lines = (locked.project / "x.lock.yaml").read_text().split("\n")
    number = next(number for number, line in enumerate(lines, 1) if '"name": "core"' in line)
    assert locked.out.startswith(f"error[origin-differs]: x.lock.yaml:{number}:7: core-1.0-py3-none-any.whl has ")
    assert wheels[1].count("/simple/*") == 1


def test_a_file_that_the_index_does_not_have_is_found(locked: Case, wheels: tuple[Path, Server]) -> None:
    (wheels[0] / "core-1.0-py3-none-any.whl").unlink()
    rewritten(locked, lambda item: forged(item, "core", requires=("apple",)))
    locked.run("check", "--origin", "--base", "HEAD", code=4).mentions("error[origin-unknown]", "core-1.0")


def test_an_index_that_states_no_hash_is_a_warning(locked: Case, serving: Callable[..., Server]) -> None:
    folder = locked.project.parent / "index"
    silent = serving(WheelIndex(folder=folder, hashes=False, json=False))
    text = (locked.project / "x.yaml").read_text()
    old = text.partition("index: ")[2].partition("\n")[0]
    for name in ("x.yaml", "x.lock.yaml"):
        file = locked.project / name
        file.write_text(file.read_text().replace(old, f"{silent.url}/simple"))
    locked.run("lock")
    locked.run("check", "--origin", "--base", "HEAD").mentions("warning[origin-untold]")
    locked.run("check", "--origin", "--base", "HEAD", "--strict", code=10)


def test_an_index_that_does_not_answer_is_exit_5_and_a_lie_is_worse(locked: Case, wheels: tuple[Path, Server]) -> None:
    wheels[1].fault("/simple/core/", status=403, times=99)
    rewritten(locked, lambda item: forged(item, "core", requires=("apple",)))
    locked.run("check", "--origin", "--base", "HEAD", code=5).mentions("x.lock.yaml:", "was asked of core")
    rewritten(locked, lambda item: forged(item, "apple", sha256="ab" * 32))
    locked.run("check", "--origin", "--base", "HEAD", code=4).mentions("was asked of core", "error[origin-differs]")


def test_a_lie_about_a_conda_package_is_found(case: Case, channel: TestChannel, channel_url: str) -> None:
    case.file("envbuild.yaml", "recipes: .\n").recipe(
        f"platforms: [{HERE}]\nconda:\n  channels: ['{channel_url}']\n  packages: {{greet: ''}}\n"
    )
    case.run("lock")
    commit(case.project, "first")
    rewritten(case, lambda item: forged(item, "greet", sha256="cd" * 32))
    case.run("check").mentions("nothing found")
    case.run("check", "--origin", "--base", "HEAD", code=4).mentions("error[origin-differs]", "greet", "the channel")
    case.run("lock", "--upgrade")
    case.run("check", "--origin", "--base", "HEAD")


def test_a_place_that_nobody_names_is_not_asked(locked: Case, serving: Callable[..., Server]) -> None:
    folder = locked.project.parent / "index"
    evil = serving(WheelIndex(folder=folder))
    rewritten(locked, lambda item: forged(item, "core", index=f"{evil.url}/simple"))
    locked.run("check", "--origin", "--base", "HEAD", code=4).mentions("error[unknown-place]")
    assert evil.requests == []
    (locked.project / "x.yaml").write_text((locked.project / "x.yaml").read_text() + "    zz:\n")
    locked.run("check", "--origin", "--base", "HEAD", code=10).mentions("error[stale]")
    assert evil.requests == []


def test_a_place_that_the_policy_forbids_is_not_asked(locked: Case, wheels: tuple[Path, Server]) -> None:
    locked.file("envbuild.yaml", "recipes: .\npolicy: {indices: [default]}\n")
    rewritten(locked, lambda item: forged(item, "core", sha256="ab" * 32))
    locked.run("check", "--origin", "--base", "HEAD", code=4).mentions("error[forbidden-index]")
    assert wheels[1].requests == []


def test_a_revision_that_is_not_there_is_said_before_anything_is_asked(locked: Case) -> None:
    locked.run("check", "--origin", "--base", "no/such", code=2).mentions("there is no revision 'no/such'", "fetch")
    locked.run("check", "--origin", "--base=--output=/tmp/x", code=2).mentions("there is no revision")
    locked.run("check", "--base", "HEAD", code=2)


def test_without_a_word_it_is_where_the_branch_left_main(locked: Case, wheels: tuple[Path, Server]) -> None:
    rewritten(locked, lambda item: forged(item, "core", sha256="ab" * 32))
    locked.program("git", "checkout", "-q", "-b", "feature")
    commit(locked.project, "a forged line")
    locked.run("check", "--origin", code=4).mentions("error[origin-differs]")
    locked.program("git", "checkout", "-q", "main")
    wheels[1].forget()
    locked.run("check", "--origin")
    assert wheels[1].requests == []
