"""Steps on other machines: their commands, as schedulers get them, run on a node that reaches only the store."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.metaflow.nodes import Node, can_isolate, tool_wheels
from tests.objects.conftest import az_server, gs_server
from tests.support.channel import TestChannel
from tests.support.managed_python import made_managed_python
from tests.support.object_servers import ObjectServer, serve_objects
from tests.support.servers import Server

__all__ = ["az_server", "gs_server"]

pytestmark = pytest.mark.skipif(not can_isolate(), reason="NO NETWORK NAMESPACES: unshare -n or ip is not there")

OPTIONS = ("--environment=envbuild", "--no-pylint", "--metadata=local")

FLOW = """
    class Away(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import toy, requests
            say("start", toy=toy.__version__, prefix=sys.prefix, site=os.environ["PYTHONNOUSERSITE"])
            say("start", path=os.environ["PATH"].split(os.pathsep)[0], executable=sys.executable)
            self.seen = toy.__version__
            print(f"task={current.task_id}")
            self.next(self.end)

        @pypi(packages={"toy": "1.1"})
        @step
        def end(self):
            import toy
            say("end", toy=toy.__version__, seen=self.seen)
"""


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """moto's S3, as a process behind a proxy."""
    with serve_objects("s3", tmp_path_factory.mktemp("s3-server")) as server:
        yield server


@pytest.fixture
def remote(flows: Flows, index: Server, tmp_path: Path, s3_server: ObjectServer) -> Flows:
    """A flow's folder whose datastore is in S3, and whose index has what a node needs too."""
    for wheel in tool_wheels("envbuild", "boto3", "requests").iterdir():
        if not (tmp_path / "index" / wheel.name).exists():
            (tmp_path / "index" / wheel.name).symlink_to(wheel)
    flows.environ |= s3_server.environ
    flows.environ["METAFLOW_DATASTORE_SYSROOT_S3"] = f"s3://{s3_server.bucket()}/metaflow"
    flows.environ["METAFLOW_S3_ENDPOINT_URL"] = s3_server.proxy.url
    flows.environ["METAFLOW_DEFAULT_DATASTORE"] = "s3"
    return flows


def node_of(folder: Path, *servers: ObjectServer, **options: Any) -> Node:
    return Node(folder, *(server.proxy.server_address[1] for server in servers), **options)


def credentials(*servers: ObjectServer) -> dict[str, str]:
    return {name: value for server in servers for name, value in server.environ.items()}


def argo_templates(flows: Flows) -> dict[str, Any]:
    """The containers of a workflow, by step."""
    flows.command(*OPTIONS, "argo-workflows", "create", "--only-json")
    document = json.loads(flows.out[flows.out.index("{") :])
    templates = document["spec"]["templates"]
    return {item["name"]: item for item in templates if "container" in item}


def as_argo(node: Node, template: Any, *servers: ObjectServer, name: str = "away-1", **given: str) -> Any:
    """Run a container as Argo would: with what it fills in, and with what the node's role gives."""
    known = {
        "workflow.name": name,
        "workflow.creationTimestamp": "2026-11-21",
        "workflow.parameters": "[]",
        **{f"inputs.parameters.{name}": value for name, value in given.items()},
    }

    def filled(text: str) -> str:
        return re.sub(r"{{([a-zA-Z.-]+)}}", lambda found: known[found[1]], text)

    container = template["container"]
    environ = {item["name"]: filled(item["value"] or "some-node") for item in container["env"]}
    command = shlex.join([*container["command"], *(container["args"] or [])])
    return node.run(filled(command), environ | credentials(*servers))


def test_the_command_of_an_argo_step_runs_on_a_bare_node_that_reaches_only_the_store(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    templates = argo_templates(remote.write(FLOW))
    node = node_of(tmp_path / "node", s3_server)
    first = as_argo(node, templates["start"], s3_server)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "start: toy=1.0" in first.stdout
    assert f"start: prefix={node.home}/.local/share/envbuild/prefixes/" in first.stdout
    (task,) = re.findall(r"^task=(.*)$", first.stdout, re.MULTILINE)
    second = as_argo(node, templates["end"], s3_server, **{"input-paths": f"argo-away-1/start/{task}"})
    assert second.returncode == 0, second.stdout + second.stderr
    assert "end: toy=1.1" in second.stdout
    assert "end: seen=1.0" in second.stdout


LATE = """
    class Late(FlowSpec):
        @named_env(name="team/toy:@{TEAM}-@{METAFLOW_RUN_ID}-@{METAFLOW_STEP_NAME}", fetch_at_exec=True)
        @step
        def start(self):
            import toy
            say("start", toy=toy.__version__, prefix=sys.prefix)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def test_a_node_looks_a_name_up_when_its_task_starts(remote: Flows, tmp_path: Path, s3_server: ObjectServer) -> None:
    remote.environ["ENVBUILD_STORES"] = f"s3://{s3_server.bucket()}/team"
    remote.environ["TEAM"] = "blue"
    template = argo_templates(remote.write(LATE))["start"]
    node = node_of(tmp_path / "node", s3_server)

    template["container"]["env"] += [{"name": "TEAM", "value": "blue"}]

    def start(run: str) -> Any:
        return as_argo(node, template, s3_server, name=run)

    def named(run: str, needs: str) -> str:
        text = f'interpreter: host\npython: "{SERIES}"\npypi: {{packages: {{toy: "1.1"{needs}}}}}\n'
        (remote.project / "toy.yaml").write_text(text)
        remote.envbuild("realize", "toy.yaml")
        remote.envbuild("alias", "toy.yaml", name := f"team/toy:blue-argo-{run}-start")
        return name

    absent = start("late-1")
    assert absent.returncode == 3, absent.stdout + absent.stderr
    assert "error[unknown-name]: step start: there is no environment named team/toy:blue-argo-late-1-" in absent.stderr

    name = named("late-1", ", requests: , boto3: ")
    found = start("late-1")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "start: toy=1.1" in found.stdout
    assert f"start: prefix={node.home}/.local/share/envbuild/prefixes/" in found.stdout
    assert f"Environment of step start: {name} is " in found.stderr

    name = named("late-2", "")
    lacking = start("late-2")
    assert lacking.returncode == 3, lacking.stdout + lacking.stderr
    assert f"error[lacks-needs]: step start: {name} has no " in lacking.stderr


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_a_node_brings_the_environment_from_a_store_of_google_s_and_azure_s(
    scheme: str, remote: Flows, tmp_path: Path, s3_server: ObjectServer, request: pytest.FixtureRequest
) -> None:
    server: ObjectServer = request.getfixturevalue(f"{scheme}_server")
    remote.environ |= server.environ
    remote.environ["ENVBUILD_STORES"] = f"{scheme}://{server.bucket()}/team/store"
    templates = argo_templates(remote.write(FLOW))
    s3_server.proxy.forget()
    node = node_of(tmp_path / "node", s3_server, server)  # the code and what steps leave is in S3
    done = as_argo(node, templates["start"], s3_server, server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.0" in done.stdout
    assert not s3_server.proxy.matching("GET", "*/blobs/sha256/*")


def test_conda_packages_are_linked_on_a_bare_node(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer, channel: TestChannel, serving: Callable[..., Server]
) -> None:
    serve_managed(remote, serving)
    if not any(version.startswith(f"{SERIES}.") for version in channel.pythons):
        pytest.skip(f"NO CONDA PYTHON {SERIES}: no self-contained one is on this machine to make a package from")
    remote.environ["METAFLOW_ENVBUILD_NEEDS"] = "0"  # no channel here has boto3
    remote.configure(f"channels: ['{channel.url}']\n").write(
        """
        class Conda(FlowSpec):
            @conda(libraries={"greet": "1.0"})
            @pypi(packages={"toy": "1.1"})
            @step
            def start(self):
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    )
    command = shlex.join(argo_templates(remote)["start"]["container"]["command"])
    begin = re.search(r"ENVBUILD_NODE=\$\(.*?bin:\$PATH", command.replace("'\"'\"'", "'"))
    assert begin is not None, command
    enter = 'ENVBUILD_STEP=$(envbuild-node enter Conda/start) && "$ENVBUILD_STEP" -c '
    program = (
        "import greet, toy, os, sys; "
        "print(greet.__version__, toy.__version__, os.environ['CONDA_PREFIX'] == sys.prefix)"
    )
    node = node_of(tmp_path / "node", s3_server)
    done = node.run(f"{begin[0]} && {enter}{shlex.quote(program)}", credentials(s3_server))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "1.0 1.1 True\n"


def batch_queue(server: ObjectServer) -> None:
    """A queue of Batch, in moto."""
    import boto3

    known = {
        "endpoint_url": f"http://127.0.0.1:{server.port}",
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    iam, batch, ec2 = (boto3.client(name, **known) for name in ("iam", "batch", "ec2"))
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = batch.create_compute_environment(
        computeEnvironmentName="all",
        type="MANAGED",
        serviceRole=role,
        computeResources={
            "type": "FARGATE",
            "maxvCpus": 4,
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        },
    )
    order = [{"order": 1, "computeEnvironment": made["computeEnvironmentArn"]}]
    batch.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)


def batch_overrides(flows: Flows, server: ObjectServer) -> Any:
    """What Step Functions tells Batch of the step ``start``, in a deployment of a flow that is written."""
    flows.environ |= {
        "METAFLOW_SFN_IAM_ROLE": "arn:aws:iam::123456789012:role/sfn",
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": "arn:aws:iam::123456789012:role/batch",
        "METAFLOW_ECS_FARGATE_EXECUTION_ROLE": "arn:aws:iam::123456789012:role/fargate",
        "METAFLOW_SFN_DYNAMO_DB_TABLE": "table",
        "METAFLOW_BATCH_JOB_QUEUE": "queue",
    }
    batch_queue(server)
    flows.command(*OPTIONS, "step-functions", "create", "--only-json")
    document = json.loads(flows.out[flows.out.index("{") :])
    return document["States"]["start"]["Parameters"]["ContainerOverrides"]


def as_batch(node: Node, overrides: Any, server: ObjectServer, **filled: str) -> Any:
    """Run a container as Batch would: with what it gives itself, and what Step Functions fills in."""
    environ = {
        item["Name"]: item.get("Value") or filled.get(item["Name"], "sfn-1") for item in overrides["Environment"]
    }
    given = ("BATCH_JOB_ID", "BATCH_JOB_ATTEMPT", "BATCH_CE_NAME", "BATCH_JQ_NAME", "EXECUTION_ENV")  # Batch's own
    environ |= {f"AWS_{name}": "1" for name in given}
    return node.run(shlex.join(overrides["Command"]), environ | credentials(server))


def test_what_batch_gets_is_below_its_limit_and_runs_on_a_bare_node(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    overrides = batch_overrides(remote.write(FLOW), s3_server)
    assert len(json.dumps(overrides)) < 8192
    done = as_batch(node_of(tmp_path / "node", s3_server), overrides, s3_server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.0" in done.stdout


def test_the_command_of_an_airflow_task_runs_on_a_bare_node(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    remote.write(FLOW).command(*OPTIONS, "airflow", "create", "dag.py")
    line = next(line for line in (remote.project / "dag.py").read_text().splitlines() if line.startswith("CONFIG = "))
    task = ast.literal_eval(line.removeprefix("CONFIG = "))["states"]["start"]["operator_args"]

    def filled(text: str) -> str:
        return re.sub(r"{{.*?}}", lambda found: "0" if "try_number" in found[0] else "airflow-1", text)

    environ = {item["name"]: filled(item.get("value") or "some-node") for item in task["env_vars"]}
    fields = ("POD_NAMESPACE", "POD_NAME", "POD_ID", "SERVICE_ACCOUNT_NAME", "NODE_IP")  # the operator's own
    environ |= {f"METAFLOW_KUBERNETES_{name}": "some-node" for name in fields}
    environ |= credentials(s3_server) | {"METAFLOW_PARAMETERS": "{}"}
    done = node_of(tmp_path / "node", s3_server).run(filled(shlex.join(task["cmds"])), environ, xcom=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.0" in done.stdout


class Cluster(ThreadingHTTPServer):
    """As much of Kubernetes as takes jobs and refuses to run them; ``jobs`` are those that it was given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ClusterHandler)
        self.jobs: list[Any] = []


class ClusterHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/jobs"):
            self.server.jobs.append(body)  # type: ignore[attr-defined]
        answer = json.dumps({"kind": "Status", "message": "no room for it", "code": 403}).encode()
        self.send_response(403)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def cluster(remote: Flows) -> Iterator[Cluster]:
    """A cluster that the flow's ``kubeconfig`` leads to."""
    with Cluster() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        known = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {"token": "a-token"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        }
        (remote.project / "kubeconfig").write_text(json.dumps(known))
        remote.environ["KUBECONFIG"] = str(remote.project / "kubeconfig")
        yield server
        server.shutdown()


def test_a_job_of_kubernetes_runs_on_a_bare_node_that_reaches_only_the_store(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer, cluster: Cluster
) -> None:
    remote.write(FLOW).command(*OPTIONS, "run", "--with", "kubernetes", code=1)
    remote.says("Environment of step start (linux-64) is in the store", "no room for it")
    (container,) = cluster.jobs[0]["spec"]["template"]["spec"]["containers"]
    environ = {item["name"]: item.get("value") or "some-node" for item in container["env"]}
    node = node_of(tmp_path / "node", s3_server)
    done = node.run(shlex.join(container["command"]), environ | credentials(s3_server))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.0" in done.stdout
    said = re.search(r"start: executable=(.*)", done.stdout)
    assert said is not None
    assert said[1].startswith(f"{node.home}/.local/share/envbuild/prefixes/")


def test_tasks_that_start_at_once_on_a_node_bring_everything_once(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer
) -> None:
    templates = argo_templates(remote.write(FLOW))
    node = node_of(tmp_path / "node", s3_server)
    s3_server.proxy.forget()
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda number: as_argo(node, templates["start"], s3_server, name=f"away-{number}"), "123"))
    assert [item.returncode for item in done] == [0, 0, 0], done[0].stderr + done[1].stderr + done[2].stderr
    assert len(list((node.home / ".local/share/envbuild/prefixes").iterdir())) == 1
    read = Counter(item.path for item in s3_server.proxy.matching("GET", "*/envbuild/blobs/*"))
    assert list(read.values()).count(3) == 1  # each task reads the first program; nothing else is read by each
    (first, *_) = re.findall(r"envbuild-node enter .*", shlex.join(templates["start"]["container"]["command"]))
    assert len(first.partition(" &&")[0]) < 100


def test_a_node_with_an_old_python_gets_one_that_runs_envbuild(
    remote: Flows, tmp_path: Path, s3_server: ObjectServer, serving: Callable[..., Server]
) -> None:
    old = old_python()
    serve_managed(remote, serving)
    template = argo_templates(remote.configure("interpreter: managed\n").write(FLOW))["start"]
    done = as_argo(node_of(tmp_path / "node", s3_server, python=old), template, s3_server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.0" in done.stdout


def serve_managed(flows: Flows, serving: Callable[..., Server]) -> None:
    """Have a Python that uv manages, from loopback."""
    try:
        python = made_managed_python(SERIES)
    except LookupError as missing:
        pytest.skip(f"NO MANAGED PYTHON: {missing}")
    server = serving(lambda request: None)
    server.content = python.content(server.url)
    flows.environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = f"{server.url}/downloads.json"


def old_python() -> str:
    """A Python 3.8 of this machine."""
    versions = Path(os.environ.get("PYENV_ROOT", "/nowhere")) / "versions"
    for place in (*map(Path, os.environ["PATH"].split(os.pathsep)), *versions.glob("3.8*/bin")):
        if place.name != "shims" and os.access(place / "python3.8", os.X_OK):
            return str(place / "python3.8")
    pytest.skip("NO PYTHON 3.8: a node with it cannot be had here")
