"""Locking what must be built, by the command line: interpreters of all kinds, conda beside it, bases, real sdists."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.case import Case
from tests.hostile.attack import contents
from tests.support.channel import TestChannel
from tests.support.git_server import GitServer
from tests.support.managed_python import ManagedPython
from tests.support.sdists import make_own_sdist, make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel, real_sdists, real_wheels

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, str]:
    """An index of this test's own: its folder and its address."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "leaf", "1.0")
    make_wheel(folder, "tool", "1.0")
    return folder, f"{serving(WheelIndex(folder=folder)).url}/simple"


def host_recipe(index: tuple[Path, str], packages: str, extra: str = "") -> str:
    return f"interpreter: host\npython: {SERIES}\npypi:\n  index: {index[1]}\n  packages:\n{packages}{extra}"


def conda_recipe(channel: TestChannel, index: tuple[Path, str], conda: str, packages: str, extra: str = "") -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return (
        f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n{conda}"
        f"pypi:\n  index: {index[1]}\n  packages:\n{packages}{extra}"
    )


def locked(case: Case, platform: str = "linux-64", lock: str = "x.lock.yaml") -> dict[str, dict[str, dict]]:
    """Each list of one platform of a lock, by name."""
    found: dict[str, dict[str, dict]] = {}
    kind, here = "", False
    for line in (case.project / lock).read_text().splitlines():
        if line.startswith("  ") and not line.startswith("   "):
            here = line.strip() == f"{platform}:"
        elif line.startswith("    ") and not line.startswith("     "):
            kind = line.strip().rstrip(":")
        elif here and line.startswith("      - "):
            item = json.loads(line.removeprefix("      - "))
            found.setdefault(kind, {})[item["name"]] = item
    return found


def test_hooks_run_under_the_conda_python_of_the_lock(
    case: Case, channel: TestChannel, index: tuple[Path, str], tmp_path: Path
) -> None:
    version = "\nREQUIRES.append('leaf; python_full_version == \"%d.%d.%d\"' % __import__('sys').version_info[:3])\n"
    make_own_sdist(index[0], "own", "1.0", scratch=tmp_path, requires=["colours>=1"], more_backend=version)
    case.recipe(conda_recipe(channel, index, "    greet: '1.*'\n", "    own:\n")).run("lock", "x.yaml")
    found = locked(case)
    assert found["conda"]["python"]["version"] == channel.pythons[0]
    series = ".".join(channel.pythons[0].split(".")[:2])
    assert found["sources"]["own"]["found-on"] == f"linux-64 {series}"
    assert found["sources"]["own"]["requires"] == ["colours", "leaf"], "conda's colours, and a leaf for conda's Python"
    assert "colours" not in found["wheels"]


def test_conda_host_packages_serve_builds_instead_of_wheels(
    case: Case, channel: TestChannel, index: tuple[Path, str], tmp_path: Path
) -> None:
    make_wheel(index[0], "colours", "9.0")
    backend = (
        "\nimport colours\nSEEN = getattr(colours, '__version__', None) or colours.favourite().split()[1]\n"
        "REQUIRES.append('leaf==' + SEEN)\n"
    )
    make_own_sdist(index[0], "own", "1.0", scratch=tmp_path, build_requires=["colours", "tool"], more_backend=backend)
    build = "build:\n  own: {host: [colours]}\n"
    case.recipe(conda_recipe(channel, index, "    colours: '1.0'\n", "    own:\n", build)).run("lock", "x.yaml")
    found = locked(case)
    assert list(found["build"]) == ["tool"]
    assert found["sources"]["own"]["host"] == ["colours"], "and not the Python that colours needs"
    # Without the host package the wheel is taken, and the hook sees that one.
    case.recipe(conda_recipe(channel, index, "    colours: '1.0'\n", "    own:\n"))
    case.run("lock", "x.yaml", code=11).mentions("leaf", "9.0")


def test_unknown_names_in_build_are_errors_with_their_line(
    case: Case, channel: TestChannel, index: tuple[Path, str]
) -> None:
    make_project(case.project / "mine", "mine", "1.0", static=True)
    recipe = host_recipe(index, "    mine: {path: mine}\n", "build:\n  mien: {env: {A: b}}\n")
    case.recipe(recipe).run("lock", "x.yaml", code=3).mentions("unknown-build", "x.yaml:8:3", "did you mean mine?")
    assert not (case.project / "x.lock.yaml").exists()
    recipe = conda_recipe(
        channel, index, "    colours:\n", "    mine: {path: mine}\n", "build:\n  mine: {host: [colour]}\n"
    )
    case.recipe(recipe).run("lock", "x.yaml", code=3).mentions("unknown-host", "x.yaml:11:3", "colour")
    recipe = host_recipe(index, "    leaf:\n", "build:\n  leaf: {env: {A: b}}\n")
    case.recipe(recipe).run("lock", "x.yaml").mentions("`build: leaf` is for nothing on linux-64: it comes as a wheel")


