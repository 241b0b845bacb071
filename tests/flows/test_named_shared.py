"""Names in a shared store, as several machines see them: each has a home of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import this_platform
from tests.support.servers import Server

HERE = this_platform()
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


class Team:
    """A store in a folder, a project, and machines by name."""

    def __init__(self, case: Case, index: Server) -> None:
        self.case, self.index = case, index
        self.store = case.home.parent / "team-store"
        self.case.run("store", "init", self.store)

    def at(self, machine: str, address: str | None = None, **settings: str) -> Case:
        """The machine of that name: a home and a configuration of its own."""
        home = self.case.home.parent / f"home-{machine}"
        self.case.home = home
        self.case.variable("ENVBUILD_HOME", str(home)).variable("ENVBUILD_STORE", None)
        stores = json.dumps([{"name": "team", "url": address or str(self.store), "mode": "read-write"} | settings])
        file = Path(self.case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"stores: {stores}\ntrusted: {json.dumps([address] if address else [])}\n")
        return self.case

    def locked(self, version: str) -> Case:
        """The project's recipe, locked with this version."""
        text = (
            f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}]\n"
            f"pypi:\n  index: {self.index.url}/simple\n  packages: {{toy: '=={version}'}}\n"
        )
        return self.case.recipe(text).run("lock", "x.yaml")


@pytest.fixture
def team(case: Case, wheel_index: Server) -> Team:
    """A team whose CI has named version 1.0 ``team/toy:stable``."""
    made = Team(case, wheel_index)
    made.at("ci")
    made.locked("1.0").run("alias", "x.yaml", "team/toy:stable")
    return made


PROGRAM = ("--", "python", "-c", "import toy; print(toy.__version__)")


def test_one_names_and_everybody_uses(team: Team) -> None:
    assert not list((team.case.home / "store").glob("refs/**/*.json"))
    case = team.at("laptop")
    shutil.rmtree(case.project / "x.yaml", ignore_errors=True)
    case.run("run", "team/toy:stable", *PROGRAM).shows("1.0")
    case.run("list").mentions("team/toy:stable  1")
    team.at("ci")
    team.locked("1.1").run("alias", "x.yaml", "team/toy:stable")
    team.at("laptop").run("run", "team/toy:stable", *PROGRAM).shows("1.1")
    team.case.run("rollback", "team/toy:stable")
    team.at("ci").run("get", "team/toy:stable").mentions("3, since")
    team.case.run("alias", "x.yaml", "team/toy:stable", "--expect", "2", code=6).mentions("is at generation 3")
    team.at("laptop").run("history", "team/toy:stable").mentions("team/toy:stable: 3 generations")


def test_whole_ids_are_found_in_the_store_and_beginnings_at_home(team: Team) -> None:
    known = json.loads(team.case.run("get", "team/toy:stable", "--json").out)
    request, environment = known["request"], known["environments"][HERE]
    team.at("laptop").run("realize", environment[:12], code=3).mentions("unknown-id")
    team.case.run("run", f"{request}:{environment}", *PROGRAM).shows("1.0")
    team.case.run("realize", environment[:12])


def test_a_recipe_extends_a_name_of_the_store(team: Team) -> None:
    case = team.at("laptop")
    text = f"extends: {{name: 'team/toy:stable'}}\nplatforms: [{HERE}]\npypi: {{packages: {{toy-paint: }}}}\n"
    case.recipe(text, "y.yaml").run("lock", "y.yaml").run("run", "y.yaml", *PROGRAM).shows("1.0")


def test_a_store_to_read_gives_names_and_takes_none(team: Team) -> None:
    case = team.at("reader", str(team.store), mode="read-only")
    case.run("run", "team/toy:stable", *PROGRAM).shows("1.0")
    case.run("alias", "team/toy:stable", "team/toy:candidate", code=5).mentions("read-only", "may only be read here")
    case.run("rollback", "team/toy:stable", code=3)


def test_a_name_goes_back_to_what_is_collected_only_where_somebody_still_has_it(team: Team) -> None:
    team.locked("1.1").run("alias", "x.yaml", "team/toy:stable")
    first = json.loads(team.case.run("history", "team/toy:stable", "--json").out)["generations"][1]
    (closure,) = team.store.glob(f"environments/*/{first['request']}/*.json")
    whole = closure.read_bytes()
    closure.unlink()  # as `gc --keep-generations 1` does
    case = team.at("laptop")
    case.run("rollback", "team/toy:stable", code=4).mentions("absent-environment", "team/toy:stable, generation 1")
    case.run("get", "team/toy:stable").mentions("generation  2")
    team.at("ci").run("rollback", "team/toy:stable")  # where it was locked
    assert closure.read_bytes() == whole
    team.at("laptop").run("run", "team/toy:stable", *PROGRAM).shows("1.0")


