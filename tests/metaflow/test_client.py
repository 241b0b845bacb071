"""What Metaflow's own client says of environments: of our runs, and of those that others ran before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.metaflow.flows import Flows

SEEN = """
    class Seen(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            say("start", run=current.run_id)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""

ASKED = """
import json, sys
from metaflow import Task
print(json.dumps(Task(sys.argv[1], _namespace_check=False).environment_info))
"""

PACKED = """
import io, json, sys, tarfile
from pathlib import Path
from metaflow.client.filecache import FileCache

record, name, text, field, value = sys.argv[1:]
record = Path(record)
tree = json.loads(record.read_text())
where = json.loads(tree["value"])
root = record
while root.name != ".metaflow":
    root = root.parent
datastore = FileCache()._get_flow_datastore(where["ds_type"], str(root), tree["flow_id"])
_, old = FileCache().get_data(where["ds_type"], tree["flow_id"], where["location"], where["sha"])
buffer = io.BytesIO()
with tarfile.open(fileobj=io.BytesIO(old)) as source, tarfile.open(fileobj=buffer, mode="w:gz") as target:
    for member in source:
        target.addfile(member, source.extractfile(member) if member.isfile() else None)
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    target.addfile(member, io.BytesIO(text.encode()))
((location, sha),) = datastore.save_data([buffer.getvalue()], len_hint=1)
record.write_text(json.dumps({**tree, "value": json.dumps({**where, "location": location, "sha": sha})}))
for ours in record.parent.glob("sysmeta_envbuild-environment_*"):
    ours.unlink()
new = {**tree, "field_name": field, "type": field, "value": value}
(record.parent / f"sysmeta_{field}_1.json").write_text(json.dumps(new))
"""


def asked(flows: Flows, task: str) -> Any:
    """``Task(…).environment_info``."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED, task],
        cwd=flows.project,
        env=flows.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ran(flows: Flows, environment: str = "envbuild") -> str:
    """A run with a code package, without which Metaflow's client looks for nothing."""
    flows.environ["METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE"] = "1"
    flows.write(SEEN).run("--max-workers", "1", environment=environment)
    return f"Seen/{flows.printed('start', 'run')}"


def packed(flows: Flows, run: str, name: str, held: object, field: str, value: str) -> None:
    """Let a task be one that somebody else ran: a file in its code package, and a field of its metadata."""
    (record,) = (flows.runs / run / "start").glob("*/_meta/sysmeta_code-package_*.json")
    subprocess.run(
        [sys.executable, "-c", PACKED, str(record), name, json.dumps(held), field, value],
        cwd=flows.project,
        env=flows.environ,
        timeout=300,
        check=True,
    )


def test_a_task_of_ours_says_where_it_ran(flows: Flows) -> None:
    run = ran(flows, "pypi")
    told = flows.told("start")
    assert told is not None
    found = asked(flows, f"{run}/start/1")
    assert found == {"type": "pypi", **told}
    assert asked(flows, f"{run}/end/2") == {"type": "pypi"}


def test_a_task_of_metaflow_s_own_conda_says_what_its_environment_held(flows: Flows) -> None:
    run = ran(flows, "conda")
    packages = [{"url": "https://c/linux-64/toy-1.0-0.conda", "path": "c/toy"}]
    held = {"0a1b2c3d4e5f607": {"linux-64": packages}}
    packed(flows, run, "conda.manifest", held, "conda_env_prefix", "metaflow/linux-64/0a1b2c3d4e5f607")
    assert asked(flows, f"{run}/start/1") == packages


def test_a_task_of_netflix_s_extension_says_what_its_environment_held(flows: Flows) -> None:
    run = ran(flows, "conda")
    environment = {
        "deps": ["conda::toy==1.0"],
        "packages": [
            {"filename": "toy-1.0-0", "url": "https://c/linux-64/toy-1.0-0.conda"},
            {"url": "https://i/a.whl"},
        ],
    }
    held = {"version": 1, "environments": {"linux-64": {"0a": {"1b": environment, "_default": "1b"}}}}
    packed(flows, run, "conda_v2.cnd", held, "conda_env_id", '["0a", "1b", "linux-64"]')
    known = {"type": "conda", "req_id": "0a", "full_id": "1b", "arch": "linux-64"}
    assert asked(flows, f"{run}/start/1") == {
        **known,
        "user_deps": "conda::toy==1.0",
        "all_packages": "toy-1.0-0; a.whl",
    }

    packed(flows, run, "else.json", {}, "conda_env_id", '["0a", "2c", "linux-64"]')
    assert asked(flows, f"{run}/start/1") == {**known, "full_id": "2c"}
