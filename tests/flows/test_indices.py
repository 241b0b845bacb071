"""Private indices, find-links and an index for one package: whoever has signed in elsewhere is let in.

Each way of giving a password is tried on a server that lets nobody else in, for locking (uv and our own requests) and
for realizing; the password is then in no file of the project and nowhere on the screen.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

PASSWORD = "pass-w0rd-of-tests"
HOST = "interpreter: host\npython: 3.11\n"


@pytest.fixture
def private(toy_wheels: Path, serving: Callable[..., Server]) -> Server:
    server = serving(WheelIndex(folder=toy_wheels))
    server.require_basic("user", PASSWORD)
    return server


def locked(case: Case) -> LockedEnvironment:
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    return environment


def places(case: Case) -> dict[str, str | None]:
    return {item.name: item.index or item.find_links or item.url for item in locked(case).wheels}


def secret_stays(case: Case) -> None:
    case.hides(PASSWORD)
    for path in case.project.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    for path in (case.home / "store").rglob("*"):
        if path.is_file() and path.suffix == ".json":
            assert PASSWORD.encode() not in path.read_bytes(), path


def by_netrc(case: Case, server: Server) -> str:
    netrc = Path(case.environ["NETRC"])
    netrc.write_text(f"machine 127.0.0.1 login user password {PASSWORD}\n")
    netrc.chmod(0o600)
    return f"  index: {server.url}/simple\n"


def by_configuration(case: Case, server: Server) -> str:
    settings = Path(case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f"index-url: {server.url_with('user', PASSWORD)}/simple\n")
    settings.chmod(0o600)
    return ""


def by_uv(case: Case, server: Server) -> str:
    case.variable("UV_DEFAULT_INDEX", f"{server.url_with('user', PASSWORD)}/simple")
    return ""


def by_uv_name(case: Case, server: Server) -> str:
    case.variable("UV_INDEX", f"corp={server.url}/simple")
    case.variable("UV_INDEX_CORP_USERNAME", "user").variable("UV_INDEX_CORP_PASSWORD", PASSWORD)
    return ""


def by_pip(case: Case, server: Server) -> str:
    case.variable("PIP_INDEX_URL", f"{server.url_with('user', PASSWORD)}/simple")
    return ""


def by_keyring(case: Case, server: Server) -> str:
    """The ``keyring`` program on ``PATH``, as uv and we ask it."""
    folder = case.project.parent / "bin"
    folder.mkdir()
    program = folder / "keyring"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"""  *json*) echo '{{"username": "user", "password": "{PASSWORD}"}}' ;;\n"""
        f"  *creds*) printf 'user\\n{PASSWORD}\\n' ;;\n"
        f"  *get*) echo {PASSWORD} ;;\n"
        "esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    case.variable("PATH", f"{folder}{os.pathsep}{case.environ['PATH']}")
    case.variable("ENVBUILD_INDEX_URL", f"{server.url.replace('://', '://user@')}/simple")  # uv asks for a name first
    return ""


WAYS = {
    "netrc": by_netrc,
    "configuration": by_configuration,
    "uv": by_uv,
    "uv by name": by_uv_name,
    "pip": by_pip,
    "keyring": by_keyring,
}


@pytest.mark.parametrize("way", WAYS)
def test_who_has_signed_in_is_let_in(way: str, case: Case, private: Server) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "PIP_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        case.variable(name, None)
    index = WAYS[way](case, private)
    case.recipe(f"{HOST}pypi:\n{index}  packages: {{toy: }}\n").run("realize", "x.yaml")
    assert set(places(case)) == {"toy", "toy-core"}
    assert set(places(case).values()) == ({f"{private.url}/simple"} if index else {"default"})
    case.run("run", "x.yaml", "--", "toy")
    secret_stays(case)


def test_who_has_not_is_told_what_to_do(case: Case, private: Server) -> None:
    case.recipe(f"{HOST}pypi:\n  index: {private.url}/simple\n  packages: {{toy: }}\n").run("lock", "x.yaml", code=5)
    case.mentions("netrc", "401")
    assert not (case.project / "x.lock.yaml").exists()


def test_find_links_as_a_folder_and_as_a_page(case: Case, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    folder = case.project / "wheels"
    for name in ("toy", "toy-core"):
        requires = ["toy-core"] if name == "toy" else []
        make_wheel(folder, name, "7.0", requires=requires, scripts={name: f"{name.replace('-', '_')}:main"})
    case.recipe(f"{HOST}pypi:\n  no-index: true\n  find-links: [./wheels]\n  packages: {{toy: }}\n")
    case.run("realize", "x.yaml").run("run", "x.yaml", "--", "toy")
    assert case.out.split() == ["toy", "7.0"]
    assert places(case) == {"toy": "./wheels", "toy-core": "./wheels"}
    server = serving(WheelIndex(folder=toy_wheels))
    case.recipe(f"{HOST}pypi:\n  no-index: true\n  find-links: ['{server.url}/links']\n  packages: {{toy: }}\n")
    case.run("realize", "x.yaml")
    assert places(case) == {"toy": f"{server.url}/links", "toy-core": f"{server.url}/links"}
    assert server.count("/simple/*") == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("extra-indices: [./away]", "index ./away"),
        ("index: 'file:///away/simple'", "index file:///away/simple"),
        ("find-links: [./away]", "find-links ./away"),
    ],
)
def test_an_index_that_is_a_folder_which_is_not_there_is_no_empty_one(said: str, shown: str, case: Case) -> None:
    """Else a package of its own would silently come from the next index."""
    case.recipe(f"{HOST}pypi:\n  {said}\n  packages: {{toy: }}\n")
    case.run("lock", "x.yaml", code=5).mentions("error[no-index]", f"the {shown} is a folder that is not there: ")


def test_a_page_of_find_links_that_wants_a_password(case: Case, private: Server) -> None:
    by_netrc(case, private)
    case.recipe(f"{HOST}pypi:\n  no-index: true\n  find-links: ['{private.url}/links']\n  packages: {{toy: }}\n")
    case.run("realize", "x.yaml")
    assert places(case)["toy"] == f"{private.url}/links"
    secret_stays(case)


def test_no_index_means_none(case: Case, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    server = serving(WheelIndex(folder=toy_wheels))
    case.variable("UV_DEFAULT_INDEX", f"{server.url}/simple")
    (case.project / "wheels").mkdir()
    case.recipe(f"{HOST}pypi:\n  no-index: true\n  find-links: [./wheels]\n  packages: {{toy: }}\n")
    case.run("lock", "x.yaml", code=11).mentions("toy was not found")
    assert server.requests == []


def test_an_index_for_one_package(case: Case, tmp_path: Path, serving: Callable[..., Server]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    make_wheel(ours, "inner", "1.0", requires=["shared"])
    make_wheel(ours, "shared", "1.0")
    make_wheel(theirs, "inner", "9.0")
    make_wheel(theirs, "shared", "2.0")
    one, other = serving(WheelIndex(folder=ours)), serving(WheelIndex(folder=theirs))
    one.require_basic("user", PASSWORD)
    by_netrc(case, one)
    case.recipe(
        f"{HOST}pypi:\n  index: {other.url}/simple\n"
        f"  extra-indices: [{{name: team, url: '{one.url}/simple', explicit: true}}]\n"
        "  packages: {inner: {index: team}, shared: }\n"
    ).run("realize", "x.yaml")
    assert places(case) == {"inner": "team", "shared": f"{other.url}/simple"}
    assert {item.name: item.version for item in locked(case).wheels} == {"inner": "1.0", "shared": "2.0"}
    assert other.count("/simple/inner/") == 0
    secret_stays(case)


def test_constraints_and_wheels_only(case: Case, toy_wheels: Path, serving: Callable[..., Server]) -> None:
    server = serving(WheelIndex(folder=toy_wheels))
    text = f"{HOST}pypi:\n  index: {server.url}/simple\n  constraints: {{toy-core: '<1.5', toy-paint: '<1'}}\n"
    case.recipe(f"{text}  packages: {{toy: }}\n").run("lock", "x.yaml")
    assert {item.name: item.version for item in locked(case).wheels} == {"toy": "2.0", "toy-core": "1.0"}
    case.recipe(f"{text}  no-build: true\n  packages: {{toy-source-only: }}\n", "y.yaml")
    case.run("lock", "y.yaml", code=11).mentions("toy-source-only")
    case.recipe(f"{text}  no-build: [toy-source-only]\n  packages: {{toy-source-only: }}\n", "z.yaml")
    case.run("lock", "z.yaml", code=11).mentions("toy-source-only")
