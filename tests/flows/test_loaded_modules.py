"""Which modules the commands import that people and programs run all day: start-up time is imports, and little else.

A time would depend on the machine; a list of modules does not. Of the two commands that only read a stamp every module
of envbuild's is listed: whoever adds one sees it here. Of the others it is said which libraries they load, and which
modules they must not, each with what it costs. All of it is ``-X importtime`` of real processes.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.case import CHECKOUT, Case
from tests.support.channel import TestChannel
from tests.support.wheels import make_wheel

STAMP = {
    "envbuild",
    "envbuild.version",
    "envbuild.value",
    "envbuild.pattern",
    "envbuild.errors",
    "envbuild.cli",
    "envbuild.cli.main",
    "envbuild.cli.options",
    "envbuild.environments",
    "envbuild.environments.stamp",
    "envbuild.machine",
    "envbuild.machine.disk",
    "envbuild.machine.home",
}
"""What reading a stamp takes."""

OWN: Mapping[str, set[str]] = {
    "no-op realize": STAMP | {"envbuild.cli.wording", "envbuild.linkers", "envbuild.linkers.rattler_ahead"},
    "run": STAMP
    | {
        "envbuild.cli.realize",
        "envbuild.environments.environment",
        "envbuild.faults",
        "envbuild.machine.in_use",
        "envbuild.machine.kernel_lock",
    },
}
"""envbuild's own modules, all of them."""

LIBRARIES: Mapping[str, set[str]] = {
    "no-op realize": {"click"},
    "run": {"click"},
    "list": {"click", "yaml"},
    "lock": {"click", "yaml", "rfc8785"},
    "warm realize": {"click", "yaml", "rfc8785", "uv"},
    "warm realize of conda packages": {"click", "yaml", "rfc8785", "orjson"},
}
"""The libraries that a command may load; fewer will do. ``uv`` is the package that tells where the program is.
"""

HEAVY = {
    "asyncio": "60 ms; rattler's children have it, each a process of its own",
    "concurrent.futures": "20 ms with `logging`, where nothing waits for jobs",
    "csv": "7 ms",
    "ctypes": "3 ms, where nothing is asked of the C library",
    "difflib": "8 ms",
    "email": "20 ms; what it parses is read by rooms of our own",
    "http": "28 ms with `email` behind it; nothing is asked over a network",
    "importlib.metadata": "36 ms",
    "logging": "14 ms; nothing here logs",
    "multiprocessing": "21 ms; jobs are threads",
    "shutil": "9 ms with the libraries of all compressions",
    "socket": "9 ms; nothing is asked over a network",
    "sqlite3": "8 ms",
    "ssl": "19 ms; nothing is asked over a network",
    "subprocess": "13 ms, where no program is started",
    "tarfile": "11 ms",
    "tempfile": "11 ms with `random` behind it",
    "tomllib": "14 ms",
    "unittest": "24 ms",
    "xml": "reads nothing of ours",
    "zipfile": "16 ms; a wheel that was looked into is not opened again",
}
"""Modules of the standard library, and why a command does without: what each takes alone, once, on two busy cores."""

NEEDED: Mapping[str, set[str]] = {
    "no-op realize": set(),
    "run": set(),
    "list": {"subprocess", "shutil"},
    "lock": {"subprocess", "shutil"},
    "warm realize": {"subprocess", "shutil", "concurrent.futures", "logging", "ctypes"},
    "warm realize of conda packages": {"subprocess", "shutil", "concurrent.futures", "logging", "ctypes"},
}
"""Those of ``HEAVY`` that a command cannot do without: it starts a program, waits for jobs, asks the C library."""


def imported(case: Case, *arguments: str) -> set[str]:
    """The modules that a command imports beyond those of Python itself."""
    return _imported(case, "-m", "envbuild", *arguments) - _imported(case, "-c", "pass")


