"""Fixtures of the object tests: real servers, one of each per test process, and an empty place at each for each test.

Rules of the file: a server that does not start is an error of the test, never a skip.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from envbuild.objects import Objects
from envbuild.objects.folder import FolderObjects
from envbuild.objects.opening import open_objects
from envbuild.objects.retrying import Patience
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.object_servers import ObjectServer, serve_objects
from tests.support.servers import Server

CLOUDS = ("s3", "gs", "az")
WRITABLE = ("file", "memory", *CLOUDS)
QUICK = Patience(deadline=20, attempts=6, pause=0.01, longest=0.2)
"""For tests: as many questions, shorter pauses."""


@dataclass(kw_only=True)
class Place:
    """Where a test keeps objects.

    Attributes:
        kind: The scheme.
        url: The address.
        proxy: What stands before it, if anything.
        server: Of a cloud.
        writer: Writes what a web server serves.
    """

    kind: str
    url: str
    proxy: FaultProxy | None = None
    server: ObjectServer | None = None
    writer: Objects | None = None
    _filling: Objects | None = None

    def open(self, **options: object) -> Objects:
        """The objects, opened anew; options are those of ``open_objects``."""
        return open_objects(self.url, **{"patience": QUICK, **options})  # type: ignore[arg-type]

    def fill(self, name: str, data: bytes) -> None:
        """Have an object there, whoever writes it."""
        self._filling = self._filling or self.writer or self.open()
        assert self._filling.put(name, data) == "created"


@contextmanager
def _server(scheme: str, factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with serve_objects(scheme, factory.mktemp(f"{scheme}-server")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """moto's S3, as a process behind a fault proxy."""
    with _server("s3", tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def gs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """An emulator of Google's storage, as a process behind a fault proxy that holds ``ifGenerationMatch``."""
    with _server("gs", tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def az_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Azurite, as a process behind a fault proxy."""
    with _server("az", tmp_path_factory) as server:
        yield server


@pytest.fixture
def place_of(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    serving: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Place]]:
    """``place_of("s3")``: an empty place of that kind; ``file``, ``memory``, ``http``, ``s3``, ``gs`` or ``az``."""
    used: list[FaultProxy] = []

    def make(kind: str) -> Place:
        if kind == "file":
            return Place(kind=kind, url=f"file://{tmp_path}/objects")
        if kind == "memory":
            return Place(kind=kind, url=f"memory://m-{uuid.uuid4().hex}")
        if kind == "http":
            folder = tmp_path / "served"
            folder.mkdir()
            web = serving(folder)
            stack = fault_proxy(("127.0.0.1", web.server_address[1]))
            proxy = stack.__enter__()
            request.addfinalizer(lambda: stack.__exit__(None, None, None))
            return Place(kind=kind, url=proxy.url, proxy=proxy, writer=FolderObjects(folder))
        server: ObjectServer = request.getfixturevalue(f"{kind}_server")
        server.proxy.forget()
        used.append(server.proxy)
        for name in list(os.environ):
            if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR")):
                monkeypatch.delenv(name)
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        return Place(kind=kind, url=f"{kind}://{server.bucket()}/team/store", proxy=server.proxy, server=server)

    yield make
    for proxy in used:
        proxy.forget()


@pytest.fixture
def place(request: pytest.FixtureRequest, place_of: Callable[[str], Place]) -> Place:
    """An empty place of the kind that the test is parametrised with."""
    return place_of(request.param)


def everywhere(*kinds: str) -> pytest.MarkDecorator:
    """Run a test at each kind of place; everywhere that can be written when none is named."""
    return pytest.mark.parametrize("place", kinds or WRITABLE, indirect=True)
