"""The pre-commit hooks, run by pre-commit itself in a real repository."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.review_project import commit, make_project
from envbuild.locks.place import lock_path
from envbuild.package import Platform
from tests.case import CHECKOUT, clean_environment

HOOKS = CHECKOUT / ".pre-commit-hooks.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if importlib.util.find_spec("pre_commit") is None:
        pytest.skip("PRE-COMMIT IS NOT INSTALLED")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    shutil.copy(HOOKS, hooks)
    revision = commit(hooks, "the hooks as they are")
    folder = tmp_path / "team"
    make_project(folder, recipes=2, packages=8, platforms=(Platform("linux-64"),))
    wanted = {
        "repos": [
            {
                "repo": hooks.as_uri(),
                "rev": revision,
                # language: this installation of envbuild, and not one that pip makes of the checkout
                "hooks": [{"id": item["id"], "language": "system"} for item in yaml.safe_load(HOOKS.read_text())],
            }
        ]
    }
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(wanted))
    commit(folder, "all of it")
    return folder


def environment(tmp_path: Path) -> dict[str, str]:
    found = clean_environment(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    script = programs / "envbuild"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m envbuild "$@"\n')
    script.chmod(0o755)
    return {
        **{key: value for key, value in found.items() if not key.startswith("GIT_")},
        "PATH": f"{programs}{os.pathsep}{found['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ann",
        "GIT_AUTHOR_EMAIL": "ann@example.org",
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.org",
    }


def ran(tmp_path: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(words), cwd=project, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
    )


def pre_commit(tmp_path: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(tmp_path, project, sys.executable, "-m", "pre_commit", *words)


def test_a_commit_with_locks_that_fit_passes_and_one_with_a_forged_lock_is_stopped(
    tmp_path: Path, project: Path
) -> None:
    done = pre_commit(tmp_path, project, "install")
    assert done.returncode == 0, done.stdout + done.stderr
    recipe = project / "recipes" / "r000.yaml"
    recipe.write_text(recipe.read_text() + "# a remark\n")
    done = ran(tmp_path, project, "git", "commit", "-q", "-a", "-m", "a remark")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout + done.stderr
    lock = lock_path(recipe)
    lock.write_text(lock.read_text().replace('"sha256": "', '"sha256": "f', 1).replace('", "channel"', '", "channel"'))
    done = ran(tmp_path, project, "git", "commit", "-q", "-a", "-m", "a forged lock")
    assert done.returncode != 0
    assert "recipes/r000.lock.yaml" in done.stdout + done.stderr
    assert ran(tmp_path, project, "git", "log", "--oneline").stdout.count("\n") == 2


def test_the_hook_that_fixes_writes_the_lock_and_stops_the_commit_once(tmp_path: Path, project: Path) -> None:
    lock = lock_path(project / "recipes" / "r000.yaml")
    good = lock.read_bytes()
    lock.write_text(lock.read_text().replace('{"name": ', '{"name":   '))
    assert ran(tmp_path, project, "git", "add", "-A").returncode == 0
    done = pre_commit(tmp_path, project, "run", "envbuild-check-fix")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "files were modified by this hook" in done.stdout
    assert lock.read_bytes() == good
    assert ran(tmp_path, project, "git", "add", "-A").returncode == 0
    done = pre_commit(tmp_path, project, "run", "envbuild-check-fix", "--all-files")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_commit_that_touches_no_yaml_runs_nothing(tmp_path: Path, project: Path) -> None:
    (project / "train.py").write_text("print()\n")
    assert ran(tmp_path, project, "git", "add", "-A").returncode == 0
    done = pre_commit(tmp_path, project, "run")
    assert done.returncode == 0
    assert "no files to check" in done.stdout
