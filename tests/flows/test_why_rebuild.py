"""``why-rebuild``: which inputs of two builds differ, told by their key documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.rebuilds import rebuild, rebuilds
from tests.case import Case
from tests.faults.world import World, remove
from tests.flows.test_builds import folder_project, host_recipe, index  # noqa: F401  a fixture
from tests.support.channel import TestChannel
from tests.support.drawn import made_graph
from tests.support.servers import serve
from tests.support.wheels import make_wheel


@pytest.fixture
def channel_world(tmp_path: Path, channel: TestChannel) -> Iterator[World]:
    folder = tmp_path / "world"
    folder.mkdir()
    with serve(lambda request: None) as server:
        yield World(folder, channel, server)


def answer(world: World, *words: str) -> dict:
    return dict(json.loads(world.run("why-rebuild", *words, "--json").out))


def changes(told: dict) -> dict[tuple[str, str], dict]:
    return {(item["kind"], item["label"]): item for item in told["rebuilds"]}


def test_a_recipe_against_what_was_realized_of_it(channel_world: World) -> None:
    world = channel_world
    world.run("realize", "mixed.yaml")
    same = answer(world, "mixed.yaml")
    assert (same["rebuilds"], same["gone"]) == ([], [])
    assert same["same"] > 5
    make_wheel(world.wheels, "idle-hands", "2.2")
    world.run("lock", "mixed.yaml", "--upgrade-package", "idle-hands")
    told = changes(answer(world, "mixed.yaml"))
    assert told.keys() == {("link", "mixed (linux-64)"), ("fetch", "idle-hands 2.2")}
    (reason,) = told["link", "mixed (linux-64)"]["reasons"]
    assert (reason["path"], reason["old"], reason["new"]) == ("inputs[idle-hands].version", "2.1", "2.2")
    shown = world.run("why-rebuild", "mixed.yaml")
    assert "  inputs[idle-hands].version changed from '2.1' to '2.2'" in shown.out.splitlines()
    assert ": 2 changed, " in shown.err


def test_what_was_collected_differs_in_nothing(channel_world: World) -> None:
    world = channel_world
    world.run("realize", "small.yaml")
    remove(world.home / "prefixes")
    told = answer(world, "small.yaml")
    assert told["rebuilds"] == []
    assert told["gone"] == ["link small (linux-64)"]
    assert "nothing differs; it is not here any more" in world.run("why-rebuild", "small.yaml").out


def test_two_environments_by_whatever_names_them(channel_world: World) -> None:
    world = channel_world
    world.run("realize", "small.yaml")
    first = json.loads(world.run("show", "small.yaml", "--json").out)
    world.recipe("small", world.small() + "variables: {LEVEL: '3'}\n")
    world.run("realize", "small.yaml")
    for word in (first["environment"], first["environment"][:12], f"{first['request']}:{first['environment']}"):
        ((kind, _),) = (found := changes(answer(world, word, "small.yaml"))).keys()
        assert kind == "link"
        assert [item["path"] for item in next(iter(found.values()))["reasons"]] == ["variables.LEVEL"]
    back = changes(answer(world, "small.lock.yaml", first["environment"]))
    assert [item["change"] for item in next(iter(back.values()))["reasons"]] == ["removed"]


def test_two_builds_by_their_keys(case: Case, index: tuple[Path, str]) -> None:  # noqa: F811
    folder = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml")
    keys = [json.loads(case.run("log", "mine", "--json").out)["key"]]
    (folder / "README.md").write_text("edited", encoding="utf-8")
    case.run("lock", "x.yaml").run("realize", "x.yaml")
    keys.append(json.loads(case.run("log", "mine", "--json").out)["key"])
    assert keys[0] != keys[1]
    told = json.loads(case.run("why-rebuild", keys[0][:12], keys[1], "--json").out)
    (item,) = told["rebuilds"]
    assert (item["before"], item["after"]) == tuple(keys)
    assert [reason["path"] for reason in item["reasons"]] == ["source.key"]
    assert item["told"] == []
    case.run("why-rebuild", keys[0], keys[0]).mentions("nothing differs, 1 derivation the same")
    case.run("why-rebuild", keys[0], "x.yaml", code=2).mentions("error[not-comparable]", "build-wheel", "environment")


def test_what_is_recorded_and_in_no_key_is_told_beside() -> None:
    old, new = made_graph(30), made_graph(33)
    (before,) = [item for item in old if item.kind == "build-wheel"]
    (after,) = [item for item in new if item.kind == "build-wheel"]
    compilers = {id(before): {"compiler": "cc 12", "glibc": "2.17"}, id(after): {"compiler": "cc 13", "cpp": "3.4"}}
    found = rebuild(before, old, after, new, lambda item: compilers[id(item)])
    assert [(item.name, item.before, item.after) for item in found.told] == [
        ("compiler", "cc 12", "cc 13"),
        ("glibc", "2.17", None),
        ("cpp", None, "3.4"),
    ]
    assert rebuild(before, old, after, new).told == ()


def test_every_derivation_is_the_same_changed_added_or_removed() -> None:
    old, new = made_graph(40), made_graph(60)
    for first, second in ((old, new), (new, old)):
        found = rebuilds(first, second)
        after = {item.after for item in found} - {None}
        before = {item.before for item in found} - {None}
        assert after == {item.key for item in second} - {item.key for item in first}
        assert before == {item.key for item in first} - {item.key for item in second}
    assert rebuilds(old, old) == ()


@pytest.mark.parametrize(
    ("words", "code", "reference"),
    [
        (("small.yaml",), 2, "never-realized"),
        (("nowhere.yaml",), 3, "missing-file"),
        (("small.yaml", "0123456"), 3, "unknown-id"),
        (("small.yaml", "no/such"), 3, "unknown-name"),
        (("small.yaml", "\x1b[2J"), 3, ""),
        ((), 2, ""),
    ],
)
def test_what_cannot_be_compared(channel_world: World, words: tuple[str, ...], code: int, reference: str) -> None:
    world = channel_world
    world.run("lock", "small.yaml")
    said = world.run("why-rebuild", *words, code=code).err
    assert reference in said
    assert "\x1b[2J" not in said
