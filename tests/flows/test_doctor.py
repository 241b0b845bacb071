"""``doctor``: real things that are wrong are told with what mends them, and nothing is changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.case import Case
from tests.support.servers import Server

RECIPE = "interpreter: host\npypi:\n  packages:\n    toy:\n"


def told(case: Case, *flags: str, code: int = 0) -> list[dict[str, Any]]:
    case.run("doctor", "--json", *flags, code=code)
    return list(json.loads(case.out)["findings"])


def texts(findings: list[dict[str, Any]], state: str) -> str:
    return "\n".join(f"{item['text']} -> {item['hint']}" for item in findings if item["state"] == state)


@pytest.fixture
def project(case: Case, wheel_index: Server) -> Case:
    case.variable("UV_DEFAULT_INDEX", f"{wheel_index.url}/simple")
    return case.file("envbuild.yaml", "recipes: recipes/\n").file("recipes/shop.yaml", RECIPE)


def test_where_nothing_is_wrong_it_says_so(project: Case, wheel_index: Server) -> None:
    project.run("lock", "recipes/shop.yaml")
    wheel_index.forget()
    found = told(project)
    assert texts(found, "problem") == ""
    good = texts(found, "good")
    for words in ("GB free", "py-rattler", "uv ", "1 of 1 recipes", "the index, http://127.0.0.1", "__glibc"):
        assert words in good, words
    assert wheel_index.count(method=None) == 1
    project.run("doctor")
    project.mentions("ok       home", "Nothing is wrong here")


def test_without_a_network_nobody_is_asked(project: Case, wheel_index: Server) -> None:
    wheel_index.forget()
    assert not any(item["area"] == "network" for item in told(project, "--offline"))
    assert wheel_index.count(method=None) == 0


def test_recipes_that_cannot_be_read_are_named_with_their_lines(project: Case) -> None:
    project.file("recipes/odd.yaml", "pythn: 3.11\npypi:\n  packges: {}\n")
    project.file(".envs/.keep", "")
    found = told(project, "--offline", code=10)
    assert "recipes/odd.yaml:1:1" in texts(found, "problem")
    assert "recipes/odd.yaml:3:3" in texts(found, "problem")
    assert "without a lock: recipes/shop.yaml -> envbuild lock recipes/shop.yaml" in texts(found, "note")
    assert "1 of 2 recipes" in texts(found, "good")


def test_a_broken_configuration_is_one_problem_and_the_rest_is_looked_at(project: Case) -> None:
    project.file("envbuild.yaml", "recipes: [\n")
    found = told(project, "--offline", code=10)
    assert texts(found, "problem").count("envbuild.yaml") == 1
    assert "py-rattler" in texts(found, "good")


def test_a_home_that_others_could_write_is_a_problem(project: Case) -> None:
    home = Path(project.environ["ENVBUILD_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o777)
    found = told(project, "--offline", code=10)
    assert "chmod" in texts(found, "problem")


def test_a_home_that_cannot_be_written_is_a_problem(project: Case, tmp_path: Path) -> None:
    home = Path(project.environ["ENVBUILD_HOME"])
    told(project, "--offline")
    bound = subprocess.run(["mount", "--bind", str(home), str(home)], capture_output=True, text=True, check=False)
    if bound.returncode:
        pytest.skip(f"NO MOUNTS: {bound.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(home)], check=True)
        found = told(project, "--offline", code=10)
    finally:
        subprocess.run(["umount", str(home)], check=True)
    assert f"{home} cannot be written -> set ENVBUILD_HOME" in texts(found, "problem")


def test_git_that_is_missing_is_a_note(project: Case, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    project.variable("PATH", str(tmp_path / "bin"))
    assert "git is not on PATH" in texts(told(project, "--offline"), "note")


def test_a_clone_without_the_merge_driver_is_told_how_to_get_it(project: Case) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=project.project, env=project.environ, check=True, capture_output=True)

    git("init", "-q")
    assert "line by line here -> envbuild init --git" in texts(told(project, "--offline"), "note")
    project.run("init", "--git")
    assert "git merges and compares locks by envbuild" in texts(told(project, "--offline"), "good")
    git("config", "--local", "--unset", "merge.envbuild-lock.driver")
    found = told(project, "--offline", code=10)
    assert "merge.envbuild-lock.driver; merges of locks end in conflicts" in texts(found, "problem")


def test_an_out_link_that_leads_nowhere_is_told(project: Case) -> None:
    project.run("realize", "recipes/shop.yaml")
    link = project.project / ".envs" / "shop"
    target = link.resolve()
    link.unlink()
    link.symlink_to(target.with_name("gone"))
    assert ".envs/shop leads to an environment that is gone" in texts(told(project, "--offline"), "note")


def test_a_store_that_is_not_there_is_a_problem(project: Case, tmp_path: Path) -> None:
    project.file("envbuild.yaml", f"recipes: recipes/\nstores:\n- {{name: team, url: '{tmp_path / 'nowhere'}'}}\n")
    found = told(project, "--offline", code=10)
    assert "team" in texts(found, "problem")
    project.run("store", "init", str(tmp_path / "nowhere"))
    assert "team" not in texts(told(project, "--offline"), "problem")


def test_an_index_that_refuses_wants_credentials(project: Case, serving: Callable[..., Server]) -> None:
    server = serving(lambda request: None)
    server.require_basic("ann", "secret")
    project.variable("UV_DEFAULT_INDEX", f"{server.url}/simple")
    assert "refuses (401) -> put credentials" in texts(told(project, code=10), "problem")


def test_an_index_that_does_not_answer_is_told_with_what_may_help(
    project: Case, serving: Callable[..., Server]
) -> None:
    with closing(serving(lambda request: None)) as server:
        project.variable("UV_DEFAULT_INDEX", f"{server.url}/simple")
    assert "HTTPS_PROXY" in texts(told(project, code=10), "problem")
