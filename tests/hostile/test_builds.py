"""H45-H48: build backends that want more than to build; each ends as a build that failed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import cast

import pytest

from envbuild.builders import isolation
from envbuild.derivations import Context
from envbuild.errors import BuildError
from tests.support.building import Building
from tests.support.link_context import contents_of_processes
from tests.support.sdists import make_own_sdist, make_project, pack_sdist

COMMAND = "echo $$ > pid; exec sleep 600"


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path / "home")


@pytest.fixture
def apart(building: Building) -> None:
    """Skip where the kernel allows no namespaces."""
    with building.context.scratch():
        if not isolation.probe(cast(Context, building.context)).apart:
            pytest.skip("NOT ISOLATED: this kernel allows no namespaces")


def fails(building: Building, tmp_path: Path, backend: str) -> BuildError:
    """Build ``evil 1.0`` with a backend that replaces hooks; the error that it ends with."""
    sdist = make_own_sdist(tmp_path / "dist", "evil", "1.0", scratch=tmp_path / "src", more_backend=backend)
    before = scratch(building)
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "evil", "1.0")
    assert caught.value.exit_code == 9
    assert scratch(building) == before
    return caught.value


def scratch(building: Building) -> list[str]:
    """What is left of scratch folders."""
    folder = building.context.home / "prefixes" / ".scratch"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 443), timeout=5)",
        "socket.create_connection(('127.0.0.1', PORT), timeout=5)",
        "socket.getaddrinfo('example.org', 443)",
        "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
    ],
)
def test_h45_a_build_reaches_no_network(building: Building, tmp_path: Path, attempt: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = fails(building, tmp_path, f"import socket\nPORT = {port}\ndef build_wheel(*a, **k):\n    {attempt}\n")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    assert error.reference == "hook-failed"


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    "attempt",
    [
        "ctypes.CDLL(None, use_errno=True).mount(None, b'/', None, ctypes.c_ulong(32 | 4096), None)",
        "ctypes.CDLL(None, use_errno=True).umount2(b'/tmp', 2)",
        "ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x20000)",
        "ctypes.CDLL(None, use_errno=True).setns(os.open('/proc/self/ns/net', 0), 0)",
        "ctypes.CDLL(None, use_errno=True).sethostname(b'x', 1)",
    ],
)
def test_h45_what_was_shut_cannot_be_opened_again(building: Building, tmp_path: Path, attempt: str) -> None:
    """Whatever a build asks the kernel for, what is outside of its folder cannot be written to."""
    outside = tmp_path / "outside"
    outside.mkdir()
    backend = (
        "import ctypes, os\n"
        "def build_wheel(*a, **k):\n"
        f"    print('ASKED', {attempt})\n"
        f"    for place in ({str(outside)!r}, '/usr', '/etc', os.path.expanduser('~root')):\n"
        "        try:\n            open(place + '/evil-was-here', 'w')\n"
        "        except OSError:\n            continue\n"
        "        print('WROTE', place)\n"
        "    raise SystemExit(1)\n"
    )
    error = fails(building, tmp_path, backend)
    assert "ASKED" in error.message
    assert "WROTE" not in error.message
    assert list(outside.iterdir()) == []


OTHERS = {
    "another name": "return make('other', '1.0')",
    "another version": "return make('evil', '2.0')",
    "two": "make('evil', '1.0', '-1'); return make('evil', '1.0')",
    "none": "return 'evil-1.0-py3-none-any.whl'",
    "elsewhere": "name = make('evil', '1.0'); os.rename(D + '/' + name, D + '/../' + name); return name",
    "a path": "make('evil', '1.0'); return '../wheel/evil-1.0-py3-none-any.whl'",
    "an absolute path": "return D + '/' + make('evil', '1.0')",
    "a number": "make('evil', '1.0'); return 5",
    "a link": "os.symlink('/etc/passwd', D + '/evil-1.0-py3-none-any.whl'); return 'evil-1.0-py3-none-any.whl'",
    "a folder": "os.mkdir(D + '/evil-1.0-py3-none-any.whl'); return 'evil-1.0-py3-none-any.whl'",
    "a pipe": "os.mkfifo(D + '/evil-1.0-py3-none-any.whl'); return 'evil-1.0-py3-none-any.whl'",
    "no zip": "open(D + '/evil-1.0-py3-none-any.whl', 'w').write('x'); return 'evil-1.0-py3-none-any.whl'",
    "no wheel": "open(D + '/evil.txt', 'w').write('x'); return 'evil.txt'",
    "metadata of another": "return make('evil', '1.0', said='2.0')",
    "more requirements": "return make('evil', '1.0', more='Requires-Dist: backdoor\\n')",
    "an entry point": "return make('evil', '1.0', files={'evil-1.0.dist-info/entry_points.txt': "
    "'[console_scripts]\\n../../evil = a:b\\n'})",
    "another Python": "return make('evil', '1.0', tag='cp27-cp27m-any')",
    "another machine": "return make('evil', '1.0', tag='cp311-abi3-win_amd64')",
}
MAKE = """
import base64, hashlib, os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    D = wheel_directory
    def make(name, version, build='', said=None, more='', tag='py3-none-any', files={}):
        file = f'{name}-{version}{build}-{tag}.whl'
        info = f'{name}-{version}.dist-info'
        with zipfile.ZipFile(D + '/' + file, 'w') as archive:
            text = f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {said or version}\\n{more}'
            members = {info + '/METADATA': text, info + '/WHEEL': 'Wheel-Version: 1.0\\n', **files}
            record = info + '/RECORD,,\\n'
            for path, data in members.items():
                digest = base64.urlsafe_b64encode(hashlib.sha256(data.encode()).digest()).rstrip(b'=').decode()
                record += f'{path},sha256={digest},{len(data)}\\n'
                archive.writestr(path, data)
            archive.writestr(info + '/RECORD', record)
        return file
    BODY
"""


@pytest.mark.parametrize("what", sorted(OTHERS))
def test_h46_what_is_built_is_one_wheel_of_that_name(building: Building, tmp_path: Path, what: str) -> None:
    error = fails(building, tmp_path, MAKE.replace("BODY", OTHERS[what]))
    assert error.reference in {"build-output", "build-differs", "build-platform"}, error
    assert "RECORD" not in error.message, "the wheel itself is sound"


def test_h46_the_honest_twin_of_those_passes(building: Building, tmp_path: Path) -> None:
    backend = MAKE.replace("BODY", "return make('evil', '1.0')")
    sdist = make_own_sdist(tmp_path / "dist", "evil", "1.0", scratch=tmp_path / "src", more_backend=backend)
    assert building.build(sdist, "evil", "1.0").record["tags"] == ["py3-none-any"]


@pytest.mark.usefixtures("apart")
def test_h46_its_own_environment_and_the_caches_behind_it_stay(building: Building, tmp_path: Path) -> None:
    """The build's Python is linked to caches that other prefixes are linked to as well."""
    backend = (
        "import os, sys\n"
        "def build_wheel(*a, **k):\n"
        "    for parent, _, names in os.walk(sys.prefix):\n"
        "        for name in names:\n"
        "            try:\n                open(os.path.join(parent, name), 'r+b').close()\n"
        "            except OSError:\n                continue\n"
        "            print('OPENED', parent, name)\n"
        "    raise SystemExit(1)\n"
    )
    assert "OPENED" not in fails(building, tmp_path, backend).message


