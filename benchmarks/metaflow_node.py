"""A bare node that brings the environment of a Metaflow step from S3, against one bulk get of ``s3fs``.

Why: this is what each node of a flow pays before its first task. Ours begins with the command of a real deployment: a
few lines of Python, the archive of envbuild and what it needs, then the environment, linked. The peer is told every
key, of envbuild too, and reads all of them with one call of ``s3fs``, which it has already. It unpacks and links
nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.bench import Bench, remove
from benchmarks.measure import Result, Side, interleave
from tests.metaflow.needs import need_wheels
from tests.metaflow.nodes import tool_wheels
from tests.support.object_servers import serve_objects
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

FLOW = """from metaflow import FlowSpec, pypi, step


class Node(FlowSpec):
    @pypi(packages={"toy": "1.0"})
    @step
    def start(self):
        self.next(self.end)

    @pypi(packages={"toy": "1.0"})
    @step
    def end(self):
        pass


if __name__ == "__main__":
    Node()
"""

LIMITS = (
    "Python at work in one thread: starting twice, importing envbuild, looking into wheels, hashing what was unpacked; "
    "then uv, which unpacks and links the environment, boto3 with its 3,000 files in it. Inflating uv goes on beside "
    "that, on the other processor. The peer does none of these."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    wheels = bench.folder / "wheels"
    wheels.mkdir()
    for folder in (tool_wheels("envbuild", "boto3", "requests"), need_wheels()):
        for wheel in folder.glob("*.whl"):
            if not (wheels / wheel.name).exists():
                (wheels / wheel.name).symlink_to(wheel)
    make_wheel(wheels, "toy", "1.0")
    index = bench.serve(WheelIndex(folder=wheels)).url
    server = bench.closing.enter_context(serve_objects("s3", bench.folder))
    bucket, endpoint = server.bucket(), f"http://127.0.0.1:{server.port}"
    cloud = {**server.environ, "AWS_ENDPOINT_URL": endpoint, "METAFLOW_S3_ENDPOINT_URL": endpoint}
    project = bench.project("launch", {"envbuild.yaml": "interpreter: host\n", "flow.py": FLOW})
    environ = {
        **bench.environ("launch"),
        **cloud,
        "USER": "bench",
        "METAFLOW_HOME": str(bench.folder / "metaflow-config"),
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{bucket}/metaflow",
        "ENVBUILD_INDEX_URL": f"{index}/simple",
    }
    options = ["--environment=envbuild", "--no-pylint", "--metadata=local"]
    done = subprocess.run(
        [sys.executable, "flow.py", *options, "argo-workflows", "create", "--only-json"],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    templates = json.loads(done.stdout[done.stdout.index("{") :])["spec"]["templates"]
    command = next(item["container"]["command"][-1] for item in templates if item["name"] == "start")
    begin = re.search(r"ENVBUILD_NODE=\$\(.*?bin:\$PATH", command)
    enter = re.search(r"ENVBUILD_STEP=\$\(.*?export ENVBUILD_STEP", command)
    assert begin is not None
    assert enter is not None

    bare = bench.folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    ours, theirs = bench.environ("node"), bench.environ("peer")
    ours |= {**cloud, "PATH": f"{bare / 'bin'}:{ours['PATH']}"}
    node, direct = bench.project("node", {}), bench.project("peer", {})
    keys = _keys(bucket, cloud)
    told = {"endpoint": endpoint, "get": [[f"{bucket}/{key}", str(direct / "files" / key)] for key, _ in keys]}
    (direct / "what.json").write_text(json.dumps(told))
    bench.say(f"{len(keys)} objects, {sum(size for _, size in keys) / 1e6:.0f} MB")
    side = Side(
        name="the command of a step, on a bare node",
        command=lambda _: ["sh", "-c", f"{begin[0]} && {enter[0]}"],
        environ=ours,
        folder=node,
        prepare=lambda _: remove(Path(ours["ENVBUILD_HOME"])),
    )
    peer = Side(
        name="s3fs bulk get of the same bytes",
        command=lambda _: [sys.executable, str(Path(__file__).with_name("direct_s3fs.py")), str(direct / "what.json")],
        environ={**theirs, **cloud},
        folder=direct,
        prepare=lambda _: remove(direct / "files"),
    )
    samples = interleave([side, peer], bench.rounds(6, 2))
    title = "A bare node brings the environment of a Metaflow step from S3"
    return [Result(name=title, target="<= 1.5x", limit=1.5, samples=samples, what_limits=LIMITS)]


def _keys(bucket: str, cloud: dict[str, str]) -> list[tuple[str, int]]:
    """The blobs of the store, which are what a node reads."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=cloud["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=cloud["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=cloud["AWS_SECRET_ACCESS_KEY"],
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="metaflow/envbuild/blobs/")
    return [(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", ())]
