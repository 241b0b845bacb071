"""``lock``: bytes that are the same everywhere, small changes, upgrades on request, staleness with reasons."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envbuild.lock import Lock
from envbuild.locks.lockfile import parse_lock
from envbuild.package import Platform
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
LINUX = Platform("linux-64")


def read(case: Case, name: str = "x") -> Lock:
    return parse_lock((case.project / f"{name}.lock.yaml").read_bytes(), name)


def versions(case: Case, name: str = "x", platform: Platform = LINUX) -> dict[str, str]:
    environment = read(case, name).environment(platform)
    assert environment is not None
    pairs = [(item.name, item.version) for item in environment.conda]
    return dict(pairs + [(item.name, item.version) for item in environment.wheels])


def host(index: str, packages: str) -> str:
    return f"interpreter: host\npython: {SERIES}\npypi:\n  index: {index}\n  packages:\n{packages}"


@pytest.fixture
def growing(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, Server]:
    """An index that can get new versions while it is served."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "apple", "1.0", requires=["core>=1"])
    make_wheel(folder, "core", "1.0")
    make_wheel(folder, "pear", "1.0")
    return folder, serving(WheelIndex(folder=folder))


def test_two_mirrors_with_different_names_give_the_same_bytes(
    tmp_path: Path, channel: TestChannel, mirrors: tuple[Server, Server]
) -> None:
    recipe = (
        f"python: {'.'.join(channel.pythons[0].split('.')[:2])}\n"
        "conda:\n  channels: [made-up]\n  packages: {greet: '', old-md5: ''}\n"
        "pypi:\n  packages: {toy: ''}\n"
    )
    locks = []
    for number, server in enumerate(mirrors):
        case = Case(tmp_path / str(number)).recipe(recipe)
        settings = Path(case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        settings.parent.mkdir(parents=True)
        alias = "https://conda.example/channels/"
        settings.write_text(
            f"channel-alias: {alias}\nmirrors:\n  '{alias}made-up': ['{server.url}/channel']\n", encoding="utf-8"
        )
        case.variable("UV_DEFAULT_INDEX", f"{server.url}/simple").run("realize", "x.yaml")
        text = (case.project / "x.lock.yaml").read_text()
        assert "127.0.0.1" not in text
        assert "localhost" not in text
        assert "conda.example" not in text
        locks.append(text)
    assert locks[0] == locks[1]
    assert '"channel": "made-up"' in locks[0]
    assert '"index": "default"' in locks[0]


def test_a_lock_that_fits_is_left_alone(case: Case, growing: tuple[Path, Server]) -> None:
    folder, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml")
    before = (case.project / "x.lock.yaml").read_bytes()
    make_wheel(folder, "apple", "2.0", requires=["core>=1"])
    case.run("lock", "x.yaml").mentions("x is locked already")
    assert (case.project / "x.lock.yaml").read_bytes() == before
    # Comments and order do not make a lock stale.
    text = (case.project / "x.yaml").read_text()
    case.recipe("# a comment\n" + text).run("lock", "x.yaml", "--check")


def test_a_changed_recipe_changes_only_what_it_must(case: Case, growing: tuple[Path, Server]) -> None:
    folder, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml")
    make_wheel(folder, "apple", "2.0", requires=["core>=1"])
    make_wheel(folder, "core", "2.0")
    case.recipe(host(f"{server.url}/simple", "    apple:\n    pear:\n")).run("lock", "x.yaml")
    assert versions(case) == {"apple": "1.0", "core": "1.0", "pear": "1.0"}
    case.mentions("added pear 1.0")
    assert "apple" not in case.err


def test_upgrades_on_request_only(case: Case, growing: tuple[Path, Server]) -> None:
    folder, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n    pear:\n")).run("lock", "x.yaml")
    for name in ("apple", "core", "pear"):
        make_wheel(folder, name, "1.5", requires=["core>=1"] if name == "apple" else [])
        make_wheel(folder, name, "2.0", requires=["core>=1"] if name == "apple" else [])
    case.run("lock", "x.yaml", "--upgrade-package", "core").mentions("upgraded core 1.0 -> 2.0")
    assert versions(case) == {"apple": "1.0", "core": "2.0", "pear": "1.0"}
    case.run("lock", "x.yaml", "--upgrade-package", "pear==1.5")
    assert versions(case) == {"apple": "1.0", "core": "2.0", "pear": "1.5"}
    case.run("lock", "x.yaml", "--upgrade")
    assert versions(case) == {"apple": "2.0", "core": "2.0", "pear": "2.0"}
    case.run("lock", "x.yaml", "--check")


def test_conda_versions_stay_too(case: Case, tmp_path: Path, channel: TestChannel) -> None:
    folder = tmp_path / "channel"
    shutil.copytree(channel.folder, folder)
    series = ".".join(channel.pythons[0].split(".")[:2])
    head = f"python: {series}\nconda:\n  channels: ['{folder.as_uri()}']\n  packages:\n"
    case.recipe(head + "    colours: '<2'\n").run("lock", "x.yaml")
    assert versions(case)["colours"] == "1.1"
    case.recipe(head + "    colours:\n    data-files: '1.*'\n").run("lock", "x.yaml")
    assert versions(case)["colours"] == "1.1", "a loosened requirement is no reason to upgrade"
    case.run("lock", "x.yaml", "--upgrade-package", "colours")
    assert versions(case)["colours"] == "2.0"
    assert versions(case)["data-files"] == "1.0"


def test_staleness_is_said_with_its_reason_and_without_a_network(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml")
    case.run("lock", "x.yaml", "--check").mentions("1 lock fits its recipe")
    server.requests.clear()
    case.recipe(host(f"{server.url}/simple", "    pear:\n"))
    case.run("lock", "x.yaml", "--check", code=10)
    case.mentions("pear is asked for, and not locked", "apple is not asked for any more", "envbuild lock x.yaml")
    case.run("realize", "x.yaml", "--locked", code=10)
    case.run("realize", "x.yaml", "--frozen")  # the lock as it is, whatever the recipe says
    assert all("/simple" not in request.path for request in server.requests[:0])
    case.recipe("interpreter: [", "y.yaml").run("lock", "y.yaml", "--check", code=3)
    case.recipe(host(f"{server.url}/simple", "    pear:\n"), "z.yaml").run("lock", "z.yaml", "--check", code=10)
    case.mentions("z.yaml has no lock")


def test_a_changed_base_makes_what_extends_it_stale(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n"), "base.yaml")
    case.recipe("extends: base.yaml\npypi:\n  packages:\n    pear:\n", "derived.yaml").run("lock", "derived.yaml")
    assert (case.project / "base.lock.yaml").exists(), "a base without a lock is locked on the way"
    case.run("lock", "derived.yaml", "--check")
    case.recipe(host(f"{server.url}/simple", "    apple: '>=1'\n"), "base.yaml")
    case.run("lock", "derived.yaml", "--check", code=10).mentions("base")
    case.run("lock", "derived.yaml").run("lock", "derived.yaml", "--check")


def test_one_platform_can_be_locked_and_the_others_stay(case: Case, wheel_index: Server) -> None:
    def recipe(extra: str = "") -> str:
        return (
            "interpreter: host\npython: 3.11\nplatforms: [linux-64, osx-arm64, win-64]\n"
            f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-compiled:\n{extra}"
        )

    case.recipe(recipe()).run("lock", "x.yaml")
    lock = read(case)
    files = {item.platform: item.wheels[0].file for item in lock.platforms}
    assert len(set(files.values())) == 3, files
    case.run("lock", "x.yaml", "--platform", "osx-arm64", "--upgrade")
    assert read(case).platforms == lock.platforms
    case.run("lock", "x.yaml", "--platform", "linux-aarch64", code=2).mentions("not for linux-aarch64")
    # The recipe changed: the others answered another request, and go.
    case.recipe(recipe("    toy-core:\n")).run("lock", "x.yaml", "--platform", "linux-64")
    case.mentions("osx-arm64 is not in the lock any more")
    assert [item.platform for item in read(case).platforms] == ["linux-64"]
    case.run("lock", "x.yaml", "--check", code=10).mentions("osx-arm64 is not locked")
    case.run("lock", "x.yaml")
    assert len(read(case).platforms) == 3


def test_markers_are_judged_for_the_target(case: Case, wheel_index: Server) -> None:
    case.recipe(
        "interpreter: host\npython: 3.11\nplatforms: [linux-64, win-64]\n"
        f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-paint:\n"
        "    toy-old-python: {markers: \"sys_platform == 'win32'\"}\n"
    ).run("lock", "x.yaml")
    assert "toy-windows" not in versions(case)
    assert "toy-old-python" not in versions(case)
    windows = versions(case, platform=Platform("win-64"))
    assert "toy-windows" in windows
    assert windows["toy-old-python"] == "1.0", "2.0 wants a Python that is not there"


def test_a_cut_off_of_a_date_holds_and_stands_in_the_lock(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "dated"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(folder, "apple", version)
    dates = {"apple-1.0-py3-none-any.whl": "2024-01-01T00:00:00Z", "apple-2.0-py3-none-any.whl": "2024-06-01T00:00:00Z"}
    server = serving(WheelIndex(folder=folder, dates=dates))
    text = host(f"{server.url}/simple", "    apple:\n")
    case.recipe(text + "exclude-newer: 2024-03-01\n").run("lock", "x.yaml")
    assert versions(case)["apple"] == "1.0"
    assert read(case).exclude_newer == "2024-03-02T00:00:00Z", "a date holds until its day ends"
    case.recipe(text + "exclude-newer: 7d\n").run("lock", "x.yaml", "--upgrade")
    assert versions(case)["apple"] == "2.0"
    first = (case.project / "x.lock.yaml").read_bytes()
    case.run("lock", "x.yaml").mentions("locked already")
    assert (case.project / "x.lock.yaml").read_bytes() == first


def test_an_index_without_dates_is_said(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    folder = tmp_path / "undated"
    folder.mkdir()
    make_wheel(folder, "apple", "1.0")
    server = serving(WheelIndex(folder=folder, dates=None))
    case.recipe(host(f"{server.url}/simple", "    apple:\n") + "exclude-newer: 2024-03-01\n")
    case.run("lock", "x.yaml", code=None).mentions("apple")
    assert "date" in case.err
    assert case.code in {0, 11}


def test_what_cannot_be_satisfied_is_named_with_its_line(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple: '>=5'\n    pear: '==7'\n"))
    case.run("lock", "x.yaml", code=11).mentions("what the recipe asks:", "x.yaml:")
    assert "apple" in case.err or "pear" in case.err
    assert not (case.project / "x.lock.yaml").exists()


def test_a_source_that_cannot_be_had_is_a_clear_error(case: Case, wheel_index: Server) -> None:
    case.recipe(host(f"{wheel_index.url}/simple", "    toy-source-only:\n"))
    case.run("lock", "x.yaml", code=11).mentions("x.yaml:6:5", "toy-source-only", "setuptools")
    case.recipe(host(f"{wheel_index.url}/simple", "    a: {git: 'https://host.invalid/a.git'}\n"))
    case.run("lock", "x.yaml", code=5).mentions("x.yaml:6:5")


@pytest.mark.parametrize("platform", ["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"])
def test_real_records_lock_for_every_platform(case: Case, conda_forge_2024: Path, platform: str) -> None:
    case.recipe(
        f"python: 3.9\nplatforms: [{platform}]\n"
        f"conda:\n  channels: ['{conda_forge_2024.as_uri()}']\n  packages: {{curl: '', setuptools: '<69'}}\n"
    ).run("lock", "x.yaml")
    found = versions(case, platform=Platform(platform))
    assert found["python"].startswith("3.9.")
    assert {"curl", "setuptools", "openssl"} <= set(found)
    assert len(found) > 12


def test_real_records_and_real_wheels_together_on_five_platforms(case: Case, conda_forge_2024: Path) -> None:
    case.recipe(
        "python: 3.9\nplatforms: [linux-64, linux-aarch64, osx-64, osx-arm64, win-64]\n"
        f"conda:\n  channels: ['{conda_forge_2024.as_uri()}']\n  packages: {{six: '', packaging: ''}}\n"
        "pypi:\n  packages: {tqdm: '', python-dateutil: ''}\n"
    )
    case.run("lock", "x.yaml")
    lock = read(case)
    assert len(lock.platforms) == 5
    for environment in lock.platforms:
        conda = {item.name for item in environment.conda}
        wheels = {item.name for item in environment.wheels}
        assert {"six", "packaging"} <= conda
        assert "six" not in wheels, "python-dateutil needs it, and conda has it"
        assert {"tqdm", "python-dateutil"} <= wheels
        assert ("colorama" in wheels | conda) == (environment.platform == "win-64")
    assert len({environment.id for environment in lock.platforms}) == 5


def test_json_says_what_changed(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml", "--json")
    tree = json.loads(case.out)
    assert tree["version"] == 1
    (lock,) = tree["locks"]
    assert lock["written"]
    assert {change["name"] for change in lock["changes"]["linux-64"]} == {"apple", "core"}


def test_extra_indices_are_asked_first_and_named(
    case: Case, tmp_path: Path, growing: tuple[Path, Server], serving: Callable[..., Server]
) -> None:
    _, server = growing
    folder = tmp_path / "extra"
    folder.mkdir()
    make_wheel(folder, "core", "1.1")
    extra = serving(WheelIndex(folder=folder))
    case.recipe(
        f"interpreter: host\npython: {SERIES}\npypi:\n  index: {server.url}/simple\n"
        f"  extra-indices: [{{name: special, url: '{extra.url}/simple'}}]\n  packages:\n    apple:\n"
    ).run("realize", "x.yaml")
    environment = read(case).environment(LINUX)
    assert environment is not None
    wheels = {item.name: item for item in environment.wheels}
    assert (wheels["core"].version, wheels["core"].index) == ("1.1", "special")
    assert wheels["apple"].index == f"{server.url}/simple"
    assert [index.name for index in read(case).indices] == ["special"]


def test_locks_are_compared_without_their_order(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    pear:\n    apple:\n")).run("lock", "x.yaml")
    lock = read(case)
    names = [item.name for item in lock.platforms[0].wheels]
    assert names == sorted(names)
    assert replace(lock) == lock


def test_pip_s_own_indices_are_one_pool_and_uv_s_are_asked_in_order(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    main, extra = tmp_path / "main", tmp_path / "extra"
    main.mkdir()
    extra.mkdir()
    make_wheel(main, "apple", "1.0")
    make_wheel(main, "apple", "2.0")
    make_wheel(extra, "apple", "2.0", tag="cp27-cp27m-win32")  # a partial mirror: nothing in it fits
    make_wheel(extra, "pear", "1.0")
    addresses = [f"{serving(WheelIndex(folder=folder)).url}/simple" for folder in (main, extra)]
    recipe = f"interpreter: host\npython: {SERIES}\npypi:\n  packages:\n    apple:\n    pear:\n"
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {addresses[0]}\nextra-index-url = {addresses[1]}\n", encoding="utf-8")
    case.variable("PIP_CONFIG_FILE", str(settings)).recipe(recipe).run("realize", "x.yaml")
    assert versions(case) == {"apple": "2.0", "pear": "1.0"}
    assert {item.index for item in read(case).platforms[0].wheels} == {"default"}
    case.variable("UV_DEFAULT_INDEX", addresses[0]).variable("UV_INDEX", addresses[1])
    case.run("lock", "x.yaml", "--upgrade", code=11).mentions("apple")


def test_what_is_locked_stays_where_pip_s_own_indices_are_one_pool(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    """The first of the pool has some files of the locked versions, and none that fits."""
    main, extra = tmp_path / "main", tmp_path / "extra"
    main.mkdir()
    extra.mkdir()
    for name in ("apple", "cherry"):
        for version in ("1.0", "2.0"):
            make_wheel(main, name, version)
            make_wheel(extra, name, version, tag="cp27-cp27m-win32")
    make_wheel(main, "pear", "1.0", requires=("cherry<2",))
    addresses = [f"{serving(WheelIndex(folder=folder)).url}/simple" for folder in (main, extra)]
    recipe = f"interpreter: host\npython: {SERIES}\npypi:\n  packages:\n    apple:\n    cherry:\n"
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {addresses[0]}\nextra-index-url = {addresses[1]}\n", encoding="utf-8")
    case.variable("PIP_CONFIG_FILE", str(settings)).recipe(recipe).run("lock", "x.yaml")
    assert versions(case) == {"apple": "2.0", "cherry": "2.0"}
    case.run("add", "x.yaml", "pear")
    assert versions(case) == {"apple": "2.0", "cherry": "1.0", "pear": "1.0"}
    assert "downgraded apple" not in case.err
    make_wheel(main, "apple", "3.0")
    case.run("remove-package", "x.yaml", "pear")
    assert versions(case) == {"apple": "2.0", "cherry": "1.0"}
    case.run("lock", "x.yaml", "--upgrade")
    assert versions(case) == {"apple": "3.0", "cherry": "2.0"}


def test_an_addition_that_cannot_be_locked_leaves_the_recipe_as_it_was(
    case: Case, growing: tuple[Path, Server]
) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml")
    before = [(case.project / name).read_bytes() for name in ("x.yaml", "x.lock.yaml")]
    case.run("add", "x.yaml", "pear>=9", code=11).mentions("x.yaml is as it was before", "pear")
    assert [(case.project / name).read_bytes() for name in ("x.yaml", "x.lock.yaml")] == before
    case.run("add", "x.yaml", "pear", "--target", "win-64").mentions("x.yaml is not for win-64")


def test_a_damaged_lock_says_how_to_get_a_whole_one(case: Case, growing: tuple[Path, Server]) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n")).run("lock", "x.yaml")
    path = case.project / "x.lock.yaml"
    path.write_text(path.read_text().replace('"version": "1.0"', '"version": "1.1"', 1))
    case.run("lock", "x.yaml", code=4).mentions("restore it from Git, or remove it and lock again")
    path.unlink()
    case.run("lock", "x.yaml").run("lock", "x.yaml", "--check")


@pytest.mark.parametrize("order", [("x.yaml", "more.yaml"), ("more.yaml", "x.yaml"), ("more.yaml",)])
def test_a_base_that_is_locked_with_what_extends_it_is_told_once(
    case: Case, growing: tuple[Path, Server], order: tuple[str, ...]
) -> None:
    _, server = growing
    case.recipe(host(f"{server.url}/simple", "    apple:\n"))
    case.recipe("extends: x.yaml\npypi:\n  packages:\n    pear:\n", "more.yaml").run("lock", *order)
    assert case.err.count("Locked x:") == case.err.count("Locked more:") == 1, case.err
