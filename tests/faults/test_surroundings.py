"""What surrounds a run: unsafe folders are refused, hostile variables change nothing, secrets stay where they are."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.figures import count
from tests.faults.world import World, children, command_of, differences, one_error

SECRET = "s3ntinel-0f-a-t3st"  # shaped like no digest, so that it is found wherever it goes


@pytest.mark.parametrize("part", ["", "store", "prefixes", "cache"])
def test_a_home_that_everybody_may_write(world: World, part: str) -> None:
    world.run("realize", "small.yaml")
    folder = world.home / part
    folder.chmod(0o777)
    world.recipe("other", world.small() + "    old-md5:\n")
    try:
        outcome = world.run("realize", "other.yaml", code=3)
    finally:
        folder.chmod(0o700)
        (world.project / "other.yaml").unlink()
    assert f"hint: chmod go-w {folder}" in outcome.err
    assert str(folder) in one_error(outcome)


@pytest.mark.parametrize("part", ["envbuild", "envbuild/config.yaml"])
def test_settings_that_everybody_may_write(world: World, part: str) -> None:
    settings = Path(world.environ["XDG_CONFIG_HOME"]) / "envbuild"
    settings.mkdir(exist_ok=True)
    (settings / "config.yaml").write_text("jobs: 2\n")
    unsafe = settings.parent / part
    unsafe.chmod(0o777)
    try:
        outcome = world.run("realize", "small.yaml", code=3)
        assert "chmod" in outcome.err
        assert str(unsafe) in outcome.err
        unsafe.chmod(0o755 if unsafe.is_dir() else 0o644)
        world.run("realize", "small.yaml")
    finally:
        (settings / "config.yaml").unlink()


def hostile(folder: Path) -> dict[str, str]:
    """What users, clusters and other tools leave in the environment."""
    (folder / "startup.py").write_text("import sys; sys.exit('startup ran')\n")
    (folder / "constraints.txt").write_text("tool-box==99\nidle-hands==99\n")
    (folder / "pip.conf").write_text("[install]\nno-deps = true\ntarget = /nowhere\n")
    nowhere = str(folder / "nowhere")
    return {
        "PYTHONSTARTUP": str(folder / "startup.py"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "",
        "PIP_CONFIG_FILE": str(folder / "pip.conf"),
        "PIP_CONSTRAINT": str(folder / "constraints.txt"),
        "PIP_TARGET": nowhere,
        "PIP_PREFIX": nowhere,
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "UV_CONSTRAINT": str(folder / "constraints.txt"),
        "UV_OVERRIDE": str(folder / "constraints.txt"),
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
        "UV_CACHE_DIR": nowhere,
        "UV_COMPILE_BYTECODE": "1",
        "UV_LINK_MODE": "symlink",
        "UV_PYTHON": "2.7",
        "UV_SYSTEM_PYTHON": "1",
        "UV_RESOLUTION": "lowest",
        "UV_PRERELEASE": "allow",
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_NO_INDEX": "1",
        "UV_TARGET": nowhere,
        "CONDA_PREFIX": nowhere,
        "CONDA_DEFAULT_ENV": "base",
        "CONDA_SHLVL": "3",
        "CONDA_OVERRIDE_GLIBC": "2.5",
        "CONDA_PKGS_DIRS": nowhere,
        "CONDARC": nowhere,
        "MAMBA_ROOT_PREFIX": nowhere,
        "RATTLER_CACHE_DIR": nowhere,
        "VIRTUAL_ENV": nowhere,
        "LD_LIBRARY_PATH": nowhere,
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "TZ": "Pacific/Kiritimati",
        "COLUMNS": "1",
    }


def test_hostile_variables_change_neither_lock_nor_tree(world: World, tmp_path: Path) -> None:
    expected = world.clean("mixed")
    world.fresh(locks=True)
    variables = hostile(tmp_path)
    world.run("realize", "mixed.yaml", environ=variables)
    assert world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
    assert not differences(world.tree("mixed"), expected)
    assert not Path(variables["UV_CACHE_DIR"]).exists()
    assert "0 findings" in world.run("verify", environ=variables).err


def test_pythonpath_does_not_reach_the_engines(world: World, tmp_path: Path) -> None:
    """Modules of the user's stand first on the path, named as what the engines and the packages import."""
    expected = world.clean("mixed")
    world.fresh(locks=True)
    folder = tmp_path / "evil"
    folder.mkdir()
    for name in ("greet", "tool_box", "bulky", "pip", "setuptools", "conda"):
        (folder / f"{name}.py").write_text("raise SystemExit('a module of the user ran')\n")
    path = f"{folder}{os.pathsep}{world.environ['PYTHONPATH']}"
    world.run("realize", "mixed.yaml", environ={"PYTHONPATH": path})
    assert world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
    assert not differences(world.tree("mixed"), expected)


@pytest.mark.parametrize("mask", [0o077, 0o000, 0o027])
def test_the_umask_does_not_reach_the_tree(world: World, mask: int) -> None:
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml", preexec_fn=lambda: os.umask(mask) and None)
    assert not differences(world.tree("mixed"), expected)
    assert "0 findings" in world.run("verify").err


