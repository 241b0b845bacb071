"""Sources by the command line: versions that come from git's tags, and what is said when a source cannot be had."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.git_server import GitServer, Repository, git
from tests.support.sdists import make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
TOLD = 'VERSION = os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION", "0.0")\n'


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> str:
    """An index with a wheel that has the name, and nothing of the mind, of setuptools-scm."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "setuptools-scm", "8.0")
    return f"{serving(WheelIndex(folder=folder)).url}/simple"


def tagged(git_server: GitServer) -> Repository:
    """A project that has no version but the one that it is told, and a tag."""
    repository = git_server.repository("toy")
    make_project(repository.folder, "mine", "0.0", build_requires=["setuptools-scm>=8"], more_backend=TOLD)
    repository.commit({"readme": "one\n"})
    repository.tag("v1.4.0")
    return repository


def recipe(index: str, packages: str, extra: str = "") -> str:
    return f"interpreter: host\npython: '{SERIES}'\npypi:\n  index: {index}\n  packages:\n    {packages}\n{extra}"


def source(case: Case) -> dict[str, str]:
    """The locked source."""
    lines = (case.project / "x.lock.yaml").read_text().splitlines()
    return next(json.loads(line[8:]) for line in lines if line.startswith('      - {"name": "mine"'))


def test_a_version_is_read_from_the_tags_of_a_repository_and_stays(
    case: Case, index: str, git_server: GitServer
) -> None:
    repository = tagged(git_server)
    url = git_server.url("toy")
    case.recipe(recipe(index, f"mine: {{git: '{url}'}}"), "x.yaml").run("realize", "x.yaml")
    assert source(case)["version"] == "1.4.0"
    assert source(case)["variables"] == ["SETUPTOOLS_SCM_PRETEND_VERSION=1.4.0"]
    case.run("run", "x.yaml", "--", "python", "-c", "import mine; print(mine.__version__)")
    assert case.out == "1.4.0\n"
    repository.tag("v9.0")  # on the same commit: what is locked stays
    before = (case.project / "x.lock.yaml").read_bytes()
    shutil.rmtree(case.home)
    case.recipe(recipe(index, f"mine: {{git: '{url}'}}", "variables: {A: '1'}\n"), "x.yaml").run("lock", "x.yaml")
    assert source(case)["version"] == "1.4.0"
    assert (case.project / "x.lock.yaml").read_bytes() != before
    git("tag", "--delete", "v9.0", cwd=repository.folder)
    commit = repository.commit({"readme": "two\n"})
    case.run("lock", "--upgrade-package", "mine", "x.yaml")
    assert source(case)["version"] == f"1.4.1.dev1+g{commit[:8]}"


def test_a_declared_version_stands(case: Case, index: str, git_server: GitServer) -> None:
    tagged(git_server)
    told = "build: {mine: {env: {SETUPTOOLS_SCM_PRETEND_VERSION: '7.0'}}}\n"
    case.recipe(recipe(index, f"mine: {{git: '{git_server.url('toy')}'}}", told), "x.yaml").run("lock", "x.yaml")
    assert source(case)["version"] == "7.0"
    assert source(case)["variables"] == ["SETUPTOOLS_SCM_PRETEND_VERSION=7.0"]


def test_a_version_is_read_from_the_tags_of_a_folder(case: Case, index: str, git_server: GitServer) -> None:
    tagged(git_server)
    git("clone", "--quiet", git_server.url("toy"), str(case.project / "mine"), cwd=case.project)
    case.recipe(recipe(index, "mine: {path: mine}"), "x.yaml").run("lock", "x.yaml")
    assert source(case)["version"] == "1.4.0"
    git("commit", "--quiet", "--allow-empty", "-m", "nothing", cwd=case.project / "mine")
    case.run("lock", "--check", "x.yaml")  # its content is what it was
    (case.project / "mine" / "readme").write_text("edited\n")
    case.run("lock", "--check", "x.yaml", code=10).mentions("mine was edited since it was locked")
    case.run("lock", "x.yaml")
    assert source(case)["version"].startswith("1.4.1.dev1+g")


def test_offline_a_commit_is_named_and_a_folder_is_packed(case: Case, index: str, git_server: GitServer) -> None:
    repository = git_server.repository("toy")
    make_project(repository.folder, "mine", "1.0", static=True)
    commit = repository.commit({"readme": "one\n"})
    url = git_server.url("toy")
    case.recipe(recipe(index, f"mine: {{git: '{url}'}}"), "x.yaml").run("lock", "x.yaml")
    shutil.rmtree(case.home)
    case.run("realize", "--offline", "x.yaml", code=5).mentions(f"commit {commit} of", "--offline")
    make_project(case.project / "mine", "mine", "1.0", static=True)
    case.recipe(recipe(index, "mine: {path: mine}"), "x.yaml").run("lock", "x.yaml")
    shutil.rmtree(case.home)
    case.run("realize", "--offline", "x.yaml")