def test_unknown_names_in_provides_are_errors_with_their_line(case: Case, channel: TestChannel) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    recipe = (
        f"python: {series}\nplatforms: [{channel.platform}]\nconda:\n  channels: ['{channel.url}']\n"
        "  packages:\n    colours:\n  provides:\n    PROVIDED: paint\n"
    )
    case.recipe(recipe.replace("PROVIDED", "colors")).run("lock", "x.yaml", code=3)
    case.mentions("error[unknown-provides]: x.yaml:8:5: conda: provides: colors: there is no such conda package")
    case.mentions("hint: did you mean colours?")
    assert not (case.project / "x.lock.yaml").exists()
    case.recipe(recipe.replace("PROVIDED", "zzz")).run("lock", "x.yaml", code=3)
    case.mentions("hint: take it out, or ask for the package under `conda: packages:`")
    case.recipe(recipe.replace("PROVIDED", "colours")).run("lock", "x.yaml")
    case.file("envbuild.yaml", "conda-provides: {zzz: paint}\n").run("lock", "x.yaml")  # for many recipes


def test_variables_named_like_secrets_are_told_when_their_lock_is_made(case: Case, index: tuple[Path, str]) -> None:
    make_project(case.project / "mine", "mine", "1.0", static=True)
    variables = "{MINE_TOKEN: hunter2, MONKEY: a, EMPTY_SECRET: '', API_KEY: b, KEYS: c}"
    build = f"build:\n  mine: {{env: {variables}}}\nvariables: {{Db_Password: hunter3}}\n"
    case.recipe(host_recipe(index, "    mine: {path: mine}\n", build)).run("lock", "x.yaml")
    told = [line for line in case.err.splitlines() if "secret" in line]
    assert told == [
        f"note: `{place}` stands in the lock in plain text, which is no place for a secret"
        for place in ("build: mine: env: API_KEY", "build: mine: env: MINE_TOKEN", "variables: Db_Password")
    ]
    case.hides("hunter2", "hunter3").run("lock", "x.yaml")
    assert "secret" not in case.err


def test_a_managed_python_runs_hooks(
    case: Case, managed_python: tuple[ManagedPython, Server], index: tuple[Path, str], tmp_path: Path
) -> None:
    python, server = managed_python
    make_own_sdist(index[0], "own", "1.0", scratch=tmp_path, requires=["leaf"])
    series = ".".join(python.version.split(".")[:2])
    case.variable("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/downloads.json")
    text = f"interpreter: managed\npython: {series}\npypi:\n  index: {index[1]}\n  packages: {{own: }}\n"
    case.recipe(text).run("lock", "x.yaml")
    assert locked(case)["sources"]["own"]["found-on"] == f"linux-64 {series}"


def test_several_platforms_from_here(case: Case, index: tuple[Path, str], tmp_path: Path) -> None:
    make_own_sdist(
        index[0], "own", "1.0", scratch=tmp_path, requires=["leaf; sys_platform == 'darwin'"], build_requires=["tool"]
    )
    case.recipe("platforms: [linux-64, osx-arm64, win-64]\n" + host_recipe(index, "    own:\n"))
    case.run("lock", "x.yaml")
    for platform in ("linux-64", "osx-arm64", "win-64"):
        found = locked(case, platform)
        assert found["sources"]["own"]["found-on"] == f"linux-64 {SERIES}"
        assert ("leaf" in found.get("wheels", {})) == (platform == "osx-arm64")
        assert list(found["build"]) == ["tool"]


def test_a_lock_that_fails_writes_nothing_and_touches_no_folder(case: Case, index: tuple[Path, str]) -> None:
    folder = case.project / "mine"
    make_project(folder, "mine", "1.0", more_backend="\nPath('junk').write_text('x')\nraise SystemExit('broken')\n")
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    case.recipe(host_recipe(index, "    mine: {path: mine}\n"))
    files = contents(case.project)
    case.run("lock", "x.yaml", code=9).mentions("error[hook-failed]: x.yaml:6:5: mine cannot be locked", "broken")
    assert contents(case.project) == files
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before


def test_adding_a_package_moves_no_source(case: Case, index: tuple[Path, str], git_server: GitServer) -> None:
    repository = git_server.repository("toy")
    make_project(repository.folder, "toy", "1.0", build_requires=["tool"])
    first = repository.commit({"readme": "1"})
    recipe = host_recipe(index, f"    toy: {{git: '{git_server.url('toy')}', rev: main}}\n")
    case.recipe(recipe).run("lock", "x.yaml")
    before = (case.project / "x.lock.yaml").read_text().splitlines()
    second = repository.commit({"readme": "2"})
    make_wheel(index[0], "tool", "2.0")
    case.recipe(recipe + "    leaf:\n").run("lock", "x.yaml")
    after = (case.project / "x.lock.yaml").read_text().splitlines()
    assert [line for line in before if line not in after and '"' in line and "name" in line] == []
    assert locked(case)["sources"]["toy"]["commit"] == first
    case.run("lock", "x.yaml", "--upgrade-package", "toy")
    found = locked(case)
    assert (found["sources"]["toy"]["commit"], found["build"]["tool"]["version"]) == (second, "1.0")
    case.run("lock", "x.yaml", "--upgrade-package", "tool")
    assert locked(case)["build"]["tool"]["version"] == "2.0"


