"""Two branches change one lock, and real Git merges them with the driver that ``init --git`` sets up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.lock import Lock
from envbuild.locks.conflict import conflict_sides
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.git_project import GitProject
from tests.support.sdists import make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


class Shop:
    """A repository with a recipe, and an index that can get more."""

    def __init__(self, project: GitProject, folder: Path, server: Server) -> None:
        self.git = project
        self.case = project.case
        self.wheels = folder
        self.server = server

    def recipe(self, *packages: str, name: str = "x.yaml") -> None:
        """Write the recipe: one line a package, so that git can merge lines that are not neighbours."""
        lines = "".join(f"    {package}\n    # {package}\n    #\n    #\n" for package in packages)
        self.case.file(
            name,
            f"interpreter: host\npython: '{SERIES}'\npypi:\n  index: {self.server.url}/simple\n  packages:\n{lines}",
        )

    def lock(self, name: str = "x") -> Lock:
        return parse_lock((self.case.project / f"{name}.lock.yaml").read_bytes(), name)

    def versions(self, name: str = "x") -> dict[str, str]:
        (environment,) = self.lock(name).platforms
        return {wheel.name: wheel.version for wheel in environment.wheels}

    def begin(self, *packages: str) -> None:
        """The first commit, with Git set up."""
        self.recipe(*packages)
        self.case.run("init", "--git").run("lock", "x.yaml")
        self.git.commit("first")

    def side(self, name: str, *packages: str, start: str = "main") -> None:
        """A branch that asks for other packages and locks them."""
        self.git.branch(name, start)
        self.recipe(*packages)
        self.case.run("lock", "x.yaml")
        self.git.commit(name)


@pytest.fixture
def shop(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> Shop:
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("apple", "pear", "plum"):
        make_wheel(folder, name, "1.0", requires=["core>=1"])
    make_wheel(folder, "core", "1.0")
    return Shop(GitProject(case), folder, serving(WheelIndex(folder=folder)))


def grow(shop: Shop) -> None:
    """Newer versions of everything appear."""
    for name in ("apple", "pear", "plum", "core"):
        make_wheel(shop.wheels, name, "2.0", requires=["core>=1"] if name != "core" else [])


def test_two_branches_that_each_add_a_package_merge_to_a_lock_that_fits(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    shop.side("two", "apple:", "plum:")
    grow(shop)
    shop.git.git("merge", "-q", "one")
    assert "solved again; every package is as one side had it" in shop.git.out
    assert shop.versions() == {"apple": "1.0", "core": "1.0", "pear": "1.0", "plum": "1.0"}
    shop.case.run("lock", "--check", "x.yaml")
    assert shop.git.git("status", "--porcelain") == ""


def test_only_what_does_not_fit_together_is_chosen_anew(shop: Shop) -> None:
    make_wheel(shop.wheels, "quince", "1.0", requires=["core>=2"])
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    grow(shop)
    shop.side("two", "apple:", "quince:")
    assert shop.versions()["core"] == "2.0"
    shop.git.git("merge", "-q", "one")
    assert shop.versions() == {"apple": "1.0", "core": "2.0", "pear": "1.0", "quince": "1.0"}
    shop.case.run("lock", "--check", "x.yaml")


def test_upgrades_of_one_branch_survive_what_the_other_adds(shop: Shop) -> None:
    shop.begin("apple:", "pear:")
    shop.side("one", "apple:", "pear:", "plum:")
    grow(shop)
    shop.git.branch("two", "main")
    shop.case.run("lock", "--upgrade-package", "pear", "x.yaml")
    shop.git.commit("upgrade")
    shop.git.git("merge", "-q", "one")
    assert shop.versions() == {"apple": "1.0", "core": "1.0", "pear": "2.0", "plum": "1.0"}
    shop.case.run("lock", "--check", "x.yaml")


def test_platforms_that_one_side_each_upgraded_are_merged_without_a_solve(shop: Shop) -> None:
    shop.recipe("apple:")
    recipe = shop.case.project / "x.yaml"
    recipe.write_text(f"platforms: [linux-64, osx-arm64]\n{recipe.read_text()}")
    shop.case.run("init", "--git").run("lock", "x.yaml")
    shop.git.commit("first")
    grow(shop)
    shop.git.branch("one")
    shop.case.run("lock", "--upgrade", "--platform", "linux-64", "x.yaml")
    shop.git.commit("linux")
    shop.git.branch("two", "main")
    shop.case.run("lock", "--upgrade", "--platform", "osx-arm64", "x.yaml")
    shop.git.commit("mac")
    shop.server.forget()
    shop.git.git("merge", "-q", "one")
    assert "nothing was solved" in shop.git.out
    assert not shop.server.requests
    assert {wheel.version for item in shop.lock().platforms for wheel in item.wheels} == {"2.0"}
    shop.case.run("lock", "--check", "x.yaml")


def test_a_rebase_and_a_cherry_pick_merge_locks_too(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    shop.side("two", "apple:", "plum:")
    shop.git.git("checkout", "-q", "-b", "picked", "two")
    shop.git.git("cherry-pick", "one")
    shop.case.run("lock", "--check", "x.yaml")
    assert set(shop.versions()) == {"apple", "core", "pear", "plum"}
    shop.git.git("checkout", "-q", "two")
    shop.git.git("rebase", "-q", "one")
    shop.case.run("lock", "--check", "x.yaml")
    assert set(shop.versions()) == {"apple", "core", "pear", "plum"}
    shop.git.git("checkout", "-q", "picked")
    shop.git.git("revert", "--no-edit", "HEAD~1")
    shop.case.run("lock", "--check", "x.yaml")
    assert set(shop.versions()) == {"apple", "core", "pear"}


def test_without_a_network_both_sides_stay_whole_and_the_command_that_is_named_resolves_them(shop: Shop) -> None:
    make_wheel(shop.wheels, "quince", "1.0", requires=["core>=1"])
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    ours = (shop.case.project / "x.lock.yaml").read_bytes()
    shop.side("two", "apple:", "quince:")
    theirs = (shop.case.project / "x.lock.yaml").read_bytes()
    shop.git.git("checkout", "-q", "one")
    shop.case.variable("ENVBUILD_OFFLINE", "1")
    shop.git.git("merge", "-q", "two", code=1)
    assert "x.lock.yaml is left in conflict" in shop.git.out
    assert "then type: envbuild lock x.yaml" in shop.git.out
    assert "envbuild-merge-" not in shop.git.out
    assert conflict_sides((shop.case.project / "x.lock.yaml").read_bytes()) == (ours, theirs)
    shop.case.run("lock", "--check", "x.yaml", code=3).mentions("merge-conflict", "envbuild lock")
    shop.case.variable("ENVBUILD_OFFLINE", None)
    grow(shop)
    shop.case.run("lock", "x.yaml").run("lock", "--check", "x.yaml")
    assert shop.versions() == {"apple": "1.0", "core": "1.0", "pear": "1.0", "quince": "1.0"}
    shop.git.commit("merged")


def test_what_cannot_be_solved_is_a_conflict_that_loses_nothing(shop: Shop) -> None:
    make_wheel(shop.wheels, "quince", "1.0", requires=["core<1.5"])
    make_wheel(shop.wheels, "medlar", "1.0", requires=["core>=2"])
    shop.begin("apple:")
    grow(shop)
    shop.side("one", "medlar:", "apple:")
    shop.side("two", "apple:", "quince:")
    shop.git.git("merge", "-q", "one", code=1)
    assert "then type: envbuild lock x.yaml" in shop.git.out
    assert conflict_sides((shop.case.project / "x.lock.yaml").read_bytes()) is not None
    shop.git.git("merge", "--abort")
    shop.case.run("lock", "--check", "x.yaml")


def test_a_recipe_in_conflict_leaves_its_lock_in_conflict_with_one_line(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "apple: '==1.0'")
    shop.side("two", "apple: '>=1.0'")
    shop.git.git("merge", "-q", "one", code=1)
    lines = [line for line in shop.git.out.splitlines() if "left in conflict" in line]
    assert len(lines) == 1
    assert "x.yaml" in lines[0]
    shop.recipe("apple:")
    shop.case.run("lock", "x.yaml").run("lock", "--check", "x.yaml")


def test_bases_are_merged_before_what_stands_on_them(shop: Shop) -> None:
    shop.recipe("apple:", name="base.yaml")
    shop.case.file("x.yaml", "extends: base.yaml\npypi:\n  packages:\n    pear:\n")
    shop.case.run("init", "--git").run("lock", "x.yaml")
    shop.git.commit("first")
    shop.git.branch("one")
    shop.recipe("plum:", "apple:", name="base.yaml")
    shop.case.run("lock", "x.yaml")
    shop.git.commit("one")
    shop.git.branch("two", "main")
    shop.case.file("x.yaml", "extends: base.yaml\npypi:\n  packages:\n    pear: '>=1'\n")
    shop.recipe("apple:", "core:", name="base.yaml")
    shop.case.run("lock", "x.yaml")
    shop.git.commit("two")
    shop.git.git("merge", "-q", "one")
    shop.case.run("lock", "--check", "base.yaml", "x.yaml")
    assert set(shop.versions()) == {"apple", "core", "pear", "plum"}


@pytest.mark.parametrize("merging", ["the renamed one", "the changed one"])
def test_a_recipe_that_one_branch_renamed_and_the_other_changed_is_merged(shop: Shop, merging: str) -> None:
    shop.begin("apple:")
    shop.case.file("y.yaml", "extends: x.yaml\npypi:\n  packages:\n    core:\n").run("lock", "y.yaml")
    shop.git.commit("another stands on it")
    shop.git.branch("one")
    for name in ("x.yaml", "x.lock.yaml"):
        (shop.case.project / "fruit").mkdir(exist_ok=True)
        shop.git.git("mv", name, f"fruit/{name.replace('x', 'basket')}")
    shop.case.file("y.yaml", "extends: fruit/basket.yaml\npypi:\n  packages:\n    core:\n    #\n    #\n")
    shop.recipe("pear:", "apple:", name="fruit/basket.yaml")
    shop.case.run("lock", "fruit/basket.yaml", "y.yaml")
    shop.git.commit("one")
    shop.side("two", "apple:", "plum:")
    shop.case.run("lock", "y.yaml")
    shop.git.commit("two")
    if merging == "the changed one":
        shop.git.git("checkout", "-q", "one")
    shop.git.git("merge", "-q", "one" if merging == "the renamed one" else "two")
    assert shop.git.out.count("solved again; every package is as one side had it") == 2
    assert set(shop.versions("fruit/basket")) == {"apple", "core", "pear", "plum"} == set(shop.versions("y"))
    shop.case.run("lock", "--check", "fruit/basket.yaml", "y.yaml")
    assert not (shop.case.project / "x.lock.yaml").exists()


@pytest.mark.parametrize("follows", ["conflict", "true", "false"])
def test_what_one_branch_adds_to_a_folder_that_the_other_renamed_is_merged(shop: Shop, follows: str) -> None:
    project = shop.case.project
    shop.recipe("apple:", name="fruit/x.yaml")
    shop.recipe("apple:", name="fruit/z.yaml")
    shop.case.run("init", "--git").run("lock", "fruit/x.yaml", "fruit/z.yaml")
    shop.git.git("config", "merge.directoryRenames", follows)
    shop.git.commit("first")
    shop.git.branch("one")
    shop.git.git("mv", "fruit", "basket")
    shop.recipe("pear:", "apple:", name="basket/x.yaml")
    shop.case.run("lock", "basket/x.yaml")
    shop.git.commit("one")
    shop.git.branch("two", "main")
    shop.recipe("apple:", "plum:", name="fruit/z.yaml")
    shop.recipe("apple:", "plum:", name="fruit/x.yaml")
    shop.recipe("core:", name="fruit/base.yaml")
    recipe = project / "fruit/x.yaml"
    recipe.write_text(f"extends: base.yaml\n{recipe.read_text()}")
    shop.case.run("lock", "fruit/base.yaml", "fruit/x.yaml", "fruit/z.yaml")
    shop.git.commit("two")
    shop.git.git("merge", "-q", "one", code=0 if follows == "true" else 1)
    shop.case.run("lock", "--check", "basket/z.yaml")  # one side alone changed it: git itself takes it along
    assert set(shop.versions("basket/z")) == {"apple", "core", "plum"}
    if follows == "false":  # the base stays where the recipe does not look for it
        assert "basket/x.lock.yaml is left in conflict" in shop.git.out
        assert (project / "fruit/base.lock.yaml").exists()
        return
    assert "merged basket/x.lock.yaml: solved again; every package is as one side had it" in shop.git.out
    assert set(shop.versions("basket/x")) == {"apple", "core", "pear", "plum"}
    assert ("suggesting it should perhaps be moved to basket/base.yaml" in shop.git.out) is (follows == "conflict")
    shop.case.run("lock", "--check", "basket/base.yaml", "basket/x.yaml")
    assert not (project / "fruit").exists()


def test_a_recipe_that_was_renamed_and_written_anew_stays_in_conflict_with_its_lock(shop: Shop) -> None:
    shop.begin("apple:")
    shop.git.branch("one")
    for name in ("x.yaml", "x.lock.yaml"):
        shop.git.git("mv", name, name.replace("x", "basket"))
    line = f"{{index: '{shop.server.url}/simple', packages: {{apple: , pear: }}}}"
    shop.case.file("basket.yaml", f"python: '{SERIES}'\npypi: {line}\ninterpreter: host\n").run("lock", "basket.yaml")
    shop.git.commit("one")
    shop.side("two", "apple:", "plum:")
    shop.git.git("merge", "-q", "one", code=1)
    assert "basket.lock.yaml is left in conflict" in shop.git.out
    assert conflict_sides((shop.case.project / "basket.lock.yaml").read_bytes()) is not None


def test_sources_of_the_project_and_included_files_are_those_of_the_merge(shop: Shop) -> None:
    make_project(shop.case.project / "libs/mine", "mine", "1.0")
    head = f"interpreter: host\npython: '{SERIES}'\ninclude: [requirements.txt]\n"
    pypi = f"pypi:\n  index: {shop.server.url}/simple\n  packages:\n    mine: {{path: libs/mine}}\n"
    shop.case.file("x.yaml", head + pypi).file("requirements.txt", "apple\n#\n#\n#\ncore\n")
    shop.case.run("init", "--git").run("lock", "x.yaml")
    shop.git.commit("first")
    shop.git.branch("one")
    shop.case.file("requirements.txt", "apple\n#\n#\n#\ncore\npear\n").run("lock", "x.yaml")
    shop.git.commit("one")
    shop.git.branch("two", "main")
    (shop.case.project / "libs/mine/more.py").write_text("MORE = 1\n")
    shop.case.file("requirements.txt", "plum\napple\n#\n#\n#\ncore\n").run("lock", "x.yaml")
    shop.git.commit("two")
    shop.git.git("merge", "-q", "one")
    shop.case.run("lock", "--check", "x.yaml")
    assert set(shop.versions()) == {"apple", "core", "pear", "plum"}


def test_a_commit_that_git_does_not_name_is_found_by_what_it_brought(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    shop.git.git("tag", "picked")
    shop.recipe("pear:", "apple:", "core:")
    shop.case.run("lock", "x.yaml")
    shop.git.commit("more")
    shop.side("two", "apple:", "plum:")
    shop.git.git("cherry-pick", "picked")
    shop.case.run("lock", "--check", "x.yaml")
    assert shop.git.git("status", "--porcelain") == ""


def test_branches_that_crossed_before_are_merged(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    shop.side("two", "apple:", "plum:")
    first = shop.git.git("rev-parse", "one").strip()
    shop.git.git("merge", "-q", "one")
    shop.recipe("pear:", "apple: '>=1'", "plum:")
    shop.case.run("lock", "x.yaml")
    shop.git.commit("two goes on")
    shop.git.git("checkout", "-q", "-B", "one", first)
    shop.git.git("merge", "-q", "two~2")
    shop.recipe("core:", "pear:", "apple:", "plum:")
    shop.case.run("lock", "x.yaml")
    shop.git.commit("one goes on")
    shop.git.git("merge", "-q", "two", code=None)
    if shop.git.git("ls-files", "-u"):  # the recipe itself may be in conflict: then so is its lock, and nothing is lost
        shop.recipe("core:", "pear:", "apple: '>=1'", "plum:")
        shop.case.run("lock", "x.yaml")
    shop.case.run("lock", "--check", "x.yaml")


def test_a_lock_that_both_sides_made_anew_has_no_beginning_and_is_merged_all_the_same(shop: Shop) -> None:
    shop.case.run("init", "--git")
    shop.git.commit("nothing yet")
    shop.side("one", "apple:")
    shop.git.branch("two", "main")
    shop.recipe("apple:")
    grow(shop)
    shop.case.run("lock", "x.yaml")
    shop.git.commit("two")
    shop.git.git("merge", "-q", "one")
    shop.case.run("lock", "--check", "x.yaml")
    assert shop.versions() == {"apple": "2.0", "core": "2.0"}


def test_folders_with_spaces_and_umlauts_subfolders_and_worktrees_make_no_difference(
    tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("apple", "pear", "plum"):
        make_wheel(folder, name, "1.0")
    server = serving(WheelIndex(folder=folder))
    case = Case(tmp_path / "Ärger mit Öl")
    shop = Shop(GitProject(case, below="größe 1/projekt"), folder, server)
    shop.case.file("envbuild.yaml", "recipes: rezepte/\n")

    def write(*packages: str) -> None:
        shop.recipe(*packages, name="rezepte/über alles.yaml")
        case.run("lock", "rezepte/über alles.yaml")

    case.run("init", "--git").mentions("wrote .gitattributes", "set   merge.envbuild-lock.driver")
    write("apple:")
    shop.git.commit("first")
    shop.git.branch("one")
    write("pear:", "apple:")
    shop.git.commit("one")
    place = tmp_path / "another tree"
    shop.git.git("worktree", "add", "-q", "-b", "two", str(place), "main")
    case.project = place / "größe 1/projekt"
    case.run("init", "--git").mentions("kept  .gitattributes", "kept  merge.envbuild-lock.driver")
    write("apple:", "plum:")
    shop.git.git("add", "-A", folder=place)
    shop.git.git("commit", "-q", "-m", "two", folder=place)
    shop.git.git("merge", "-q", "one", folder=place)
    case.run("lock", "--check", "rezepte/über alles.yaml")
    lock = parse_lock((case.project / "rezepte/über alles.lock.yaml").read_bytes(), "lock")
    assert {wheel.name for item in lock.platforms for wheel in item.wheels} == {"apple", "pear", "plum"}


def test_a_repository_inside_of_a_project_is_set_up_itself(case: Case) -> None:
    case.file("envbuild.yaml", "recipes: .\n")
    inner = case.project / "checkouts/other"
    inner.mkdir(parents=True)
    case.project = inner
    found = GitProject(case)
    case.run("init", "--git")
    assert (inner / ".gitattributes").is_file()
    assert "lock-merge" in found.git("config", "--local", "merge.envbuild-lock.driver")
    assert not (inner.parent.parent / ".gitattributes").exists()
    case.project = inner.parent
    case.variable("GIT_CEILING_DIRECTORIES", str(inner.parent.parent)).run("init", "--git", code=2).mentions(
        "no-repository"
    )


def test_a_hook_that_checks_locks_accepts_what_was_merged(shop: Shop) -> None:
    shop.begin("apple:")
    program = f"{sys.executable} -m envbuild"
    hook = shop.git.root / ".git/hooks/pre-merge-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {program} lock --check x.yaml\n")
    hook.chmod(0o755)
    shop.side("one", "pear:", "apple:")
    shop.side("two", "apple:", "plum:")
    shop.git.git("merge", "one")
    assert "1 lock fits its recipe" in shop.git.out


def test_git_diff_shows_packages_and_what_is_no_lock_as_it_is(shop: Shop) -> None:
    shop.begin("apple:")
    shop.side("one", "pear:", "apple:")
    shown = shop.git.git("diff", "main", "one", "--", "x.lock.yaml")
    assert "+pypi pear 1.0" in shown
    assert "sha256" not in shown
    (shop.case.project / "x.lock.yaml").write_text("nothing\nof a lock\n")
    assert "+of a lock" in shop.git.git("diff", "--", "x.lock.yaml")


def test_a_file_of_another_tool_is_merged_line_by_line(shop: Shop) -> None:
    shop.begin("apple:")
    lines = [f"line {number}\n" for number in range(20)]
    shop.case.file("other.lock.yaml", "".join(lines))
    shop.git.commit("other")
    shop.git.branch("one")
    shop.case.file("other.lock.yaml", "".join(["first\n", *lines[1:]]))
    shop.git.commit("one")
    shop.git.branch("two", "main")
    shop.case.file("other.lock.yaml", "".join([*lines[:-1], "last\n"]))
    shop.git.commit("two")
    shop.git.git("merge", "-q", "one")
    text = (shop.case.project / "other.lock.yaml").read_text()
    assert text.startswith("first\n")
    assert text.endswith("last\n")


LOCK = b'version: 1\nrequest: "%s"\nplatforms:\n' % (b"1" * 64)


@pytest.mark.parametrize(
    ("base", "theirs", "path", "code"),
    [
        (b"", b"", "x.lock.yaml", 0),
        (b"\xff\x00", b"\xff\x00\xfe", "x.lock.yaml", 3),
        (b"<<<<<<< a\n", LOCK + b"  linux-64: &a [*a]\n", "x.lock.yaml", 1),
        (LOCK, LOCK.replace(b"1", b"2"), "x.lock.yaml", 1),
        (LOCK, LOCK, "../../etc/x.lock.yaml", 1),
        (LOCK, LOCK, "/etc/x.lock.yaml", 1),
        (LOCK, LOCK, "-x.lock.yaml", 1),
        (LOCK, LOCK, "x.yaml", 0),
    ],
)
def test_whatever_the_driver_is_given_it_ends_and_loses_nothing(
    case: Case, base: bytes, theirs: bytes, path: str, code: int
) -> None:
    GitProject(case)
    three = {"base": base, "ours": LOCK + b"  win-64: 7\n", "theirs": theirs}
    for name, data in three.items():
        (case.project / name).write_bytes(data)
    case.run("lock-merge", "base", "ours", "theirs", "--", path, code=code)
    after = (case.project / "ours").read_bytes()
    assert b"win-64" in after
    assert (case.project / "theirs").read_bytes() == theirs
    assert sorted(item.name for item in case.project.iterdir()) == [".git", "base", "ours", "theirs"]
