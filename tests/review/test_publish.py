"""Publishing: names of a store follow the recipes of a real Git repository, from several machines and commits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envbuild.builders import isolation
from envbuild.compile import build_graph, trial_of
from envbuild.locks.lockfile import parse_lock
from envbuild.package import Platform
from envbuild.projects.project import find_project, load_recipe
from envbuild.session import Session
from envbuild.store.folder import open_store
from envbuild.value import replace
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.object_servers import ObjectServer, serve_objects
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

HERE = Platform(this_platform())
OTHER = Platform("osx-arm64" if HERE != "osx-arm64" else "linux-64")
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
PASSES = "test: {imports: [toy], entry-points: [toy], commands: [\"python -c 'import toy'\"]}\n"


class Team:
    """A project in a repository, a store in a folder, and machines by name."""

    def __init__(self, case: Case, index: Server) -> None:
        if shutil.which("git") is None:
            pytest.skip("NO GIT: git is needed on PATH")
        self.case, self.index = case, index
        self.store = case.home.parent / "team-store"
        case.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        case.run("store", "init", self.store)
        case.file("envbuild.yaml", "recipes: recipes/\n").file(".gitignore", ".envs/\n")
        self.git("init", "-q", "-b", "main")
        self.at("ci")

    def git(self, *words: str) -> str:
        author = ("-c", "user.name=ci", "-c", "user.email=ci@example.org")
        done = subprocess.run(
            ["git", *author, *words],
            cwd=self.case.project,
            env=self.case.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def at(self, machine: str, *, trusted: bool = True, more: str = "", **settings: str) -> Case:
        """The machine of that name: a home and a configuration of its own."""
        self.case.home = self.case.home.parent / f"home-{machine}"
        self.case.variable("ENVBUILD_HOME", str(self.case.home))
        stores = [{"name": "team", "url": str(self.store), "mode": "read-write"} | settings]
        file = Path(self.case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        file.parent.mkdir(exist_ok=True)
        words = json.dumps([str(self.store)] if trusted else [])
        file.write_text(f"stores: {json.dumps(stores)}\ntrusted: {words}\n{more}")
        return self.case

    def write(
        self,
        version: str,
        more: str = "",
        *,
        recipe: str = "train",
        name: str | None = "shop/train",
        platforms: str = HERE,
        package: str = "toy",
    ) -> None:
        """A recipe with a lock that fits."""
        self.case.recipe(
            (f"name: {name}\n" if name else "")
            + f"interpreter: host\npython: '{SERIES}'\nplatforms: [{platforms}]\n"
            + f"pypi:\n  index: {self.index.url}/simple\n  packages: {{{package}: '=={version}'}}\n"
            + more,
            f"recipes/{recipe}.yaml",
        )
        self.case.run("lock", f"recipes/{recipe}.yaml")

    def commit(self, version: str, more: str = PASSES, **settings: str) -> str:
        """A commit with a recipe and its lock."""
        self.write(version, more, **settings)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"toy {version}")
        return self.git("rev-parse", "HEAD")

    def generations(self, name: str = "shop/train") -> dict[str, int]:
        """How many generations each tag of a name has in the store."""
        return {
            folder.name[1:]: len(list(folder.glob("*.json")))
            for folder in sorted((self.store / "refs" / name).glob("@*"))
        }

    def published(self, tag: str = "candidate", name: str = "shop/train") -> dict[str, object]:
        """What the newest generation says of where it came from."""
        newest = max((self.store / "refs" / name / f"@{tag}").glob("*.json"))
        found: dict[str, object] = json.loads(newest.read_text())["published"]
        return found

    def means(self, name: str) -> str:
        """The version of toy that a name means."""
        return self.case.run("run", name, "--", "python", "-c", "import toy; print(toy.__version__)").out.strip()


@pytest.fixture
def team(case: Case, wheel_index: Server) -> Team:
    """A repository without a commit, and a store without a name."""
    return Team(case, wheel_index)


def test_a_commit_is_published_once_and_everybody_uses_it(team: Team) -> None:
    first = team.commit("1.0")
    team.case.run("publish").mentions("shop/train:candidate  1", "moved to", "1 test passed", "2 moved")
    assert team.generations() == {"candidate": 1, "latest": 1}
    assert team.published() == {
        "commit": first,
        "by": team.published()["by"],
        "recipe": "recipes/train.yaml",
        "dirty": False,
    }
    team.case.run("publish").mentions("2 already as declared", "1 test passed before")
    assert team.generations() == {"candidate": 1, "latest": 1}
    team.at("laptop")
    shutil.move(team.case.project / "recipes", team.case.project / "elsewhere")
    assert team.means("shop/train") == "1.0"
    shutil.move(team.case.project / "elsewhere", team.case.project / "recipes")
    team.at("ci")
    second = team.commit("1.1")
    team.case.run("publish", "--dry-run").mentions("1 -> 2", "would move", "Would publish 1 name")
    assert team.generations() == {"candidate": 1, "latest": 1}
    team.case.run("publish", "--promote").mentions("3 moved")
    assert team.generations() == {"candidate": 2, "latest": 2, "stable": 1}
    past = team.case.run("history", "shop/train").out
    assert [line.split()[-2] for line in past.splitlines()] == ["commit", second[:12], first[:12]]
    told = json.loads(team.case.run("history", "shop/train:stable", "--json").out)
    assert told["generations"][0]["published"]["commit"] == second


def test_the_environment_is_whole_in_the_store_before_the_name_moves(team: Team) -> None:
    team.commit("1.0", platforms=f"{HERE}, {OTHER}")
    team.case.run("publish").mentions("waits: its test has not passed on", f"not tested for {OTHER}")
    team.case.run("verify", "--store", "team", "shop/train:candidate")
    closures = {path.parent.parent.name for path in team.store.glob("environments/*/*/*.json")}
    assert closures == {HERE, OTHER}


def test_a_test_that_fails_moves_nothing_and_is_tried_again(team: Team) -> None:
    team.commit("1.0", "test: {imports: [toy, nowhere], commands: [\"python -c 'print(1)'\"]}\n")
    team.case.run("publish", code=9).mentions("test-failed", "import nowhere failed", "No module named", "envbuild log")
    assert team.generations() == {}
    assert not list(team.store.glob("results/test/*/*.json"))
    key = team.case.err.rpartition("envbuild log ")[2].split()[0]
    team.case.run("log", key).mentions("No module named 'nowhere'", "import toy", "failed at")
    team.case.run("publish", code=9)
    team.commit("1.0", "test: {imports: [toy]}\n")
    team.case.run("publish").mentions("1 test passed")
    assert team.generations() == {"candidate": 1, "latest": 1}
    (told,) = json.loads(team.case.run("publish", "--json").out)["tests"]
    team.case.run("log", told["key"][:12]).mentions("import toy", "passed at")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{commands: ['python -c \"import sys; sys.exit(3)\"']}", "ended with exit code 3"),
        ("{commands: [no-such-program]}", "no-such-program"),
        ("{entry-points: [no-such-program]}", "no package has installed no-such-program"),
        ("{commands: ['python -c \"import time; time.sleep(600)\"'], timeout: 2}", "took longer than [time], and"),
        ("{commands: ['python -c \"open(chr(47) + chr(101), chr(119))\"']}", "ended with exit code 1"),
    ],
    ids=["exit", "absent", "not-installed", "slow", "writes"],
)
def test_what_fails_is_told(team: Team, section: str, told: str) -> None:
    team.commit("1.0", f"test: {section}\n")
    team.case.run("publish", code=9).mentions(told)
    assert team.generations() == {}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("imports: [quitter]", "before all was imported"),
        ("imports: [raiser]", "SystemExit"),
        ("entry-points: [gone]", "entry point gone failed"),
        ("entry-points: [gone, right]", "entry point gone failed"),
    ],
)
def test_packages_that_lie_of_themselves_do_not_pass(
    team: Team, serving: Callable[..., Server], tmp_path: Path, section: str, told: str
) -> None:
    files = {
        "quitter.py": "import os\nos._exit(0)\n",
        "raiser.py": "raise SystemExit(0)\n",
    }
    scripts = {"gone": "odd:no_such_function", "right": "odd:main"}
    make_wheel(tmp_path / "index", "odd", "1.0", files=files, scripts=scripts)
    team.index = serving(WheelIndex(folder=tmp_path / "index"))
    team.commit("1.0", f"test: {{{section}}}\n", package="odd")
    team.case.run("publish", code=9).mentions("test-failed", told)
    team.commit("1.0", "test: {imports: [odd], entry-points: [right]}\n", package="odd")
    team.case.run("publish").mentions("1 test passed")


def test_tests_see_their_environment_and_nothing_of_the_user(team: Team) -> None:
    look = (
        "import os, pathlib; e = os.environ; "
        'assert e[chr(72)+"OME"] != e.get("NOT"); '
        'assert "SECRET_OF_CI" not in e; assert e["MODE"] == "train"; '
        'assert not list(pathlib.Path().iterdir()); pathlib.Path("here").write_text("1"); '
        'pathlib.Path.home().joinpath("there").write_text("1")'
    )
    team.commit("1.0", f"variables: {{MODE: train}}\ntest: {{commands: ['python -c ''{look}''']}}\n")
    team.case.variable("SECRET_OF_CI", "s3cret").run("publish").mentions("1 test passed")


def test_two_recipes_that_differ_in_their_tests_have_one_environment(team: Team) -> None:
    team.write("1.0", "test: {imports: [toy]}\n", recipe="one", name="shop/one")
    team.write("1.0", "test: {imports: [toy, os.path], timeout: 9}\n", recipe="two", name="shop/two")
    one, two = (json.loads(team.case.run("show", f"recipes/{name}.yaml", "--json").out) for name in ("one", "two"))
    assert one["environment"] == two["environment"]
    assert one["request"] == two["request"]
    team.case.recipe(
        (team.case.project / "recipes/one.yaml").read_text().replace("[toy]", "[json]"), "recipes/one.yaml"
    )
    team.case.run("lock", "--check", "recipes/one.yaml")


def test_a_test_is_run_once_for_all_machines(team: Team) -> None:
    team.commit("1.0")
    team.case.run("publish").mentions("1 test passed")
    team.commit("1.0", PASSES + "description: the same environment\n")
    team.at("another").run("publish").mentions("1 test passed before")
    # whose word counts for nothing has tested nothing
    results = list(team.store.glob("results/test/*/*.json"))
    assert len(results) == 1
    team.commit("1.0", PASSES.replace("imports: [toy]", "imports: [toy, json]"))
    team.case.run("publish").mentions("1 test passed")
    assert len(list(team.store.glob("results/test/*/*.json"))) == 2


def test_an_older_commit_moves_nothing_back(team: Team) -> None:
    first = team.commit("1.0")
    team.case.run("publish")
    team.commit("1.1")
    team.case.run("publish", "--promote")
    team.git("checkout", "-q", first)
    team.case.run("publish", code=6).mentions("newer-published", "which is newer than", "git pull")
    team.case.run("publish", "--dry-run", code=6)
    assert team.generations() == {"candidate": 2, "latest": 2, "stable": 1}
    team.case.run("publish", "--force").mentions("2 moved")
    assert team.generations() == {"candidate": 3, "latest": 3, "stable": 1}
    assert team.means("shop/train:stable") == "1.1"


def test_a_late_job_of_a_commit_in_between_moves_nothing_back(team: Team) -> None:
    team.write("1.0", PASSES, recipe="other", name="shop/other")
    team.commit("1.0")
    team.case.run("publish")
    between = team.commit("1.1")
    last = team.commit("1.0")
    team.case.run("publish", "--dry-run").mentions("would stay", "2 would move", "2 already as declared")
    team.case.run("publish").mentions("a commit in between declared another", "2 moved, 2 already as declared")
    assert team.generations() == {"candidate": 2, "latest": 2}
    assert team.generations("shop/other") == {"candidate": 1, "latest": 1}
    assert team.published()["commit"] == last
    team.case.run("publish").mentions("0 moved, 4 already as declared")
    team.git("checkout", "-q", between)
    team.case.run("publish", code=6).mentions("newer-published")
    # a clone that ends at the late job's commit knows nothing of what came after it
    clone = team.case.project.parent / "clone"
    team.git("branch", "-f", "late", between)
    team.git("clone", "-q", "--no-local", "--single-branch", "-b", "late", str(team.case.project), str(clone))
    team.case.project = clone
    team.case.run("publish", code=6).mentions("unknown-commit")
    assert team.generations() == {"candidate": 2, "latest": 2}


def test_branches_and_unknown_commits_are_refused(team: Team) -> None:
    base = team.commit("1.0")
    team.git("checkout", "-q", "-b", "side")
    team.commit("1.1")
    team.case.run("publish")
    team.git("checkout", "-q", "main")
    team.commit("1.0", PASSES + "variables: {A: b}\n")
    team.case.run("publish", code=6).mentions("diverged-name", "does not contain")
    team.git("merge", "-q", "-s", "ours", "side")
    team.case.run("publish").mentions("2 moved")
    # a clone that does not have the commit
    shutil.rmtree(team.case.project / ".git")
    team.git("init", "-q", "-b", "main")
    other = team.commit("1.1")
    assert other != base
    team.case.run("publish", code=6).mentions("unknown-commit", "does not know", "git fetch")
    team.case.run("publish", "--force").mentions("2 moved")


def test_what_a_hand_did_stays_until_somebody_forces(team: Team) -> None:
    team.commit("1.0")
    team.case.run("publish")
    team.commit("1.1")
    team.case.run("publish")
    team.case.run("rollback", "shop/train")
    team.case.run("publish", code=6).mentions("moved-by-hand", "shop/train:latest", "--force")
    team.case.run("publish", "--check", code=10).mentions("shop/train:latest")
    team.case.run("publish", "--force").mentions("1 moved", "1 already as declared")
    team.case.run("history", "shop/train").mentions("by hand")
    team.case.run("remove", "shop/train:candidate")
    team.case.run("publish", code=6).mentions("was removed by hand")


def test_what_no_commit_has_is_refused_or_marked(team: Team) -> None:
    team.commit("1.0")
    team.write("1.1", PASSES)
    team.case.run("publish", code=10).mentions("dirty-checkout", "recipes/train", "--allow-dirty")
    team.case.run("publish", "--dry-run").mentions("note: not as", "recipes/train.yaml")
    team.case.run("publish", "--allow-dirty").mentions("2 moved")
    assert team.published()["dirty"] is True
    team.case.run("history", "shop/train").mentions("(dirty)")
    # a lock that git was never told of is no more published than one that was changed
    team.git("checkout", "-q", "--", ".")
    team.git("rm", "-q", "--cached", "recipes/train.lock.yaml")
    team.git("commit", "-q", "-m", "without the lock")
    team.case.run("publish", code=10).mentions("dirty-checkout", "recipes/train.lock.yaml")


def test_a_lock_that_does_not_fit_is_refused(team: Team) -> None:
    team.commit("1.0")
    path = team.case.project / "recipes/train.yaml"
    path.write_text(path.read_text().replace("==1.0", "==1.1"))
    team.git("commit", "-qam", "forgot to lock")
    team.case.run("publish", code=10).mentions("recipes/train")
    assert team.generations() == {}


def test_names_are_declared_once_and_recipes_without_are_said(team: Team) -> None:
    team.write("1.0", recipe="one", name="shop/one")
    team.write("1.1", recipe="two", name="shop/one")
    team.write("1.1", recipe="three", name=None)
    team.git("add", "-A")
    team.git("commit", "-qm", "twins")
    team.case.run("publish", code=3).mentions("duplicate-name", "recipes/two.yaml:1:7", "recipes/one.yaml declares")
    team.case.run("publish", "recipes/one.yaml", code=3).mentions("duplicate-name")
    (team.case.project / "recipes/two.yaml").unlink()
    team.git("commit", "-qam", "one of them")
    team.case.run("publish").mentions("recipes/three.yaml declares no `name`", "no `test:` holds back shop/one")
    assert team.generations("shop/one") == {"candidate": 1, "latest": 1}


def test_a_shallow_clone_publishes_only_what_it_can_judge(team: Team) -> None:
    origin = team.case.project
    team.commit("1.0", PASSES + "description: first\n")

    def clone(name: str, *words: str) -> None:
        team.case.project = origin.parent / name
        command = ["git", "clone", "-q", *words, origin.as_uri(), str(team.case.project)]
        subprocess.run(command, env=team.case.environ, check=True, capture_output=True)

    clone("first", "--depth=1")
    team.case.run("publish").mentions("2 moved")  # nobody has published before
    team.case.run("publish").mentions("0 moved, 2 already as declared")
    team.case.project = origin
    team.commit("1.1")
    clone("second", "--depth=1")
    told = ("unknown-commit", "this clone is shallow", "git fetch --unshallow", "fetch-depth: 0")
    team.case.run("publish", "--dry-run", code=6).mentions(*told)
    team.case.run("publish", code=6).mentions(*told)
    assert team.generations() == {"candidate": 1, "latest": 1}
    # What the name means already was something else in between, which a late job would publish.
    team.case.project = origin
    team.git("rm", "-q", "-r", "recipes")
    team.commit("1.0")
    clone("third", "--depth=1")
    team.case.run("publish", code=6).mentions(*told)
    team.case.run("publish", "--check", code=0).mentions("this clone is shallow")
    team.git("fetch", "-q", "--unshallow")
    team.case.run("publish").mentions("a commit in between declared another", "2 moved")
    team.case.run("publish", "--check").hides("this clone is shallow")
    # Both commits are known, and not what lies between them.
    team.case.project = origin
    for number in range(3):
        team.git("commit", "-q", "--allow-empty", "-m", str(number))
    team.commit("1.1")
    clone("fourth", "--depth=2")
    team.git("fetch", "-q", "--depth=1", "origin", str(team.published()["commit"]))
    team.case.run("publish", code=6).mentions(*told)
    team.git("fetch", "-q", "--unshallow")
    team.case.run("publish").mentions("2 moved")


def test_differences_between_git_and_the_store_are_told(team: Team) -> None:
    team.commit("1.0")
    team.case.run("publish", "--check", code=10).mentions("shop/train:candidate  is not there", "2 differences to Git")
    team.case.run("publish", "--promote")
    team.case.run("publish", "--check").mentions("as Git declares")
    team.commit("1.1")
    told = json.loads(team.case.run("publish", "--check", "--json", code=10).out)
    assert told["drift"] is True
    assert [(item["name"], item["how"]) for item in told["differences"]] == [
        ("shop/train:candidate", "differs"),
        ("shop/train:latest", "differs"),
        ("shop/train:stable", "behind"),
    ]
    team.case.run("publish")
    team.case.run("publish", "--check").mentions("shop/train:stable  is still", "as Git declares")
    # beside it: one that no recipe declares any more, one by hand, one of another repository
    team.write("1.0", recipe="old", name="shop/old")
    team.git("add", "-A")
    team.git("commit", "-qm", "old")
    team.case.run("publish")
    team.git("rm", "-q", "recipes/old.yaml", "recipes/old.lock.yaml")
    team.git("commit", "-qm", "no old")
    team.case.run("alias", "recipes/train.yaml", "shop/mine:v1")
    team.case.run("alias", "recipes/train.yaml", "elsewhere/mine:v1")
    team.case.run("publish", "--check", code=10)
    team.case.mentions("shop/old", "shop/mine", "is declared by no recipe").hides("elsewhere/mine")
    team.case.run("publish", "--check", "--promote", code=2)


def test_a_store_to_read_is_not_published_to(team: Team) -> None:
    team.commit("1.0")
    team.at("reader", mode="read-only").run("publish", code=5).mentions("read-only", "mode: read-write")
    team.case.run("publish", "--dry-run").mentions("would move")
    assert team.generations() == {}


def test_outside_of_a_repository_and_before_the_first_commit(team: Team) -> None:
    team.write("1.0", PASSES)
    team.case.run("publish", code=2).mentions("no-commit")
    shutil.rmtree(team.case.project / ".git")
    team.case.run("publish", code=2).mentions("no-repository")


def test_promoting_waits_for_every_platform(team: Team) -> None:
    team.commit("1.0", platforms=f"{HERE}, {OTHER}")
    team.case.run("publish", "--promote", code=10).mentions("shop/train:stable stays", OTHER)
    assert team.generations() == {"candidate": 1}
    told = json.loads(team.case.run("publish", "--promote", "--json", code=10).out)
    assert {item["platform"]: item["outcome"] for item in told["tests"]} == {HERE: "recorded", OTHER: "missing"}
    assert [step["state"] for step in told["steps"]] == ["same", "waits", "waits"]
    # a machine of the other platform, with a home of its own, passes it and shares its result
    passed_elsewhere(team)
    team.at("third").run("publish", "--promote").mentions("2 tests passed before", "2 moved")
    assert team.generations() == {"candidate": 1, "latest": 1, "stable": 1}


@pytest.mark.parametrize("point", ["pre-name-put", "post-name-put", "post-name-put:2", "post-blobs-pre-record"])
def test_a_publish_that_was_killed_is_ended_by_the_next(team: Team, point: str) -> None:
    team.commit("1.0")
    name, _, nth = point.partition(":")
    team.case.variable("ENVBUILD_FAULT", f"{name}:kill" + (f":{nth}" if nth else ""))
    team.case.run("publish", "--promote", code=-signal.SIGKILL)
    team.case.variable("ENVBUILD_FAULT", None).run("publish", "--promote")
    assert team.generations() == {"candidate": 1, "latest": 1, "stable": 1}
    assert team.means("shop/train:stable") == "1.0"
    team.case.run("verify", "--store", "team")


def test_two_commits_published_at_once_end_with_the_newer(team: Team) -> None:
    first = team.commit("1.0")
    second = team.commit("1.1")
    older = team.case.project.parent / "older"
    team.git("worktree", "add", "-q", str(older), first)
    command = [sys.executable, "-m", "envbuild", "publish"]
    running = [
        subprocess.Popen(command, cwd=folder, env=team.case.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for folder in (older, team.case.project, older, team.case.project)
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in running]
    codes = [process.returncode for process in running]
    assert codes[1] == codes[3] == 0, said
    assert set(codes) <= {0, 6}, said
    assert not any("Traceback" in text for text in said)
    for tag in ("candidate", "latest"):
        assert team.published(tag)["commit"] == second
        assert team.generations()[tag] <= 2
    assert team.means("shop/train") == "1.1"


def passed_elsewhere(team: Team) -> None:
    """Put the record that a machine of the other platform would have left in the store."""
    path = team.case.project / "recipes" / "train.yaml"
    project = find_project(path, {})
    tests = load_recipe(project, path).tests
    assert tests is not None
    lock = parse_lock(path.with_suffix(".lock.yaml").read_bytes(), "lock")
    keys = {part.platform: trial_of(build_graph(lock, part, name="x"), tests).key for part in lock.platforms}
    store = open_store(team.store)
    here = store.results.get("test", keys[HERE])
    assert here is not None, "the key of a test follows from the lock and the recipe"
    assert store.results.put(replace(here, key=keys[OTHER], platform=OTHER)) == "created"


def test_a_store_whose_word_counts_for_nothing_has_tested_nothing(team: Team) -> None:
    team.commit("1.0")
    team.case.run("publish")
    told = json.loads(team.at("clone").run("publish", "--dry-run", "--json").out)
    assert [item["outcome"] for item in told["tests"]] == ["recorded"]
    stranger = team.at("stranger", trusted=False, mode="read-only")
    told = json.loads(stranger.run("publish", "--dry-run", "--json").out)
    assert [item["outcome"] for item in told["tests"]] == ["missing"]


def test_where_only_signatures_count_tests_and_names_are_signed(team: Team) -> None:
    team.commit("1.0")
    key = team.case.home.parent / "ci.key"
    made = json.loads(team.case.run("key", "new", "ci", "--output", key, "--json").out)
    trust = f"trust: {{mode: signed, keys: {{ci: {json.dumps(made['public'])}}}}}\n"
    team.at("ci", more=trust).variable("ENVBUILD_SIGNING_KEY", str(key)).run("publish")
    team.case.variable("ENVBUILD_SIGNING_KEY", None)
    assert list(team.store.glob("signatures/results/test/*/*/*.json"))
    team.at("reader", more=trust).run("publish", "--check").mentions("as Git declares")
    told = json.loads(team.case.run("publish", "--dry-run", "--json").out)
    assert [item["outcome"] for item in told["tests"]] == ["recorded"]
    shutil.rmtree(team.store / "signatures" / "results")
    told = json.loads(team.at("another", more=trust).run("publish", "--dry-run", "--json").out)
    assert [item["outcome"] for item in told["tests"]] == ["missing"]
    team.commit("1.1")
    team.at("reader", more=trust).run("publish", code=2).mentions("no-key")


@pytest.mark.parametrize("network", [True, False])
def test_the_network_is_there_for_tests_that_say_so(team: Team, serving: Callable[..., Server], network: bool) -> None:
    served = team.case.home.parent / "served"
    served.mkdir()
    (served / "file").write_text("hello")
    server = serving(served)
    look = f'import urllib.request as r; print(r.urlopen("{server.url}/file").read())'
    word = json.dumps(f"python -c '{look}'")
    team.commit("1.0", f"test: {{commands: [{word}], network: {str(network).lower()}}}\n")
    case = team.case.run("publish", code=None)
    if "not shut off" in case.err:
        pytest.skip("NO NAMESPACES: this kernel shuts nothing off")
    assert (case.code, len(server.requests)) == ((0, 1) if network else (9, 0)), case.err


def test_what_a_test_leaves_running_is_ended(team: Team) -> None:
    length = f"86399.{os.getpid()}"
    stays = f"import subprocess; subprocess.Popen(['sleep', '{length}'], start_new_session=False)"
    word = json.dumps(f'python -c "{stays}"')
    team.commit("1.0", f"test: {{commands: [{word}]}}\n")
    team.case.run("publish", timeout=120).mentions("1 test passed")
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in running if length.encode() in line and line.startswith(b"sleep")]


@pytest.mark.parametrize(
    ("section", "reference", "told"),
    [
        ("{imports: [toy], surprise: 1}", "unknown-key", "surprise"),
        ("{imports: ['../x']}", "bad-name", "module"),
        ("{imports: ['a; import os']}", "bad-name", "module"),
        ("{entry-points: ['../../bin/sh']}", "bad-name", "program"),
        ("{entry-points: ['-c']}", "bad-name", "program"),
        ('{commands: ["python -c \'x"]}', "bad-command", "close every quote"),
        ("{commands: ['a && b']}", "bad-command", "a shell"),
        ("{commands: ['a | b']}", "bad-command", "a shell"),
        ("{commands: ['']}", "bad-command", "names no program"),
        ("{commands: [x], timeout: 0}", "bad-value", "time limit"),
        ("{commands: [x], timeout: -1}", "bad-value", "time limit"),
        ("{commands: [x], timeout: 1e9}", "bad-value", "time limit"),
        ("{timeout: 5}", "missing-key", "tests nothing"),
        ("{imports: []}", "missing-key", "tests nothing"),
        ("[toy]", "bad-type", ""),
        ("{network: perhaps, imports: [toy]}", "bad-type", ""),
    ],
)
def test_a_section_that_means_nothing_is_refused_with_its_line(
    case: Case, section: str, reference: str, told: str
) -> None:
    case.recipe(f"interpreter: host\npython: '{SERIES}'\ntest: {section}\n").run("lock", "x.yaml", code=3)
    case.mentions(reference, "x.yaml:3:", told)


def test_words_that_only_look_like_a_shell_s_are_a_command_s_own(team: Team) -> None:
    team.commit("1.0", "test:\n  commands: [\"python -c 'import sys; assert sys.argv[1] == chr(124)' '|'\"]\n")
    team.case.run("publish").mentions("1 test passed")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[ObjectServer]:
    """A server of S3's protocol, seen through a proxy that counts."""
    (tmp_path / "s3").mkdir()
    with serve_objects("s3", tmp_path / "s3") as server:
        yield server


