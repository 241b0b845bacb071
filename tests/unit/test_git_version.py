"""Versions from git's tags, as setuptools-scm makes them by default."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.builders.git_version import described_version, version_of_commit, version_of_folder, version_variables
from envbuild.derivations import Context
from envbuild.machine.workspace import Workspace
from tests.support.bring_once import job
from tests.support.git_server import GitServer, git


@pytest.fixture
def context(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    (tmp_path / "nobody").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    with Workspace(home, Addresses(root=str(tmp_path)), durability="fast") as workspace, job(workspace) as made:
        yield made


@pytest.mark.parametrize(
    ("described", "version"),
    [
        ("v1.2.3-0-gabcdef12", "1.2.3"),
        ("1.2-0-gabcdef12", "1.2"),
        ("v1.2.3-4-gabcdef12", "1.2.4.dev4+gabcdef12"),
        ("v2-4-gabcdef12", "3.dev4+gabcdef12"),
        ("project-1.2.3-4-gabcdef12", "1.2.4.dev4+gabcdef12"),
        ("v1.0rc1-0-gabcdef12", "1.0rc1"),
        ("v1.0rc1-2-gabcdef12", "1.0rc2.dev2+gabcdef12"),
        ("v1.0.dev1-2-gabcdef12", "1.0.dev2+gabcdef12"),
        ("v1.0.post1-2-gabcdef12", "1.1.dev2+gabcdef12"),
        ("1!2.0-2-gabcdef12", "1!2.1.dev2+gabcdef12"),
        ("release_1-2-gabcdef12", "0.1.dev2+gabcdef12"),
        ("nonsense", "0.1.dev0"),
    ],
)
def test_what_a_description_stands_for(described: str, version: str) -> None:
    assert described_version(described) == version


def test_which_backends_can_be_told() -> None:
    assert version_variables(["setuptools>=64", "setuptools_scm[toml]>=8"]) == ("SETUPTOOLS_SCM_PRETEND_VERSION",)
    assert version_variables(["hatchling", "Hatch.VCS"]) == ("SETUPTOOLS_SCM_PRETEND_VERSION",)
    assert version_variables(["pdm-backend", "pbr>=5"]) == ("PBR_VERSION", "PDM_BUILD_SCM_VERSION")
    assert version_variables(["setuptools", "flit_core >=3,<4"]) == ()


def test_a_commit_is_described_by_the_tags_before_it(git_server: GitServer, context: Context, home: Path) -> None:
    repository = git_server.repository("toy")
    first = repository.commit({"large.bin": os.urandom(300_000)})
    repository.tag("v1.0")
    second = repository.commit({"large.bin": os.urandom(300_000)})
    third = repository.commit({"a": "a"})
    repository.tag("unrelated")
    url = git_server.url("toy")
    assert version_of_commit(url, first, context) == "1.0"
    assert version_of_commit(url, second, context) == f"1.1.dev1+g{second[:8]}"
    assert version_of_commit(url, third, context) == f"1.1.dev2+g{third[:8]}"


def test_no_files_are_fetched_for_a_description_where_the_server_can_leave_them_out(
    git_server: GitServer, context: Context, home: Path
) -> None:
    repository = git_server.repository("toy")
    git("config", "uploadpack.allowFilter", "true", cwd=repository.folder)
    commit = repository.commit({"large.bin": os.urandom(3_000_000)})
    assert version_of_commit(git_server.url("toy"), commit, context) == f"0.1.dev1+g{commit[:8]}"
    packs = list((home / "cache" / "git").rglob("*.pack"))
    assert sum(path.stat().st_size for path in packs) < 100_000


def test_a_description_that_is_known_needs_no_server(git_server: GitServer, context: Context) -> None:
    repository = git_server.repository("toy")
    commit = repository.commit({"a": "a"})
    first = version_of_commit(git_server.url("toy"), commit, context)
    git_server.close()
    assert version_of_commit(git_server.url("toy"), commit, context) == first


def test_a_folder_is_described_by_what_is_checked_out(git_server: GitServer, context: Context, tmp_path: Path) -> None:
    repository = git_server.repository("toy")
    commit = repository.commit({"sub/a": "a"})
    assert version_of_folder(repository.folder / "sub", context) == f"0.1.dev1+g{commit[:8]}"
    repository.tag("v3.1", annotated=False)
    assert version_of_folder(repository.folder / "sub", context) == "3.1"
    before = {path: path.stat().st_mtime_ns for path in repository.folder.rglob("*")}
    (repository.folder / "sub" / "a").write_text("edited")
    assert version_of_folder(repository.folder, context) == "3.1"
    shutil.rmtree(repository.folder / "sub")
    assert {path: at for path, at in before.items() if ".git" in path.parts} == {
        path: path.stat().st_mtime_ns for path in repository.folder.rglob("*")
    }


def test_a_folder_outside_of_repositories_has_none(context: Context, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert version_of_folder(tmp_path / "plain", context) is None


def test_a_repository_without_a_commit_has_none(git_server: GitServer, context: Context) -> None:
    assert version_of_folder(git_server.repository("empty").folder, context) is None


def test_without_git_there_is_none(git_server: GitServer, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = git_server.repository("toy").folder
    monkeypatch.setenv("PATH", "/nonexistent")
    assert version_of_folder(folder, context) is None
