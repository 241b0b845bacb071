"""Fixtures for flows: an index and a channel on loopback that hold what Metaflow needs in a step."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.metaflow.flows import Flows
from tests.metaflow.needs import need_channel, need_wheels
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def index(tmp_path: Path, toy_wheels: Path, serving: Callable[..., Server]) -> Server:
    """An index with toys and what Metaflow needs."""
    folder = tmp_path / "index"
    shutil.copytree(toy_wheels, folder)
    for wheel in need_wheels().glob("*.whl"):
        shutil.copy(wheel, folder)
    return serving(WheelIndex(folder=folder))


@pytest.fixture
def flows(tmp_path: Path, index: Server) -> Flows:
    """A flow's folder whose environments stand on this machine's Python, with packages of ``index``."""
    flows = Flows(tmp_path / "flows")
    flows.environ["ENVBUILD_INDEX_URL"] = f"{index.url}/simple"
    return flows.configure("interpreter: host\n")


@pytest.fixture
def conda_flows(flows: Flows, channel: TestChannel) -> Flows:
    """The same with conda's Python, from channels in folders."""
    if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
        pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")
    return flows.configure(f"channels: ['{need_channel().as_uri()}', '{channel.url}']\n")