def _imported(case: Case, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=case.project,
        env=case.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> dict[str, set[str]]:
    """What each command imports, by what it is called in the tables."""
    case = Case(tmp_path_factory.mktemp("loaded"))
    make_wheel(case.project / "wheels", "toy", "1.0", scripts={"toy": "toy:main"})
    series = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wheels = "  no-index: true\n  find-links: [wheels]\n  packages:\n    toy:\n"
    case.recipe(f'interpreter: host\npython: "{series}"\npypi:\n{wheels}', "pypi.yaml")
    case.recipe(f"conda:\n  channels: ['{channel.url}']\n  packages:\n    data-files: '2.0'\n", "conda.yaml")
    found: dict[str, set[str]] = {}
    assert "rattler" not in imported(case, "realize", "pypi.yaml", "conda.yaml"), "rattler is for children"
    found["no-op realize"] = imported(case, "realize", "pypi.yaml")
    found["run"] = imported(case, "run", "pypi.yaml", "--", "toy")
    found["list"] = imported(case, "list")
    found["lock"] = imported(case, "lock", "pypi.yaml")
    for name in ("stamps", "prefixes"):
        (case.home / name).rename(case.home / f"old-{name}")
    found["warm realize"] = imported(case, "realize", "pypi.yaml")
    found["warm realize of conda packages"] = imported(case, "realize", "conda.yaml")
    return found


@pytest.mark.parametrize("command", OWN)
def test_a_command_that_reads_a_stamp_loads_these_modules_of_ours_and_no_others(
    loaded: dict[str, set[str]], command: str
) -> None:
    own = {name for name in loaded[command] if name.split(".")[0] == "envbuild"} | {"envbuild"}
    assert own == OWN[command] | {"envbuild"}


@pytest.mark.parametrize("command", LIBRARIES)
def test_a_command_loads_no_other_libraries(loaded: dict[str, set[str]], command: str) -> None:
    tops = {name.split(".")[0] for name in loaded[command]} - {"envbuild"}
    foreign = {name for name in tops if name not in sys.stdlib_module_names and not name.startswith("_")}
    # an import that was tried, and failed, stands in the list too
    assert {name for name in foreign if importlib.util.find_spec(name)} <= LIBRARIES[command]


@pytest.mark.parametrize("command", NEEDED)
def test_a_command_loads_nothing_heavy_of_the_standard_library(loaded: dict[str, set[str]], command: str) -> None:
    heavy = {name: why for name, why in HEAVY.items() if name in loaded[command]}
    assert {name: why for name, why in heavy.items() if name not in NEEDED[command]} == {}


@pytest.mark.parametrize("command", ["lock", "warm realize", "warm realize of conda packages"])
def test_a_command_that_makes_environments_loads_no_other_verbs(loaded: dict[str, set[str]], command: str) -> None:
    assert "envbuild.base_session" in loaded[command]
    assert "envbuild.session" not in loaded[command]
    rooms = {".".join(name.split(".")[:2]) for name in loaded[command]}
    assert not rooms & {"envbuild.doctor", "envbuild.exchange", "envbuild.review"}


def test_a_command_of_which_only_help_is_asked_loads_no_session(tmp_path: Path) -> None:
    case = Case(tmp_path)
    for arguments in (("--version",), ("--help",), ("lock", "--help")):
        found = imported(case, *arguments)
        assert not found & {"envbuild.session", "envbuild.base_session", "envbuild.machine.uv_ahead"}
        assert {name for name in found if name.split(".")[0] in {"yaml", "rich", "rattler", "networkx"}} == set()


def test_every_table_tells_of_modules_that_there_are() -> None:
    for name in set().union(*OWN.values()):
        assert (
            Path(CHECKOUT, *name.split(".")).with_suffix(".py").is_file()
            or (CHECKOUT / name.replace(".", "/")).is_dir()
        )
    for command, needed in NEEDED.items():
        assert needed <= HEAVY.keys(), command