def test_a_store_to_read_is_never_written_also_when_it_is_named(team: Team) -> None:
    other = team.case.home.parent / "other-store"
    case = team.at("reader", str(team.store), mode="read-only")
    case.run("realize", "x.yaml").run("store", "init", other)
    before = {path: path.stat().st_mtime_ns for path in sorted(team.store.rglob("*"))}
    for words in (
        ("push", "x.yaml", "--to", "team"),
        ("push", "x.yaml", "--to", team.store),
        ("gc", "--store", "team"),
        ("gc", "--store", "team", "--dry-run"),
        ("gc", "--store", "team", "--pin", "team/toy:stable"),
        ("gc", "--store", "team", "--unpin", "team/toy:stable"),
        ("store", "copy", other, "team"),
        ("store", "sign", "team"),
        ("verify", "--store", "team", "--repair"),
    ):
        case.run(*words, code=5).mentions("read-only", "may only be read here")
    assert {path: path.stat().st_mtime_ns for path in sorted(team.store.rglob("*"))} == before


def test_a_store_over_http_offline_and_gone_back(team: Team, serving: Callable[..., Server]) -> None:
    server = serving(team.store)
    case = team.at("node", server.url)
    case.hide(r"http://127\.0\.0\.1:\d+", "[store]")
    case.run("run", "team/toy:stable", *PROGRAM).shows("1.0")
    asked = list(server.requests)
    case.run("run", "--offline", "team/toy:stable", *PROGRAM).shows("1.0")
    case.mentions("note: team/toy:stable as [store] had it less than a minute ago (generation 1): offline")
    assert server.requests == asked
    case.run("realize", "--offline", "team/none", code=5).mentions("never seen on this machine")
    case.run("list", "--offline").mentions("note: names are not listed")
    team.at("ci")
    team.locked("1.1").run("alias", "x.yaml", "team/toy:stable")
    case = team.at("node", server.url)
    case.run("run", "team/toy:stable", *PROGRAM).shows("1.1")
    (newest,) = team.store.glob("refs/team/toy/@stable/*2.json")
    newest.unlink()
    case.run("run", "team/toy:stable", *PROGRAM, code=4).mentions("name-rolled-back", "generation 2")
    case.run("run", "--offline", "team/toy:stable", *PROGRAM).shows("1.1")


def test_a_store_that_is_not_there_is_no_store_without_names(team: Team) -> None:
    team.at("laptop").run("get", "team/toy:stable")
    team.store.rename(team.store.with_name("away"))
    team.case.run("get", "team/toy:stable", code=5).mentions("no-store")
    team.case.run("list").mentions("note: names are not listed: there is no store at")
    team.at("new").run("get", "team/toy:stable", code=5).mentions("no-store")
    team.case.run("affected", "--package", "toy").mentions("note: names are not looked into: there is no store at")
    team.at("new").run("alias", "x.yaml", "team/toy:v1", code=5).mentions("no-store")


