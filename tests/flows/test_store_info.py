"""``store info``: what a store holds by kind, and what it was good for on this machine."""

from __future__ import annotations

import json

from tests.flows.test_shared_stores import Team, _team, team  # noqa: F401  fixtures


def info(team: Team) -> dict:  # noqa: F811
    (found,) = json.loads(team.run("store", "info", "team", "--json").out)["stores"]
    return found


def test_what_a_store_holds_is_counted_by_kind(team: Team) -> None:  # noqa: F811
    for name in ("shop/train:v1", "shop/train:stable"):
        team.run("alias", "everything.yaml", name)
    team.run("remove", "shop/train:stable")
    (team.store / "README").write_text("ours")
    found = info(team)
    assert found["sizes"] == {
        "blobs": sum(path.stat().st_size for path in team.objects("blobs")),
        "results": sum(path.stat().st_size for path in team.objects("results")),
        "environments": sum(path.stat().st_size for path in team.objects("environments")),
        "outputs": sum(path.stat().st_size for path in team.objects("outputs")),
        "refs": sum(path.stat().st_size for path in team.objects("refs")),
        "other": 4,
    }
    assert (found["names"], found["generations"], found["environments"]) == (2, 3, 1)
    assert found["results"] == {"build-wheel": 1, "transmute": 1}
    said = team.run("store", "info", "team")
    assert "2 names with 3 generations" in said.err
    assert "results: 1 build-wheel, 1 transmute" in said.err


def test_what_a_store_gave_is_told_with_its_share_and_a_run_with_nothing_to_do_notes_nothing(team: Team) -> None:  # noqa: F811
    assert info(team)["given"] is None
    made = team.one("everything", "--locked")
    first = info(team)["given"]
    assert (first["count"], first["wanted"], first["runs"]) == (made["pulled"], made["pulled"], 1)
    assert first["size"] >= made["pulled-bytes"] > 0
    files = sorted((team.home / "taken").iterdir())
    before = [path.read_bytes() for path in files]
    for flags in ((), ("--locked",)):
        team.one("everything", *flags)
    assert [path.read_bytes() for path in files] == before
    team.recipe("second", team.small())
    team.run("realize", "second.yaml")
    second = info(team)["given"]
    assert second["runs"] == 2
    assert second["wanted"] > second["count"] >= first["count"], "what had to be fetched counts against it"
    said = team.run("store", "info", "team").err
    assert f"it gave {second['count']}" in said
