"""A build requirement that its index has as an sdist only, end to end: real setuptools, a plug-in of it, a package."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envbuild.compile import build_graph
from envbuild.locks.lockfile import parse_lock
from envbuild.value import replace
from tests.case import Case
from tests.support.sdists import make_project, pack_sdist
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel, real_wheels

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

PLUGIN = """
def keyword(dist, attribute, value):
    "Write a module that tells who wrote it."
    with open("stamped.py", "w") as stream:
        stream.write("BY = 'stamp-plugin VERSION'; SAYS = %r\\n" % value)
    dist.py_modules = ["stamped"]
"""
PLUGIN_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "stamp-plugin"
version = "VERSION"

[project.entry-points."distutils.setup_keywords"]
stamp = "stamp_plugin:keyword"

[tool.setuptools]
py-modules = ["stamp_plugin"]
"""
PROJECT = '[build-system]\nrequires = ["setuptools", "stamp-plugin"]\nbuild-backend = "setuptools.build_meta"\n'
SETUP = 'from setuptools import setup\nsetup(name="stamped", version="1.0", stamp="hello")\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder of an index with setuptools, and with the plug-in and the package as sdists only."""
    folder = tmp_path / "index"
    folder.mkdir()
    try:
        for wheel in real_wheels(["setuptools==75.8.0", "flit-core==3.10.1"]).iterdir():
            shutil.copy(wheel, folder)
    except LookupError as missing:
        pytest.skip(f"NO SETUPTOOLS: {missing}")
    project = tmp_path / "made" / "stamped"
    project.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "setup.py").write_text(SETUP)
    pack_sdist(project, folder, "stamped", "1.0")
    offer_plugin(folder, "1.0", tmp_path)
    return folder


def offer_plugin(folder: Path, version: str, scratch: Path) -> None:
    project = scratch / "made" / f"plugin-{version}"
    project.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PLUGIN_PROJECT.replace("VERSION", version))
    (project / "stamp_plugin.py").write_text(PLUGIN.replace("VERSION", version))
    pack_sdist(project, folder, "stamp-plugin", version)


@pytest.fixture
def recipe(case: Case, files: Path, serving: Callable[..., Server]) -> str:
    """A recipe that asks for the package."""
    address = f"{serving(WheelIndex(folder=files)).url}/simple"
    text = f"interpreter: host\npython: {SERIES}\npypi:\n  index: {address}\n  packages:\n    stamped:\n"
    case.recipe(text, "x.yaml")
    return text


def lines(case: Case, kind: str) -> list[dict]:
    """The lines of one list of the lock."""
    found, here = [], False
    for line in (case.project / "x.lock.yaml").read_text().splitlines():
        if line.startswith("    ") and line.endswith(":"):
            here = line.strip() == f"{kind}:"
        elif here and line.startswith("      - "):
            found.append(json.loads(line.removeprefix("      - ")))
    return found


def says(case: Case) -> str:
    return case.run(
        "run", "x.yaml", "--", "python", "-c", "import stamped; print(stamped.BY, stamped.SAYS)"
    ).out.strip()


def test_a_plug_in_that_is_an_sdist_only_is_built_and_used(case: Case, recipe: str) -> None:
    case.run("lock", "x.yaml").mentions("added stamped 1.0 (sdist)")
    (plugin,) = lines(case, "build-sources")
    (package,) = lines(case, "sources")
    (setuptools,) = lines(case, "build")
    assert plugin["name"] == "stamp-plugin"
    assert plugin["build-requires"] == [setuptools["file"]]
    assert sorted(package["build-requires"]) == sorted([setuptools["file"], plugin["file"]])
    case.run("plan", "x.yaml").mentions("2 builds of unknown length")
    case.run("realize", "x.yaml").mentions("1 package", "1 built")
    prefix = Path(case.out.strip())
    assert says(case) == "stamp-plugin 1.0 hello"
    assert not list(prefix.glob("lib/python*/site-packages/stamp_plugin*")), "builds see it, the environment does not"
    case.run("lock", "--check", "x.yaml")
    case.run("realize", "x.yaml").mentions("already there")
    case.run("plan", "x.yaml").mentions("0 to do")
    case.run("log", "stamp-plugin").mentions("stamp-plugin 1.0")
    before = (case.project / "x.lock.yaml").read_bytes()
    (case.project / "x.lock.yaml").unlink()
    case.run("lock", "x.yaml")
    assert (case.project / "x.lock.yaml").read_bytes() == before, "byte for byte the same again"