def test_a_base_with_sources_is_extended_where_they_are_not(
    case: Case, index: tuple[Path, str], git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.repository("toy")
    make_project(repository.folder, "toy", "1.0", requires=["leaf"], build_requires=["tool"])
    repository.commit({"readme": "1"})
    make_project(case.project / "mine", "mine", "1.0")
    packages = f"    toy: {{git: '{git_server.url('toy')}'}}\n    mine: {{path: mine}}\n"
    case.recipe(host_recipe(index, packages), "base.yaml").run("lock", "base.yaml")
    lines = [line for line in (case.project / "base.lock.yaml").read_text().splitlines() if '"name": ' in line]
    git_server.close()
    shutil.rmtree(case.project / "mine")
    shutil.rmtree(case.home)
    make_wheel(index[0], "more", "1.0", requires=["toy", "mine"])
    case.recipe("extends: base.yaml\npypi: {packages: {more: }}\n").run("lock", "x.yaml")
    text = (case.project / "x.lock.yaml").read_text()
    assert all(line in text for line in lines)
    assert locked(case)["wheels"]["more"]["requires"] == ["mine", "toy"]


@pytest.mark.parametrize("system", ["hg", "bzr", "svn"])
def test_other_version_control_is_refused_in_recipes(case: Case, system: str) -> None:
    for word in ("git", "url"):
        case.recipe(f"interpreter: host\npypi: {{packages: {{x: {{{word}: '{system}+https://h.example/x'}}}}}}\n")
        case.run("lock", "x.yaml", code=3).mentions("not-available", "x.yaml:2", "which only git has")
    case.recipe("interpreter: host\npypi: {packages: {}}\n")
    case.run("add", "x.yaml", "--pypi", f"x @ {system}+https://h.example/x", code=2).mentions("which only git has")


def test_a_recipe_without_sources_pays_nothing_for_them(case: Case, index: tuple[Path, str]) -> None:
    case.recipe(host_recipe(index, "    leaf:\n")).variable("PYTHONPROFILEIMPORTTIME", "1").run("lock", "x.yaml")
    assert "envbuild.solvers.pypi" in case.err
    for module in ("source_solve", "sdist_candidates", "build_requirements", "builders.hooks", "builders.unpack"):
        assert module not in case.err
    assert not (case.home / "cache" / "sources").exists()


REAL = {
    "docopt==0.6.2": "setuptools by setup.py: nothing is static",
    "markupsafe==2.1.5": "setuptools, and a C compiler",
    "tomli==2.0.1": "flit: all is static",
}


@pytest.fixture
def real_sources(tmp_path: Path, serving: Callable[..., Server]) -> str:
    """The address of an index with these sdists and what their builds need, as they are on this machine's index."""
    folder = tmp_path / "real"
    try:
        shutil.copytree(real_sdists(list(REAL)), folder)
        for wheel in real_wheels(["setuptools==75.8.0", "flit-core==3.10.1"]).iterdir():
            shutil.copy(wheel, folder)
    except LookupError as missing:
        pytest.skip(f"NO REAL SDISTS: {missing}")
    return f"{serving(WheelIndex(folder=folder)).url}/simple"


def test_real_sdists(case: Case, real_sources: str) -> None:
    packages = "".join(f"    {text.partition('==')[0]}: '=={text.partition('==')[2]}'\n" for text in REAL)
    case.recipe(host_recipe((Path(), real_sources), packages)).run("lock", "x.yaml")
    found = locked(case)
    assert {name: item["version"] for name, item in found["sources"].items()} == {
        "docopt": "0.6.2",
        "markupsafe": "2.1.5",
        "tomli": "2.0.1",
    }
    assert {name: "found-on" in item for name, item in found["sources"].items()} == {
        "docopt": True,
        "tomli": False,
        "markupsafe": True,
    }
    assert sorted(found["build"]) == ["flit-core", "setuptools"]
    assert found["sources"]["docopt"]["build-requires"] == [found["build"]["setuptools"]["file"]]
    before = (case.project / "x.lock.yaml").read_bytes()
    (case.project / "x.lock.yaml").unlink()
    case.run("lock", "x.yaml")
    assert (case.project / "x.lock.yaml").read_bytes() == before, "byte for byte the same again"