def test_a_bucket_takes_each_name_once(team: Team, bucket: ObjectServer) -> None:
    team.case.environ |= bucket.environ
    url = f"s3://{bucket.bucket()}/team"
    team.case.run("store", "init", url)
    team.commit("1.0")
    team.at("ci", url=url).run("publish").mentions("2 moved", "1 test passed")
    bucket.proxy.forget()
    team.case.run("publish").mentions("2 already as declared", "1 test passed before")
    assert [seen.path for method in ("PUT", "POST", "DELETE") for seen in bucket.proxy.matching(method)] == []
    team.at("another", url=url).run("publish", "--check").mentions("as Git declares")
    team.commit("1.1")
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "envbuild", "publish", "--json"],
            cwd=team.case.project,
            env={**team.case.environ, "ENVBUILD_HOME": str(team.case.home.parent / f"racer-{number}")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=300) for process in racers]
    assert [process.returncode for process in racers] == [0, 0], said
    moved = [step for out, _ in said for step in json.loads(out)["steps"] if step["state"] == "moved"]
    assert sorted(step["name"] for step in moved) == ["shop/train:candidate", "shop/train:latest"]
    past = json.loads(team.case.run("history", "shop/train", "--json").out)["generations"]
    assert [item["generation"] for item in past] == [2, 1]


