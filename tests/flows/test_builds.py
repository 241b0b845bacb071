"""What is built from source, end to end and by the command line: folders, sdists, repositories, C extensions."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.extension import make_extension
from tests.support.git_server import GitServer, serve_git
from tests.support.sdists import make_own_sdist, make_project
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

NEVER = """

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("looking for the flux capacitor")
    raise SystemExit("it is not here")
"""


MISNAMED = """

_build_wheel = build_wheel
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    print("all went well")
    _build_wheel(wheel_directory)
    return "another-2.0-py3-none-any.whl"
"""


SLOW = """

_build = build_wheel
def build_wheel(*given):
    import time

    time.sleep(4)
    return _build(*given)
"""


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, str]:
    """An index of this test's own: its folder and its address."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "leaf", "1.0")
    return folder, f"{serving(WheelIndex(folder=folder)).url}/simple"


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server of this test's own."""
    try:
        with serve_git(tmp_path / "repositories") as server:
            yield server
    except LookupError as missing:
        pytest.skip(f"NO GIT: {missing}")


def host_recipe(index: tuple[Path, str], packages: str, extra: str = "") -> str:
    return f"interpreter: host\npython: {SERIES}\npypi:\n  index: {index[1]}\n  packages:\n{packages}{extra}"


def conda_recipe(channel: TestChannel, index: tuple[Path, str], conda: str, packages: str, extra: str = "") -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return (
        f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n{conda}"
        f"pypi:\n  index: {index[1]}\n  packages:\n{packages}{extra}"
    )


def folder_project(case: Case, path: str = "libs/mine", **options) -> Path:
    return make_project(case.project / path, "mine", "1.0", static=True, **options)


def shown(case: Case, recipe: str) -> dict[str, dict]:
    case.run("show", recipe, "--json")
    return {item["name"]: item for item in json.loads(case.out)["packages"]}


def realized(case: Case, recipe: str, *flags: str) -> dict:
    case.run("realize", recipe, "--json", *flags)
    (found,) = json.loads(case.out)["environments"]
    return found


def say_version(case: Case, recipe: str, module: str = "mine", what: str = "__version__") -> str:
    return case.run("run", recipe, "--", "python", "-c", f"import {module}; print({module}.{what})").out.strip()


def test_the_log_of_a_build_that_was_refused_ends_with_the_reason(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case, more_backend=MISNAMED)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml", code=9)
    reason = "the build backend says that it built another-2.0-py3-none-any.whl, and its folder holds mine-1.0-"
    case.mentions("error[build-output]: ", reason, "hint: envbuild log mine")
    case.run("log", "mine").mentions("all went well")
    assert case.out.splitlines()[-1].startswith(f"envbuild: {reason}"), case.out


def test_a_folder_is_built_linked_and_used(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case, requires=["leaf"])
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml")
    case.run("lock", "x.yaml").mentions("added mine 1.0 (folder libs/mine)")
    case.run("plan", "x.yaml").mentions("needs build  build-wheel", "1 build of unknown length")
    case.run("realize", "x.yaml").mentions("2 packages", "1 built")
    prefix = Path(case.out.strip())
    assert say_version(case, "x.yaml") == "1.0"
    (address,) = prefix.glob("lib/python*/site-packages/mine-1.0.dist-info/direct_url.json")
    assert json.loads(address.read_text()) == {"dir_info": {}, "url": "file:///project/libs/mine"}
    packages = shown(case, "x.yaml")
    assert packages["mine"]["form"] == "folder libs/mine"
    assert packages["mine"]["requires"] == ["leaf"]
    case.run("tree", "x.yaml").shows("mine 1.0\n└── leaf 1.0")
    case.run("why", "x.yaml", "leaf").mentions("mine 1.0 -> leaf 1.0")
    case.run("plan", "x.yaml").mentions("0 to do")
    case.run("verify").mentions("0 findings")