def test_offline_an_edited_folder_is_named_with_what_to_do(case: Case, index: str) -> None:
    make_project(case.project / "libs" / "mine", "mine", "1.0", static=True)
    case.recipe(recipe(index, "mine: {path: libs/mine}"), "x.yaml")
    case.run("realize", "--offline", "x.yaml", code=5)
    case.mentions("error[offline]: x.yaml has to be solved, and the network may not be used: it has no lock")
    case.mentions("hint: lock it once with the network: envbuild lock x.yaml")
    case.run("realize", "x.yaml")
    case.file("libs/mine/more.py", "MORE = 1\n").run("realize", "--offline", "x.yaml", code=5)
    case.mentions("error[offline]: x.lock.yaml: ", "libs/mine was edited since it was locked")
    case.mentions("hint: undo the edit of libs/mine, or lock it once with the network: envbuild lock x.yaml")
    (case.project / "libs/mine/more.py").unlink()
    case.run("realize", "--offline", "x.yaml").run("lock", "--upgrade", "--offline", "x.yaml", code=None)
    if case.code:
        case.mentions("an upgrade is asked for")


def test_a_folder_without_a_source_is_named_by_the_line_that_asks_for_it(case: Case, index: str) -> None:
    (case.project / "mine").mkdir()
    case.recipe(recipe(index, "mine: {path: mine}"), "x.yaml").run("lock", "x.yaml", code=3)
    case.mentions("error[bad-source]: x.yaml:6:5: ", "mine holds no source: it is empty")
    case.mentions("hint: name the folder with the project's pyproject.toml")
    case.file("mine/.gitignore", "*\n").file("mine/a.py", "a = 1\n").run("lock", "x.yaml", code=3)
    case.mentions("x.yaml:6:5: ", "mine holds no source: all that is in it is ignored")


def test_a_repository_that_is_gone_is_exit_5(case: Case, index: str, git_server: GitServer) -> None:
    make_project(git_server.repository("toy").folder, "mine", "1.0", static=True)
    case.recipe(recipe(index, f"mine: {{git: '{git_server.url('toy')}'}}"), "x.yaml")
    git_server.close()
    case.run("lock", "x.yaml", code=5).mentions("git cannot read", "toy.git")


@pytest.mark.parametrize("in_git", [True, False], ids=["git", "plain"])
def test_the_project_itself_can_be_a_source(case: Case, index: str, in_git: bool) -> None:
    """Its lock lies in the folder whose digest it holds, and so does the link to what was made of it."""
    if in_git:
        git("init", "--quiet", cwd=case.project)
    make_project(case.project, "mine", "1.0", static=True)
    case.recipe(recipe(index, "mine: {path: .}"), "x.yaml").run("realize", "x.yaml")
    locked = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "--check", "x.yaml")
    case.run("realize", "x.yaml").mentions("already there")
    case.run("realize", "--locked", "x.yaml")
    assert (case.project / "x.lock.yaml").read_bytes() == locked
    (case.project / "backend" / "own_backend.py").open("a").close()
    case.run("lock", "--check", "x.yaml")
    (case.project / "more.py").write_text("edited = True\n")
    case.run("lock", "--check", "x.yaml", code=10).mentions("was edited since it was locked")


def test_a_folder_with_submodules_spaces_and_umlauts(case: Case, index: str, git_server: GitServer) -> None:
    inner = git_server.repository("inner")
    inner.commit({"mine_data/wörter.txt": "eins\n"})
    outer = git_server.repository("outer")
    make_project(outer.folder / "mein Paket ü", "mine", "1.0", static=True)
    outer.commit({"readme": "x\n"})
    outer.submodule("../inner.git", "mein Paket ü/daten")
    url = git_server.url("outer")
    git("clone", "--quiet", "--recurse-submodules", url, "ein Klon", cwd=case.project)
    packages = "mine: {path: 'ein Klon/mein Paket ü'}"
    case.recipe(recipe(index, packages), "x.yaml").run("realize", "x.yaml").mentions("1 built")
    by_folder = source(case)["sha256"]
    (case.project / "ein Klon" / "mein Paket ü" / "daten" / "mine_data" / "wörter.txt").write_text("zwei\n")
    case.run("lock", "--check", "x.yaml", code=10)
    case.recipe(recipe(index, f"mine: {{git: '{url}', subdirectory: 'mein Paket ü'}}"), "x.yaml")
    case.run("realize", "x.yaml").mentions("1 built")
    assert source(case)["sha256"] != by_folder  # the whole repository, not one folder of it