@pytest.mark.parametrize(
    "answer", ["os.mkfifo(path)", "os.symlink('/etc/passwd', path)", "open(path, 'w').write('[' * 10**6)", "0"]
)
def test_h46_the_answer_of_a_hook_may_be_anything(building: Building, tmp_path: Path, answer: str) -> None:
    """The backend can write where its answer is expected, and end everything before the honest one is written."""
    backend = (
        "import os, signal\n"
        "def build_wheel(*a, **k):\n"
        "    path = os.path.join(os.environ['HOME'], '..', 'hooks', 'build_wheel.answer.json')\n"
        f"    {answer}\n"
        "    parent = os.getppid()\n"
        "    os.kill(parent, signal.SIGKILL)\n"
    )
    assert fails(building, tmp_path, backend).reference in {"hook-failed", "build-output"}


ENDLESS = {
    "sleeps": "time.sleep(600)",
    "ignores signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "leaves its session": "os.system('setsid sleep MARK & setsid nohup sleep MARK & true'); time.sleep(600)",
    "forks": "exec('while True:\\n try: os.fork()\\n except OSError: time.sleep(0.01)')",
}


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("what", sorted(ENDLESS))
def test_h47_a_build_that_never_ends_is_ended_with_all_that_it_started(
    building: Building, tmp_path: Path, what: str
) -> None:
    building.context.build_timeout = 4.0
    mark = f"{os.getpid()}{sorted(ENDLESS).index(what)}"
    backend = f"import os, signal, time\ndef build_wheel(*a, **k):\n    {ENDLESS[what].replace('MARK', mark)}\n"
    began = time.monotonic()
    error = fails(building, tmp_path, backend)
    assert time.monotonic() - began < 30
    assert error.reference == "too-slow"
    assert "it took longer than 4 s" in error.message
    assert error.hint == "ENVBUILD_BUILD_TIMEOUT=8 allows more"
    left = [said for said in contents_of_processes().values() if f"sleep {mark}" in said or str(tmp_path) in said]
    assert not left


def test_h47_a_log_without_end_is_cut_off(building: Building, tmp_path: Path) -> None:
    building.context.build_log_limit = 1 << 20
    backend = "def build_wheel(*a, **k):\n    while True:\n        print('x' * 10000)\n"
    error = fails(building, tmp_path, backend)
    assert error.reference == "too-much-output"
    assert "it printed more than 1 MiB" in error.message
    assert "    xxx" in error.message
    assert len(error.message) < 20_000
    assert len(building.context.logs[0]) <= 1 << 20


def test_h47_a_file_without_end_is_cut_off(building: Building, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "FILE_LIMIT", 8 << 20)
    backend = "def build_wheel(*a, **k):\n    with open('large', 'wb') as out:\n        while True:\n"
    backend += "            out.write(bytes(1 << 20))\n"
    assert fails(building, tmp_path, backend).reference == "hook-failed"


@pytest.mark.parametrize("folder", ["../..", "/usr/lib", "backend/../../..", "out"])
def test_h48_a_backend_lies_in_its_source(building: Building, tmp_path: Path, folder: str) -> None:
    project = make_project(tmp_path / "src", "evil", "1.0")
    text = (project / "pyproject.toml").read_text().replace('["backend"]', f'["{folder}"]')
    (project / "pyproject.toml").write_text(text)
    sdist = pack_sdist(project, tmp_path / "dist", "evil", "1.0")
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "evil", "1.0")
    assert caught.value.reference == ("backend-path" if folder != "out" else "hook-failed")


@pytest.mark.parametrize(
    "address", ["https://h.example/evil.whl", "git+https://h.example/evil", "file:///etc/evil.whl"]
)
def test_h48_build_requirements_have_no_addresses(building: Building, tmp_path: Path, address: str) -> None:
    project = make_project(tmp_path / "src", "evil", "1.0", build_requires=[f"helper @ {address}"])
    sdist = pack_sdist(project, tmp_path / "dist", "evil", "1.0")
    with pytest.raises(BuildError) as caught:
        building.build(sdist, "evil", "1.0")
    assert caught.value.reference == "unpinned-build-requirement"
