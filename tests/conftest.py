"""Fixtures for all tests: a home of one's own, the channel, the index, servers, mirrors, real records.

Rules of the file: what can be missing (a compiler, the network, ``../shared``) skips with a reason that says what is
missing; nothing is replaced by a fake without a word.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.case import Case, clean_environment
from tests.support.cache import CHECKOUT
from tests.support.channel import TestChannel, made_channel
from tests.support.git_server import GitServer, serve_git
from tests.support.managed_python import ManagedPython, made_managed_python
from tests.support.servers import Content, Server, serve
from tests.support.source_world import World
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_sdist, make_wheel, real_wheels


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``ENVBUILD_HOME`` in the test's own folder, and no setting of this machine's user in the environment."""
    clean = clean_environment(tmp_path)
    for name in list(os.environ):
        if name not in clean and not name.startswith(("PYTEST", "PYTHON", "VIRTUAL_ENV")):
            monkeypatch.delenv(name)
    for name, value in clean.items():
        if name not in {"LC_ALL", "COLUMNS", "NO_COLOR"}:
            monkeypatch.setenv(name, value)
    return Path(clean["ENVBUILD_HOME"])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A builder for a test of the command line."""
    return Case(tmp_path)


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    """``serving(folder_or_content, host=…)``: a server that lives as long as the test."""
    with ExitStack() as stack:

        def start(content: Path | Content, **options: Any) -> Server:
            return stack.enter_context(serve(content, **options))

        yield start


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A loopback server of git repositories; ``git_server.repository("name")`` makes one."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serve_git(tmp_path / "git-server"))
        except LookupError as missing:
            pytest.skip(f"NO GIT: {missing}")
        yield server


@pytest.fixture(scope="session")
def channel() -> TestChannel:
    """The conda channel as a folder, made once per machine; read-only by convention."""
    try:
        return made_channel()
    except LookupError as missing:
        pytest.skip(f"NO CONDA CHANNEL: {missing}")


@pytest.fixture
def compiled_channel(channel: TestChannel) -> TestChannel:
    """The channel, when it has compiled packages (``libfast``, ``fast-tool``, ``speedups``)."""
    if not channel.compiled:
        pytest.skip("NO C COMPILER: the channel has no compiled packages (gcc or cc is needed on PATH)")
    return channel


@pytest.fixture
def channel_server(channel: TestChannel, serving: Callable[..., Server]) -> Server:
    """The channel over HTTP, with counters and faults of this test's own."""
    return serving(channel.folder)


@pytest.fixture
def channel_url(channel_server: Server) -> str:
    """The address of ``channel_server``."""
    return channel_server.url


@pytest.fixture
def managed_python(serving: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> tuple[ManagedPython, Server]:
    """A managed Python and its loopback mirror; uv (and the child processes of the test) is told of it.

    ``UV_PYTHON_DOWNLOADS_JSON_URL`` is set to ``{server.url}/downloads.json``; a ``Case`` needs it by ``variable``.
    """
    try:
        python = made_managed_python()
    except LookupError as missing:
        pytest.skip(f"NO MANAGED PYTHON: {missing}")
    server = serving(lambda request: None)
    server.content = python.content(server.url)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/downloads.json")
    return python, server


@pytest.fixture(scope="session")
def toy_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small wheels: one of every shape that a resolver or installer meets."""
    folder = tmp_path_factory.mktemp("toy-wheels")
    for version in ("1.0", "1.1", "2.0"):
        make_wheel(folder, "toy", version, requires=["toy-core>=1"], scripts={"toy": "toy:main"})
    make_wheel(folder, "toy-core", "1.0")
    make_wheel(folder, "toy-core", "1.5")
    make_wheel(folder, "toy-core", "2.0rc1")
    make_wheel(
        folder, "toy-extras", "1.0", extras={"colour": ["toy-paint>=1"], "all": ["toy-extras[colour]", "toy-core"]}
    )
    make_wheel(folder, "toy-paint", "1.0", requires=['toy-windows; sys_platform == "win32"', "toy-core"])
    make_wheel(folder, "toy-windows", "1.0")
    make_wheel(folder, "toy-old-python", "1.0", requires_python=">=3.8")
    make_wheel(folder, "toy-old-python", "2.0", requires_python=">=3.99")
    make_wheel(folder, "toy-conflict", "1.0", requires=["toy-core<1"])
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win_amd64"):
        make_wheel(folder, "toy-compiled", "1.0", tag=tag)
    make_wheel(folder, "toy-compiled", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    make_wheel(folder, "toy-new-glibc", "1.0", tag="cp311-cp311-manylinux_2_39_x86_64")
    make_sdist(folder, "toy-source-only", "1.0", requires=["toy-core"])
    return folder


@pytest.fixture
def wheel_index(toy_wheels: Path, serving: Callable[..., Server]) -> Server:
    """``toy_wheels`` as an index with JSON, dates and metadata: ``{wheel_index.url}/simple``."""
    return serving(WheelIndex(folder=toy_wheels))


@pytest.fixture
def world(tmp_path: Path, home: Path, serving: Callable[..., Server]) -> World:
    """An index of this test's own, empty so far, a project's folder, and solves in both."""
    folder = tmp_path / "index"
    folder.mkdir()
    (tmp_path / "project").mkdir()
    index = WheelIndex(folder=folder)
    return World(folder=tmp_path, home=home, server=serving(index), index=index)


@pytest.fixture
def mirrors(channel: TestChannel, toy_wheels: Path, serving: Callable[..., Server]) -> tuple[Server, Server]:
    """Two servers of the same content with different host names and ports: ``/channel/…``, ``/simple/…``."""
    index = WheelIndex(folder=toy_wheels)

    def both(request: Any) -> Any:
        from dataclasses import replace

        from tests.support.servers import folder_content

        if request.path.startswith("/channel/"):
            return folder_content(channel.folder)(replace(request, path=request.path.removeprefix("/channel")))
        return index(request)

    return serving(both, host="127.0.0.1"), serving(both, host="localhost")


_SESSION_ENVIRONMENT = dict(os.environ)


@pytest.fixture(scope="session")
def real_wheel_folder() -> Path:
    """Real wheels (requests, click, numpy and what they need) from this machine's index, downloaded once."""
    names = ["requests==2.32.3", "click==8.1.7", "numpy==1.26.4" if sys.version_info < (3, 13) else "numpy==2.2.1"]
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name not in _SESSION_ENVIRONMENT:
                patch.delenv(name)
        for name, value in _SESSION_ENVIRONMENT.items():
            patch.setenv(name, value)
        try:
            return real_wheels(names)
        except LookupError as missing:
            pytest.skip(f"NO REAL WHEELS: {missing}")


@pytest.fixture
def real_index(real_wheel_folder: Path, serving: Callable[..., Server]) -> Server:
    """The real wheels as an index: ``{real_index.url}/simple``."""
    return serving(WheelIndex(folder=real_wheel_folder))


@pytest.fixture(scope="session")
def conda_forge_2024() -> Path:
    """Real conda-forge records of May 2024 (a file:// channel without package files), kept beside the checkout."""
    folder = CHECKOUT.parent / "shared" / "data" / "conda-forge-2024"
    if not (folder / "noarch" / "repodata.json").is_file():
        pytest.skip("NO REAL RECORDS: ../shared/data/conda-forge-2024 is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``certificate.pem`` and ``key.pem`` for 127.0.0.1, made for this run."""
    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL PROGRAM: no certificate could be made")
    folder = tmp_path_factory.mktemp("authority")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=envbuild"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder
