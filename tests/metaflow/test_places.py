"""Where decorators stand in a file."""

from __future__ import annotations

from envbuild.metaflow.places import places

SOURCE = """import metaflow

@metaflow.conda_base(
    libraries={},
)
@project(name="x")
class Flow(FlowSpec):
    @retry
    @conda(libraries={"a": "1"})
    @step
    def start(self): ...

    @pypi
    @step
    async def end(self): ...

class Other(FlowSpec):
    @conda
    def start(self): ...
"""


def test_decorators_of_the_flow_and_of_its_steps_have_their_lines() -> None:
    assert places(SOURCE, "Flow") == {
        (None, "conda_base"): 3,
        (None, "project"): 6,
        ("start", "retry"): 8,
        ("start", "conda"): 9,
        ("start", "step"): 10,
        ("end", "pypi"): 13,
        ("end", "step"): 14,
    }


def test_a_file_that_cannot_be_parsed_has_no_places() -> None:
    assert places("class Flow(:", "Flow") == {}
    assert places("\0", "Flow") == {}
