"""``METAFLOW_DEBUG_ENVBUILD=1``: what was asked, found, locked and realized, with times."""

from __future__ import annotations

import re

import pytest

from tests.metaflow.flows import Flows

FLOW = """
    class Told(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def told(flows: Flows) -> list[str]:
    """What was said, without times, which must rise."""
    lines = re.findall(r"^debug\[envbuild ([0-9.]+) s\]: (.*)$", flows.out, re.MULTILINE)
    times = [float(time) for time, _ in lines]
    assert times == sorted(times)
    return [text for _, text in lines]


@pytest.mark.parametrize("switch", ["METAFLOW_DEBUG_ENVBUILD", "METAFLOW_DEBUG_CONDA"])
def test_each_moment_of_a_launch_is_told_to_who_asks(flows: Flows, switch: str) -> None:
    flows.environ[switch] = "1"
    flows.write(FLOW).run()
    known = flows.told("start")
    assert known is not None
    lines = told(flows)
    asked = lines.index("asked: step start: .envs/flows/Told/start.yaml")
    assert '    toy: "1.0"' in lines[asked:]
    moments = [
        "found: step start: nothing that fits",
        "plan made: ",
        "started: realise solve solve pypi linux",
        "finished: realise solve solve pypi linux",
        f"locked: step start: written, request {known['request']}",
        "started: realise fetch toy 1.0",
        "finished: realise link ",
        f"realized: step start: environment {known['environment']} in {known['prefix']}",
    ]
    places = [next(n for n, line in enumerate(lines) if line.startswith(moment)) for moment in moments]
    assert places == sorted(places)
    assert all(re.search(r" [0-9]+ ms$", line) for line in lines if line.startswith("finished: realise"))

    flows.run()
    assert [line for line in told(flows) if not line.startswith((" ", "#", "asked"))][-1] == (
        f"found: step start: {known['prefix']}"
    )
    assert not [line for line in told(flows) if line.startswith(("plan made", "started", "locked"))]


def test_nothing_of_it_is_said_to_who_does_not_ask(flows: Flows) -> None:
    flows.write(FLOW).run()
    assert "debug[" not in flows.out
