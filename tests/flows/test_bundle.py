"""``bundle``: one file that installs an environment with no network, no envbuild and little else."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from envbuild.session import Session
from tests.case import Case
from tests.metaflow.nodes import tool_wheels
from tests.support.channel import TestChannel
from tests.support.managed_python import made_managed_python
from tests.support.servers import serve
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import real_wheels

pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-Urnm", "true"], check=False, capture_output=True).returncode != 0,
    reason="NO NAMESPACES: a user may not make a network namespace here",
)

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
UNPACKING = ("uname", "mkdir", "tail", "head", "sha256sum", "tar", "gzip", "rm", "wc")
"""Programs that a bundle with a Python needs."""


class Machine:
    """A machine without a network: namespaces of its own, a few programs, and a home that cannot be written."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        for name in programs:
            found = shutil.which(name)
            assert found is not None, name
            (self.programs / name).symlink_to(os.path.realpath(found))
        (folder / "no home").write_text("")
        self.home = folder / "no home"

    def python(self) -> Machine:
        """With a Python beside its programs."""
        (self.programs / f"python{SERIES}").symlink_to(os.path.realpath(sys.executable))
        return self

    def program(self, name: str, text: str) -> Machine:
        """With a program that says something."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return self

    def command(self, bundle: Path, *arguments: str | Path, before: str = ":", **environ: str) -> list[str]:
        """Runs a bundle; ``before`` is run in its namespaces."""
        values = {"PATH": str(self.programs), "HOME": str(self.home), "LC_ALL": "C", **environ}
        inside = ["env", "-i", *(f"{name}={value}" for name, value in values.items()), "/bin/sh", str(bundle)]
        script = f'{before} && exec "$@"'
        return ["unshare", "-Urnm", "sh", "-c", script, "sh", *inside, *map(str, arguments)]

    def run(
        self, bundle: Path, *arguments: str | Path, code: int = 0, before: str = ":", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(bundle, *arguments, before=before, **environ),
            cwd=bundle.parent,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """With a Python, and nothing else."""
    return Machine(tmp_path / "bare").python()


@pytest.fixture
def shell(tmp_path: Path) -> Machine:
    """Without a Python, with what unpacks one."""
    return Machine(tmp_path / "shell", *UNPACKING)


class Made:
    """A project whose bundles are made once for all tests; its index has what envbuild needs."""

    def __init__(self, case: Case, channel: TestChannel) -> None:
        self.case = case
        self.channel = channel

    def bundle(self, name: str, recipe: str, *options: str) -> Path:
        file = self.case.project / f"{name}.sh"
        if not file.exists():
            self.case.recipe(recipe, f"{name}.yaml").run("bundle", f"{name}.yaml", "-o", file.name, *options)
        return file

    def conda(self, packages: str, pypi: str = "") -> str:
        return (
            f"python: '{SERIES}'\nplatforms: [{self.channel.platform}]\nconda:\n"
            f"  channels: ['{self.channel.folder.as_uri()}']\n  packages:\n{packages}{pypi}"
        )

    @property
    def mixed(self) -> Path:
        """conda packages and wheels, installed by the machine's Python."""
        recipe = self.conda("    greet:\n    old-fashioned:\n", "pypi:\n  packages:\n    toy:\nbytecode: true\n")
        return self.bundle("mixed", recipe, "--host-python", SERIES)

    @property
    def host(self) -> Path:
        """Wheels alone, one of them built, on the machine's Python."""
        packages = "{toy: '', toy-source-only: ''}"
        return self.bundle("host", f"interpreter: host\npython: '{SERIES}'\npypi:\n  packages: {packages}\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, toy_wheels: Path, channel: TestChannel) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("made")
    (folder / "index").mkdir()
    backend = real_wheels(["setuptools==75.8.0"])
    for wheel in [*toy_wheels.iterdir(), *tool_wheels("envbuild").iterdir(), *backend.iterdir()]:
        (folder / "index" / wheel.name).symlink_to(wheel)
    case = Case(folder)
    with ExitStack() as stack:
        server = stack.enter_context(serve(WheelIndex(folder=folder / "index")))
        case.variable("ENVBUILD_INDEX_URL", f"{server.url}/simple")
        if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
            pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")
        try:
            python = made_managed_python(SERIES)
        except LookupError as missing:
            pytest.skip(f"NO MANAGED PYTHON: {missing}")
        pythons = stack.enter_context(serve(lambda request: None))
        pythons.content = python.content(pythons.url)
        case.variable("UV_PYTHON_DOWNLOADS_JSON_URL", f"{pythons.url}/downloads.json")
        yield Made(case, channel)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every path below a folder with its kind and mode, and its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, hashlib.sha256(data).hexdigest())
    return found


def beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir() if path != place)


def parts(bundle: Path) -> dict[str, tuple[int, int]]:
    """Where each part of a bundle stands, its length; read as the documentation describes it."""
    data = bundle.read_bytes()
    start = data.index(b"\n", data.index(b"\n    main(sys.argv[1]")) + 1
    at = data.index(b"\n", data.index(b"\n    main(sys.argv[1]") + 1) + 1
    line, _, _ = data[at:].partition(b"\n")
    size = int(line.split()[1])
    index = json.loads(data[at + len(line) + 1 :][:size])
    found = {"header": (0, 16384), "start": (16384, at - 16384), "index": (at, len(line) + 1 + size)}
    assert start
    at += len(line) + 1 + size
    for digest, length in index["parts"]:
        assert hashlib.sha256(data[at : at + length]).hexdigest() == digest
        found[digest] = (at, length)
        at += length
    assert at == len(data)
    return found


def test_a_mixed_environment_comes_as_realize_makes_it(made: Made, tmp_path: Path, bare: Machine) -> None:
    place = tmp_path / "ein Ort mit ümläuten" / "the prefix"
    (tmp_path / "envbuild.yaml").write_text("conda-format: .tar.bz2\nstores: [http://nowhere.invalid]\nnonsense: 1\n")
    done = bare.run(made.mixed, "--prefix", place)
    assert done.stdout == f"{place}\n"
    assert beside(place) == [".the prefix.envbuild-bundle"]
    installed = tree(place)
    assert any("toy" in name and name.endswith(".pyc") for name in installed)  # compiled where it was bundled
    assert bare.run(made.mixed, "--prefix", f"{place}/").stderr.endswith("is there already\n")
    place.rename(tmp_path / "kept")
    made.case.run("realize", "mixed.yaml", "--prefix", place)
    assert tree(place) == installed
    made.case.program(place / "bin" / "python", "-c", "import toy, toy_core")


def test_wheels_on_the_machine_s_python_come_into_a_home(made: Made, tmp_path: Path, bare: Machine) -> None:
    home = tmp_path / "home of mine"
    medium = tmp_path / "medium"
    medium.mkdir()
    shutil.copyfile(made.host, medium / "a file.sh")
    before = medium.stat().st_mtime_ns
    first = bare.run(medium / "a file.sh", ENVBUILD_HOME=str(home))
    assert medium.stat().st_mtime_ns == before  # also one that can only be read will do
    prefix = Path(first.stdout.strip())
    assert prefix.parent == home / "prefixes"
    assert not list(home.glob("*bundle-*"))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert bare.run(made.host, ENVBUILD_HOME=str(home)).stdout == first.stdout
    made.case.run("realize", "host.yaml", "--prefix", tmp_path / "other")
    assert tree(prefix).keys() == tree(tmp_path / "other").keys()
    assert "toy" in made.case.program(
        prefix / "bin" / "python", "-c", "import toy, toy_source_only; print(toy.__name__)"
    )


def test_a_python_is_brought_along_where_the_machine_has_none(made: Made, tmp_path: Path, shell: Machine) -> None:
    bundle = made.bundle("conda", made.conda("    greet:\n"))
    left = tmp_path / f".conda place.bundle-{os.uname().nodename}-4194305"  # of a process that cannot be
    (left / "python" / "bin").mkdir(parents=True, mode=0o500)
    assert "Unpacking" in shell.run(bundle, "--prefix", tmp_path / "conda place").stderr
    assert (tmp_path / "conda place" / "bin" / "greet").exists()
    assert [name for name in beside(tmp_path / "conda place") if name.startswith(".")] == [
        ".conda place.envbuild-bundle"
    ]
    shell.run(bundle, "--check", TMPDIR=str(tmp_path / "checked"))
    assert not list((tmp_path / "checked").iterdir())
    # The environment's own, where it is one that uv manages.
    recipe = f"interpreter: managed\npython: '{SERIES}'\npypi:\n  packages: {{toy: ''}}\n"
    bundle = made.bundle("managed", recipe)
    place = tmp_path / "managed place"
    shell.run(bundle, "--prefix", place)
    installed = tree(place)
    place.rename(tmp_path / "kept")
    made.case.run("realize", "managed.yaml", "--prefix", place)
    assert tree(place) == installed


