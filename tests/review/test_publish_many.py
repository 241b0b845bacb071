"""``publish`` of many recipes: without ``--keep-going`` one that fails moves nothing, with it the others move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.case import Case
from tests.review.test_publish import PASSES, Team
from tests.support.servers import Server


@pytest.fixture
def team(case: Case, wheel_index: Server) -> Team:
    """A repository without a commit, and a store without a name."""
    return Team(case, wheel_index)


def test_who_fails_keeps_nobody_from_being_published_where_others_go_on(team: Team) -> None:
    team.write("1.0", PASSES, recipe="good", name="shop/good")
    team.write("1.1", "test: {imports: [nowhere]}\n", recipe="fails", name="shop/fails")
    team.write("1.0", recipe="stale", name="shop/stale")
    stale = team.case.project / "recipes/stale.yaml"
    stale.write_text(stale.read_text().replace("==1.0", "==1.1"))
    team.git("add", "-A")
    team.git("commit", "-qm", "three recipes")
    team.case.run("publish", "recipes", code=10)
    assert team.generations("shop/good") == {}

    team.case.run("publish", "recipes", "--keep-going", code=9)
    team.case.mentions("shop/good:latest", "test-failed", "recipe: recipes/fails.yaml", "failed, 1 test passed")
    assert team.generations("shop/good") == {"candidate": 1, "latest": 1}
    assert team.generations("shop/fails") == team.generations("shop/stale") == {}

    team.case.run("publish", "recipes/*.yaml", "--keep-going", "--json", code=9)
    told = json.loads(team.case.out)
    failed = {Path(path).stem: item["reference"] for item in told["failed"] for path in item["recipes"]}
    assert failed == {"fails": "test-failed", "stale": "stale"}
