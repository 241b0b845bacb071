"""Several recipes are locked in one graph, in which equal solves are one."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.errors import UnsatisfiableError
from envbuild.locks.lockfile import parse_lock
from envbuild.reporter import Recorder
from envbuild.session import Session
from tests.metaflow.conftest import SERIES
from tests.support.servers import Server


def recipe(folder: Path, name: str, packages: str, more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f'interpreter: host\npython: "{SERIES}"\n{more}pypi:\n  packages: {{{packages}}}\n')
    return path


@pytest.fixture
def project(tmp_path: Path, wheel_index: Server) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(home: Path, wheel_index: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVBUILD_INDEX_URL", f"{wheel_index.url}/simple")


@pytest.mark.usefixtures("environ")
def test_recipes_share_one_run_and_equal_ones_one_solve(project: Path) -> None:
    recorder = Recorder()
    session = Session(project, reporter=recorder)
    files = [
        recipe(project, "a", 'toy: "1.0"'),
        recipe(project, "b", 'toy: "1.0"'),
        recipe(project, "c", 'toy: "1.1"'),
    ]
    a, b, c = session.lock(*files)
    assert len(recorder.named("plan_made")) == 1
    assert len(recorder.named("finished")) == 2
    assert [item.written for item in (a, b, c)] == [True, True, True]
    assert a.lock.platforms == b.lock.platforms != c.lock.platforms
    assert [item.recipe for item in (a, b, c)] == files


@pytest.mark.usefixtures("environ")
def test_a_base_of_several_is_locked_once_before_them(project: Path) -> None:
    recorder = Recorder()
    recipe(project, "base", 'toy-core: "1.0"')
    files = [
        recipe(project, "a", 'toy: "1.0"', "extends: base.yaml\n"),
        recipe(project, "b", 'toy: "1.1"', "extends: base.yaml\n"),
    ]
    locks = Session(project, reporter=recorder).lock(*files)
    assert [event.name for event in recorder.events if event.name.startswith("plan")] == ["plan_made", "plan_grown"]
    assert len(recorder.named("finished")) == 3
    assert {wheel.version for lock in locks for wheel in lock.lock.platforms[0].wheels if wheel.name == "toy-core"} == {
        "1.0"
    }


@pytest.mark.usefixtures("environ")
def test_where_one_has_no_solution_what_was_solved_is_whole_and_the_rest_is_not_there(project: Path) -> None:
    files = [recipe(project, "a", 'toy: "1.0"'), recipe(project, "b", 'toy: "9"')]
    with pytest.raises(UnsatisfiableError) as caught:
        Session(project).lock(*files)
    assert "b.yaml" in str(caught.value.where)
    assert not (project / "b.lock.yaml").exists()
    for lock in project.glob("*.lock.yaml"):
        parse_lock(lock.read_bytes(), lock.name)
