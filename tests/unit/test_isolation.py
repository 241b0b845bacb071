"""The program that shuts a build off: what it lets through, what it says, and for whom it works."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from envbuild.addresses import Addresses
from envbuild.builders import isolated_child, isolation
from envbuild.builders.environment import BuildPython, make_build_environment
from envbuild.builders.hooks import build_requires, prepare_metadata
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.machine.workspace import Workspace
from envbuild.package import UrlOrigin
from tests.support.link_context import SERIES
from tests.support.sdists import make_project

CHILD = Path(isolated_child.__file__)


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """What the program is told, for a folder of the test's."""
    (tmp_path / "build" / "environment" / "bin").mkdir(parents=True)
    return {
        "apart": True,
        "own_user": True,
        "hidden": [],
        "folder": str(tmp_path / "build"),
        "place": "/tmp",
        "kept": ["environment"],
        "seen": [],
        "limits": {"RLIMIT_CORE": 0},
        "processes": 2000,
        "path": ["/tmp/environment/bin"],
        "cwd": None,
    }


def run(
    plan: dict[str, Any], *argv: str, python: str = sys.executable, **options: Any
) -> subprocess.CompletedProcess[str]:
    command = [python, "-I", "-S", "-B", options.pop("child", str(CHILD)), json.dumps(plan), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def needs_namespaces(plan: dict[str, Any]) -> None:
    done = run(plan)
    if done.returncode:
        pytest.skip(f"NOT ISOLATED: this kernel allows no namespaces: {done.stderr.strip()}")


def test_exit_codes_are_those_of_the_program(plan: dict[str, Any]) -> None:
    needs_namespaces(plan)
    assert run(plan, "sh", "-c", "exit 7").returncode == 7
    assert run(plan, "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    missing = run(plan, "no-such-program")
    assert (missing.returncode, missing.stderr) == (127, "no-such-program: No such file or directory\n")


def test_what_cannot_be_had_is_said_and_nothing_runs(plan: dict[str, Any]) -> None:
    done = run({**plan, "folder": "/no/such/folder"}, "echo", "ran")
    assert done.returncode == isolated_child.FAILED
    assert done.stdout == ""
    assert done.stderr.strip()


@pytest.mark.parametrize("apart", [True, False])
def test_the_path_is_the_builds_then_the_machines(plan: dict[str, Any], tmp_path: Path, apart: bool) -> None:
    if apart:
        needs_namespaces(plan)
    virtual, conda, shims = tmp_path / "v" / "bin", tmp_path / "c" / "bin", tmp_path / "p" / "shims"
    for folder in (virtual, conda, shims):
        folder.mkdir(parents=True)
    (tmp_path / "v" / "pyvenv.cfg").touch()
    (tmp_path / "c" / "conda-meta").mkdir()
    environ = {"PATH": os.pathsep.join(map(str, [virtual, conda, shims, "/usr/bin", "relative", "/bin"]))}
    done = run({**plan, "apart": apart}, "/bin/sh", "-c", "echo $PATH", env=environ)
    told = done.stdout.strip().split(":")
    assert told[0] == "/tmp/environment/bin"
    assert "/usr/bin" in told
    assert "relative" not in told
    if not apart:  # else they are out of sight below /tmp, and so is what tells them
        assert told[1:] == ["/usr/bin", "/bin"]


def test_what_is_hidden_is_empty(plan: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    needs_namespaces(plan)
    secrets = Path(shutil.which("true") or "/bin/true").parent  # a folder that is there, and not in /tmp
    done = run(
        {**plan, "hidden": ["/etc/hostname", str(secrets.parent / "share")]},
        "sh",
        "-c",
        "cat /etc/hostname; ls -A /usr/share",
    )
    assert done.stdout == ""


def test_what_must_be_seen_is_seen_where_semaphores_lie(plan: dict[str, Any]) -> None:
    needs_namespaces(plan)
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("NO /dev/shm: this machine has no place for semaphores")
    import tempfile

    with tempfile.TemporaryDirectory(dir=memory) as name:
        folder = Path(name)
        for kind in ("seen", "unseen"):
            (folder / kind).mkdir()
            (folder / kind / "file").write_text(f"{kind}\n")
        script = f"cat {folder}/*/file; touch {folder}/seen/x || echo kept; touch {memory}/own && ls {memory}"
        done = run({**plan, "seen": [str(folder / "seen"), str(folder / "gone")]}, "sh", "-c", script)
        assert done.stdout.split() == ["seen", "kept", *sorted([folder.name, "own"])], done.stderr
        assert not (memory / "own").exists()


def test_an_ordinary_user_is_shut_off_too(plan: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where we are root: as nobody, by a Python that nobody may run."""
    python = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()), None)
    if os.geteuid() != 0 or python is None:
        pytest.skip("NOT ROOT, or NO PYTHON FOR ALL: the test's own user is an ordinary one, or none can run a Python")
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "build" / "environment").mkdir(parents=True)
        shutil.copy(CHILD, folder / "child.py")
        for path in (folder, folder / "build", folder / "build" / "environment"):
            os.chown(path, 65534, 65534)
        told = {**plan, "folder": str(folder / "build")}
        script = "id -u; touch /tmp/made && echo wrote; touch /tmp/environment/x || echo kept; ls /sys/class/net"
        done = run(told, "sh", "-c", script, python=python, child=str(folder / "child.py"), user=65534, group=65534)
        if done.returncode == isolated_child.FAILED:
            pytest.skip(f"NO USER NAMESPACES: {done.stderr.strip()}")
        assert done.stdout.split()[:3] == ["65534", "wrote", "kept"]
        # What the user runs elsewhere is not counted; what the build runs is.
        others = [subprocess.Popen(["sleep", "60"], user=65534, group=65534) for _ in range(40)]
        try:
            for number, fits in ((10, True), (60, False)):
                script = f"for n in $(seq {number}); do sleep 5 & done; echo started"
                options = {"python": python, "child": str(folder / "child.py"), "user": 65534, "group": 65534}
                done = run({**told, "processes": 30}, "sh", "-c", script, **options)
                assert ("started" in done.stdout) is fits, done.stderr
        finally:
            for other in others:
                other.kill()
                other.wait()


def test_in_a_container_others_are_seen_and_not_looked_into(plan: dict[str, Any]) -> None:
    """A masked ``/proc`` allows no new one: the old one stays, and tells nothing of other processes' variables."""
    needs_namespaces(plan)
    masked = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /proc/version && exec "$@"', "sh"]
    if subprocess.run([*masked, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NO MOUNTS: this machine does not let us mask a part of /proc")
    with subprocess.Popen(["sleep", "60"], env={"HUSH": "secret", "PATH": os.environ["PATH"]}) as other:
        try:
            look = f"cat /proc/{other.pid}/cmdline; cat /proc/{other.pid}/environ; touch /usr/x; ls /sys/class/net"
            command = [sys.executable, "-I", "-S", str(CHILD), json.dumps(plan), "sh", "-c", look]
            done = subprocess.run([*masked, *command], capture_output=True, text=True, timeout=60, check=False)
        finally:
            other.kill()
    assert "sleep" in done.stdout, "the test's own ground"
    assert "secret" not in done.stdout
    assert "Permission denied" in done.stderr
    assert "Read-only file system" in done.stderr


def test_a_kernel_that_allows_nothing_is_asked_once_and_the_user_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_found", None)
    asked: list[bool] = []

    def refused(argv: object, folder: object, place: object, wanted: isolation.Isolation, **_: object) -> object:
        from envbuild.derivations import Completed

        asked.append(wanted.own_user)
        return Completed(returncode=125, tail="unshare: Operation not permitted\n")

    monkeypatch.setattr(isolation, "run_apart", refused)
    notes: list[str] = []
    with Workspace(tmp_path / "home", Addresses(root=str(tmp_path)), durability="fast", note=notes.append) as workspace:
        context = workspace.for_job(job("build-wheel"), {})
        found = [isolation.probe(context) for _ in range(3)]
    assert {item.apart for item in found} == {False}
    assert asked == [True, False]
    assert len(notes) == 1
    assert "unshare: Operation not permitted" in notes[0]
    monkeypatch.setattr(isolation, "_found", None)


class _Solving(Fetch):
    """A derivation whose programs may see the network."""

    kind = "solve"


def job(kind: str) -> Any:
    made = _Solving if kind == "solve" else Fetch
    return made(sha256=Digest("0" * 64), file="x", origin=UrlOrigin(url="https://h.example/x", file="x"))


def test_hooks_that_run_while_locking_see_no_credentials_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs of a solve see proxies and passwords; a backend's hook is run by a solve, and sees none of them."""
    for name in ("HTTPS_PROXY", "UV_INDEX_PRIVATE_PASSWORD", "NETRC", "RATTLER_AUTH_FILE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "HUSH")
    backend = (
        "def get_requires_for_build_wheel(c=None):\n    return [n for n, v in os.environ.items() if 'HUSH' in v]\n"
    )
    with Workspace(tmp_path / "home", Addresses(root=str(tmp_path)), durability="fast") as workspace:
        context = workspace.for_job(job("solve"), {})
        assert "HUSH" in context.run(["env"]).tail, "the test's own ground"
        with context.scratch() as folder:
            python = BuildPython(series=SERIES, host=context.host_python(SERIES).path)
            environment = make_build_environment(folder, python=python, wheels=(), context=context)
            source = make_project(folder / "source", "own", "1.0", more_backend=backend)
            assert build_requires(source, environment, (), context) == ()
            metadata = prepare_metadata(source, environment, (), (), context)
            assert b"Name: own" in metadata
            with pytest.raises(ValueError, match="is not in the subpath"):
                environment.inside(tmp_path)


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    with Workspace(tmp_path / "home", Addresses(root=str(tmp_path)), durability="fast") as workspace:
        context = workspace.for_job(job("solve"), {})
        with context.scratch() as folder:
            python = BuildPython(series=SERIES, host=context.host_python(SERIES).path)
            environment = make_build_environment(folder, python=python, wheels=(), context=context)
            source = folder / "source"
            source.mkdir()
            (source / "pyproject.toml").write_text(
                "[build-system]\nrequires = []\nbuild-backend = 'setuptools.build_meta'\n"
            )
            with pytest.raises(BuildError, match="setuptools") as caught:
                build_requires(source, environment, (), context)
    assert caught.value.reference == "hook-failed"
