"""``lock`` and ``realize`` of many recipes: one graph, equal work once, what fails keeps back only what needs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.locks.lockfile import parse_lock
from envbuild.reporter import Recorder
from envbuild.session import Session
from tests.case import Case
from tests.support.servers import Body, Incoming, Server
from tests.support.wheel_index import WheelIndex

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ("toy", "toy-core", "toy-paint")
BASES = 3
RECIPES = 30


def recipe(index: str, packages: str, extends: str | None = None) -> str:
    head = f"extends: {extends}\n" if extends else f"interpreter: host\npython: {SERIES}\n"
    return f"{head}pypi:\n  index: {index}/simple\n  packages:\n    {packages}:\n"


def write_family(case: Case, index: str, *, wrong: bool = False) -> list[str]:
    """30 recipes on 3 bases; with ``wrong`` one base and one recipe of another have no solution."""
    for number, package in enumerate(PACKAGES):
        asked = "no-such-thing" if wrong and number == 2 else package
        case.recipe(recipe(index, asked), f"recipes/base-{number}.yaml")
    names = []
    for number in range(RECIPES):
        names.append(f"r{number:02d}")
        asked = "never-heard-of" if wrong and number == 0 else PACKAGES[number // BASES % 3]
        case.recipe(recipe(index, asked, f"base-{number % BASES}.yaml"), f"recipes/{names[-1]}.yaml")
    return names


def locks(case: Case) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (case.project / "recipes").glob("*.lock.yaml")}


def session(case: Case, monkeypatch: pytest.MonkeyPatch, recorder: Recorder, *, keep_going: bool = False) -> Session:
    monkeypatch.chdir(case.project)
    return Session(reporter=recorder, environ=case.environ, keep_going=keep_going)


def done_of(recorder: Recorder, kind: str) -> Counter[str]:
    """How often each derivation of a kind was done."""
    ended = recorder.named("finished")
    return Counter(item.data["key"] for item in ended if item.data["kind"] == kind and item.data["phase"] == "realise")


def test_locking_a_folder_is_locking_each_alone_byte_for_byte(
    case: Case, tmp_path: Path, wheel_index: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_family(case, wheel_index.url)
    recorder = Recorder()
    many = session(case, monkeypatch, recorder).lock_each(*(f"recipes/{name}.yaml" for name in reversed(names)))
    assert [item.state for item in many.ended] == ["done"] * RECIPES
    solved = done_of(recorder, "solve")
    assert set(solved.values()) == {1}
    assert len(solved) <= BASES + 9, "recipes that ask alike are one solve"
    assert len(recorder.named("plan_made")) == 1, "all is one run, which grows"
    ended = [event.data["ended"] for event in recorder.named("recipe_ended")]
    assert ended == list(range(1, RECIPES + 1))

    alone = Case(tmp_path / "alone")
    write_family(alone, wheel_index.url)
    one = Recorder()
    for name in ("base-1", "base-0", "base-2", *names):
        session(alone, monkeypatch, one).lock(f"recipes/{name}.yaml")
    assert locks(alone) == locks(case)

    case.run("lock", "recipes").mentions("33 recipes: 33 locked already")
    case.run("lock", "recipes/r0*.yaml", "--check").mentions("10 locks fit their recipes")


@pytest.mark.parametrize("order", [("base-0", "r00", "r03"), ("r00", "r03", "base-0"), ("r00", "base-0", "r03")])
def test_a_base_that_is_named_too_is_solved_once_wherever_it_stands(
    case: Case, wheel_index: Server, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    write_family(case, wheel_index.url)
    recorder = Recorder()
    many = session(case, monkeypatch, recorder).lock_each(*(f"recipes/{name}.yaml" for name in order))
    assert {item.state for item in many.ended} == {"done"}
    assert all(count == 1 for count in done_of(recorder, "solve").values())
    assert len(locks(case)) == 3
    by_name = {item.recipe.stem: item.locked for item in many.ended}
    assert by_name["r00"] is not None
    assert by_name["r00"].bases == (by_name["base-0"],), "it stands on the very lock that was made for the base"


def test_what_fails_keeps_back_what_needs_it_and_nothing_else(case: Case, wheel_index: Server) -> None:
    write_family(case, wheel_index.url, wrong=True)
    case.run("lock", "recipes", "--keep-going", code=11)
    assert case.err.count("error[unsatisfiable]") == 2, "each failure is said once"
    case.mentions("33 recipes: 21 locked, 2 failed, 10 not begun", "not begun, for recipes/base-2.yaml failed:")
    assert len(locks(case)) == 21

    case.run("lock", "recipes", "--keep-going", "--json", code=11)
    tree = json.loads(case.out)
    states = {Path(item["recipe"]).stem: (item["state"], item["error"]) for item in tree["recipes"]}
    assert len(states) == 33
    assert states["r00"] == states["base-2"] == ("failed", "unsatisfiable")
    assert states["r02"] == ("not-begun", None)
    assert states["r01"] == ("unchanged", None)
    assert {Path(item["base"]).stem for item in tree["recipes"] if item["base"]} == {"base-2"}
    assert sorted(Path(path).stem for item in tree["errors"] for path in item["recipes"]) == ["base-2", "r00"]


def test_a_check_names_every_lock_that_does_not_fit(case: Case, wheel_index: Server) -> None:
    write_family(case, wheel_index.url)
    case.run("lock", "recipes").run("lock", "--check", "recipes").mentions("33 locks fit their recipes")
    for name in ("r01", "r02"):
        path = case.project / "recipes" / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "variables: {A: another}\n", encoding="utf-8")
    (case.project / "recipes" / "r03.lock.yaml").unlink()
    case.recipe("pyton: 3\n", "recipes/z-typo.yaml")
    case.run("lock", "--check", "recipes", code=3)
    for name in ("r01.lock.yaml", "r02.lock.yaml", "r03.yaml", "z-typo.yaml"):
        assert len(re.findall(rf"^error\[.*recipes/{name}", case.err, re.MULTILINE)) == 1, case.err
    case.mentions("34 recipes: 30 fit, 4 failed")
    case.run("lock", "--check", "recipes", "--json", code=3)
    tree = json.loads(case.out)
    assert (len(tree["fits"]), len(tree["recipes"]), len(tree["errors"])) == (30, 34, 4)
    case.run("lock", "--check", "recipes/r01.yaml", code=10).says("""
        error[stale]: recipes/r01.lock.yaml: the lock does not fit its recipe: the variables changed
          hint: envbuild lock recipes/r01.yaml
    """)


@pytest.mark.parametrize("command", [("plan",), ("realize", "--dry-run")], ids=" ".join)
def test_a_plan_goes_on_without_what_fails_where_that_is_wanted(
    case: Case, wheel_index: Server, command: tuple[str, ...]
) -> None:
    write_family(case, wheel_index.url, wrong=True)
    case.run(*command, "recipes", code=11)
    assert case.out == ""
    case.run(*command, "recipes", "--keep-going", code=11)
    case.mentions("33 recipes: 21 planned, 2 failed, 10 not begun", "not begun, for recipes/base-2.yaml failed:")
    assert "miss" in case.out
    case.run(*command, "recipes", "-k", "--json", code=11)
    tree = json.loads(case.out)
    assert len(tree["plans"]) == 1
    assert len(tree["plans"][0]["names"]) == 21
    assert sum(item["state"] == "done" for item in tree["recipes"]) == 21
    case.run("lock", "recipes", "--check", code=10)  # nothing was written


def test_a_plan_of_many_says_of_those_that_are_new_alone_that_nothing_of_them_was_there(
    case: Case, wheel_index: Server
) -> None:
    write_family(case, wheel_index.url)
    case.run("plan", "recipes").mentions("Nothing of base-0, base-1, base-2, r00, r01 and 28 more was realized here")
    case.run("realize", "recipes/r01.yaml")
    extended = "extends: r01.yaml\nvariables: {A: another}\n"
    case.recipe(extended, "recipes/s01.yaml").run("plan", "recipes/r01.yaml", "recipes/s01.yaml")
    assert "Nothing of" not in case.err
    assert "Compared with what was realized at" in case.err
    (line,) = (line for line in case.out.splitlines() if not line.startswith("hit"))
    assert "s01" in line
    assert line.endswith("nothing of this recipe was realized here before")


def test_a_platform_that_there_is_not_is_no_matter_of_the_recipe(case: Case, wheel_index: Server) -> None:
    write_family(case, wheel_index.url)
    case.run("lock", "recipes/base-0.yaml", "--platform", "amiga", code=2).mentions("hint: platforms are linux-64, ")
    case.run("lock", "recipes/base-0.yaml", "--platform", "win-64", code=2).mentions("hint: add it under `platforms:`")


def test_without_keep_going_the_first_failure_ends_what_has_not_begun(case: Case, wheel_index: Server) -> None:
    write_family(case, wheel_index.url)
    case.recipe("pyton: 3\n", "recipes/a-typo.yaml")
    case.run("lock", "recipes", code=3)
    case.mentions(
        "unknown-key", "34 recipes: 1 failed, 33 not begun", "not begun after the failure (--keep-going goes on)"
    )
    assert locks(case) == {}, "what is wrong in a recipe is said before anything is solved"
    case.run("realize", "recipes/r*.yaml", "recipes/a-typo.yaml", "--keep-going", code=3)
    case.mentions("31 recipes: 30 realized, 1 failed")
    assert len(case.out.split()) == RECIPES


def test_equal_builds_of_many_environments_are_done_once(
    case: Case, wheel_index: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_family(case, wheel_index.url)
    recorder = Recorder()
    made = session(case, monkeypatch, recorder).realize(*(f"recipes/{name}.yaml" for name in names))
    assert {done_of(recorder, kind).most_common(1)[0][1] for kind in ("fetch", "link")} == {1}
    assert len({item.prefix for item in made}) < len(made) == RECIPES, "equal locks are one environment"
    assert all(item.out_link is not None and item.out_link.readlink() == item.prefix for item in made)
    assert [event.data["state"] for event in recorder.named("recipe_ended")].count("failed") == 0
    case.run("realize", "recipes/r*.yaml").mentions("30 recipes: 30 already there")


class Held:
    """An index that answers about one package only once something has happened, or 25 seconds too late."""

    def __init__(self, folder: Path, package: str, happened: Callable[[], bool]) -> None:
        self._index = WheelIndex(folder=folder)
        self._package = package
        self._happened = happened

    def __call__(self, request: Incoming) -> Body | None:
        end = time.monotonic() + 25  # an engine waits for 30
        while f"/simple/{self._package}/" in request.path and not self._happened() and time.monotonic() < end:
            time.sleep(0.01)
        return self._index(request)


def test_what_is_locked_is_built_while_others_are_being_locked(
    case: Case, toy_wheels: Path, serving: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serving(Held(toy_wheels, "toy-paint", lambda: (case.project / ".envs" / "quick").is_symlink())).url
    case.recipe(recipe(url, "toy"), "quick.yaml")
    case.recipe(recipe(url, "toy-paint"), "slow.yaml")
    case.recipe(recipe(url, "toy", "slow.yaml"), "late.yaml")
    recorder = Recorder()
    monkeypatch.chdir(case.project)
    many = Session(reporter=recorder, environ=case.environ, jobs=2).realize_each("late.yaml", "slow.yaml", "quick.yaml")
    assert [item.state for item in many.ended] == ["done"] * 3
    told = [
        (event.name, event.data.get("kind") or Path(event.data["recipe"]).stem)
        for event in recorder.events
        if event.name == "recipe_ended" or (event.name == "finished" and event.data["phase"] == "realise")
    ]
    told = [item for item in told if item != ("finished", "fetch")]
    assert told[:3] == [("finished", "solve"), ("finished", "link"), ("recipe_ended", "quick")]
    assert told[3] == ("finished", "solve"), "the slow one is still being locked"
    assert len(recorder.named("plan_made")) == 1, "all is one run, which grows"
    assert all(set(done_of(recorder, kind).values()) == {1} for kind in ("solve", "fetch", "link"))


def test_a_lock_that_fails_leaves_what_was_built_and_keeps_back_the_rest(
    case: Case, toy_wheels: Path, serving: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serving(Held(toy_wheels, "never-heard-of", lambda: (case.project / ".envs" / "quick").is_symlink())).url
    case.recipe(recipe(url, "toy"), "quick.yaml")
    case.recipe(recipe(url, "never-heard-of"), "wrong.yaml")
    case.recipe(recipe(url, "toy", "wrong.yaml"), "upon.yaml")
    monkeypatch.chdir(case.project)
    many = Session(environ=case.environ, jobs=2).realize_each("upon.yaml", "wrong.yaml", "quick.yaml")
    assert [item.state for item in many.ended] == ["not-begun", "failed", "done"]
    assert many.ended[0].base == many.ended[1].recipe
    assert (case.project / "quick.lock.yaml").exists()


def test_a_build_that_fails_ends_the_locking_of_what_has_not_begun(
    case: Case, toy_wheels: Path, tmp_path: Path, serving: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for wheel in toy_wheels.glob("*.whl"):
        (other / wheel.name).symlink_to(wheel)
    recorder = Recorder()
    held = threading.Event()
    url = serving(Held(other, "toy-core", lambda: not held.is_set() or bool(recorder.named("failed")))).url
    case.recipe(recipe(url, "toy-paint"), "bad.yaml")
    case.run("lock", "bad.yaml")
    held.set()
    for wheel in other.glob("toy_paint*"):
        wheel.unlink()
    case.recipe(recipe(url, "toy-core"), "slow.yaml")
    case.recipe(recipe(url, "toy", "slow.yaml"), "late.yaml")
    monkeypatch.chdir(case.project)
    many = Session(reporter=recorder, environ=case.environ, jobs=2).realize_each("late.yaml", "bad.yaml", "slow.yaml")
    assert [item.state for item in many.ended] == ["not-begun", "failed", "not-begun"]
    assert not (case.project / "late.lock.yaml").exists(), "what had not begun is not locked"


def test_a_file_that_is_gone_fails_the_recipes_that_need_it(
    case: Case, tmp_path: Path, wheel_index: Server, toy_wheels: Path, serving: Callable[..., Server]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for wheel in toy_wheels.glob("*.whl"):
        (other / wheel.name).symlink_to(wheel)
    index = serving(WheelIndex(folder=other))
    for name in ("bad-1", "bad-2"):
        case.recipe(recipe(index.url, "toy-paint"), f"{name}.yaml")
    case.recipe(recipe(wheel_index.url, "toy-core"), "good.yaml")
    case.run("lock", "bad-1.yaml", "bad-2.yaml", "good.yaml")
    for wheel in other.glob("toy_paint*"):
        wheel.unlink()
    case.run("realize", "bad-1.yaml", "good.yaml", "bad-2.yaml", "--keep-going", code=None)
    assert case.code in {4, 5}
    case.mentions("recipes: bad-1.yaml, bad-2.yaml", "3 recipes: 1 realized, 2 failed")
    assert case.out == f"{(case.project / '.envs' / 'good').readlink()}\n"


def test_two_recipes_with_one_out_link_are_refused_before_anything_is_done(case: Case, wheel_index: Server) -> None:
    for name in ("train.yaml", "recipes/train.yaml"):
        case.recipe(recipe(wheel_index.url, "toy"), name)
    case.file("envbuild.yaml", "recipes: recipes\n")
    case.run("realize", "train.yaml", "recipes", code=2).mentions("same-link", ".envs/train", "--no-out-link")
    assert not (case.project / "train.lock.yaml").exists()
    case.run("realize", "train.yaml", "recipes", "--no-out-link").mentions("2 recipes: 2 realized")
    case.run("realize", "recipes", "train.yaml", "--out-link", "x", code=2).mentions("several are linked in .envs/")
    case.run("lock", "docs", code=3)
    (case.project / "docs").mkdir()
    case.run("lock", "docs", code=2).mentions("no-recipes")
    case.run("lock", "docs/*.yaml", code=2).mentions("no-recipes")
    for strange in ("x" * 5000, "z*" * 200, "[", "docs/["):
        for verb in ("lock", "realize", "publish"):
            assert case.run(verb, strange, code=None).code in {2, 3, 5, 8}


def test_an_interrupt_leaves_whole_locks_only(case: Case, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    asked, go_on = threading.Event(), threading.Event()
    index = WheelIndex(folder=toy_wheels)

    def content(request: Incoming) -> Body | None:
        if "toy-paint" in request.path:
            asked.set()
            go_on.wait(60)
        return index(request)

    url = serving(content).url
    write_family(case, url)
    running = subprocess.Popen(
        [sys.executable, "-m", "envbuild", "lock", "recipes", "--keep-going"],
        cwd=case.project,
        env=case.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert asked.wait(60)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        go_on.set()
        running.kill()
        running.wait()
    assert running.returncode == 130, said
    assert "Traceback" not in said
    for name, data in locks(case).items():
        parse_lock(data, name)
    left = {path.name for path in (case.project / "recipes").iterdir()}
    assert all(name.endswith(".yaml") for name in left), left
