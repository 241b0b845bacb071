"""``check --online``: whether names of bases have moved, and whether they are signed, asked of a real store."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import this_platform
from tests.support.servers import Server

HERE = this_platform()
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


class Two:
    """A project that names its environment in a shared store, and another one that extends it."""

    def __init__(self, case: Case, index: Server) -> None:
        self.case, self.index = case, index
        self.own = case.project
        self.other = case.project.with_name("other")
        self.other.mkdir()
        self.store = case.project.with_name("store")
        self.keys = case.project.with_name("keys")
        case.variable("ENVBUILD_SIGNING_PASSPHRASE", "for a test")
        made = case.run("key", "new", "ci", "--output", self.keys / "ci.key", "--json")
        self.public = json.loads(made.out)["public"]
        self.settings = Path(case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.believe()
        case.run("store", "init", self.store.as_uri())

    def believe(self, trust: str = "") -> None:
        """Write the user's configuration."""
        self.settings.write_text(f"stores: [{{name: team, url: {self.store}}}]\n{trust}")

    def name(self, version: str, *, signed: bool = False) -> None:
        """Lock the base with this version of toy, and name it."""
        self.case.project = self.own
        self.case.variable("ENVBUILD_SIGNING_KEY", str(self.keys / "ci.key") if signed else None)
        text = (
            f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}]\n"
            f"pypi:\n  index: {self.index.url}/simple\n  packages: {{toy: '{version}'}}\n"
        )
        self.case.recipe(text, "base.yaml").run("lock", "base.yaml").run("alias", "base.yaml", "team/base:stable")
        self.case.variable("ENVBUILD_SIGNING_KEY", None)
        self.case.project = self.other

    def lock(self, policy: str = "") -> None:
        """Lock a recipe that extends the name."""
        self.case.file("envbuild.yaml", f"recipes: .\n{policy}")
        self.case.recipe(f"platforms: [{HERE}]\nextends: {{name: 'team/base:stable'}}\n").run("lock")


@pytest.fixture
def two(case: Case, wheel_index: Server) -> Two:
    made = Two(case, wheel_index)
    made.name("==1.0")
    return made


def test_a_name_that_has_moved_is_a_warning_at_the_line_that_extends_it(two: Two) -> None:
    two.lock()
    two.case.run("check", "--online").mentions("nothing found")
    two.name("==1.1")
    two.case.run("check").mentions("nothing found")
    two.case.run("check", "--online").mentions("1 warning")
    assert two.case.out.startswith("warning[moved-base]: x.yaml:2:")
    assert "generation 2 now" in two.case.out
    two.case.run("check", "--online", "--strict", code=10)
    two.case.run("lock", "--upgrade-base").run("check", "--online", "--strict")


def test_a_name_that_was_removed_and_a_store_that_forgot_it_are_told(two: Two) -> None:
    two.lock()
    two.case.run("remove", "team/base:stable")
    two.case.run("check", "--online").mentions("warning[moved-base]", "was removed")
    (two.store / "refs").rename(two.store / "README")  # what the name was is remembered here
    two.case.run("check", "--online", code=4).mentions("error[name-rolled-back]: x.yaml:2:")
    two.store.rename(two.store.with_name("gone"))
    two.case.run("check", "--online", code=5).mentions("error[no-store]: x.yaml:2:")


def test_a_base_that_must_be_signed_is_asked_only_online(two: Two) -> None:
    two.believe(f"trust: {{mode: hash, keys: {{ci: '{two.public}'}}}}\n")
    two.lock("policy: {signed-base: true}\n")
    two.case.run("check").mentions("warning[unchecked-base]")
    two.case.run("check", "--online", code=4).mentions("error[unsigned-base]", "no signature that you trust")
    two.name("==1.1", signed=True)
    two.case.run("check", "--online", code=4).mentions("error[unsigned-base]", "warning[moved-base]")
    two.case.run("lock", "--upgrade-base").run("check", "--online", "--strict")
    two.believe()  # nobody's key counts
    two.case.run("check", "--online", code=4).mentions("error[unsigned-base]")