def test_a_touch_is_nothing_and_an_edit_is_another_environment(case: Case, index: tuple[Path, str]) -> None:
    project = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml")
    first = case.out
    lock = (case.project / "x.lock.yaml").read_bytes()
    for path in project.rglob("*"):
        os.utime(path, (1, 1))
    assert case.run("realize", "x.yaml").mentions("already there").out == first
    assert (case.project / "x.lock.yaml").read_bytes() == lock
    case.run("lock", "--check", "x.yaml")
    backend = project / "backend" / "own_backend.py"
    backend.write_text(backend.read_text().replace('"__version__ = %r', '"edited = 1; __version__ = %r'))
    case.run("lock", "--check", "x.yaml", code=10).mentions("libs/mine was edited since it was locked")
    case.run("realize", "--locked", "x.yaml", code=10)
    case.run("realize", "--frozen", "x.yaml").mentions("already there")  # its wheel is in the store
    assert case.out == first
    second = case.run("realize", "x.yaml").mentions("1 built").out
    assert second != first
    assert say_version(case, "x.yaml", what="edited") == "1"
    backend.write_text(backend.read_text().replace("edited = 1; ", ""))
    assert case.run("realize", "x.yaml").out == first
    assert "1 built" not in case.err


def test_an_edit_after_locking_is_never_built_as_what_was_locked(case: Case, index: tuple[Path, str]) -> None:
    project = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("lock", "x.yaml")
    shutil.rmtree(case.home)  # another machine: its store has nothing
    (project / "new.txt").touch()
    case.run("realize", "--frozen", "x.yaml", code=10).mentions(
        "libs/mine changed since it was locked", "envbuild lock"
    )
    assert list((case.home / "prefixes").iterdir()) == []


def test_a_package_that_the_index_has_as_an_sdist_only(case: Case, tmp_path: Path, index: tuple[Path, str]) -> None:
    make_own_sdist(index[0], "own", "2.0", scratch=tmp_path, requires=["leaf"])
    case.recipe(host_recipe(index, "    own:\n"), "x.yaml").run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    assert say_version(case, "x.yaml", "own") == "2.0"
    assert shown(case, "x.yaml")["own"]["form"] == "sdist"
    assert not list(prefix.glob("lib/python*/site-packages/own-2.0.dist-info/direct_url.json"))


def test_conda_packages_and_a_repository_in_one_environment(
    case: Case, channel: TestChannel, index: tuple[Path, str], git_server: GitServer, tmp_path: Path
) -> None:
    repository = git_server.repository("toy")
    make_project(repository.folder / "python", "mine", "1.0", requires=["colours"], static=True)
    commit = repository.commit({"readme.txt": "a repository"})
    repository.tag("v1")
    packages = f"    mine: {{git: '{git_server.url('toy')}', rev: v1, subdirectory: python}}\n"
    case.recipe(conda_recipe(channel, index, "    greet: '1.*'\n", packages), "x.yaml")
    case.run("lock", "x.yaml").mentions(f"(git {commit[:8]})")
    case.run("realize", "x.yaml").mentions("1 built")
    prefix = Path(case.out.strip())
    assert say_version(case, "x.yaml") == "1.0"
    assert case.run("run", "x.yaml", "--", "greet").out.startswith("hello from greet")
    (address,) = prefix.glob("lib/python*/site-packages/mine-1.0.dist-info/direct_url.json")
    told = json.loads(address.read_text())
    assert told["vcs_info"] == {"vcs": "git", "commit_id": commit, "requested_revision": "v1"}
    assert (told["url"], told["subdirectory"]) == (git_server.url("toy"), "python")
    case.run("why", "x.yaml", "colours").mentions("mine 1.0 -> colours")
    # The server is gone, and so is the prefix: the wheel in the store is all that is needed.
    git_server.close()
    shutil.rmtree(git_server.folder)
    shutil.rmtree(prefix)
    case.run("plan", "x.yaml").mentions("hit          build-wheel" if "needs build" in case.out else "hit ")
    found = realized(case, "x.yaml", "--offline")
    assert (found["prefix"], found["built"], found["fetched"]) == (str(prefix), 0, 0)
    elsewhere = realized(case, "x.yaml", "--prefix", str(tmp_path / "elsewhere"))
    assert (elsewhere["built"], elsewhere["fetched"]) == (0, 0)
    assert (tmp_path / "elsewhere" / "bin" / "python").exists()


