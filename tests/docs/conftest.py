"""What pages are played with: an index of small packages that have the names which pages ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The folder of ``index``: a test puts there what only its pages ask for."""
    folder = tmp_path / "index"
    make_wheel(folder, "rich", "13.9.4", requires=["markdown-it-py>=2.2", "pygments>=2.13"])
    make_wheel(folder, "markdown-it-py", "3.0.0", requires=["mdurl~=0.1"])
    make_wheel(folder, "mdurl", "0.1.2")
    make_wheel(folder, "pygments", "2.18.0")
    make_wheel(folder, "humanize", "4.11.0")
    make_wheel(folder, "pytest", "8.3.3")
    return folder


@pytest.fixture
def index(packages: Path, serving: Callable[..., Server]) -> str:
    """The index of ``packages``."""
    return f"{serving(WheelIndex(folder=packages)).url}/simple"
