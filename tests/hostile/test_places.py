"""H13: a name that two indices (or channels) have: which one answers is the recipe's word, and stays so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from rattler.index import index_fs

from tests.case import Case
from tests.hostile.attack import attack
from tests.support.conda_package import PackageRecipe, write_package
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel


def test_a_package_that_moves_to_another_index_is_refused(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    make_wheel(mine, "inner", "1.0")
    make_wheel(other, "unrelated", "1.0")
    default, extra = serving(WheelIndex(folder=mine)), serving(WheelIndex(folder=other))
    text = (
        f"interpreter: host\npython: 3.11\npypi:\n  index: {default.url}/simple\n"
        f"  extra-indices: [{{name: extra, url: '{extra.url}/simple'}}]\n  packages:\n    inner:\n"
    )
    case.recipe(text).run("lock", "x.yaml")
    make_wheel(other, "inner", "9.0")  # somebody claims the name where it is asked for first
    case.recipe(text + "    unrelated:\n")
    before = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "x.yaml", code=4).mentions("index-moved", "inner", "x.yaml:7:5", "hint: ")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    # Asked for by name, the right one answers.
    case.recipe(text.replace("    inner:\n", "    inner: {index: extra}\n"))
    case.run("lock", "x.yaml", "--upgrade").mentions("inner 1.0 -> 9.0")


def test_an_index_that_nobody_defines(case: Case) -> None:
    case.recipe("interpreter: host\npython: 3.11\npypi:\n  packages:\n    toy: {index: evil}\n")
    attack(case, "lock", "x.yaml", code=3, reference="unknown-index")


def test_upgrading_everything_moves_nothing(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    """``--upgrade`` means newer versions, not other sources; ``--upgrade-package`` says that a name may move."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    make_wheel(mine, "outer", "1.0", requires=["inner"])
    make_wheel(mine, "inner", "1.0")
    make_wheel(other, "unrelated", "1.0")
    default, extra = serving(WheelIndex(folder=mine)), serving(WheelIndex(folder=other))
    case.recipe(
        f"interpreter: host\npython: 3.11\npypi:\n  index: {default.url}/simple\n"
        f"  extra-indices: [{{name: extra, url: '{extra.url}/simple'}}]\n  packages: {{outer: }}\n"
    ).run("lock", "x.yaml")
    make_wheel(other, "inner", "9.0")
    before = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "x.yaml", "--upgrade", code=4)
    case.mentions("index-moved", "inner was locked from http://127.0.0.1:[port]/simple, and would come from extra now")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    case.run("lock", "x.yaml", "--upgrade-package", "inner").mentions("inner 1.0 -> 9.0")


def test_a_package_that_moves_to_another_channel_is_refused(case: Case, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for channel, names in ((first, ("unrelated",)), (second, ("inner", "outer"))):
        write_channel(channel, *names)
    text = f"platforms: [linux-64]\nconda:\n  channels: ['{first.as_uri()}', '{second.as_uri()}']\n  packages:\n"
    case.recipe(text + "    outer:\n").run("lock", "x.yaml")
    write_channel(first, "unrelated", "inner", version="9.0")
    case.recipe(text + "    outer:\n    unrelated:\n").run("lock", "x.yaml")  # what is locked stays where it came from
    before = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "x.yaml", "--upgrade", code=4)
    case.mentions("channel-moved", "inner was locked from", "/second, and would come from", "hint: ")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    case.run("lock", "x.yaml", "--upgrade-package", "inner").mentions("inner 1.0 -> 9.0")


def write_channel(folder: Path, *names: str, version: str = "1.0") -> None:
    """A channel of small packages; ``outer`` needs ``inner``."""
    for name in names:
        depends = ("inner",) if name == "outer" else ()
        write_package(
            PackageRecipe(name=name, version=version, subdir="noarch", noarch="generic", depends=depends), folder
        )
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False))
