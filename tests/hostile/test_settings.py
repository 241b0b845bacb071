"""H64-H68: hostile configuration and environment variables, by the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.case import Case
from tests.hostile.attack import attack, contents
from tests.support.servers import Server


@pytest.fixture
def ready(case: Case, wheel_index: Server) -> Case:
    """A project whose recipe can be locked and realized."""
    return case.recipe(
        f"interpreter: host\npython: 3.11\npypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-core:\n"
    )


def user_settings(case: Case, text: str) -> Path:
    path = Path(case.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("what", ["home", "store", "cache", "prefixes", "settings", "project"])
def test_what_everybody_may_write_is_not_believed(ready: Case, what: str) -> None:
    """H64."""
    ready.run("lock", "x.yaml")
    if what == "settings":
        user_settings(ready, "jobs: 1\n").chmod(0o666)
    elif what == "project":
        ready.file("envbuild.yaml", "platforms: [linux-64]\n")
        (ready.project / "envbuild.yaml").chmod(0o666)
    else:
        folder = ready.home if what == "home" else ready.home / what
        folder.chmod(0o777)
    outcome = attack(ready, "realize", "x.yaml", code=3, reference=None)
    assert outcome.references & {"unsafe-folder", "unsafe-file"}, outcome
    assert "chmod" in outcome.err


PROJECT = [
    ("H65", "chanels: [x]\n", "unknown-key", "1:1"),
    ("H65", "channels: {a: b}\n", "bad-type", "1:11"),
    ("H65", "stores: ['s3:/x']\n", "bad-url", "1:9"),
    ("H65", "stores: ['file::s3://x/y']\n", "bad-url", "1:9"),
    ("H65", "stores: ['simplecache::s3://x/y']\n", "bad-url", "1:9"),
    ("H65", "executor: sh -c true\n", "bad-value", "1:11"),
    ("H65", "platforms: [linux-65]\n", "bad-value", "1:13"),
    ("H65", "recipes: &x x\n", "bad-yaml-alias", "1:10"),
    ("H66", "trusted: ['s3://mine/']\n", None, "1:1"),
    ("H66", "allow-outside-paths: true\n", None, "1:1"),
    ("H66", "mirrors: {'https://a.example/': ['https://b.example/']}\n", None, "1:1"),
    ("H66", "channel-alias: https://b.example/\n", None, "1:1"),
    ("H66", "index-url: https://b.example/simple\n", None, "1:1"),
    ("H66", "trusted-hosts: [b.example]\n", None, "1:1"),
]


@pytest.mark.parametrize(
    ("row", "text", "reference", "place"), PROJECT, ids=[f"{row[0]}-{number}" for number, row in enumerate(PROJECT)]
)
def test_a_hostile_project_file_is_refused(ready: Case, row: str, text: str, reference: str | None, place: str) -> None:
    ready.file("envbuild.yaml", text)
    for command in (("lock", "x.yaml"), ("config", "list"), ("gc",)):
        outcome = attack(ready, *command, code=3, reference=reference)
        assert f"envbuild.yaml:{place}" in outcome.places, outcome
        assert "hint: " in outcome.err, outcome


def test_a_project_may_not_loosen_what_its_reader_trusts(ready: Case) -> None:
    """H66: ``strict`` of the user stays."""
    user_settings(ready, "trust: {mode: strict}\n")
    ready.file("envbuild.yaml", "trust: {mode: hash}\n")
    outcome = attack(ready, "lock", "x.yaml", code=3, reference=None)
    assert any(place.startswith("envbuild.yaml:1") for place in outcome.places), outcome


VARIABLES = [
    ("ENVBUILD_LOCK_TIMEOUT", "soon"),
    ("ENVBUILD_LOCK_TIMEOUT", "-1"),
    ("ENVBUILD_LOCK_TIMEOUT", "1e9"),
    ("ENVBUILD_JOBS", "0"),
    ("ENVBUILD_JOBS", "-4"),
    ("ENVBUILD_JOBS", "many"),
    ("ENVBUILD_OFFLINE", "perhaps"),
    ("ENVBUILD_DURABILITY", "maybe"),
    ("ENVBUILD_PLATFORMS", "amiga"),
    ("ENVBUILD_LINK", "magic"),
]


@pytest.mark.parametrize(("name", "value"), VARIABLES)
def test_a_wrong_variable_is_a_usage_error(ready: Case, name: str, value: str) -> None:
    """H67."""
    ready.variable(name, value)
    outcome = attack(ready, "realize", "x.yaml", code=2, reference=None)
    assert name in outcome.err or "--" + name[9:].lower().replace("_", "-") in outcome.err


def test_a_slip_in_a_variable_is_a_warning(ready: Case) -> None:
    """H67."""
    ready.variable("ENVBUILD_OFLINE", "1").run("lock", "x.yaml").mentions("ENVBUILD_OFLINE", "`ENVBUILD_OFFLINE`")


FOREIGN = {
    "PYTHONPATH": "/nonexistent/evil",
    "PYTHONSTARTUP": "/nonexistent/evil.py",
    "PYTHONHOME": None,
    "PIP_INDEX_URL": "http://127.0.0.1:9/evil/simple",
    "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/evil/simple",
    "PIP_CONFIG_FILE": "/nonexistent/pip.conf",
    "PIP_NO_BINARY": ":all:",
    "UV_INDEX_URL": "http://127.0.0.1:9/evil/simple",
    "UV_INDEX": "http://127.0.0.1:9/evil/simple",
    "UV_EXCLUDE_NEWER": "2001-01-01T00:00:00Z",
    "UV_RESOLUTION": "lowest",
    "UV_PRERELEASE": "allow",
    "UV_CONSTRAINT": "/nonexistent/constraints.txt",
    "UV_OVERRIDE": "/nonexistent/overrides.txt",
    "UV_PYTHON": "/nonexistent/python",
    "UV_NO_BINARY": "1",
    "UV_LINK_MODE": "symlink",
    "UV_OFFLINE": "1",
    "UV_CONFIG_FILE": "/nonexistent/uv.toml",
    "UV_CACHE_DIR": "/nonexistent/cache",
    "UV_PROJECT_ENVIRONMENT": "/nonexistent/venv",
    "UV_SYSTEM_PYTHON": "1",
    "CONDA_PREFIX": "/nonexistent/conda",
    "CONDA_OVERRIDE_GLIBC": "1.0",
    "CONDA_OVERRIDE_CUDA": "99",
    "CONDA_CHANNELS": "evil",
    "CONDA_PKGS_DIRS": "/nonexistent/packages",
    "LD_LIBRARY_PATH": "/nonexistent/lib",
    "VIRTUAL_ENV": "/nonexistent/venv",
    "RATTLER_CACHE_DIR": "/nonexistent/rattler",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "1",
}


def test_variables_of_other_tools_change_nothing(ready: Case, tmp_path: Path) -> None:
    """H68: the same ids, the same tree."""
    ready.run("realize", "x.yaml")
    lock = (ready.project / "x.lock.yaml").read_bytes()
    prefix = Path(ready.out.strip())
    first = contents(prefix)
    ready.home.rename(tmp_path / "first-home")
    (ready.project / "x.lock.yaml").unlink()
    for name, value in FOREIGN.items():
        if value is not None:
            ready.variable(name, value if name != "PYTHONPATH" else ready.environ["PYTHONPATH"] + os.pathsep + value)
    # Two belong to the way that the tests start envbuild itself.
    ready.variable("UV_CONFIG_FILE", None)
    ready.run("realize", "x.yaml")
    assert (ready.project / "x.lock.yaml").read_bytes() == lock
    assert Path(ready.out.strip()) == prefix
    assert contents(prefix) == first


def test_a_temporary_folder_that_cannot_be_used(ready: Case) -> None:
    """H68: ``TMPDIR`` is not where envbuild works; if an engine needs it, that is said as a full disk."""
    ready.variable("TMPDIR", "/proc").run("realize", "x.yaml", code=None)
    assert ready.code in {0, 8}, ready.err