def test_a_folder_is_no_network(case: Case, tmp_path: Path) -> None:
    folder_project(case)
    case.recipe(f"interpreter: host\npython: {SERIES}\npypi:\n  packages:\n    mine: {{path: libs/mine}}\n", "x.yaml")
    case.run("lock", "x.yaml")
    shutil.rmtree(case.home)
    case.run("realize", "x.yaml", "--offline").mentions("1 built")


def test_a_wheel_in_the_store_needs_no_folder(case: Case, index: tuple[Path, str]) -> None:
    project = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    shutil.rmtree(project)
    shutil.rmtree(prefix)
    for path in case.home.glob("store/blobs/*/*/*"):
        if path.read_bytes()[:4] != b"PK\3\4" and path.stat().st_size > 3000:
            path.unlink()  # the folder's tar
    found = realized(case, "x.yaml")
    assert (found["prefix"], found["built"]) == (str(prefix), 0)


def test_a_c_extension_is_rebuilt_when_only_its_library_changes(
    case: Case, compiled_channel: TestChannel, index: tuple[Path, str]
) -> None:
    """The headline: uv and pixi reuse the wrong wheel here."""
    make_extension(case.project / "speedy")
    build = "build:\n  speedy: {host: [libfast]}\n"

    def recipe(version: str, more: str = "") -> str:
        conda = f"    libfast: '{version}'\n{more}"
        return conda_recipe(compiled_channel, index, conda, "    speedy: {path: speedy}\n", build)

    case.recipe(recipe("1.2"), "x.yaml").run("lock", "x.yaml")
    first = realized(case, "x.yaml")
    assert first["built"] == 1
    assert say_version(case, "x.yaml", "speedy", "version()") == "1.2"
    # Another package in the environment is no reason to build anything.
    case.recipe(recipe("1.2", "    data-files:\n"), "x.yaml")
    second = realized(case, "x.yaml")
    assert (second["built"], second["prefix"] != first["prefix"]) == (0, True)
    # Only the library's version changes: the wheel that was there is another one's.
    case.recipe(recipe("1.3", "    data-files:\n"), "x.yaml")
    case.run("lock", "x.yaml").mentions(
        "upgraded libfast 1.2 -> 1.3", "rebuilt speedy 1.0 -> 1.0 for a changed libfast"
    )
    third = realized(case, "x.yaml")
    assert third["built"] == 1
    assert say_version(case, "x.yaml", "speedy", "version()") == "1.3"
    # And back again: both wheels are in the store.
    case.recipe(recipe("1.2"), "x.yaml")
    assert realized(case, "x.yaml")["built"] == 0
    assert say_version(case, "x.yaml", "speedy", "version()") == "1.2"
    case.run("verify").mentions("0 findings")
    case.run("log", "speedy").mentions("compiling against")


def test_a_failed_build_is_exit_9_with_the_end_of_its_log(case: Case, index: tuple[Path, str]) -> None:
    project = folder_project(case, more_backend=NEVER)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n    leaf:\n"), "x.yaml")
    case.run("realize", "x.yaml", code=9)
    case.mentions("mine 1.0 was not built", "looking for the flux capacitor", "envbuild log mine")
    assert list((case.home / "prefixes").iterdir()) == []
    assert not (case.project / ".envs").exists()
    assert list(case.home.glob("store/results/build-wheel/*/*")) == []
    case.run("log", "mine").mentions("looking for the flux capacitor", "mine 1.0", "failed at")
    tree = json.loads(case.run("log", "mine", "--json").out)
    key = tree["key"]
    assert (tree["version"], tree["package-version"]) == (1, "1.0")
    case.run("log", key[:9], "x.yaml").mentions("flux capacitor")
    case.run("log", "leaf", code=2).mentions("there is no log of a build of leaf on this machine\n")
    case.recipe(host_recipe(index, "    leaf:\n"), "deep/y.yaml").run("lock", "deep/y.yaml")
    case.recipe(host_recipe(index, '    leaf: ">=0"\n'), "deep/y.yaml")
    assert "does not fit the recipe: envbuild lock deep/y.yaml" in case.run("show", "deep/y.yaml").out
    case.run("log", "leaf", "x.yaml", code=2).mentions("leaf on this machine for that lock", "envbuild log leaf")
    case.run("verify").mentions("0 findings")
    backend = project / "backend" / "own_backend.py"
    backend.write_text(backend.read_text().removesuffix(NEVER))
    case.run("realize", "x.yaml").mentions("1 built")
    case.run("log", "mine", "x.yaml").mentions("mine 1.0", "built at", "mine-1.0-py3-none-any.whl")


