"""Tasks that Metaflow runs on the launching machine, for their attempts on another one have failed (``@catch``)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.metaflow.flows import Flows
from tests.metaflow.test_remote import Cluster, cluster, remote, s3_server

__all__ = ["cluster", "remote", "s3_server"]

FLOW = """
    if "step" in sys.argv:
        say(sys.argv[sys.argv.index("step") + 1], prefix=sys.prefix)

    class Caught(FlowSpec):
        @catch(var="failed")
        @kubernetes
        {decorators}
        @step
        def start(self):
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            say("end", failed=self.failed is not None)
"""


def test_a_task_that_has_failed_elsewhere_runs_here_in_its_environment(remote: Flows, cluster: Cluster) -> None:
    remote.write(FLOW.format(decorators='@pypi(packages={"toy": "1.0"})')).run()
    remote.says("no room for it", "Task fallback is starting to handle the failure.")
    assert cluster.jobs
    assert Path(remote.printed("start", "prefix")).parent == remote.home / "prefixes"
    told = remote.told("start")
    assert told is not None
    assert told["prefix"] == remote.printed("start", "prefix")
    assert remote.printed("end", "failed") == "True"


def test_where_its_environment_cannot_be_had_it_runs_outside_and_saves_the_run(remote: Flows, cluster: Cluster) -> None:
    decorators = '@environment(vars={"ENVBUILD_HOME": "/dev/null/home"})\n        @pypi(packages={"toy": "1.0"})'
    remote.write(FLOW.format(decorators=decorators)).run()
    remote.says("note: step start runs outside of its environment, for it has failed elsewhere")
    assert re.search(r"error\[[a-z-]+\]: step start: ", remote.out), remote.out
    assert remote.told("start") is None
    assert remote.printed("end", "failed") == "True"
