"""What was solved, fetched and linked once is not done again: by another flow, home or user, and not in a race."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.metaflow.flows import Flows
from tests.support.servers import Body, Incoming, Server
from tests.support.wheel_index import WheelIndex

ONE = """
    class {name}(FlowSpec):
        @pypi(packages={{"toy": "1.0", "toy-paint": ""}})
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


def asked(server: Server) -> list[str]:
    """What servers were asked for, but for looks whether they are there."""
    return [request.path for request in server.requests if request.method != "HEAD"]


def counts(flows: Flows, what: str) -> int:
    """How often something is said by the launching process when somebody wants to know."""
    return len(re.findall(rf"^debug\[envbuild [^]]*\]: {what}", flows.out, re.MULTILINE))


def test_a_request_of_one_flow_is_not_solved_again_for_another(flows: Flows, index: Server) -> None:
    flows.environ["METAFLOW_DEBUG_ENVBUILD"] = "1"
    flows.write(ONE.format(name="First")).run()
    assert counts(flows, "started: realise solve") == 1
    prefix = flows.printed("start", "prefix")
    index.forget()
    flows.write(ONE.format(name="Second")).run()
    assert index.requests == []
    assert counts(flows, "started: realise") == 0
    assert flows.printed("start", "prefix") == prefix


@pytest.mark.parametrize(("other", "reuse"), [("tester", None), ("somebody", "any")])
def test_what_one_machine_has_made_another_takes_from_the_store_that_they_share(
    flows: Flows, index: Server, tmp_path: Path, other: str, reuse: str | None
) -> None:
    """Two homes and one store; a user's own locks count by themselves, those of others where the settings say so."""
    store = (tmp_path / "store").as_uri()
    flows.envbuild("store", "init", store)
    flows.environ |= {"ENVBUILD_STORES": store, "METAFLOW_DEBUG_ENVBUILD": "1"}
    flows.write(ONE.format(name="Shared")).run()
    assert counts(flows, "started: realise solve") == 1
    index.forget()

    beyond = Flows(tmp_path / "beyond").configure("interpreter: host\n")
    beyond.environ |= {
        "ENVBUILD_INDEX_URL": flows.environ["ENVBUILD_INDEX_URL"],
        "ENVBUILD_STORES": store,
        "METAFLOW_DEBUG_ENVBUILD": "1",
        "USER": other,
        "LOGNAME": other,
        "METAFLOW_USER": other,
        **({"ENVBUILD_REUSE_LATEST": reuse} if reuse else {}),
    }
    beyond.write(ONE.format(name="Shared")).run()
    assert index.requests == []
    assert counts(beyond, "started: realise solve") == 0
    assert "package index" not in beyond.out
    beyond.says("Environment of step start is ready: 8 packages, 0 fetched, 8 from stores")
    assert beyond.printed("start", "toy") == "1.0"
    told, mine = flows.told("start"), beyond.told("start")
    assert told is not None
    assert mine is not None
    assert told["environment"] == mine["environment"]


def test_two_flows_of_one_class_name_keep_out_of_each_other_s_way(flows: Flows, index: Server) -> None:
    flows.write(ONE.format(name="Train")).run()
    first = flows.file
    flows.file = flows.project / "other" / "flow.py"
    flows.file.parent.mkdir()
    flows.write(ONE.format(name="Train").replace("1.0", "1.1"))
    command = [sys.executable, "other/flow.py", "--environment=envbuild", "--no-pylint", "run"]
    done = subprocess.run(command, cwd=flows.project, env=flows.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: toy=1.1" in done.stdout
    index.forget()
    for file, version in ((first, "1.0"), (flows.file, "1.1")):
        again = [sys.executable, str(file.relative_to(flows.project)), *command[2:]]
        done = subprocess.run(again, cwd=flows.project, env=flows.environ, capture_output=True, text=True, check=False)
        assert f"start: toy={version}" in done.stdout, done.stdout + done.stderr
        assert "Environment of" not in done.stdout, "nothing was stale"
    assert index.requests == []
    folders = sorted(path.name for path in (flows.project / ".envs" / "flows").iterdir())
    assert folders[0] == "Train"
    assert [re.fullmatch(r"Train-[0-9a-f]{8}", name) is not None for name in folders[1:]] == [True]


def test_a_flow_that_was_moved_takes_its_folder_along(flows: Flows) -> None:
    flows.write(ONE.format(name="Moved")).run()
    flows.file = flows.file.rename(flows.project / "elsewhere.py")
    flows.run()
    assert "Environment of" not in flows.out
    assert [path.name for path in (flows.project / ".envs" / "flows").iterdir()] == ["Moved"]


def test_two_launches_of_one_flow_that_want_different_things_get_what_each_wants(
    flows: Flows, index: Server, serving: object
) -> None:
    """The index holds the first one's answer back until the second one says that it waits."""
    go = threading.Event()
    reached = threading.Event()
    inner = index.content

    def held(request: Incoming) -> Body | None:
        if request.method != "HEAD":
            reached.set()
            go.wait(120)
        return inner(request) if callable(inner) else None

    assert isinstance(inner, WheelIndex)
    server: Server = serving(held)  # type: ignore[operator]
    flows.environ["ENVBUILD_INDEX_URL"] = f"{server.url}/simple"
    flows.write(
        """
        class Twice(FlowSpec):
            wanted = Config("wanted", default_value='{"toy": "1.0"}')

            @pypi(packages=config_expr("wanted"))
            @step
            def start(self):
                import toy
                say("start", toy=toy.__version__)
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    )

    def launch(*before: str) -> subprocess.Popen[str]:
        command = [sys.executable, "flow.py", "--environment=envbuild", "--no-pylint", *before, "run"]
        return subprocess.Popen(
            command,
            cwd=flows.project,
            env={**flows.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with launch() as first:
        assert reached.wait(120)
        with launch("--config-value", "wanted", '{"toy": "1.1"}') as second:
            assert second.stdout is not None
            said = []
            for line in second.stdout:
                said.append(line)
                if "waiting for flow-Twice" in line:
                    break
            go.set()
            said += second.stdout
            assert second.wait(300) == 0, "".join(said)
        assert first.stdout is not None
        told = first.stdout.read()
        assert first.wait(300) == 0, told
    assert "start: toy=1.0" in told
    assert "start: toy=1.1" in "".join(said)
