"""``store copy``: everything, or one environment, and names with their past; nothing that is there is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.world import remove, tree_of
from tests.flows.test_shared_stores import Team, _team, damaged, team  # noqa: F401  fixtures


@pytest.fixture
def other(team: Team) -> Path:  # noqa: F811
    folder = team.folder / "copied"
    if folder.exists():
        remove(folder)
    team.run("store", "init", str(folder))
    return folder


def copied(team: Team, other: Path, *flags: str, code: int = 0) -> dict:  # noqa: F811
    return json.loads(team.run("store", "copy", "team", str(other), "--json", *flags, code=code).out)


def test_names_are_copied_with_their_past_where_that_is_asked_for(team: Team, other: Path) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:v1")
    for name in ("shop/train:stable", "shop/other:latest"):
        team.run("alias", "everything.yaml", name)
    assert copied(team, other)["generations"] == 0
    assert not (other / "refs").exists()
    assert copied(team, other, "--names")["generations"] == 3
    assert tree_of(other / "refs") == tree_of(team.store / "refs")
    again = copied(team, other, "--names")
    assert (again["generations"], again["blobs"], again["diverged"]) == (0, 0, [])
    assert team.run("verify", "--store", str(other)).out == ""


def test_a_copy_goes_on_where_an_earlier_one_ended(team: Team, other: Path) -> None:  # noqa: F811
    team.recipe("second", team.small())
    team.run("lock", "second.yaml")
    for recipe in ("everything", "second", "everything"):
        team.run("alias", f"{recipe}.yaml", "shop/train:stable")
    copied(team, other, "--names")
    whole = tree_of(other)
    for path in sorted((other / "refs").rglob("*.json"))[1:]:
        path.unlink()
    lost = [path for path in sorted((other / "blobs").rglob("*")) if path.is_file()][::2]
    for path in lost:
        path.unlink()
    again = copied(team, other, "--names")
    assert (again["generations"], again["blobs"]) == (2, len(lost))
    assert tree_of(other) == whole


def test_a_name_that_has_another_past_there_stays_and_is_told_and_the_rest_is_copied(
    team: Team,  # noqa: F811
    other: Path,
) -> None:
    team.recipe("second", team.small())
    team.run("lock", "second.yaml")
    for name in ("shop/train:stable", "shop/train:candidate", "shop/train:latest"):
        team.run("alias", "everything.yaml", name)
    team.run("alias", "second.yaml", "shop/train:stable", "--store", str(other))
    theirs = tree_of(other / "refs")
    outcome = team.run("store", "copy", "team", str(other), "--names", code=6)
    assert "shop/train:stable has another past" in outcome.out
    assert "shop/train:latest" not in outcome.out
    now = tree_of(other / "refs")
    assert {name: now[name] for name in theirs} == theirs
    assert (other / "refs" / "shop" / "train" / "@candidate").is_dir()
    assert (other / "refs" / "shop" / "train" / "@latest").is_dir()


def test_a_name_that_has_gone_on_there_is_left_alone(team: Team, other: Path) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    copied(team, other, "--names")
    team.recipe("second", team.small())
    team.run("lock", "second.yaml")
    team.run("alias", "second.yaml", "shop/train:stable", "--store", str(other))
    before = tree_of(other / "refs")
    assert copied(team, other, "--names")["diverged"] == []
    assert tree_of(other / "refs") == before


@pytest.mark.parametrize("what", ["shop/train:stable", "everything.yaml", "id"])
def test_one_environment_is_copied_alone(team: Team, other: Path, what: str) -> None:  # noqa: F811
    team.run("alias", "everything.yaml", "shop/train:stable")
    team.run("alias", "everything.yaml", "shop/elsewhere:stable")
    (closure,) = team.objects("environments")
    stray = team.store / "blobs" / "sha256" / "00" / ("0" * 64)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"of nobody")
    source = f"{closure.parent.name}:{closure.stem}" if what == "id" else what
    done = copied(team, other, "--environment", source, "--names")
    assert (done["environments"], done["results"], done["damaged"]) == (1, 2, [])
    assert not (other / "blobs" / "sha256" / "00" / stray.name).exists()
    names = [str(path.relative_to(other / "refs")) for path in (other / "refs").rglob("*.json")]
    assert names == (["shop/train/@stable/00000000000000000001.json"] if what == "shop/train:stable" else [])
    assert team.run("verify", "--store", str(other), "everything.yaml").out == ""
    team.another()
    team.close()
    team.configure()
    found = json.loads(team.run("realize", "everything.yaml", "--json", "--store", str(other)).out)["environments"][0]
    assert (found["built"], found["fetched"]) == (0, 0)


def test_what_is_damaged_stays_behind_and_what_is_short_there_is_mended(team: Team, other: Path) -> None:  # noqa: F811
    copied(team, other)
    first, second, *_ = (path for path in team.objects("blobs") if path.stat().st_size > 500)
    damaged(first)
    (there,) = (other / "blobs").rglob(first.name)
    there.unlink()
    (short,) = (other / "blobs").rglob(second.name)
    short.chmod(0o644)
    short.write_bytes(second.read_bytes()[:100])
    outcome = team.run("store", "copy", "team", str(other), code=4)
    assert first.name in outcome.out
    assert not there.exists()
    assert short.read_bytes() == second.read_bytes()


def test_a_store_is_not_copied_onto_itself(team: Team) -> None:  # noqa: F811
    assert "same-store" in team.run("store", "copy", "team", str(team.store), code=2).err
    assert (
        "unknown-name"
        in team.run("store", "copy", "team", str(team.folder / "first"), "--environment", "no/such:name", code=3).err
    )
