"""``reuse-latest``: what was locked last for the same request, by whom the setting says, instead of a solve."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.digest import unsealed
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import this_platform
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

HERE = this_platform()
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


class Moving:
    """An index that grows: ``toy`` 1.0 today, newer ones tomorrow."""

    def __init__(self, case: Case, folder: Path, serving: Callable[..., Server]) -> None:
        self.case, self.folder = case, folder
        self.folder.mkdir()
        self.release("1.0")
        self.server = serving(WheelIndex(folder=folder))

    def release(self, version: str) -> None:
        """A new version appears on the index."""
        make_wheel(self.folder, "toy", version)

    def recipe(self, more: str = "") -> Case:
        """The recipe, and no lock beside it."""
        (self.case.project / "x.lock.yaml").unlink(missing_ok=True)
        return self.case.recipe(
            f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}]\n"
            f"pypi:\n  index: {self.server.url}/simple\n  packages: {{toy: }}\n{more}"
        )

    def version(self) -> str:
        """The locked version of ``toy``."""
        (environment,) = parse_lock((self.case.project / "x.lock.yaml").read_bytes(), "x").platforms
        return next(wheel.version for wheel in environment.wheels if wheel.name == "toy")

    def at(self, machine: str) -> Case:
        """Another machine: a home of its own."""
        self.case.home = self.case.home.parent / f"home-{machine}"
        return self.case.variable("ENVBUILD_HOME", str(self.case.home))


@pytest.fixture
def moving(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> Moving:
    return Moving(case, tmp_path / "index", serving)


def test_without_the_setting_every_lock_is_a_solve(moving: Moving) -> None:
    moving.recipe().run("lock", "x.yaml")
    moving.release("1.1")
    moving.recipe().run("lock", "x.yaml").hides("reuse-latest")
    assert moving.version() == "1.1"
    (log,) = (moving.case.home / "store" / "requests").glob("*/*")  # the request's default, and nobody else's
    assert (log.name, len(list(log.iterdir()))) == (f"@{getpass.getuser()}", 2)


def test_mine_is_what_i_locked_last(moving: Moving) -> None:
    case = moving.case.variable("ENVBUILD_REUSE_LATEST", "mine")
    moving.recipe().run("lock", "x.yaml")
    moving.release("1.1")
    asked = len(moving.server.requests)
    moving.recipe().run("lock", "x.yaml", "--offline").mentions("as you locked the same request last (`reuse-latest`)")
    assert (moving.version(), len(moving.server.requests)) == ("1.0", asked)
    case.run("lock", "--check", "x.yaml").run("lock", "x.yaml", "--upgrade")
    assert moving.version() == "1.1"
    moving.recipe().run("lock", "x.yaml")
    assert moving.version() == "1.1"  # the newest of mine
    moving.release("1.2")
    moving.recipe("variables: {A: '1'}\n").run("lock", "x.yaml").hides("reuse-latest")  # another request
    assert moving.version() == "1.2"


def test_any_is_what_the_team_locked_last_and_users_are_asked_in_order(moving: Moving) -> None:
    store = moving.case.home.parent / "team"
    case = moving.case.run("store", "init", store).variable("ENVBUILD_STORE", str(store))
    case.variable("ENVBUILD_REUSE_LATEST", "any").variable("LOGNAME", "ann")
    moving.at("ann")
    moving.recipe().run("lock", "x.yaml")
    moving.release("1.1")
    moving.at("bob").variable("LOGNAME", "bob")
    moving.recipe().run("lock", "x.yaml").mentions("as somebody locked the same request last")
    assert moving.version() == "1.0"
    case.run("lock", "x.yaml", "--upgrade").run("realize", "x.yaml")
    moving.release("1.2")
    for users, version in (
        ("mine", "1.1"),
        ("ann", "1.0"),
        ("[carl, ann]", "1.0"),
        ("[bob, ann]", "1.1"),
        ("carl Bob ann", "1.1"),
        ("carl,ann", "1.0"),
        ("[mine, ann]", "1.0"),
        ("carl", "1.2"),
    ):
        moving.at(f"eve-{version}").variable("LOGNAME", "bob" if users == "mine" else "eve")
        case.variable("ENVBUILD_REUSE_LATEST", users)
        moving.recipe().run("lock", "x.yaml")
        assert (users, moving.version()) == (users, version)


def test_set_default_lets_a_lock_be_found_that_fits_already(moving: Moving) -> None:
    case = moving.recipe().run("lock", "x.yaml")
    kept = (case.project / "x.lock.yaml").read_bytes()
    moving.release("1.1")
    case.variable("ENVBUILD_REUSE_LATEST", "mine").run("lock", "x.yaml", "--upgrade")
    assert moving.version() == "1.1"
    (case.project / "x.lock.yaml").write_bytes(kept)
    case.run("lock", "x.yaml").mentions("is locked already")
    moving.recipe().run("lock", "x.yaml")
    assert moving.version() == "1.1"
    (case.project / "x.lock.yaml").write_bytes(kept)
    case.run("lock", "x.yaml", "--set-default").mentions("is locked already")
    moving.recipe().run("lock", "x.yaml")
    assert moving.version() == "1.0"
    case.run("lock", "--check", "--set-default", "x.yaml", code=2)


def test_what_does_not_fit_any_more_is_solved(moving: Moving) -> None:
    case = moving.case.variable("ENVBUILD_REUSE_LATEST", "any")
    base = moving.recipe().project / "base.yaml"
    (case.project / "x.yaml").rename(base)
    derived = f"extends: base.yaml\nplatforms: [{HERE}]\n"
    case.recipe(derived).run("lock", "x.yaml")
    assert moving.version() == "1.0"
    moving.release("1.1")
    case.run("lock", "base.yaml", "--upgrade")
    (case.project / "x.lock.yaml").unlink()
    case.run("lock", "x.yaml").hides("x.yaml is locked as")  # the same request, and its base pins another toy
    assert moving.version() == "1.1"


def test_what_was_damaged_or_tampered_with_is_a_note_and_a_solve(moving: Moving) -> None:
    case = moving.case.variable("ENVBUILD_REUSE_LATEST", "mine")
    moving.recipe().run("lock", "x.yaml")
    moving.release("1.1")
    (log,) = (case.home / "store" / "requests").glob(f"*/@{getpass.getuser()}/*.json")
    kept = log.read_bytes()
    log.unlink()
    log.write_text(json.dumps({**json.loads(unsealed(kept)), "request": "0" * 64}))
    moving.recipe().run("lock", "x.yaml").hides("as you locked")
    assert moving.version() == "1.1"
    case.run("list").hides("0 environments, 1 name")  # the log of a request is no name


def test_what_extends_a_name_is_no_request_s_default(moving: Moving) -> None:
    case = moving.recipe().run("lock", "x.yaml").run("alias", "x.yaml", "team/base")
    case.variable("ENVBUILD_REUSE_LATEST", "mine")
    case.recipe(f"extends: {{name: team/base}}\nplatforms: [{HERE}]\n", "y.yaml")
    case.run("lock", "y.yaml", "--set-default").mentions("it is no request's default")
    requests = {path.name for path in (case.home / "store" / "requests").iterdir()}
    assert requests == {parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").request}
