"""What this machine must have: a Python for host mode, a managed Python's archive, the system that a lock assumes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from envbuild.locks.lockfile import parse_lock
from envbuild.machine.uv_program import uv_program
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.managed_python import ManagedPython
from tests.support.sdists import make_project
from tests.support.servers import Server

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_missing_python_is_said_with_what_there_is_and_nothing_is_downloaded(
    case: Case, tmp_path: Path, wheel_index: Server
) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    (only / f"python{SERIES}").symlink_to(sys.executable)
    case.variable("PATH", str(only)).variable("HOME", str(tmp_path)).variable("PYENV_ROOT", None)
    missing = "3.12" if SERIES != "3.12" else "3.13"
    case.recipe(
        f"interpreter: host\npython: {missing}\npypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    )
    case.run("realize", "x.yaml", code=11)
    case.mentions(f"no Python {missing}", f"{SERIES}.", "interpreter: managed")
    assert not any((case.home / "prefixes").glob("*"))


MARKED = "import os, sysconfig; print(os.path.exists(sysconfig.get_path('stdlib') + '/EXTERNALLY-MANAGED'))"


def test_a_python_that_its_distribution_manages_will_do_and_stays_as_it_is(
    case: Case, tmp_path: Path, wheel_index: Server
) -> None:
    """PEP 668 forbids changing it: a prefix only stands on it, builds included, and breaks no rule."""
    names = ("/usr/bin/python3", "/usr/local/bin/python3")
    found = [name for name in names if Path(name).exists() and case.program(name, "-c", MARKED).strip() == "True"]
    if not found:
        pytest.skip("NO MANAGED SYSTEM PYTHON: no python3 of this system is marked EXTERNALLY-MANAGED")
    what = "import sys; print(sys.prefix, '%d.%d' % sys.version_info[:2])"
    base, series = case.program(found[0], "-c", what).split()
    list_packages = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    before = case.program(found[0], "-c", list_packages)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / f"python{series}").symlink_to(found[0])
    make_project(case.project / "mine", "mine", "1.0", static=True)
    case.variable("PATH", f"{tmp_path / 'bin'}:{case.environ['PATH']}")
    case.recipe(
        f"interpreter: host\npython: {series}\npypi:\n  index: {wheel_index.url}/simple\n"
        "  packages: {toy-core: '', mine: {path: mine}}\n"
    )
    prefix = Path(case.run("realize", "x.yaml").out.strip())
    asked = "import sys, toy_core, mine; print(sys.prefix, sys.base_prefix)"
    assert case.program(prefix / "bin" / "python", "-c", asked).split() == [str(prefix), base]
    others = case.program(prefix / "bin" / "python", "-c", list_packages)
    assert others.strip() == "['mine', 'toy-core']", "nothing of the system's own packages is seen"
    copy = tmp_path / "copy"
    case.run("realize", "x.yaml", "--prefix", copy, "--writable")
    case.program(uv_program(), "pip", "uninstall", "--no-config", "--python", copy / "bin" / "python", "toy-core")
    assert case.program(copy / "bin" / "python", "-c", list_packages).strip() == "['mine']"
    case.hides("externally", "EXTERNALLY", "break-system-packages")
    assert case.program(found[0], "-c", list_packages) == before


def test_another_python_on_the_machine_gets_another_prefix(
    case: Case, tmp_path: Path, channel: TestChannel, wheel_index: Server
) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.recipe(f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n", "python.yaml")
    case.run("realize", "python.yaml", "--prefix", tmp_path / "other-python")
    recipe = (
        f"interpreter: host\npython: {series}\npypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy-core: ''}}\n"
    )
    case.recipe(recipe)
    first = case.run("realize", "x.yaml").out
    path = case.environ["PATH"]
    case.variable("PATH", f"{tmp_path / 'other-python' / 'bin'}:{path}")
    second = case.run("realize", "x.yaml", "--locked").out
    assert first != second
    case.run("run", "x.yaml", "--", "python", "-c", "import sys; print(sys.base_prefix)")
    assert case.out.strip() == str(tmp_path / "other-python")
    case.variable("PATH", path)
    assert case.run("realize", "x.yaml", "--locked").out == first


def test_a_managed_python_is_a_blob_like_any_other(
    case: Case, managed_python: tuple[ManagedPython, Server], wheel_index: Server
) -> None:
    python, server = managed_python
    series = ".".join(python.version.split(".")[:2])
    case.variable("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/downloads.json")
    case.recipe(
        f"interpreter: managed\npython: {series}\npypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    ).run("realize", "x.yaml")
    prefix = Path(case.out.strip())
    lock = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x")
    (environment,) = lock.platforms
    assert environment.archive is not None
    assert environment.archive.version == python.version
    assert (
        case.home / "store" / "blobs" / "sha256" / environment.archive.sha256[:2] / environment.archive.sha256
    ).exists()
    assert server.url not in (case.project / "x.lock.yaml").read_text()
    shown = case.run("run", "x.yaml", "--", "python", "-c", "import sys; print(sys.prefix, sys.version.split()[0])").out
    assert shown.split() == [str(prefix), python.version]
    case.run("verify").mentions("0 findings")


def test_a_lock_may_assume_what_this_machine_lacks_and_realizing_says_so(case: Case, channel: TestChannel) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    text = f"python: {series}\nsystem: {{__cuda: '99.0'}}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n"
    case.recipe(text + "  packages: {needs-cuda: ''}\n").run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=11).mentions("__cuda 99.0", "system:")
    assert not any((case.home / "prefixes").glob("*"))
    case.recipe(text.replace("system: {__cuda: '99.0'}\n", "") + "  packages: {needs-cuda: ''}\n", "y.yaml")
    case.run("lock", "y.yaml", code=11).mentions("needs-cuda")


def test_locking_never_looks_at_this_machine(case: Case, channel: TestChannel) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    case.recipe(f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages: {{greet: ''}}\n")
    case.run("lock", "x.yaml")
    first = (case.project / "x.lock.yaml").read_bytes()
    (case.project / "x.lock.yaml").unlink()
    for name in ("GLIBC", "CUDA", "LINUX", "ARCHSPEC"):
        case.variable(f"CONDA_OVERRIDE_{name}", "1.0")
    case.run("lock", "x.yaml")
    assert (case.project / "x.lock.yaml").read_bytes() == first


def test_a_package_above_the_floor_is_refused(case: Case, channel: TestChannel) -> None:
    series = ".".join(channel.pythons[0].split(".")[:2])
    text = f"python: {series}\nconda:\n  channels: ['{channel.folder.as_uri()}']\n  packages: {{needs-new-glibc: ''}}\n"
    case.recipe(text).run("lock", "x.yaml", code=11).mentions("__glibc")
    case.recipe(text + "system: {__glibc: '2.99'}\n").run("lock", "x.yaml")
    case.run("realize", "x.yaml", code=11).mentions("__glibc", "2.99 is needed")
