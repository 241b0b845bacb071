"""Plans against what is then done: the same jobs, the same bytes from the same places, and why each is to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from envbuild.environments.runs import timelines
from tests.case import Case
from tests.faults.world import World, remove
from tests.flows.test_builds import folder_project, host_recipe, index  # noqa: F401  a fixture
from tests.flows.test_shared_stores import Team, _team, team  # noqa: F401  fixtures
from tests.support.channel import TestChannel
from tests.support.servers import serve
from tests.support.wheels import make_wheel

FILES = (".conda", ".tar.bz2", ".whl", ".tar.gz")

Sums = dict[tuple[str, str], tuple[int, int]]


@pytest.fixture
def channel_world(tmp_path: Path, channel: TestChannel):  # type: ignore[no-untyped-def]
    """A project, a home, a channel and an index."""
    folder = tmp_path / "world"
    folder.mkdir()
    with serve(lambda request: None) as server:
        yield World(folder, channel, server)


def plan_of(world: World, name: str) -> dict:
    (plan,) = json.loads(world.run("plan", f"{name}.yaml", "--json").out)["plans"]
    return plan


def realized(world: World, name: str) -> dict:
    (found,) = json.loads(world.run("realize", f"{name}.yaml", "--json").out)["environments"]
    return found


def sums(sources: list[dict]) -> Sums:
    return {(item["source"]["kind"], item["source"]["name"]): (item["files"], item["size"]) for item in sources}


def served(world: World) -> int:
    """Bytes of the package files that the server gave, each as often as it was asked for."""
    paths = [request.path for request in world.server.matching("*") if request.path.endswith(FILES)]
    folders = (world.channel.folder, world.wheels)
    files = {path.name: path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()}
    return sum(files[path.rpartition("/")[2]] for path in paths)


def done(world: World) -> set[tuple[str, str]]:
    """What the newest run did, by kind and label; what it only prepared left out."""
    newest = next(timelines(world.home / "runs"))
    assert {span.state for span in newest.spans} == {"done"}
    return {(span.kind, span.label) for span in newest.spans if span.phase != "prepare"}


def todo(plan: dict) -> set[tuple[str, str]]:
    return {(row["kind"], row["label"]) for row in plan["rows"] if row["state"] not in {"hit", "not needed"}}


def holds(world: World, name: str) -> dict:
    """Plan, realize, and compare: jobs, bytes by source, and what the server was asked for. Gives the plan."""
    world.run("lock", f"{name}.yaml")
    plan = plan_of(world, name)
    world.server.forget()
    made = realized(world, name)
    assert sums(plan["sources"]) == sums(made["sources"])
    assert sum(size for (kind, _), (_, size) in sums(plan["sources"]).items() if kind != "store") == served(world)
    assert todo(plan) == done(world)
    assert all(item["unknown"] == 0 for item in plan["sources"])
    again = plan_of(world, name)
    assert todo(again) == set()
    assert again["sources"] == []
    assert again["milliseconds"] == 0
    return plan


@pytest.mark.parametrize("kind", ["conda", "pypi", "mixed"])
def test_what_a_plan_says_is_what_a_realize_does(channel_world: World, kind: str) -> None:
    world = channel_world
    if kind == "pypi":
        series = f"{sys.version_info.major}.{sys.version_info.minor}"
        world.recipe("x", f"interpreter: host\npython: {series}\n" + world.pypi_lines("tool-box:", "bulky:"))
    else:
        world.recipe("x", world.small() if kind == "conda" else world.mixed())
    plan = holds(world, "x")
    wanted = {"conda": {"channel"}, "pypi": {"index"}, "mixed": {"channel", "index"}}[kind]
    assert {item["source"]["kind"] for item in plan["sources"]} == wanted
    assert {row["miss"]["cause"] for row in plan["rows"] if row["miss"]} == {"first"}
    assert plan["milliseconds"] >= plan["chain-milliseconds"] > 0


def test_what_is_there_partly_is_fetched_partly(channel_world: World) -> None:
    world = channel_world
    realized(world, "small")
    plan = holds(world, "mixed")
    states = {row["label"]: row["state"] for row in plan["rows"] if row["kind"] == "fetch"}
    assert states["data-files 2.0"] == "hit"
    assert states["tool-box 1.0"] == "miss"


def test_a_derived_recipe_pays_for_what_its_base_lacks(channel_world: World) -> None:
    world = channel_world
    realized(world, "mixed")
    world.recipe("derived", "extends: mixed.yaml\nvariables: {A: '1'}\nconda:\n  packages:\n    activated:\n")
    plan = holds(world, "derived")
    assert [row["label"] for row in plan["rows"] if row["state"] == "miss" and row["kind"] == "fetch"] == [
        next(row["label"] for row in plan["rows"] if row["label"].startswith("activated "))
    ]


def test_from_a_shared_store_the_same_bytes_come_as_were_planned(team: Team) -> None:  # noqa: F811
    plan = holds(team, "everything")
    assert set(sums(plan["sources"])) == {("store", "team")}
    assert sum(row["moves"] for row in plan["rows"] if row["moves"]) >= sum(item["size"] for item in plan["sources"])


def test_what_a_store_has_and_what_it_has_not_are_priced_apart(team: Team) -> None:  # noqa: F811
    make_wheel(team.wheels, "late", "1.0")
    team.recipe("later", (team.project / "everything.yaml").read_text() + "    late:\n")
    realized(team, "small")
    plan = holds(team, "later")
    assert {kind for kind, _ in sums(plan["sources"])} == {"store", "index"}
    (late,) = [row for row in plan["rows"] if row["label"] == "late 1.0"]
    assert (late["state"], late["source"]["kind"], late["moves"]) == ("miss", "index", late["size"])


def test_a_miss_says_what_is_another_one_than_the_last_time(channel_world: World) -> None:
    world = channel_world
    world.recipe("x", world.mixed())
    realized(world, "x")
    make_wheel(world.wheels, "tool-box", "2.0", requires=["idle-hands"], scripts={"tool-box": "tool_box:main"})
    text = world.mixed().replace("data-files:", "activated:").replace("tool-box:", "tool-box: '==2.0'")
    world.recipe("x", text + "variables: {LEVEL: '3'}\n")
    world.run("lock", "x.yaml")
    plan = plan_of(world, "x")
    miss = {row["label"]: row["miss"] for row in plan["rows"] if row["miss"]}
    assert (miss["tool-box 2.0"]["cause"], miss["tool-box 2.0"]["text"]) == ("changed", "was 1.0")
    (activated,) = [found for label, found in miss.items() if label.startswith("activated ")]
    assert activated["cause"] == "new"
    reasons = {(reason["path"], reason["change"]) for reason in miss["x (linux-64)"]["reasons"]}
    assert {
        ("inputs[data-files (conda)]", "removed"),
        ("inputs[activated (conda)]", "added"),
        ("inputs[tool-box].version", "changed"),
        ("variables.LEVEL", "added"),
    } == {reason for reason in reasons if reason[0] != "inputs"}
    shown = world.run("plan", "x.yaml")
    assert "tool-box 2.0" in shown.out
    assert "; was 1.0" in shown.out
    assert "Compared with what was realized at " in shown.err


def test_what_was_collected_is_no_change(channel_world: World) -> None:
    world = channel_world
    realized(world, "small")
    remove(world.home / "store" / "blobs")
    remove(world.home / "prefixes")
    plan = plan_of(world, "small")
    assert {row["miss"]["cause"] for row in plan["rows"] if row["miss"]} == {"gone"}
    assert "its folder is gone" in world.run("plan", "small.yaml").out


def test_a_build_costs_what_it_took_the_last_time(case: Case, index: tuple[Path, str]) -> None:  # noqa: F811
    folder = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml")
    case.run("lock", "x.yaml").run("plan", "x.yaml").mentions("1 build of unknown length")
    case.run("realize", "x.yaml")
    newest = next(timelines(case.home / "runs"))
    (took,) = [span.end - span.start for span in newest.spans if span.kind == "build-wheel"]
    (folder / "README.md").write_text("edited", encoding="utf-8")
    case.run("lock", "x.yaml").run("plan", "x.yaml", "--json")
    (plan,) = json.loads(case.out)["plans"]
    (build,) = [row for row in plan["rows"] if row["kind"] == "build-wheel"]
    assert (build["state"], build["milliseconds"], plan["builds"]) == ("needs build", took, 0)
    assert plan["chain-milliseconds"] >= took
    assert [reason["path"] for reason in build["miss"]["reasons"]] == ["source.key"]
    assert build["miss"]["text"] == "source is another file"


def test_records_of_runs_that_are_none_harm_no_plan(channel_world: World) -> None:
    world = channel_world
    realized(world, "small")
    (run,) = (world.home / "runs").iterdir()
    whole = run.read_text()
    for number, text in enumerate(("", "[]", "{}", whole[:-9], "[" * 100_000, whole.replace('"done"', "7"))):
        (world.home / "runs" / f"20300101T00000000000{number}-1.json").write_text(text)
    assert len(list(timelines(world.home / "runs"))) == 1
    world.run("plan", "mixed.yaml")


def test_a_realize_with_nothing_to_do_keeps_no_record(channel_world: World) -> None:
    world = channel_world
    realized(world, "small")
    before = sorted((world.home / "runs").iterdir())
    world.run("realize", "small.yaml", "--json")
    world.run("realize", "small.yaml")
    assert sorted((world.home / "runs").iterdir()) == before
