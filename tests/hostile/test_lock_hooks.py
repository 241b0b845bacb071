"""H45-H48 while locking: hooks of build backends that read, write, talk, lie and never end; no lock comes of it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from tests.case import Case
from tests.hostile.attack import contents
from tests.support.sdists import make_project

SECRET = "hunter2-sentinel"

RECIPE = "interpreter: host\npython: 3.11\npypi:\n  no-index: true\n  packages:\n    evil: {path: evil}\n"


def evil(case: Case, code: str = "", **options: object) -> Case:
    """A recipe with a folder whose backend is ``code``."""
    make_project(case.project / "evil", "evil", "1.0", more_backend=f"\n{code}\n", **options)  # type: ignore[arg-type]
    return case.recipe(RECIPE)


def refused(case: Case, *texts: str, code: int = 9) -> None:
    """``lock`` fails with this exit code, says these texts, and changes nothing in the project."""
    files = contents(case.project)
    started = time.monotonic()
    case.run("lock", "x.yaml", code=code).mentions("x.yaml:6:5", *texts).hides(SECRET, "\x1b")
    assert contents(case.project) == files
    assert list((case.home / "tmp").iterdir()) == [], "scratch is empty"
    assert time.monotonic() - started < 60


def test_h45_a_hook_sees_no_variable_and_no_file_of_the_user(case: Case, tmp_path: Path) -> None:
    home = tmp_path / "user"
    assert case.environ["HOME"] == str(home)
    (home / ".netrc").write_text(SECRET)
    case.variable("AWS_SECRET_ACCESS_KEY", SECRET).variable("UV_INDEX_URL", SECRET)
    look = f"""
seen = [name for name, value in os.environ.items() if {SECRET!r} in value]
assert os.path.expanduser("~") != {str(home)!r}
try:
    Path({str(home / ".netrc")!r}).read_text()
    seen.append("netrc")
except OSError:
    pass
raise SystemExit("seen: %r" % seen)
"""
    evil(case, look)
    refused(case, "seen: []")


def test_h45_a_hook_reaches_no_network(case: Case) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.1)
        port = listening.getsockname()[1]
        attempt = f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 5).send(b'x')\n"
        evil(case, attempt + "except OSError as error: raise SystemExit('no network: %s' % error)")
        case.run("lock", "x.yaml", code=None)
        if "are not shut off" in case.err:
            pytest.skip("NO NAMESPACES: this machine's kernel shuts no build off")
        refused(case, "no network: ")
        with pytest.raises(TimeoutError):
            listening.accept()


def test_h46_a_hook_that_says_it_is_another_package(case: Case) -> None:
    evil(case, "NAME = 'requests'")
    refused(case, "wrong-name", code=3)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("VERSION = '1.0\\nRequires-Dist: more'", ""),
        ("VERSION = 'latest'", "wrong-version"),
        ("def prepare_metadata_for_build_wheel(*_, **__): return '../../..'", "build-output"),
        ("def prepare_metadata_for_build_wheel(*_, **__): return 'nothing'", "build-output"),
        ("def get_requires_for_build_wheel(*_, **__): return ['--index-url=x']", "bad-build-system"),
        ("def get_requires_for_build_wheel(*_, **__): return {'a': 1}", "hook-failed"),
        ("REQUIRES = ['a b c']", "bad-metadata"),
        ("REQUIRES = ['x; ' + '(' * 5000]", "bad-metadata"),
        ("REQUIRES = ['x; ' + '(' * 50 + 'os_name == \"a\"' + ')' * 50]", "Locked x"),
    ],
)
def test_h46_metadata_that_is_none(case: Case, code: str, text: str) -> None:
    evil(case, code)
    files = contents(case.project)
    case.run("lock", "x.yaml", code=None)
    case.mentions(text)
    if text != "Locked x":
        assert case.code in {3, 9, 11}, case.err
        case.mentions("x.yaml:6:5")
        assert contents(case.project) == files


def test_h46_a_hook_writes_nowhere_but_into_its_copy(case: Case) -> None:
    canary = case.project / "canary"
    evil(
        case,
        f"""
for target in ({str(canary)!r}, {str(case.home / "store" / "x")!r}, "../../../canary"):
    try:
        Path(target).write_text("written")
    except OSError:
        pass
Path("evil.egg-info").mkdir(exist_ok=True)
""",
    )
    before = contents(case.project)
    case.run("lock", "x.yaml")
    if "are not shut off" in case.err:
        pytest.skip("NO NAMESPACES: this machine's kernel shuts no build off")
    after = contents(case.project)
    assert after.pop("x.lock.yaml")
    assert after == before
    assert not (case.home / "store" / "x").exists()


def test_h47_a_hook_that_never_ends(case: Case) -> None:
    case.variable("ENVBUILD_BUILD_TIMEOUT", "3")
    evil(case, f"import subprocess, time\nsubprocess.Popen(['sleep', '{4000 + os.getpid()}'])\ntime.sleep(3600)")
    refused(case, "too-slow")
    seconds = str(4000 + os.getpid())
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if seconds.encode() in _read(path)]
    assert running == [], "what it started has ended too"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_h47_output_without_end(case: Case) -> None:
    case.variable("ENVBUILD_BUILD_LOG_LIMIT", "1").variable("ENVBUILD_BUILD_TIMEOUT", "60")
    evil(case, "while True: print('\\x1b[31m' + 'x' * 100000)")
    refused(case, "too-much-output")


@pytest.mark.parametrize("folder", ["../..", "/tmp", "backend/../../.."])
def test_h48_a_backend_outside_of_its_source(case: Case, folder: str) -> None:
    evil(case)
    project = case.project / "evil" / "pyproject.toml"
    project.write_text(project.read_text().replace('["backend"]', f'["{folder}"]'))
    refused(case, "backend-path")


@pytest.mark.parametrize("dynamic", [False, True])
def test_h48_build_requirements_by_address(case: Case, dynamic: bool) -> None:
    address = ["tool @ https://host.invalid/tool-1.0-py3-none-any.whl"]
    evil(case, **({"dynamic_requires": address} if dynamic else {"build_requires": address}))
    refused(case, "unpinned-build-requirement", "tool")


def test_h48_a_project_file_of_brackets(case: Case) -> None:
    evil(case)
    (case.project / "evil" / "pyproject.toml").write_text("x = " + "[" * 100_000)
    refused(case, "bad-project", code=3)
