"""``include``: other tools' files are part of the recipe, of its request and of what makes a lock stale."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.locks.lockfile import parse_lock
from envbuild.package import Platform
from tests.case import Case
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
LINUX = Platform("linux-64")


@pytest.fixture
def index(tmp_path: Path, serving: Callable[..., Server]) -> tuple[Path, Server]:
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(folder, "apple", version, requires=["core>=1"])
        make_wheel(folder, "core", version)
    make_wheel(folder, "pear", "1.0")
    return folder, serving(WheelIndex(folder=folder))


def recipe(case: Case, server: Server, more: str = "", *, include: str = "[requirements.txt]") -> Case:
    return case.recipe(
        f"interpreter: host\npython: {SERIES}\ninclude: {include}\npypi:\n  index: {server.url}/simple\n{more}"
    )


def versions(case: Case) -> dict[str, str]:
    environment = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").environment(LINUX)
    assert environment is not None
    return {item.name: item.version for item in environment.wheels}


def test_an_included_file_is_locked_and_realized_and_its_changes_are_seen(
    case: Case, index: tuple[Path, Server]
) -> None:
    recipe(case, index[1], "  packages: {pear: }\n")
    case.file("requirements.txt", "apple<2  # the old one\n-c more/bounds.txt\n--trusted-host h\n")
    case.file("more/bounds.txt", "core<2\n")
    case.run("realize", "x.yaml")
    assert versions(case) == {"apple": "1.0", "core": "1.0", "pear": "1.0"}
    case.mentions("requirements.txt:3:1: --trusted-host h", "trusted-hosts")
    before = (case.project / "x.lock.yaml").read_bytes()

    # Nothing changed: the stamp answers. A comment: the same request, the same lock.
    case.run("realize", "x.yaml").hides("--trusted-host")
    case.file("requirements.txt", "# a comment\napple<2\n-c more/bounds.txt\n--trusted-host h\n")
    case.run("lock", "x.yaml", "--check").run("realize", "x.yaml", "--locked")
    assert (case.project / "x.lock.yaml").read_bytes() == before

    # A file that an included file names changes: stale, and the next realize sees it.
    case.file("more/bounds.txt", "core<1.5\n")
    case.run("lock", "x.yaml", "--check", code=10)
    case.run("realize", "x.yaml", "--locked", code=10)
    case.file("requirements.txt", "apple\n")
    case.run("lock", "x.yaml", "--check", code=10)
    case.run("realize", "x.yaml").run("lock", "x.yaml", "--upgrade")
    assert versions(case) == {"apple": "2.0", "core": "2.0", "pear": "1.0"}


def test_what_contradicts_names_both_places(case: Case, index: tuple[Path, Server]) -> None:
    recipe(case, index[1], "  packages:\n    apple: '>=2'\n").file("requirements.txt", "pear\nApple<2\n")
    case.run("lock", "x.yaml", code=3)
    case.mentions("requirements-disagree", "x.yaml:7:5 says '>=2'", "requirements.txt:2:1 says '<2'")


def test_groups_of_a_pyproject(case: Case, index: tuple[Path, Server]) -> None:
    text = "[project]\nname='x'\nrequires-python='>=3.8'\ndependencies=['apple==1.0']\n"
    text += "[dependency-groups]\ndev=['pear']\n"
    recipe(case, index[1], include="'pyproject.toml[dev]'").file("pyproject.toml", text).run("lock", "x.yaml")
    assert set(versions(case)) == {"apple", "core", "pear"}
    recipe(case, index[1], include="pyproject.toml").run("lock", "x.yaml")
    assert set(versions(case)) == {"apple", "core"}


def test_hashes_of_requirements_are_held_against_what_is_locked(case: Case, index: tuple[Path, Server]) -> None:
    folder, server = index
    wheel = next(folder.rglob("apple-2.0-*.whl"))
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    recipe(case, server).file("requirements.txt", f"apple==2.0 --hash=sha256:{good} --hash=sha256:{'a' * 64}\n")
    case.run("lock", "x.yaml")
    before = (case.project / "x.lock.yaml").read_bytes()
    case.file("requirements.txt", f"apple==2.0 \\\n  --hash=sha256:{'a' * 64}\n")
    case.run("lock", "x.yaml", "--check", code=10)
    case.run("lock", "x.yaml", code=4).mentions("wrong-hash", "requirements.txt:1:1")
    assert good in case.err
    assert (case.project / "x.lock.yaml").read_bytes() == before


def test_an_explicit_index_gives_only_what_names_it(
    case: Case, tmp_path: Path, index: tuple[Path, Server], serving: Callable[..., Server]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_wheel(other, "pear", "7.0")
    make_wheel(other, "apple", "9.0")
    server = serving(WheelIndex(folder=other))
    case.file(
        "pyproject.toml",
        f"""
        [project]
        name = "x"
        dependencies = ["apple", "pear"]
        [[tool.uv.index]]
        name = "special"
        url = "{server.url}/simple"
        explicit = true
        [tool.uv.sources]
        pear = {{ index = "special" }}
        """,
    )
    recipe(case, index[1], include="pyproject.toml").run("lock", "x.yaml")
    assert versions(case) == {"apple": "2.0", "core": "2.0", "pear": "7.0"}


def test_an_index_for_one_platform_holds_there_alone(
    case: Case, tmp_path: Path, index: tuple[Path, Server], serving: Callable[..., Server]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_wheel(other, "pear", "7.0")
    server = serving(WheelIndex(folder=other))
    case.file(
        "pyproject.toml",
        f"""
        [project]
        name = "x"
        dependencies = ["pear"]
        [[tool.uv.index]]
        name = "special"
        url = "{server.url}/simple"
        explicit = true
        [tool.uv.sources]
        pear = [{{ index = "special", marker = "sys_platform == 'linux'" }}]
        """,
    )
    recipe(case, index[1], "platforms: [linux-64, win-64]\n", include="pyproject.toml").run("lock", "x.yaml")
    lock = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x")
    assert {item.platform: item.wheels[0].version for item in lock.platforms} == {"linux-64": "7.0", "win-64": "1.0"}


def test_a_lock_of_another_tool_is_imported_not_included(case: Case, index: tuple[Path, Server]) -> None:
    recipe(case, index[1], include="uv.lock").file("uv.lock", "version = 1\n")
    case.run("lock", "x.yaml", code=3).mentions("bad-format", "envbuild import uv.lock")


def test_all_findings_of_all_included_files_at_once(case: Case, index: tuple[Path, Server]) -> None:
    recipe(case, index[1], include="[requirements.txt, environment.yml, gone.txt]")
    case.file("requirements.txt", "a=1\n-e .\n").file("environment.yml", "dependencies:\n- py*\n- a  # [win]\n")
    case.run("lock", "x.yaml", code=3)
    case.mentions(
        "error[bad-requirement]: requirements.txt:1:1",
        "error[editable]: requirements.txt:2:1",
        "error[bad-name]: environment.yml:2:3",
        "error[selector]: environment.yml:3:6",
        "error[missing-file]: x.yaml:3:46",
    )