def test_one_lock_gives_the_same_bytes_and_names_no_machine(made: Made, tmp_path: Path) -> None:
    first = made.mixed
    far = Case(tmp_path / ("a-long-name-" * 8) / "far")
    far.environ |= {name: value for name, value in made.case.environ.items() if name.endswith("_URL")}
    shutil.copyfile(made.case.project / "mixed.yaml", far.project / "another-name.yaml")
    shutil.copyfile(made.case.project / "mixed.lock.yaml", far.project / "another-name.lock.yaml")
    far.run("bundle", "another-name.yaml", "--frozen", "--host-python", SERIES, "--json")
    told = json.loads(far.out)
    assert Path(told["file"]).name == f"another-name-{made.channel.platform}.sh"
    assert Path(told["file"]).read_bytes() == first.read_bytes()
    assert (told["size"], told["sha256"]) == (first.stat().st_size, hashlib.sha256(first.read_bytes()).hexdigest())
    assert os.access(first, os.X_OK)
    data = first.read_bytes()
    for text in (made.case.home, made.case.project, far.home, Path.home(), "another-name"):
        assert os.fsencode(str(text)) not in data, text
    again = Session(made.case.project, environ=made.case.environ, offline=True).bundle(
        made.case.project / "mixed.yaml", tmp_path / "again.sh", host_python=SERIES
    )
    assert again.sha256 == told["sha256"]
    made.case.run("bundle", told["environment"], "-o", "by-id.sh", "--host-python", SERIES)
    assert (made.case.project / "by-id.sh").read_bytes() == data


