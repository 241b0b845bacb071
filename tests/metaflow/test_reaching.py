"""Before anything is solved or fetched: which steps need which channel or index, and whether it answers."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.metaflow.flows import Flows
from tests.metaflow.needs import need_channel
from tests.support.object_servers import serve_objects
from tests.support.servers import Server

TWO = """
    class Reaching(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            self.next(self.end)

        @pypi(packages={"toy": "1.1"})
        @step
        def end(self):
            pass
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that nobody listens on: its socket is bound, and stays so as long as the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def test_an_index_that_does_not_answer_ends_a_launch_before_it_is_asked_for_anything(
    flows: Flows, closed_port: int
) -> None:
    address = f"http://127.0.0.1:{closed_port}/simple"
    flows.environ["ENVBUILD_INDEX_URL"] = address
    flows.write(TWO).run(code=5)
    flows.says(
        f"Steps start, end need package index {address} (not reached)",
        f"error[unreachable]: steps start, end need the package index {address}: {address} does not answer",
    )
    assert "asked several times" not in flows.out
    assert "Workflow starting" not in flows.out
    assert not list(flows.generated("start").parent.glob("*.lock.yaml"))


def test_what_is_there_needs_no_index_that_answers(flows: Flows, closed_port: int) -> None:
    """The environment is removed, its packages are not: it is linked again, and nobody is asked."""
    flows.write(TWO).run()
    prefix = flows.told("start")
    assert prefix is not None
    flows.envbuild("remove", prefix["prefix"])
    flows.environ["HTTP_PROXY"] = flows.environ["http_proxy"] = f"http://127.0.0.1:{closed_port}"
    flows.environ["NO_PROXY"] = flows.environ["no_proxy"] = ""
    flows.run()
    flows.says("Environment of step start is ready: 7 packages, 0 fetched")
    assert "package index" not in flows.out


def test_each_place_is_said_of_the_steps_that_need_it(
    conda_flows: Flows, channel_server: Server, closed_port: int
) -> None:
    away = f"http://127.0.0.1:{closed_port}/channel"
    conda_flows.configure(f"channels: ['{need_channel().as_uri()}', '{channel_server.url}']\n")
    conda_flows.write(
        f"""
        class Places(FlowSpec):
            @conda(libraries={{"greet": "1.0"}})
            @step
            def start(self):
                self.next(self.middle)

            @conda(libraries={{"greet": "1.0"}}, channels=["{away}"])
            @step
            def middle(self):
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run(code=5)
    conda_flows.says(
        f"step middle needs channel {away} (not reached)",
        f"teps start, middle need channel {channel_server.url} (reached)",
        f"error[unreachable]: step middle needs the channel {away}",
    )


def test_a_server_that_refuses_is_reached_and_its_refusal_is_told_by_the_work(flows: Flows, index: Server) -> None:
    index.require_bearer("secret")
    flows.write(TWO).run(code=5)
    flows.says(f"need package index {index.url}/simple (reached)", "error[")
    assert "unreachable" not in flows.out


def test_offline_nobody_is_asked_and_what_is_missing_is_told(flows: Flows, index: Server) -> None:
    flows.environ["ENVBUILD_OFFLINE"] = "1"
    flows.write(TWO).run(code=5)
    flows.says("error[offline]", "the network may not be used")
    assert index.requests == []


def test_on_a_terminal_a_launch_shows_how_far_it_is(flows: Flows) -> None:
    """What is written while it solves and fetches; it goes when that is done, so only the bytes show it."""
    flows.write(TWO)
    ours, theirs = pty.openpty()
    command = [sys.executable, flows.file.name, "--environment=envbuild", "--no-pylint", "run"]
    environ = {**flows.environ, "TERM": "xterm"}
    with subprocess.Popen(command, cwd=flows.project, env=environ, stdout=subprocess.DEVNULL, stderr=theirs) as running:
        os.close(theirs)
        shown = bytearray()
        with suppress(OSError):  # what a terminal says when its last writer is gone
            while piece := os.read(ours, 1 << 16):
                shown += piece
        os.close(ours)
        assert running.wait(300) == 0, shown.decode()
    assert b"2 solve" in shown
    assert b"fetch" in shown


def test_a_deployment_says_it_too_and_ends_before_anything_is_deployed(
    flows: Flows, tmp_path: Path, closed_port: int
) -> None:
    address = f"http://127.0.0.1:{closed_port}/simple"
    (tmp_path / "s3").mkdir()
    with serve_objects("s3", tmp_path / "s3") as server:
        flows.environ |= server.environ
        flows.environ |= {
            "ENVBUILD_INDEX_URL": address,
            "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{server.bucket()}/metaflow",
            "METAFLOW_S3_ENDPOINT_URL": server.proxy.url,
            "METAFLOW_DEFAULT_DATASTORE": "s3",
        }
        create = ("argo-workflows", "create", "--only-json")
        flows.write(TWO).command("--environment=envbuild", "--no-pylint", "--metadata=local", *create, code=5)
    flows.says(f"Steps start, end need package index {address} (not reached)", "error[unreachable]: steps start, end")
    assert '"kind": "WorkflowTemplate"' not in flows.out