def test_a_new_version_of_the_plug_in_alone_builds_the_package_again(
    case: Case, recipe: str, files: Path, tmp_path: Path
) -> None:
    case.run("realize", "x.yaml")
    offer_plugin(files, "2.0", tmp_path)
    case.run("lock", "x.yaml")
    assert [item["version"] for item in lines(case, "build-sources")] == ["1.0"], "locking again moves nothing"
    case.run("lock", "x.yaml", "--upgrade-package", "stamp-plugin")
    case.mentions("rebuilt stamped 1.0 -> 1.0 for a changed stamp-plugin (sdist)")
    case.run("realize", "x.yaml").mentions("1 built")
    assert says(case) == "stamp-plugin 2.0 hello"
    case.run("lock", "x.yaml", "--upgrade-package", "stamp-plugin==1.0")
    assert case.run("plan", "x.yaml").mentions("0 to do"), "what was built with 1.0 is still there"


def test_the_lock_alone_decides_the_key_of_the_dependent_build(case: Case, recipe: str) -> None:
    case.run("lock", "x.yaml")
    path = case.project / "x.lock.yaml"
    environment = parse_lock(path.read_bytes(), "x").platforms[0]
    (plugin,) = environment.build_sources

    def keys(**changed: Any) -> dict[str, str]:
        made = replace(environment, build_sources=(replace(plugin, **changed),))
        graph = build_graph(parse_lock(path.read_bytes(), "x"), made)
        return {item.package.name: item.key for item in graph if item.kind == "build-wheel"} | {"id": made.id}

    first = keys()
    moved = keys(sha256="0" * 63 + "1")
    assert set(first) == {"stamped", "stamp-plugin", "id"}
    assert all(first[name] != moved[name] for name in first), "the plug-in's bytes decide both builds and the id"
    settings = keys(settings=("a=b",))
    assert all(first[name] != settings[name] for name in first), "and so does how it is built"
    assert keys(asked=False, size=1, upload_time="2030-01-01T00:00:00Z") == first
    text = path.read_text().replace(plugin.sha256, "0" * 63 + "1")
    path.write_text(text)
    case.run("realize", "x.yaml", code=4).mentions("lock-edited")


def test_no_build_forbids_it_with_the_reason(case: Case, recipe: str) -> None:
    case.recipe(f"{recipe}  no-build: [stamp-plugin]\n", "x.yaml")
    case.run("lock", "x.yaml", code=11)
    case.mentions(
        "no-build", "what the build of stamped 1.0 needs", "stamp-plugin would be built from source", "x.yaml:6"
    )
    assert not (case.project / "x.lock.yaml").exists()


def test_a_circle_names_the_chain(case: Case, recipe: str, files: Path, tmp_path: Path) -> None:
    project = tmp_path / "made" / "plugin-1.0"
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('["setuptools"]', '["setuptools", "stamped"]'))
    pack_sdist(project, files, "stamp-plugin", "1.0")
    case.run("lock", "x.yaml", code=11)
    case.mentions("build-circle", "stamped 1.0 -> stamp-plugin 1.0 -> stamped 1.0", "put a wheel of")
    assert not (case.project / "x.lock.yaml").exists()


def test_an_extra_of_what_the_base_builds_comes_with_what_is_behind_it(
    case: Case, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    make_wheel(folder, "paint", "1.0")
    address = f"{serving(WheelIndex(folder=folder)).url}/simple"
    make_project(case.project / "mine", "mine", "1.0", static=True, extras={"more": ["paint>=1"]})
    head = f"interpreter: host\npython: {SERIES}\npypi:\n  index: {address}\n  packages:\n"
    case.recipe(f"{head}    mine: {{path: mine}}\n", "base.yaml").run("realize", "base.yaml")
    shutil.rmtree(case.project / "mine")
    case.recipe(f"extends: base.yaml\npypi:\n  index: {address}\n  packages:\n    'mine[more]': \n", "x.yaml")
    case.run("lock", "x.yaml").mentions("added paint 1.0")
    case.run("realize", "x.yaml").mentions("2 packages", "0 built")
    case.run("run", "x.yaml", "--", "python", "-c", "import mine, paint")
    case.run("why", "x.yaml", "paint").mentions("mine 1.0 -> paint 1.0")
    case.run("lock", "--check", "x.yaml")
