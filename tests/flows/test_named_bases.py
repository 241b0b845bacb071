"""Recipes that extend environments by name and id: what they inherit, what the lock records, and when it changes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.lock import Lock
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import TestChannel, this_platform
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex

HERE = this_platform()
OTHER = "osx-arm64" if HERE != "osx-arm64" else "linux-64"
SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
DERIVED = f"extends: {{name: 'team/base:stable'}}\nplatforms: [{HERE}]\npypi: {{packages: {{toy-paint: }}}}\n"

MOVED = (
    "note: team/base:stable has moved since x.yaml was locked (generation 2 now): envbuild lock x.yaml --upgrade-base"
)


class Base:
    """A project that names its environment, and another one that extends it."""

    def __init__(self, case: Case, index: Server) -> None:
        self.case, self.index = case, index
        self.own = case.project
        self.other = case.project.with_name("other")
        self.other.mkdir()

    def name(self, version: str = "==1.0", *, to: str = "team/base:stable", more: str = "") -> None:
        """Lock the base with this version of toy, and name it."""
        self.case.project = self.own
        text = (
            f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}, {OTHER}]\nvariables: {{FROM_BASE: one}}\n"
            f"pypi:\n  index: {self.index.url}/simple\n  packages: {{toy: '{version}'}}\n{more}"
        )
        self.case.recipe(text, "base.yaml").run("lock", "base.yaml").run("alias", "base.yaml", to)
        self.case.project = self.other

    def lock(self, text: str = DERIVED, *arguments: str, code: int = 0) -> Case:
        """Lock a recipe of the other project."""
        return self.case.recipe(text).run("lock", "x.yaml", *arguments, code=code)

    def locked(self) -> Lock:
        """What stands in its lock."""
        return parse_lock((self.other / "x.lock.yaml").read_bytes(), "x.lock.yaml")

    def versions(self, platform: str = HERE) -> dict[str, str]:
        """Its wheels."""
        (environment,) = (item for item in self.locked().platforms if item.platform == platform)
        return {wheel.name: wheel.version for wheel in environment.wheels}


@pytest.fixture
def base(case: Case, wheel_index: Server) -> Base:
    """The two projects; the first has named its environment ``team/base:stable``."""
    made = Base(case, wheel_index)
    made.name()
    return made


def test_a_recipe_extends_a_name_where_its_recipe_is_not(base: Base) -> None:
    meant = json.loads(base.case.run("get", "team/base:stable", "--json").out)
    shutil.rmtree(base.own)
    base.lock()
    assert base.versions() == {"toy": "1.0", "toy-core": "1.5", "toy-paint": "1.0"}
    lock = base.locked()
    (recorded,) = lock.bases
    assert (recorded.path, recorded.request) == ("name:team/base:stable", meant["request"])
    assert dict(recorded.environments) == meant["environments"]
    (environment,) = lock.platforms
    assert (environment.interpreter, environment.python) == ("host", SERIES)
    assert environment.variables == (("FROM_BASE", "one"),)
    assert {wheel.name for wheel in environment.wheels if wheel.asked} == {"toy", "toy-paint"}
    assert parse_lock(lock_text(lock).encode(), "again") == lock
    text = (base.other / "x.lock.yaml").read_text()
    assert f'  - {{"name": "team/base:stable", "pin": true, "request": "{meant["request"]}"' in text
    case = base.case.run("lock", "--check", "x.yaml").run("lock", "x.yaml")
    case.mentions("is locked already").run("realize", "x.yaml", "--locked")
    case.run("run", "x.yaml", "--", "python", "-c", "import os, toy; print(toy.__version__, os.environ['FROM_BASE'])")
    case.shows("1.0 one")
    case.run("why", "x.yaml", "toy-core").run("tree", "x.yaml").run("show", "x.yaml").hides("does not fit")
    case.run("export", "x.yaml", "--format", "requirements").mentions("toy==1.0")


def test_a_name_that_moved_makes_no_lock_stale(base: Base) -> None:
    base.lock()
    before = base.locked()
    base.case.run("lock", "x.yaml").hides("has moved")
    base.name("==1.1")
    base.case.run("lock", "--check", "x.yaml").hides("has moved")  # it asks nobody
    base.case.run("lock", "x.yaml").mentions("is locked already", MOVED)
    for command in ("plan", "realize"):
        base.case.run(command, "x.yaml").mentions(MOVED)
        assert base.case.err.count("has moved") == 1
    base.case.run("realize", "x.yaml").mentions("already there").hides("has moved")  # a stamp answers
    assert base.locked() == before
    base.lock(DERIVED.replace("toy-paint: ", "toy-paint: , toy-windows: "))  # locked again for another reason
    assert base.versions()["toy"] == "1.0"
    assert base.locked().bases == before.bases
    base.case.run("lock", "x.yaml", "--upgrade")
    assert base.versions()["toy"] == "1.0"
    base.case.run("lock", "x.yaml", "--upgrade-base").mentions("upgraded toy 1.0 -> 1.1")
    assert base.versions()["toy"] == "1.1"
    assert base.locked().bases != before.bases
    assert base.locked().request != before.request  # for toy-windows; the name alone makes no other request
    base.case.hides("has moved").run("lock", "x.yaml", "--upgrade-base").mentions("is locked already")
    base.case.hides("has moved").run("lock", "x.yaml", "--check", "--upgrade-base", code=2)
    base.case.run("realize", "x.yaml").hides("has moved")


def test_a_base_that_was_removed_is_told_and_the_lock_stands(base: Base) -> None:
    base.lock()
    base.case.run("remove", "team/base:stable").run("lock", "x.yaml")
    base.case.mentions("note: team/base:stable was removed since x.yaml was locked", "is locked already")
    base.case.run("realize", "x.yaml").run("lock", "x.yaml", "--upgrade-base", code=3).mentions("removed-name")


def test_the_request_is_the_same_whatever_the_name_means(base: Base) -> None:
    base.lock()
    before = base.locked()
    base.name("==1.1")
    base.case.run("lock", "x.yaml", "--upgrade-base")
    assert base.locked().request == before.request
    assert base.locked().platforms[0].id != before.platforms[0].id


def test_checking_needs_neither_the_store_nor_a_network(base: Base) -> None:
    base.lock()
    shutil.rmtree(base.case.home)
    base.case.run("lock", "--check", "x.yaml")
    base.case.recipe(DERIVED.replace("stable", "candidate")).run("lock", "--check", "x.yaml", code=10)
    base.case.mentions("it extends other bases")
    base.case.recipe(DERIVED.replace("toy-paint", "toy-extras")).run("lock", "--check", "x.yaml", code=10)
    base.case.mentions("toy-extras is asked for, and not locked")
    base.case.run("lock", "x.yaml", code=4).mentions("absent-environment", "name:team/base:stable as x's lock has it")


def test_a_platform_is_added_later_without_upgrading_the_base(base: Base) -> None:
    base.lock()
    base.name("==1.1")
    base.lock(DERIVED.replace(f"[{HERE}]", f"[{HERE}, {OTHER}]"))
    assert base.versions(OTHER)["toy"] == "1.0"
    base.lock(DERIVED.replace(f"[{HERE}]", f"[{HERE}, win-64]"), code=11).mentions("no-platform", "for win-64")


def test_an_id_is_a_base_too(base: Base) -> None:
    meant = json.loads(base.case.run("get", "team/base:stable", "--json").out)
    request, here = meant["request"], meant["environments"][HERE]
    for text in (here, here[:8], f"{request}:{here}", f"{request[:7]}:{here[:7]}"):
        (base.other / "x.lock.yaml").unlink(missing_ok=True)
        base.lock(DERIVED.replace("name: 'team/base:stable'", f"id: '{text}'"))
        (recorded,) = base.locked().bases
        assert (recorded.path, recorded.request) == (f"id:{text}", request)
        assert dict(recorded.environments) == {HERE: here}
        base.case.run("lock", "--check", "x.yaml")
    base.lock(DERIVED.replace("name: 'team/base:stable'", "id: '0000000'"), code=3).mentions("unknown-id")
    base.lock(DERIVED.replace("team/base", "team/none"), code=3).mentions("unknown-name")


def test_what_a_base_has_stays_and_may_only_be_narrowed(base: Base) -> None:
    base.lock(DERIVED.replace("toy-paint: ", "toy: '>=1.1'"), code=11).mentions("pinned by the base")
    base.lock("python: '3.7'\n" + DERIVED, code=3).mentions("python-contradiction", "name:team/base:stable")
    base.lock("interpreter: managed\n" + DERIVED, code=3).mentions("bases-disagree", "say `interpreter: host`")
    base.lock(f"python: '>={SERIES}'\ninterpreter: host\n" + DERIVED)
    base.lock("variables: {FROM_BASE: two}\n" + DERIVED)
    assert base.locked().platforms[0].variables == (("FROM_BASE", "two"),)
    base.lock("system: {__glibc: '2.17'}\n" + DERIVED)
    assert dict(base.locked().platforms[0].system)["__glibc"] == "2.17"


def test_the_system_that_a_base_assumed_is_inherited(base: Base) -> None:
    base.name("==1.0", to="team/base:gpu", more="system: {__cuda: '12.4', __glibc: '2.31'}\n")
    base.lock(DERIVED.replace("stable", "gpu"))
    system = dict(base.locked().platforms[0].system)
    assert (system["__cuda"], system["__glibc"]) == ("12.4", "2.31")
    both = DERIVED.replace("{name: 'team/base:stable'}", "[{name: 'team/base:stable'}, {name: 'team/base:gpu'}]")
    base.lock(both, code=11).mentions("bases-disagree", "__glibc")
    base.lock(both + "system: {__glibc: '2.35'}\n")
    assert base.versions()["toy"] == "1.0"
    assert len(base.locked().bases) == 2


def test_two_bases_that_hold_different_versions_are_refused(base: Base) -> None:
    base.name("==1.1", to="team/base:v2")
    both = DERIVED.replace("{name: 'team/base:stable'}", "[{name: 'team/base:stable'}, {name: 'team/base:v2'}]")
    base.lock(both, code=11).mentions("bases-disagree", "name:team/base:stable pins toy 1.0")


def test_a_recipe_between_passes_on_what_it_inherits(base: Base) -> None:
    base.case.recipe(DERIVED, "middle.yaml")
    base.lock("extends: middle.yaml\npypi: {packages: {toy-extras: }}\n")
    assert base.versions() == {"toy": "1.0", "toy-core": "1.5", "toy-paint": "1.0", "toy-extras": "1.0"}
    (environment,) = base.locked().platforms
    assert (environment.interpreter, environment.python) == ("host", SERIES)
    assert environment.variables == (("FROM_BASE", "one"),)
    base.name("==1.1")
    base.case.run("lock", "--check", "x.yaml", "middle.yaml")
    base.case.run("lock", "middle.yaml", "--upgrade-base").run("lock", "--check", "x.yaml", code=10)
    base.case.mentions("its base middle.yaml was locked again").run("lock", "x.yaml")
    assert base.versions()["toy"] == "1.1"


def test_requirements_are_added_beside_a_named_base(base: Base) -> None:
    base.lock()
    base.case.run("add", "x.yaml", "toy-extras").run("remove-package", "x.yaml", "toy-paint")
    assert base.versions() == {"toy": "1.0", "toy-core": "1.5", "toy-extras": "1.0"}
    assert "conda" not in (base.other / "x.yaml").read_text()


def test_an_index_that_means_two_places_is_refused(
    base: Base, serving: Callable[..., Server], toy_wheels: Path
) -> None:
    second = serving(WheelIndex(folder=toy_wheels))
    named = f"pypi:\n  extra-indices: [{{name: ours, url: '{base.index.url}/simple'}}]\n  no-index: false\n"
    base.case.project = base.own
    text = f"interpreter: host\npython: '{SERIES}'\nplatforms: [{HERE}]\n{named}  packages: {{toy: '==1.0'}}\n"
    base.case.recipe(text, "base.yaml").run("lock", "base.yaml").run("alias", "base.yaml", "team/base:ours")
    base.case.project = base.other
    base.lock(DERIVED.replace("stable", "ours"))
    assert [(index.name, index.url) for index in base.locked().indices] == [("ours", f"{base.index.url}/simple")]
    mine = f"pypi:\n  extra-indices: [{{name: ours, url: '{second.url}/simple'}}]\n  packages: {{toy-paint: }}\n"
    extends = DERIVED.partition("pypi:")[0].replace("stable", "ours")
    base.lock(extends + mine, code=11).mentions("bases-disagree", "the index ours is")


def test_conda_packages_of_a_named_base(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    made = Base(case, wheel_index)
    series = ".".join(channel.pythons[0].split(".")[:2])
    text = (
        f"python: {series}\nplatforms: [{HERE}]\nconda:\n  channels: ['{channel.folder.as_uri()}']\n"
        "  packages: {colours: '1.*'}\n"
    )
    case.recipe(text, "base.yaml").run("lock", "base.yaml").run("alias", "base.yaml", "team/conda:v1")
    held = parse_lock((made.own / "base.lock.yaml").read_bytes(), "base").platforms[0]
    shutil.rmtree(made.own)
    case.project = made.other
    made.lock(
        f"extends: {{name: team/conda:v1}}\nplatforms: [{HERE}]\nconda: {{packages: {{greet: }}}}\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: '<2'}}\n"
    )
    (environment,) = made.locked().platforms
    assert environment.interpreter == "conda"
    assert set(held.conda) <= set(environment.conda)
    assert {item.name for item in environment.conda if item.asked} >= {"colours", "greet"}
    case.run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    assert case.program(prefix / "bin" / "python", "-c", "import colours, toy; print(toy.__version__)").strip() == "1.1"
    case.run("export", "x.yaml", "--format", "explicit").run("lock", "--check", "x.yaml")
