"""Conda packages beside a Python that is not conda's (``interpreter: host`` and ``managed``), by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.managed_python import ManagedPython
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def recipe(channel: TestChannel, index: Server, conda: str, pypi: str = "toy: ''", interpreter: str = "host") -> str:
    return (
        f"interpreter: {interpreter}\npython: {SERIES}\nplatforms: [{channel.platform}]\n"
        f"conda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n{conda}"
        f"pypi:\n  index: {index.url}/simple\n  packages: {{{pypi}}}\n"
    )


def locked(case: Case, name: str = "x") -> LockedEnvironment:
    (environment,) = parse_lock((case.project / f"{name}.lock.yaml").read_bytes(), name).platforms
    return environment


def test_conda_packages_and_wheels_share_a_prefix_on_the_hosts_python(
    case: Case, compiled_channel: TestChannel, wheel_index: Server
) -> None:
    case.recipe(recipe(compiled_channel, wheel_index, "    fast-tool:\n    activated:\n")).run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    environment = locked(case)
    assert [item.name for item in environment.conda] == ["activated", "fast-tool", "libfast"]
    assert [item.name for item in environment.wheels] == ["toy", "toy-core"]
    assert environment.python == SERIES
    # The C program finds its library; the wheel's program runs by the environment's Python, which stands on the host's.
    assert "1.3" in case.run("run", "x.yaml", "--", "fast-tool").out
    case.run("run", "x.yaml", "--", "toy")
    case.run("run", "x.yaml", "--", "python", "-c", "import sys, toy; print(sys.prefix, sys.base_prefix != sys.prefix)")
    assert case.out.split() == [str(prefix), "True"]
    # conda's and Python's own records stand beside each other.
    records = {path.name for path in (prefix / "conda-meta").glob("*.json")}
    assert {name.split("-")[0] for name in records} == {"activated", "fast", "libfast"}
    assert json.loads((prefix / "conda-meta" / next(iter(records))).read_bytes())["channel"]
    assert (prefix / "pyvenv.cfg").is_file()
    assert (prefix / "share/fast-tool/config.txt").read_text() == f"prefix = {prefix}\n"
    case.run("verify").mentions("0 findings")
    (prefix / "share/fast-tool/config.txt").write_text("damaged\n")
    case.run("verify", "--repair", code=None)
    case.run("verify").mentions("0 findings")
    assert not list((case.home / "tmp").glob("*"))


def test_activation_knows_both(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.recipe(recipe(channel, wheel_index, "    activated:\n")).run("realize", "x.yaml")
    prefix = case.out.strip()
    hook = case.run("shell-hook", "x.yaml", "--shell", "bash").out
    shown = 'echo "$CONDA_PREFIX|$VIRTUAL_ENV|$(command -v python)|$ACTIVATED"'
    script = f"{hook}\n{shown}\ndeactivate\n{shown}\n"
    done = subprocess.run(["bash", "-c", script], env=case.environ, capture_output=True, text=True, check=True)
    inside, outside = done.stdout.splitlines()
    assert f"|{prefix}/bin/python|" in inside
    assert prefix in inside.split("|")[0] + inside.split("|")[1]
    assert prefix not in outside


def test_a_managed_python_and_conda_packages(
    case: Case, managed_python: tuple[ManagedPython, Server], channel: TestChannel, wheel_index: Server
) -> None:
    python, server = managed_python
    case.variable("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/downloads.json")
    series = ".".join(python.version.split(".")[:2])
    text = recipe(channel, wheel_index, "    data-files: '2.0'\n", interpreter="managed")
    case.recipe(text.replace(f"python: {SERIES}", f"python: {series}")).run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    environment = locked(case)
    assert environment.archive is not None
    assert [item.name for item in environment.conda] == ["data-files"]
    case.run("run", "x.yaml", "--", "python", "-c", "import toy, sys; print(sys.prefix)")
    assert case.out.strip() == str(prefix)
    assert (prefix / "conda-meta" / "history").is_file()
    case.run("verify").mentions("0 findings")


def test_what_drags_a_python_in_is_refused_with_the_chain(
    case: Case, channel: TestChannel, wheel_index: Server
) -> None:
    case.recipe(recipe(channel, wheel_index, "    data-files:\n    greet:\n"))
    case.run("lock", "x.yaml", code=11)
    case.mentions("python-in-conda", "greet -> python", "x.yaml:8:5", "hint: take greet from PyPI")
    assert not (case.project / "x.lock.yaml").exists()
    case.recipe(recipe(channel, wheel_index, f"    python: '{SERIES}.*'\n"))
    case.run("lock", "x.yaml", code=3).mentions("bad-interpreter", "x.yaml:7:5", "`python:`")


def test_another_fault_is_told_as_what_it_is(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.recipe(recipe(channel, wheel_index, "    data-files: '99'\n"))
    case.run("lock", "x.yaml", code=11).mentions("unsatisfiable", "data-files")
    case.hides("python-in-conda")
    case.recipe(recipe(channel, wheel_index, "    data-files:\n").replace("  channels:", "  # channels:"))
    case.run("lock", "x.yaml", code=3).mentions("no-channels", "data-files", "x.yaml:7:5")


def test_where_there_is_a_way_without_python_it_is_taken(case: Case, tmp_path: Path, wheel_index: Server) -> None:
    import asyncio

    from rattler.index import index_fs

    from tests.support.channel import this_platform
    from tests.support.conda_package import PackageRecipe, write_package

    folder = tmp_path / "channel"
    for version, depends in (("1.0", ()), ("2.0", ("python",))):
        write_package(
            PackageRecipe(name="tool", version=version, subdir="noarch", noarch="generic", depends=depends), folder
        )
    write_package(PackageRecipe(name="python", version=f"{SERIES}.0", subdir=this_platform()), folder)
    asyncio.run(index_fs(folder))
    channel = TestChannel(folder=folder, platform=this_platform(), pythons=(), compiled=False)
    case.recipe(recipe(channel, wheel_index, "    tool:\n", pypi="")).run("lock", "x.yaml")
    assert [(item.name, item.version) for item in locked(case).conda] == [("tool", "1.0")]


def test_a_base_is_pinned_and_extended(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.recipe(recipe(channel, wheel_index, "    data-files: '1.0'\n", pypi="toy-core: '1.0'"), "base.yaml")
    case.file("x.yaml", "extends: base.yaml\nconda: {packages: {activated: }}\npypi: {packages: {toy: }}\n")
    case.run("realize", "x.yaml")
    environment = locked(case)
    assert {item.name: item.version for item in environment.conda} == {"activated": "1.0", "data-files": "1.0"}
    assert {item.name: item.version for item in environment.wheels} == {"toy": "2.0", "toy-core": "1.0"}
    case.run("run", "x.yaml", "--", "python", "-c", "import toy")
    case.file("y.yaml", "extends: base.yaml\nconda: {packages: {greet: }}\n")
    case.run("lock", "y.yaml", code=11).mentions("python-in-conda", "greet -> ")
    # A base with conda's Python cannot be extended by a recipe with another one.
    channel_line = f"conda: {{channels: ['{channel.folder.as_uri()}'], packages: {{greet: }}}}"
    case.file("conda.yaml", f"python: {SERIES}\nplatforms: [{channel.platform}]\n{channel_line}\n")
    case.file("z.yaml", "extends: conda.yaml\ninterpreter: host\n")
    if any(item.startswith(SERIES) for item in channel.pythons):
        case.run("lock", "z.yaml", code=11).mentions("python-in-conda", "pinned by the base")


def test_a_recipe_of_conda_packages_alone_needs_no_wheel(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    case.recipe(recipe(channel, wheel_index, "    data-files:\n", pypi=""))
    case.run("realize", "x.yaml").run("run", "x.yaml", "--", "python", "-c", "print('here')")
    assert case.out.strip() == "here"
    case.run("tree", "x.yaml").mentions("data-files")