def test_other_settings_of_the_machine_give_the_same(world: World) -> None:
    """One job or many, fast or durable: the same lock, the same tree."""
    expected = world.clean("mixed")
    for variables in ({"ENVBUILD_JOBS": "1"}, {"ENVBUILD_JOBS": "16"}, {"ENVBUILD_DURABILITY": "fast"}):
        world.fresh(locks=True)
        world.run("realize", "mixed.yaml", environ=variables)
        assert world.lock("mixed").read_bytes() == world.lock_bytes("mixed")
        assert not differences(world.tree("mixed"), expected)


# Secrets


def found_in(folder: Path, secret: str, besides: set[Path]) -> list[str]:
    """Files below a folder, their names included, that hold a secret in any spelling that a program may choose."""
    import base64

    spellings = {secret.encode(), base64.b64encode(f"reader:{secret}".encode()), base64.b64encode(secret.encode())}
    found = []
    for path in folder.rglob("*"):
        if path in besides or path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if any(spelling in data for spelling in spellings) or secret in str(path):
            found.append(str(path))
    return found


WAYS = ("netrc", "rattler", "uv variables", "user configuration")


@pytest.fixture
def locked_up(world: World) -> Iterator[World]:
    """The world with a server that lets only ``reader`` in, by password."""
    world.server.require_basic("reader", SECRET)
    yield world
    world.server.sign_in.clear()


def sign_in(world: World, way: str) -> tuple[dict[str, str], set[Path]]:
    """Put the secret where users put it; the variables to set and the files that hold it."""
    settings = Path(world.environ["XDG_CONFIG_HOME"])
    host = world.server.url.removeprefix("http://")
    if way == "netrc":
        path = settings / "netrc"
        path.write_text(f"machine {host.partition(':')[0]}\nlogin reader\npassword {SECRET}\n")
        path.chmod(0o600)
        return {}, {path}
    if way == "rattler":
        path = settings / "rattler.json"
        entry = {"BasicHTTP": {"username": "reader", "password": SECRET}}
        path.write_text(json.dumps({host: entry, host.partition(":")[0]: entry}))
        path.chmod(0o600)
        return {"RATTLER_AUTH_FILE": str(path)}, {path}
    if way == "uv variables":
        url = f"corp={world.server.url}/simple"
        return {"UV_INDEX": url, "UV_INDEX_CORP_USERNAME": "reader", "UV_INDEX_CORP_PASSWORD": SECRET}, set()
    path = settings / "envbuild" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    signed = world.server.url_with("reader", SECRET)
    path.write_text(f"index-url: {signed}/simple\nmirrors:\n  'http://channels.example/': ['{signed}/channel/']\n")
    path.chmod(0o600)
    return {}, {path}


def recipe_for(world: World, way: str) -> str:
    if way in {"uv variables", "user configuration"}:
        wheels = f"interpreter: host\npython: {sys.version_info[0]}.{sys.version_info[1]}\npypi:\n  packages:\n"
        return wheels + "    tool-box:\n"
    return world.small() if way == "rattler" else world.mixed()


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_works_and_is_nowhere(locked_up: World, way: str) -> None:
    world = locked_up
    variables, holders = sign_in(world, way)
    world.recipe("secret", recipe_for(world, way))
    try:
        said = ""
        for command in (
            ("lock", "secret.yaml"),
            ("realize", "secret.yaml"),
            ("show", "secret.yaml", "--json"),
            ("verify",),
            ("config", "list"),
        ):
            began = time.monotonic()
            process = world.start(*command, environ=variables)
            while process.poll() is None:
                said += " ".join(map(command_of, (process.pid, *children(process.pid))))  # others can read them
            outcome = world.ended(process, command, began, 0)
            said += outcome.out + outcome.err
        assert 200 in world.server.answers
        for file in ("other", "nothing"):
            world.recipe("secret", recipe_for(world, way) + f"    {file}-that-is-not-there:\n")
            outcome = world.run("lock", "secret.yaml", environ=variables, code=None)
            assert outcome.code != 0
            said += outcome.out + outcome.err
        assert SECRET not in said
        leaks = found_in(world.folder, SECRET, holders)
        assert not leaks
        count("ways to sign in after which no secret was found", 1, 1)
    finally:
        for path in (*holders, world.project / "secret.yaml", world.lock("secret")):
            path.unlink(missing_ok=True)


def test_without_the_secret_the_answer_says_where_to_put_it(locked_up: World) -> None:
    outcome = locked_up.run("lock", "mixed.yaml", code=5)
    assert "401" in outcome.err or "netrc" in outcome.err, outcome.err
    locked_up.server.sign_in.clear()
    locked_up.run("lock", "mixed.yaml")
    locked_up.server.require_basic("reader", SECRET)
    outcome = locked_up.run("realize", "mixed.yaml", code=5)
    assert "netrc" in outcome.err