def test_what_was_cut_or_changed_is_refused_and_leaves_nothing(made: Made, tmp_path: Path, bare: Machine) -> None:
    whole = made.host.read_bytes()
    places = parts(made.host)
    target = tmp_path / "target"
    target.mkdir()
    damaged = tmp_path / "damaged.sh"

    def refused(data: bytes, *codes: int) -> None:
        damaged.write_bytes(data)
        done = subprocess.run(
            bare.command(damaged, "--prefix", target / "env"), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode in codes, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        assert not [path for path in target.iterdir() if path.name != ".env.envbuild-bundle"]

    names = list(places)  # header, program, index, envbuild, closure, what that needs, packages
    for name in (*names[:6], names[-1]):
        at, length = places[name]
        data = bytearray(whole)
        data[at + length // 2] ^= 1
        refused(bytes(data), 4)
    for length in (40, 5000, 16384, 17000, len(whole) // 2, len(whole) - 1):
        refused(whole[:length], 2, 4)
    refused(whole + b"x", 4)
    done = bare.run(damaged, "--check", code=4)
    assert done.stdout == ""
    assert "cut or damaged" in done.stderr


@pytest.mark.parametrize(("sh", "step"), [("sh", 23), ("bash", 97)])
def test_one_bit_or_a_cut_in_the_shell_s_part_writes_nothing(
    made: Made, tmp_path: Path, bare: Machine, sh: str, step: int
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    bundle = folder / "bundle.sh"
    whole = made.host.read_bytes()[:20000]  # what stands behind the header is not reached
    program = shutil.which(sh)
    if program is None:
        pytest.skip(f"NO {sh}: it is not on this machine")

    def ends(data: bytes) -> tuple[int, str]:
        bundle.write_bytes(data)
        done = subprocess.run(
            [program, str(bundle), "--prefix", str(folder / "env")],
            cwd=folder,
            env={"PATH": str(bare.programs), "HOME": str(folder / "home"), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert bundle.read_bytes() == data
        assert list(folder.iterdir()) == [bundle]
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stderr.decode(errors="replace")

    unguarded = whole.index(b"trap '(:")  # the first two lines, in which a shell may say it in its own words
    for place in (*range(0, unguarded, 7), *range(unguarded, 1024, step), *range(1024, 16384, 1931)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        code, said = ends(bytes(data))
        assert code == 4 or (place < unguarded and code != 0), (place, code, said)
        if place >= 1024:
            assert said.rstrip().endswith("is cut or damaged") or "this file is cut or damaged" in said, (place, said)
    for length in (unguarded, 100, 500, 1024, 5000, 16383):
        assert ends(whole[:length])[0] == 4, length
    # What would be a file, were it one bit more: not outside quotes and comments.
    guard = re.sub(r"#.*|'[^']*'|\"[^\"]*\"", "", whole[:1024].decode())
    assert not {chr(ord(">") ^ 1 << bit) for bit in range(7)} - {"<"} & set(guard)


def test_who_is_killed_leaves_nothing_that_the_next_does_not_take_away(
    made: Made, tmp_path: Path, bare: Machine
) -> None:
    place = tmp_path / "there" / "env"
    sights = (".env.bundle-*", ".env.bundle-*/tools/bin/python", ".env.bundle-*/home/store/blobs/sha256/*/*", "env")
    for sight in sights:
        running = subprocess.Popen(
            bare.command(made.mixed, "--prefix", place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while running.poll() is None and not list(place.parent.glob(sight)):
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if place.exists():  # only whole
            made.case.program(place / "bin" / "python", "-c", "import toy")
    assert bare.run(made.mixed, "--prefix", place).stdout == f"{place}\n"
    assert beside(place) == [".env.envbuild-bundle"]
    other = tmp_path / "elsewhere" / "env"
    ended = subprocess.Popen(bare.command(made.mixed, "--prefix", other), stderr=subprocess.DEVNULL)
    while ended.poll() is None and not list(other.parent.glob(sights[2])):
        time.sleep(0.005)
    ended.terminate()
    assert ended.wait(timeout=300) in {143, 0}  # it may have been as good as done
    assert [name for name in beside(other) if name != ".env.envbuild-bundle"] == []
    made.case.program(place / "bin" / "python", "-c", "import toy")


def test_two_at_once_install_once(made: Made, tmp_path: Path, bare: Machine) -> None:
    place = tmp_path / "there" / "env"
    several = [
        subprocess.Popen(
            bare.command(made.host, "--prefix", place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in several]
    assert [process.returncode for process in several] == [0, 0], said
    assert [out for out, _ in said] == [f"{place}\n"] * 2
    assert sum("is there already" in err for _, err in said) == 1
    assert beside(place) == [".env.envbuild-bundle"]


def test_what_does_not_fit_is_one_line(made: Made, tmp_path: Path, bare: Machine, shell: Machine) -> None:
    def told(machine: Machine, *arguments: str | Path, code: int, before: str = ":") -> str:
        done = machine.run(made.mixed, *arguments, code=code, before=before)
        assert done.stdout == ""
        lines = [line for line in done.stderr.splitlines() if line != "envbuild: unpacking" and "hint:" not in line]
        assert len(lines) == 1, done.stderr
        return lines[0]

    assert f"no Python {SERIES}" in told(shell, code=11)
    assert "needs a folder" in told(bare, "--prefix", code=2)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").write_text("")
    assert "is not this environment" in told(bare, "--prefix", taken, code=6)
    assert list(taken.iterdir()) == [taken / "file"]
    assert "cannot write into" in told(bare, "--prefix", taken / "file" / "env", code=8)
    assert "cannot write into" in told(bare, code=8)  # a home that cannot be written
    full = tmp_path / "full"
    full.mkdir()
    mount = f"mount -t tmpfs -o size=20m none '{full}'"
    assert "MB are needed in" in told(bare, "--prefix", full / "env", code=8, before=mount)
    few = "ulimit -f 10000"
    assert "File too large" in told(bare, "--prefix", tmp_path / "new" / "env", code=8, before=few)
    assert list((tmp_path / "new").iterdir()) == []
    assert "is not known" in told(bare, "--nonsense", code=2)
    bare.program("uname", "case $1 in -s) echo Plan9 ;; *) echo mips ;; esac")
    assert "this machine is Plan9/mips" in told(bare, code=11)
    (bare.programs / "uname").unlink()
    bare.program("getconf", "echo glibc 2.5")
    assert "glibc 2.5, and 2.28 is needed" in told(bare, code=11)
    bare.program("getconf", "echo undefined >&2; exit 1")
    assert "has no glibc" in told(bare, code=11)


def test_what_cannot_be_a_bundle_is_refused(made: Made) -> None:
    case, bundle = made.case, made.host
    assert bundle.name == "host.sh"
    case.recipe(f"interpreter: host\npython: '{SERIES}'\nplatforms: [win-64]\npypi:\n  packages: {{toy: ''}}\n")
    case.run("bundle", "x.yaml", "--platform", "win-64", "-o", "win.sh", code=11).mentions("no-bundle")
    case.run("bundle", "x.yaml", "--platform", "amiga", code=2).mentions("unknown-platform")
    case.run("bundle", "x.yaml", code=11).mentions("no-platform")
    case.run("bundle", "host.yaml", "--host-python", "3.9", "-o", "y.sh", code=11).mentions("no-bundle")
    case.run("bundle", "host.yaml", "-o", "host.sh", code=6).mentions("file-exists", "--force")
    case.run("bundle", "host.yaml", "-o", ".", "--force", code=6).mentions("file-exists")
    case.run("bundle", "host.yaml", "-o", "host.yaml", "--force", code=6).mentions("own-file")
    assert not [path for path in case.project.iterdir() if path.name.endswith(".tmp")]
