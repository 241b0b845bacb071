"""Which files were something else between two commits, on whatever line of history."""

from __future__ import annotations

from envbuild.review.git import Repository
from envbuild.review.overtaken import overtaken
from tests.case import Case
from tests.support.git_project import GitProject


def test_a_file_is_overtaken_where_any_commit_in_between_had_another(case: Case) -> None:
    project = GitProject(case)

    def write(message: str, **files: str) -> str:
        for name, text in files.items():
            (project.root / name).write_text(text)
        return project.commit(message)

    old = write("old", a="1", b="1", c="1", d="1")
    first = write("first", d="2")
    project.branch("side")
    write("a branch that is merged away", b="2")
    project.git("checkout", "-q", "main")
    write("there", a="2")
    write("and back", a="1")
    write("what the last commit takes back", c="2")
    project.git("merge", "-q", "-s", "ours", "side")
    project.git("commit", "-q", "--amend", "-m", "merged")
    last = write("as it was", c="1")
    project.branch("late", first)
    apart = write("apart", a="7")
    project.git("checkout", "-q", "main")
    git = Repository(project.root, case.environ)
    asked = {(commit, path) for commit in (old, first, last, apart, "f" * 40) for path in "abcd"}
    found = overtaken(git, last, asked)
    assert found == {(old, path) for path in "abcd"} | {(first, path) for path in "abc"}
    assert overtaken(git, last, {(last, "a"), ("f" * 40, "a")}) == frozenset()
    project.git("clone", "-q", "--no-local", "--depth", "2", project.root.as_uri(), str(project.root / "cut"))
    assert overtaken(Repository(project.root / "cut", case.environ), last, asked) == frozenset()