def test_a_build_that_was_killed_is_built_the_next_time(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("lock", "x.yaml")
    case.variable("ENVBUILD_FAULT", "mid-wheel-build:kill").run("realize", "x.yaml", code=-9)
    assert list((case.home / "prefixes").iterdir()) == []
    case.variable("ENVBUILD_FAULT", None).run("realize", "x.yaml").mentions("1 built")
    assert say_version(case, "x.yaml") == "1.0"
    case.run("verify").mentions("0 findings")
    case.run("gc")
    assert list((case.home / "tmp").iterdir()) == []


def test_kill_9_while_the_backend_runs_ends_it_and_leaves_nothing(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case, more_backend=SLOW)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("lock", "x.yaml")
    command = [sys.executable, "-m", "envbuild", "realize", "x.yaml"]
    running = subprocess.Popen(command, cwd=case.project, env=case.environ, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(case.home.glob("tmp/*/build/wheel")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    assert running.poll() is None
    running.kill()
    running.wait()
    until = time.monotonic() + 30
    while programs_in(case.home) and time.monotonic() < until:
        time.sleep(0.05)
    assert not programs_in(case.home)
    assert list((case.home / "prefixes").iterdir()) == []
    assert list(case.home.glob("store/results/build-wheel/*/*")) == []
    case.run("realize", "x.yaml").mentions("1 built")
    assert say_version(case, "x.yaml") == "1.0"
    case.run("gc")
    assert list((case.home / "tmp").iterdir()) == []


def programs_in(home: Path) -> list[str]:
    """The command lines of programs that name this home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if os.fsencode(home) in words:
                found.append(words.decode(errors="replace").replace("\0", " "))
    return found


def test_a_project_with_spaces_and_umlauts(tmp_path: Path, index: tuple[Path, str]) -> None:
    case = Case(tmp_path / "ein Ordner mit Käse")
    folder_project(case, "meine Bücherei/das Ding")
    case.recipe(host_recipe(index, "    mine: {path: 'meine Bücherei/das Ding'}\n"), "mein Rezept.yaml")
    case.run("realize", "mein Rezept.yaml").mentions("1 built")
    assert say_version(case, "mein Rezept.yaml") == "1.0"
    case.run("realize", "mein Rezept.yaml").mentions("already there")
    case.run("verify").mentions("0 findings")


def test_eight_processes_at_once_build_once(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case, more_backend="\nimport time\ntime.sleep(0.5)\n")
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("lock", "x.yaml")
    command = [sys.executable, "-m", "envbuild", "realize", "x.yaml", "--json"]
    running = [
        subprocess.Popen(command, cwd=case.project, env=case.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    told = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * 8, told
    found = [json.loads(out)["environments"][0] for out, _ in told]
    assert len({item["prefix"] for item in found}) == 1
    assert sum(item["built"] for item in found) == 1
    assert len(list(case.home.glob("store/results/build-wheel/*/*.json"))) == 1


def test_a_base_that_was_built_from_a_repository_is_extendable_without_it(
    case: Case, index: tuple[Path, str], git_server: GitServer
) -> None:
    repository = git_server.repository("toy")
    make_project(repository.folder, "mine", "1.0", static=True)
    repository.commit({})
    case.recipe(host_recipe(index, f"    mine: {{git: '{git_server.url('toy')}'}}\n"), "base.yaml")
    case.run("realize", "base.yaml").mentions("1 built")
    git_server.close()
    shutil.rmtree(git_server.folder)
    case.recipe(f"extends: base.yaml\npypi:\n  index: {index[1]}\n  packages:\n    leaf:\n", "derived.yaml")
    found = realized(case, "derived.yaml")
    assert (found["packages"], found["built"]) == (2, 0)
    lines = [line for line in (case.project / "base.lock.yaml").read_text().splitlines() if '"mine"' in line]
    (line,) = lines
    assert line in (case.project / "derived.lock.yaml").read_text()
    assert say_version(case, "derived.yaml") == "1.0"


def test_building_again_names_the_files_that_differ(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case)
    noisy = make_project(case.project / "libs/noisy", "noisy", "1.0", static=True)
    backend = noisy / "backend" / "own_backend.py"
    backend.write_text(backend.read_text().replace('= %r\\n" % VERSION', '= %r, %r\\n" % (VERSION, os.urandom(8))'))
    packages = "    mine: {path: libs/mine}\n    noisy: {path: libs/noisy}\n"
    case.recipe(host_recipe(index, packages), "x.yaml").run("realize", "x.yaml")
    case.run("verify", "--rebuild", "mine").mentions("Built mine 1.0 again", "the same bytes").shows("")
    results = sorted(case.home.glob("store/results/build-wheel/*/*.json"))
    before = [path.read_bytes() for path in results]
    case.run("verify", "--rebuild", "noisy", code=4).shows("noisy/__init__.py: different content")
    tree = json.loads(case.run("verify", "--rebuild", "noisy", "--json", code=4).out)
    assert (tree["same"], tree["differences"]) == (False, ["noisy/__init__.py: different content"])
    assert (tree["version"], tree["package-version"]) == (1, "1.0")
    assert [path.read_bytes() for path in results] == before
    assert sorted(case.home.glob("store/results/build-wheel/*/*.json")) == results
    case.run("verify", "--rebuild", "nothing", code=2).mentions("nothing that is called nothing was built")
    case.run("verify", "--rebuild", "mine", "--repair", code=2)
    case.run("verify").mentions("0 findings")


def test_a_damaged_built_wheel_is_found_and_built_again(case: Case, index: tuple[Path, str]) -> None:
    folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    (record,) = case.home.glob("store/results/build-wheel/*/*.json")
    digest = json.loads(record.read_text())["outputs"]["out"]["sha256"]
    blob = case.home / "store" / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"X" + blob.read_bytes()[1:])
    case.run("verify", code=4).mentions("holds other bytes")
    case.run("verify", "--repair", code=4)
    assert not blob.exists()
    shutil.rmtree(prefix)
    assert realized(case, "x.yaml")["built"] == 1
    assert blob.exists()  # this build gives the same bytes again
    case.run("verify").mentions("0 findings")


def test_gc_keeps_builds_of_what_is_linked_and_takes_the_others(case: Case, index: tuple[Path, str]) -> None:
    project = folder_project(case)
    case.recipe(host_recipe(index, "    mine: {path: libs/mine}\n"), "x.yaml").run("realize", "x.yaml")
    backend = project / "backend" / "own_backend.py"
    backend.write_text(backend.read_text().replace('"__version__ = %r', '"edited = 1; __version__ = %r'))
    case.run("realize", "x.yaml").mentions("1 built")
    assert len(list(case.home.glob("store/results/build-wheel/*/*.json"))) == 2
    case.run("gc", "--keep-days", "0")
    assert len(list(case.home.glob("store/results/build-wheel/*/*.json"))) == 1
    case.run("log", "mine", "x.yaml").mentions("built at")
    shutil.rmtree(project)
    case.run("verify", "--rebuild", "mine", "--offline").mentions("the same bytes")
    case.run("verify").mentions("0 findings")
    (case.project / ".envs" / "x").unlink()
    case.run("gc", "--keep-days", "0")
    assert list(case.home.glob("store/blobs/*/*/*")) == []