def test_what_the_home_has_named_does_not_stand_in_for_the_store(team: Team) -> None:
    case = team.at("laptop")
    file = Path(case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    kept = file.read_text()
    file.write_text("")
    case.run("alias", "x.yaml", "mine").run("get", "mine")
    file.write_text(kept)
    case.run("get", "mine", code=3).mentions("unknown-name")


def test_a_base_that_moved_in_a_far_store_is_told_where_the_network_is_used_anyway(
    team: Team, serving: Callable[..., Server]
) -> None:
    server = serving(team.store)
    text = f"extends: {{name: 'team/toy:stable'}}\nplatforms: [{HERE}]\npypi: {{packages: {{toy-paint: }}}}\n"
    moved = "team/toy:stable has moved since y.yaml was locked (generation 2 now)"
    case = team.at("laptop", server.url).recipe(text, "y.yaml").run("realize", "y.yaml")
    team.at("ci")
    team.locked("1.1").run("alias", "x.yaml", "team/toy:stable")
    case = team.at("laptop", server.url)
    # Nothing to ask anybody for: the store is not asked either, and this machine has seen nothing newer.
    asked = list(server.requests)
    case.run("lock", "y.yaml").hides("has moved").run("lock", "--check", "y.yaml").hides("has moved")
    assert server.requests == asked
    case.recipe(text + "variables: {A: '1'}\n", "y.yaml").run("plan", "--offline", "y.yaml", code=5)
    case.mentions("has to be solved, and the network may not be used: what the recipe asks for").hides("has moved")
    assert server.requests == asked
    # A lock is solved, and what only a network tells is told.
    case.run("lock", "y.yaml").mentions(moved)
    # Now this machine has seen it: it is known without asking.
    asked = list(server.requests)
    case.run("lock", "y.yaml", "--offline").mentions("is locked already", moved)
    assert server.requests == asked
    # Another machine fetches: that is online too.
    team.at("node", server.url).run("realize", "y.yaml").mentions(moved)


def test_a_store_is_listed_with_what_its_names_mean_and_what_is_here(
    team: Team, serving: Callable[..., Server]
) -> None:
    team.locked("1.1").run("alias", "x.yaml", "team/toy:candidate")
    case = team.at("laptop")
    case.run("realize", "team/toy:stable").run("alias", "team/toy:stable", "team/toy:v1")
    (prefix,) = (case.home / "prefixes").iterdir()
    tree = json.loads(case.run("list", "--json").out)
    (here,) = tree["environments"]
    assert "stored" not in tree
    assert (here["prefix"], here["packages"], here["names"]) == (str(prefix), 2, ["team/toy:stable", "team/toy:v1"])
    closure = json.loads(case.run("show", "team/toy:stable", "--json").out)
    assert here["size"] == sum(package["size"] for package in closure["packages"]) > 0
    assert {item["name"]: item["present"] for item in tree["names"]} == {
        "team/toy:candidate": [],
        "team/toy:stable": [str(prefix)],
        "team/toy:v1": [str(prefix)],
    }
    stored = json.loads(case.run("list", "--store", team.store, "--json").out)["stored"]
    assert {(tuple(item["names"]), tuple(item["present"])) for item in stored} == {
        (("team/toy:candidate",), ()),
        (("team/toy:stable", "team/toy:v1"), (str(prefix),)),
    }
    assert {item["environment"] for item in stored} == {path.stem for path in team.store.glob("environments/*/*/*")}
    odd = team.store / "environments" / HERE / "odd\x1b[2J"
    odd.mkdir()
    (odd / "x.json").write_text("{}")
    case.run("list", "--store", team.store).mentions("1 environment, 3 names, 2 environments in the store")
    assert f"{here['request'][:12]}:{here['environment'][:12]}" in case.out
    server = serving(team.store)
    case.run("list", "--store", server.url).mentions("note: what the store holds is not listed")
    case.run("list", "--store", server.url, "--offline").mentions("note: what the store holds is not listed")
    case.run("list", "--store", "nowhere", code=2).mentions("no-stores")


def test_what_a_name_means_is_told_whole(team: Team) -> None:
    case = team.at("laptop").run("realize", "team/toy:stable")
    prefix = case.out.strip()
    told = json.loads(case.run("get", "team/toy:stable", "--json").out)
    request, environment = told["request"], told["environments"][HERE]
    (record,) = team.store.glob("refs/team/toy/@stable/*.json")
    assert told == {
        "version": 1,
        "name": "team/toy:stable",
        "generation": 1,
        "created": told["created"],
        "movable": True,
        "digest": hashlib.sha256(record.read_bytes()).hexdigest(),
        "previous": None,
        "request": request,
        "environments": {HERE: environment},
        "published": None,
        "ids": {HERE: f"{request}:{environment}"},
        "store": team.store.as_uri(),
        "default-of": None,
        "others": [],
        "present": [prefix],
        "closures": {},
    }
    by_id = json.loads(case.run("get", environment, "--json").out)
    assert by_id == {key: told[key] for key in ("version", "request", "environments", "ids", "others", "present")} | {
        "store": None,
        "default-of": None,
        "closures": {},
    }
    team.at("ci")
    team.locked("1.1").run("alias", "x.yaml", "team/toy:stable")
    past = json.loads(team.at("laptop").run("history", "team/toy:stable", "--json").out)
    assert past["name"] == "team/toy:stable"
    assert [item["generation"] for item in past["generations"]] == [2, 1]
    assert past["generations"][0]["previous"] == past["generations"][1]["digest"] == told["digest"]
