"""What Metaflow's own client says of environments: of our runs, and of those that others ran before."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from typing import Any

import pytest

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

meta, kind, name, text, field, value = sys.argv[1:]
meta = Path(meta)
tree = json.loads((meta / "_self.json").read_text())
tree = {key: tree[key] for key in ("flow_id", "run_number", "step_name", "task_id", "ts_epoch")}
root = next(folder for folder in meta.parents if folder.name == ".metaflow")
info = {"environment_type": kind, "script": "flow.py", "metaflow_version": "2.19.39", "runtime": "dev"}
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w:gz") as target:
    for path, content in (("INFO", json.dumps(info)), ("flow.py", "pass"), (name, text)):
        member = tarfile.TarInfo(path)
        member.size = len(content.encode())
        target.addfile(member, io.BytesIO(content.encode()))
datastore = FileCache()._get_flow_datastore("local", str(root), tree["flow_id"])
((location, sha),) = datastore.save_data([buffer.getvalue()], len_hint=1)
code = json.dumps({"ds_type": "local", "location": location, "sha": sha})
fields = {"code-package": code, **({field: value} if field else {})}
for ours in meta.glob("sysmeta_envbuild-environment_*") if field else ():
    ours.unlink()
for key, value in fields.items():
    record = {**tree, "field_name": key, "type": key, "value": value, "tags": ["attempt_id:0"], "user_name": "tester"}
    (meta / f"sysmeta_{key}_1.json").write_text(json.dumps(record))
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


def packed(flows: Flows, task: str, kind: str, name: str, held: object, field: str = "", value: str = "") -> None:
    """Give a task a code package, as tasks have on other machines: without one Metaflow's client looks for nothing.

    Args:
        flows: Where it ran.
        task: Its pathspec.
        kind: The type of environment of its run.
        name: A file in the package.
        held: What stands there.
        field: A field of its metadata instead of ours.
        value: What stands in the field.
    """
    meta = flows.runs / task / "_meta"
    subprocess.run(
        [sys.executable, "-c", PACKED, str(meta), kind, name, json.dumps(held), field, value],
        cwd=flows.project,
        env=flows.environ,
        timeout=300,
        check=True,
    )


@pytest.fixture
def run(flows: Flows) -> str:
    """A run, as a pathspec."""
    flows.write(SEEN).run()
    return f"Seen/{flows.printed('start', 'run')}"


def test_a_task_of_ours_says_where_it_ran(flows: Flows, run: str) -> None:
    told = flows.told("start")
    assert told is not None
    for kind in ("envbuild", "conda", "pypi"):
        packed(flows, f"{run}/start/1", kind, "x.json", {})
        packed(flows, f"{run}/end/2", kind, "x.json", {})
        assert asked(flows, f"{run}/start/1") == {"type": kind, **told}
        assert asked(flows, f"{run}/end/2") == {"type": kind}


def test_a_task_of_metaflow_s_own_conda_says_what_its_environment_held(flows: Flows, run: str) -> None:
    packages = [{"url": "https://c/linux-64/toy-1.0-0.conda", "path": "c/toy"}]
    held = {"0a1b2c3d4e5f607": {"linux-64": packages}}
    for kind, name in (("conda", "conda.manifest"), ("pypi", ".mf_meta/conda.manifest")):
        prefix = "metaflow/linux-64/0a1b2c3d4e5f607"
        packed(flows, f"{run}/start/1", kind, name, held, "conda_env_prefix", prefix)
        assert asked(flows, f"{run}/start/1") == packages
    packed(flows, f"{run}/start/1", "conda", "else.json", {}, "conda_env_prefix", "metaflow/linux-64/0a")
    assert asked(flows, f"{run}/start/1") == {"type": "conda", "prefix": "metaflow/linux-64/0a"}


def test_a_task_of_netflix_s_extension_says_what_its_environment_held(flows: Flows, run: str) -> None:
    task = f"{run}/start/1"
    environment = {
        "deps": ["conda::toy==1.0"],
        "packages": [{"filename": "toy-1.0-0", "url": "https://c/toy-1.0-0.conda"}, {"url": "https://i/a.whl"}],
    }
    held = {"version": 1, "environments": {"linux-64": {"0a": {"1b": environment, "_default": "1b"}}}}
    packed(flows, task, "conda", "conda_v2.cnd", held, "conda_env_id", '["0a", "1b", "linux-64"]')
    known = {"type": "conda", "req_id": "0a", "full_id": "1b", "arch": "linux-64"}
    assert asked(flows, task) == {**known, "user_deps": "conda::toy==1.0", "all_packages": "toy-1.0-0; a.whl"}

    packed(flows, task, "conda", "conda_v2.cnd", held, "conda_env_id", '["0a", "2c", "linux-64"]')
    assert asked(flows, task) == {**known, "full_id": "2c"}


CARDS = """
    class Cards(FlowSpec):
        @card
        @card(type="blank", id="own")
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            from metaflow.cards import Markdown
            current.card["own"].append(Markdown("mine"))
            say("start", run=current.run_id)
            self.next(self.end)

        @card
        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def test_a_default_card_says_which_environment_the_task_ran_in_and_other_cards_are_left_alone(flows: Flows) -> None:
    flows.write(CARDS).run()
    told = flows.told("start")
    assert told is not None
    run = flows.printed("start", "run")

    def cards(step: str) -> list[str]:
        pages = (flows.project / ".metaflow" / "mf.cards" / "Cards" / "runs" / run / "steps" / step).rglob("*.html")
        data = [re.findall(r'MF_DATA__\["[^"]*"\] = "([^"]+)"', page.read_text())[0] for page in pages]
        return [base64.b64decode(text).decode() for text in data]

    assert sorted(told["environment"] in card for card in cards("start")) == [False, True]
    assert all("envbuild environment" not in card for card in cards("end"))