def test_a_name_that_is_copied_keeps_its_commit(team: Team) -> None:
    commit = team.commit("1.0")
    team.case.run("publish")
    other = team.case.home.parent / "other-store"
    team.case.run("store", "init", other).run("store", "copy", "team", other, "--names")
    team.store = other
    told = json.loads(team.at("reader").run("history", "shop/train", "--json").out)
    assert told["generations"][0]["published"]["commit"] == commit
    team.case.run("publish", "--dry-run").mentions("2 already as declared", "1 test passed before")


def test_where_the_kernel_shuts_nothing_off_tests_run_in_folders_of_their_own(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_found", isolation.Isolation(apart=False, reason="a test says so"))
    write = 'import os, pathlib; pathlib.Path.home().joinpath("x").write_text(os.environ["TMPDIR"])'
    team.commit("1.0", f"test: {{imports: [toy], commands: [{json.dumps(f'python -c {chr(39)}{write}{chr(39)}')}]}}\n")
    done = Session(team.case.project, environ=team.case.environ).publish()
    assert [(item.platform, item.outcome) for item in done.tests] == [(HERE, "passed")]
    assert team.generations() == {"candidate": 1, "latest": 1}
    assert not (Path(team.case.environ["HOME"]) / "x").exists()
    (record,) = team.store.glob("results/test/*/*.json")
    out = json.loads(record.read_text())["outputs"]["out"]["sha256"]
    told = json.loads((team.store / "blobs" / "sha256" / out[:2] / out).read_text())
    assert (told["isolated"], told["network"]) == (False, False)
