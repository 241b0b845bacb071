"""Shared stores, by the command line: what one machine did, another one takes, and nothing that goes wrong is linked.

Two machines are two homes at one path, one after the other: prefixes hold the path that they are in, so that trees can
be compared byte for byte. The store is a folder beside them.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import World, differences, remove
from tests.support.channel import TestChannel
from tests.support.sdists import make_own_sdist
from tests.support.servers import serve


class Team(World):
    """A world with a store: ``everything.yaml`` has conda packages of both formats, wheels, and an sdist to build."""

    def __init__(self, folder: Path, channel: TestChannel, server) -> None:  # type: ignore[no-untyped-def]
        folder.mkdir(parents=True)
        super().__init__(folder, channel, server)
        make_own_sdist(self.wheels, "brewed", "1.0", scratch=folder / "sdists", static=True)
        self.recipe(
            "everything",
            f"python: {self.series}\n"
            + self.conda_lines("greet: '1.*'", "data-files:", "old-format:")
            + self.pypi_lines("tool-box:", "brewed:"),
        )
        self.store = folder / "store"
        self.configure({"name": "team", "url": str(self.store)})
        self.run("store", "init", str(self.store))

    def configure(self, *stores: dict[str, str], **settings: object) -> None:
        """The user's own configuration."""
        file = Path(self.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"stores": list(stores), **settings}), encoding="utf-8")

    def another(self) -> None:
        """Another machine: nothing is at home. The locks are in Git."""
        self.fresh()

    def close(self) -> None:
        """Channel and index are gone."""
        self.server.content = lambda request: None

    def events(self, *arguments: str) -> list[dict]:
        """What a realize tells."""
        outcome = self.run("realize", *arguments, "--json")
        return [json.loads(outcome.out)["environments"][0]]

    def objects(self, below: str) -> list[Path]:
        """Files of the store below a folder of it."""
        return sorted(path for path in (self.store / below).rglob("*") if path.is_file())

    def one(self, name: str, *flags: str) -> dict:
        """Realize a recipe; what it says."""
        (found,) = json.loads(self.run("realize", f"{name}.yaml", "--json", *flags).out)["environments"]
        return found


@pytest.fixture
def team(tmp_path: Path, channel: TestChannel) -> Iterator[Team]:
    with serve(lambda request: None) as server:
        yield Team(tmp_path / "team", channel, server)


def test_another_machine_takes_everything_from_the_store(team: Team) -> None:
    first = team.one("everything")
    assert (first["built"], first["transmuted"], first["pulled"]) == (1, 1, 0)
    tree = team.tree("everything")
    team.another()
    team.close()
    again = team.one("everything", "--locked")
    assert not differences(team.tree("everything"), tree)
    assert (again["built"], again["transmuted"], again["fetched"]) == (0, 0, 0)
    assert again["pulled"] == again["packages"] == first["packages"]
    assert team.downloads() == {}
