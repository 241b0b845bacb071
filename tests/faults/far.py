"""A world whose store is in a cloud, behind a proxy that breaks what passes; a first machine has filled it once.

Rules of the file: as of ``world``; what is asked of the store is counted by the proxy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.counts import COUNTS
from tests.faults.world import Outcome, differences
from tests.flows.test_shared_clouds import CloudTeam
from tests.support.channel import TestChannel
from tests.support.object_servers import ObjectServer, serve_objects
from tests.support.servers import serve

CLOUDS = ("s3", "gs", "az") if COUNTS.full else ("s3",)
"""Clouds that commands are tried at: one by default, for single requests are tried at all."""


class Far(CloudTeam):
    """``both.yaml`` is in the store, and its tree known.

    Attributes:
        filled: The address of the store that has it; a test that writes takes ``empty``.
    """

    def __init__(self, folder: Path, channel: TestChannel, server, cloud: ObjectServer) -> None:  # type: ignore[no-untyped-def]
        super().__init__(folder, channel, server, cloud)
        self.recipe(
            "both",
            f"interpreter: host\npython: {sys.version_info[0]}.{sys.version_info[1]}\n"
            + self.conda_lines("data-files: '2.0'", "activated:")
            + self.pypi_lines("tool-box:", "bulky:"),
        )
        self.one("both")
        self.whole = self.tree("both")
        self.locked = self.lock("both").read_bytes()
        self.filled = self.url

    def again(self) -> None:
        """Another machine, with the lock alone; nothing goes wrong any more."""
        self.fresh()
        self.proxy.forget()
        self.server.content = self._content()  # type: ignore[no-untyped-call]
        self.lock("both").write_bytes(self.locked)
        self.use(self.filled)

    def use(self, url: str, **variables: str) -> None:
        """The one store of the user's configuration."""
        self.url = url
        self.environ.update({**self.cloud.environ, **variables})
        self.configure({"name": "cloud", "url": url})

    def emptied(self) -> None:
        """A store that has nothing."""
        self.empty()
        self.lock("both").write_bytes(self.locked)

    def realized(self, *, code: int = 0, **options) -> Outcome:  # type: ignore[no-untyped-def]
        """``realize``; when it ends well, the tree is that of a run in which nothing went wrong."""
        outcome = self.run("realize", "both.yaml", "--locked", "--json", code=code, **options)
        if code == 0:
            assert not differences(self.tree("both"), self.whole)
        else:
            assert not self.prefixes()
        assert not self.leftovers()
        return outcome

    @property
    def puts(self) -> str:
        """The method of a put."""
        return "POST" if self.cloud.scheme == "gs" else "PUT"

    @property
    def heads(self) -> str:
        """The method of a question for a size."""
        return "GET" if self.cloud.scheme == "gs" else "HEAD"


def notes(outcome: Outcome) -> list[str]:
    """What a user was told of the store."""
    return [line for line in outcome.err.splitlines() if "the store cloud" in line]


@pytest.fixture(scope="session")
def fars(tmp_path_factory: pytest.TempPathFactory, channel: TestChannel) -> Iterator[dict[str, Far]]:
    """Worlds by their cloud, made when they are first asked for."""
    with ExitStack() as stack:

        class Made(dict[str, Far]):
            def __missing__(self, scheme: str) -> Far:
                folder = tmp_path_factory.mktemp(f"far-{scheme}")
                server = stack.enter_context(serve(lambda _: None))
                cloud = stack.enter_context(serve_objects(scheme, folder))
                self[scheme] = Far(folder / "team", channel, server, cloud)
                return self[scheme]

        yield Made()


@pytest.fixture
def far(request: pytest.FixtureRequest, fars: dict[str, Far]) -> Iterator[Far]:
    """The world of the cloud that a test is parametrised with, of S3 otherwise."""
    found = fars[getattr(request, "param", "s3")]
    found.again()
    yield found
    found.again()


everywhere = pytest.mark.parametrize("far", CLOUDS, indirect=True)
