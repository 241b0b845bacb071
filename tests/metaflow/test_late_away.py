"""Environments that a node looks up by what it alone can know: the parameters of the run, and steps of past runs."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.metaflow.nodes import Node, can_isolate
from tests.metaflow.test_remote import (
    OPTIONS,
    argo_templates,
    as_argo,
    as_batch,
    batch_overrides,
    node_of,
    remote,
    s3_server,
)
from tests.support.metadata_service import metadata_service
from tests.support.object_servers import ObjectServer

__all__ = ["remote", "s3_server"]

pytestmark = pytest.mark.skipif(not can_isolate(), reason="NO NETWORK NAMESPACES: unshare -n or ip is not there")

BY_PARAMETERS = """
    class Late(FlowSpec):
        toy = Parameter("toy-version", default="1.0")
        rank = Parameter("rank", default=3)

        @named_env(name="team/toy:@{METAFLOW_INIT_TOY}-@{METAFLOW_INIT_RANK}-start", fetch_at_exec=True)
        @step
        def start(self):
            import toy
            say("start", toy=toy.__version__, prefix=sys.prefix)
            print(f"task={current.task_id}")
            self.next(self.end)

        @named_env(name="team/toy:@{METAFLOW_INIT_TOY_VERSION}-@{METAFLOW_INIT_RANK}", fetch_at_exec=True)
        @step
        def end(self):
            import toy
            say("end", toy=toy.__version__, prefix=sys.prefix)
"""


def named(flows: Flows, version: str, *names: str) -> None:
    text = f'interpreter: host\npython: "{SERIES}"\npypi: {{packages: {{toy: "{version}", requests: , boto3: }}}}\n'
    (flows.project / "toy.yaml").write_text(text)
    flows.envbuild("realize", "toy.yaml")
    for name in names:
        flows.envbuild("alias", "toy.yaml", name)


def given(template: Any, **parameters: str) -> Any:
    """A template with the parameters of a workflow filled in, as Argo does."""

    def filled(found: re.Match[str]) -> str:
        return base64.b64encode(parameters[found[1].replace("-", "_")].encode()).decode()

    return json.loads(re.sub(r"{{=toBase64\(workflow\.parameters\['(.*?)'\]\)}}", filled, json.dumps(template)))


def test_parameters_stand_in_the_name_that_a_node_looks_up(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    remote.environ["ENVBUILD_STORES"] = f"s3://{s3_server.bucket()}/team"
    templates = argo_templates(remote.write(BY_PARAMETERS))
    start = given(templates["start"], toy_version='"1.1"', rank="07")
    node = node_of(tmp_path / "node", s3_server)

    absent = as_argo(node, start, s3_server)
    assert absent.returncode == 3, absent.stdout + absent.stderr
    assert "error[unknown-name]: step start: there is no environment named team/toy:1.1-7-start" in (
        absent.stdout + absent.stderr
    )

    named(remote, "1.1", "team/toy:1.1-7-start")
    named(remote, "1.0", "team/toy:1.1-7")
    first = as_argo(node, start, s3_server)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "start: toy=1.1" in first.stdout
    assert f"start: prefix={node.home}/.local/share/envbuild/prefixes/" in first.stdout
    (task,) = re.findall(r"^task=(.*)$", first.stdout, re.MULTILINE)
    end = as_argo(node, templates["end"], s3_server, **{"input-paths": f"argo-away-1/start/{task}"})
    assert end.returncode == 0, end.stdout + end.stderr
    assert "end: toy=1.0" in end.stdout
    assert "Environment of step end: team/toy:1.1-7 is " in end.stdout + end.stderr


def test_a_first_step_waits_where_its_scheduler_tells_parameters_to_the_task_alone(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    remote.environ["ENVBUILD_STORES"] = f"s3://{s3_server.bucket()}/team"
    overrides = batch_overrides(remote.write(BY_PARAMETERS), s3_server)
    named(remote, "1.1", "team/toy:1.1-3-start")
    node = node_of(tmp_path / "node", s3_server)
    for given, code, said in (("1.1", 0, "start: toy=1.1"), ("1.2", 3, "no environment named team/toy:1.2-3-start")):
        parameters = json.dumps({"toy-version": given})
        done = as_batch(node, overrides, s3_server, METAFLOW_PARAMETERS=parameters)
        assert done.returncode == code, done.stdout + done.stderr
        assert said in done.stdout + done.stderr


BY_STEP = """
    class Late(FlowSpec):
        @pypi(packages={"toy": "1.1"})
        @step
        def start(self):
            say("start", prefix=sys.prefix)
            print(f"task={current.task_id}")
            self.next(self.end)

        @named_env(pathspec="Late/@{METAFLOW_RUN_ID}/start", fetch_at_exec=True)
        @step
        def end(self):
            import toy
            say("end", toy=toy.__version__, prefix=sys.prefix)
"""


def test_a_node_asks_metaflow_s_service_what_a_step_had(remote: Flows, tmp_path: Path, s3_server: ObjectServer) -> None:
    with metadata_service() as service:
        for name in ("METAFLOW_SERVICE_URL", "METAFLOW_SERVICE_INTERNAL_URL"):
            remote.environ[name] = service.url
        remote.write(BY_STEP).command(*OPTIONS[:-1], "--metadata=service", "argo-workflows", "create", "--only-json")
        document = json.loads(remote.out[remote.out.index("{") :])
        templates = {item["name"]: item for item in document["spec"]["templates"] if "container" in item}
        node = Node(tmp_path / "node", s3_server.proxy.server_address[1], service.server_address[1])
        first = as_argo(node, templates["start"], s3_server)
        assert first.returncode == 0, first.stdout + first.stderr
        (prefix,) = re.findall(r"^start: prefix=(.*)$", first.stdout, re.MULTILINE)
        (task,) = re.findall(r"^task=(.*)$", first.stdout, re.MULTILINE)

        absent = as_argo(node, templates["end"], s3_server, name="away-2", **{"input-paths": "argo-away-2/start/1"})
        assert absent.returncode == 3, absent.stdout + absent.stderr
        assert "error[unknown-step]: step end: there is no Late/argo-away-2/start in Metaflow's metadata (service@" in (
            absent.stdout + absent.stderr
        )

        end = as_argo(node, templates["end"], s3_server, **{"input-paths": f"argo-away-1/start/{task}"})
        assert end.returncode == 0, end.stdout + end.stderr
        assert "end: toy=1.1" in end.stdout
        assert f"end: prefix={prefix}" in end.stdout
