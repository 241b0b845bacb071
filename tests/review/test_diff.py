"""``diff`` in a real Git repository: revisions, the working tree, one recipe, other sources, and what is hostile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.review_project import change, make_project
from envbuild.lock import Lock
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.value import replace
from tests.case import Case
from tests.support.git_project import GitProject


@pytest.fixture
def project(case: Case) -> GitProject:
    """Three recipes with locks of three platforms, committed."""
    case.project.rmdir()
    make_project(case.project, recipes=3, packages=40)
    found = GitProject(case)
    found.commit("first")
    return found


def tree(case: Case, *words: str, code: int = 0) -> dict[str, Any]:
    """The JSON of a comparison."""
    return json.loads(case.run("diff", *words, "--json", code=code).out)


def recipes(case: Case, *words: str) -> dict[str, str]:
    return {item["label"]: item["state"] for item in tree(case, *words)["recipes"]}


def packages(case: Case, *words: str) -> dict[str, str]:
    (item,) = tree(case, *words)["recipes"]
    return {package["name"]: package["how"] for package in item["packages"]}


def edit(case: Case, name: str, old: str, new: str) -> None:
    file = case.project / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_head_and_the_working_tree_are_compared_when_nothing_is_named(project: GitProject) -> None:
    case = project.case
    assert tree(case) == {
        "version": 1,
        "before": "HEAD",
        "after": "the working tree",
        "different": False,
        "unchanged": 3,
        "recipes": [],
    }
    change(case.project, share=0.4, packages=2)
    assert recipes(case) == {"recipes/r000.yaml": "changed", "recipes/r002.yaml": "changed"}
    case.run("diff", "--exit-code", code=10)
    case.run("diff", "--exit-code", "HEAD", "HEAD").mentions("no difference, 3 the same")


def test_two_revisions_a_range_and_where_branches_parted(project: GitProject) -> None:
    case = project.case
    project.branch("feature")
    change(case.project, share=0.1, packages=2)
    project.commit("upgrade")
    project.git("checkout", "-q", "main")
    (case.project / "recipes/r002.lock.yaml").unlink()
    (case.project / "recipes/r002.yaml").unlink()
    project.commit("remove")
    assert recipes(case, "main..feature") == {"recipes/r000.yaml": "changed", "recipes/r002.yaml": "added"}
    assert recipes(case, "main", "feature") == recipes(case, "main..feature")
    assert recipes(case, "main...feature") == {"recipes/r000.yaml": "changed"}
    assert recipes(case, "HEAD~1..") == {"recipes/r002.yaml": "removed"}
    assert recipes(case, "main..feature", "recipes/r002.yaml") == {"recipes/r002.yaml": "added"}
    case.run("diff", "main..feature", "feature", code=2).mentions("at most one recipe")
    assert recipes(case, "feature") == {"recipes/r000.yaml": "changed", "recipes/r002.yaml": "removed"}
    case.run("diff", "HEAD~1..", "--format", "text").mentions("recipes/r002.yaml (removed)", "that these need")


def test_a_lock_that_moved_is_told_as_renamed(project: GitProject) -> None:
    case = project.case
    project.git("mv", "recipes/r001.yaml", "recipes/new name.yaml")
    project.git("mv", "recipes/r001.lock.yaml", "recipes/new name.lock.yaml")
    (item,) = tree(case)["recipes"]
    assert (item["label"], item["state"], item["was"]) == ("recipes/new name.yaml", "renamed", "recipes/r001.yaml")
    assert item["packages"] == []


def test_what_a_recipe_asks_for_is_told_with_its_lock(project: GitProject) -> None:
    case = project.case
    case.file("recipes/r000.yaml", (case.project / "recipes/r000.yaml").read_text() + "variables: {A: '1'}\n")
    (item,) = tree(case)["recipes"]
    assert item["requests"] == [{"what": "variable", "name": "A", "before": None, "after": "1", "platform": None}]
    case.run("diff").mentions("  + variable A: 1")


def test_one_recipe_and_one_file_of_a_revision(project: GitProject) -> None:
    case = project.case
    change(case.project, share=1, packages=1)
    assert list(recipes(case, "recipes/r001.yaml")) == ["recipes/r001.yaml"]
    assert list(recipes(case, "HEAD", "recipes/r001.lock.yaml")) == ["recipes/r001.yaml"]
    assert packages(case, "HEAD:recipes/r001.yaml") == packages(case, "HEAD:recipes/r001.yaml", "recipes/r001.yaml")
    assert packages(case, "HEAD:recipes/r001.yaml") == {"python": "upgraded"}
    assert "python" in packages(case, "HEAD:recipes/r001.yaml", "recipes/r002.yaml")
    assert "python" not in packages(case, "HEAD:recipes/r001.yaml", "HEAD:recipes/r002.yaml")
    assert packages(case, "recipes/r001.yaml", "lock:recipes/r002.lock.yaml") == packages(
        case, "recipes/r001.yaml", "recipes/r002.yaml"
    )


def test_words_that_mean_nothing_or_two_things_are_errors_with_a_way_out(project: GitProject) -> None:
    case = project.case
    case.run("diff", "main..nowhere", code=2).mentions("no-revision")
    case.run("diff", "nowhere:recipes/r000.yaml", code=2).mentions("no-revision")
    case.run("diff", "HEAD:recipes/none.yaml", code=3).mentions("missing-file")
    case.run("diff", "rev:--output=x", code=2).mentions("no-revision")
    case.run("diff", "team/train", code=2).mentions("envbuild diff team/train OTHER")
    case.run("diff", "main", "team/train", code=2).mentions("which of its recipes")
    case.run("diff", "a", "b", "c", code=2)
    assert not (case.project / "x").exists()


def test_a_project_in_no_repository_has_no_revisions_but_locks(case: Case) -> None:
    case.project.rmdir()
    make_project(case.project, recipes=2, packages=12)
    case.variable("GIT_CEILING_DIRECTORIES", str(case.project.parent))
    case.run("diff", code=2).mentions("no-repository")
    assert packages(case, "recipes/r000.yaml", "recipes/r001.yaml")


def test_a_repository_without_a_commit_says_so(case: Case) -> None:
    GitProject(case)
    case.run("diff", code=2).mentions("no-revision")


def test_a_project_in_a_folder_of_the_repository_sees_its_own_recipes_only(case: Case) -> None:
    found = GitProject(case, below="größe [1]/pro jekt")
    make_project(case.project / "p", recipes=2, packages=12)
    make_project(found.root / "other", recipes=2, packages=12)
    case.project = case.project / "p"
    found.commit("first")
    change(case.project, share=1, packages=1)
    change(found.root / "other", share=1, packages=1)
    assert recipes(case) == {"recipes/r000.yaml": "changed", "recipes/r001.yaml": "changed"}
    assert recipes(case, "recipes/r000.yaml") == {"recipes/r000.yaml": "changed"}


def test_a_lock_that_cannot_be_read_is_told_and_stops_no_other(project: GitProject) -> None:
    case = project.case
    change(case.project, share=1, packages=1)
    edit(case, "recipes/r000.lock.yaml", '"build-number"', '"nonsense"')
    edit(case, "recipes/r001.lock.yaml", "version: 1", "<<<<<<< ours\nversion: 1")
    found = {item["label"]: item for item in tree(case)["recipes"]}
    assert len(found) == 3
    assert "cannot be read as it is" in found["recipes/r000.yaml"]["problems"][0]
    assert "conflict markers" in found["recipes/r001.yaml"]["problems"][0]
    assert not found["recipes/r000.yaml"]["packages"]
    assert found["recipes/r002.yaml"]["packages"]


def test_files_of_other_tools_and_links_are_passed_over(project: GitProject, tmp_path: Path) -> None:
    case = project.case
    secret = tmp_path / "secret.lock.yaml"
    secret.write_text("request: secret\n")
    (case.project / "recipes/link.lock.yaml").symlink_to(secret)
    case.file("recipes/tool.lock.yaml", "packages: []\n")
    project.commit("others")
    case.file("recipes/tool.lock.yaml", "packages: [a]\n")
    secret.write_text("request: other\n")
    case.run("diff").hides("secret")
    assert "recipes/link.yaml" not in recipes(case)


def test_names_of_files_cannot_rewrite_a_terminal(project: GitProject) -> None:
    case = project.case
    name = "recipes/\x1b[31mred\u202e\nnext"
    for ending in (".yaml", ".lock.yaml"):
        (case.project / f"{name}{ending}").write_bytes((case.project / f"recipes/r000{ending}").read_bytes())
    case.run("diff")
    assert "\x1b" not in case.out + case.err
    assert "(added)" in case.out
    case.run("diff", "--format", "markdown")
    assert "\x1b" not in case.out
    assert "\u202e" not in case.out


def test_nothing_of_a_repository_is_run(project: GitProject, tmp_path: Path) -> None:
    case = project.case
    trap = tmp_path / "trap"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    script.chmod(0o755)
    for name in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor", "core.pager"):
        project.git("config", name, str(script))
    case.file(".gitattributes", "*.yaml filter=evil diff=evil\n")
    hooks = project.root / ".git/hooks"
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    change(case.project, share=1, packages=1)
    case.run("diff").run("diff", "HEAD", "recipes/r000.yaml")
    assert not trap.exists()


def test_a_shallow_clone_says_what_it_lacks(project: GitProject, tmp_path: Path) -> None:
    case = project.case
    change(case.project, share=1, packages=1)
    project.commit("second")
    clone = tmp_path / "clone"
    project.git("clone", "-q", "--depth", "1", f"file://{project.root}", str(clone))
    case.project = clone
    case.run("diff", "HEAD~1..HEAD", code=2).mentions("no-revision")
    assert tree(case)["unchanged"] == 3


def test_a_locked_name_and_id_are_compared_with_locks(project: GitProject) -> None:
    case = project.case
    lock = parse_lock((case.project / "recipes/r000.lock.yaml").read_bytes(), "lock")
    case.run("alias", "recipes/r000.yaml", "team/a:v1").run("alias", "recipes/r001.yaml", "team/a:v2")
    found = packages(case, "team/a:v1", "team/a:v2")
    assert found == packages(case, "recipes/r000.yaml", "recipes/r001.yaml")
    identity = next(item.id for item in lock.platforms if item.platform == "linux-64")
    (item,) = tree(case, identity[:16], "recipes/r001.yaml")["recipes"]
    assert item["platforms"] == ["linux-64"]
    case.run("diff", "team/a:v1", "recipes/r000.yaml", "--exit-code").mentions("no difference")


def test_a_branch_comes_before_a_name_and_a_word_before_a_colon_decides(project: GitProject) -> None:
    case = project.case
    case.run("alias", "recipes/r000.yaml", "feature")
    project.git("branch", "feature")
    assert tree(case, "feature")["before"] == "feature"
    case.run("diff", "name:feature", code=2).mentions("is one name")
    assert packages(case, "name:feature", "recipes/r001.yaml")


def test_colours_are_for_terminals_and_who_forces_them(project: GitProject) -> None:
    case = project.case
    change(case.project, share=1, packages=1)
    case.run("diff")
    assert "\x1b" not in case.out
    case.variable("NO_COLOR", None).variable("FORCE_COLOR", "1").run("diff")
    assert "\x1b[36m" in case.out


def test_the_text_of_a_lock_for_git_is_short_and_whole(project: GitProject) -> None:
    case = project.case
    file = case.project / "recipes/r000.lock.yaml"
    lock = parse_lock(file.read_bytes(), "lock")
    case.run("lock-textconv", "recipes/r000.lock.yaml")
    for environment in lock.platforms:
        assert f"{environment.platform} {environment.id[:12]}" in case.out
        for package in environment.conda:
            assert f"conda {package.name} {package.version}" in case.out
    assert len(case.out) < len(file.read_text()) / 3
    less: Lock = replace(lock, platforms=lock.platforms[:1])
    file.write_text(lock_text(less))
    shown = case.out
    case.run("lock-textconv", "recipes/r000.lock.yaml")
    assert "osx-arm64" in shown
    assert "osx-arm64" not in case.out


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"<<<<<<< ours\n", bytes(range(256)), b"a: &x [*x]\n"])
def test_what_is_no_lock_is_shown_to_git_as_it_is(case: Case, data: bytes) -> None:
    file = case.project / "x.lock.yaml"
    file.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "envbuild", "lock-textconv", "x.lock.yaml"],
        cwd=case.project,
        env=case.environ,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == data
