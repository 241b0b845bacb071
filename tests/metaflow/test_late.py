"""``fetch_at_exec``: environments that are looked up when a task starts, also such as a step before it has made."""

from __future__ import annotations

import pytest

from tests.docs.pages import blocks, read
from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

RECIPE = f'interpreter: host\npython: "{SERIES}"\npypi: {{{{packages: {{{{toy: "{{version}}", {{needs}}}}}}}}}}\n'

LATE = """
    class Late(FlowSpec):
        lr = Parameter("my-lr", default=3)

        @pypi(disabled=True)
        @step
        def start(self):
            self.next(self.train)

        @named_env(name="{name}", fetch_at_exec=True)
        @environment(vars={{"SEEN": "mine", "PATH_LIKE": "x"}})
        @step
        def train(self):
            import toy, requests
            self.toy = toy.__version__
            say("train", toy=toy.__version__, python=sys.executable, seen=os.environ["SEEN"], task=current.task_id)
            say("train", site=os.environ["PYTHONNOUSERSITE"], prefix=sys.prefix)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def named(flows: Flows, name: str, version: str = "1.0", needs: str = "requests: ") -> None:
    (flows.project / "toy.yaml").write_text(RECIPE.format(version=version, needs=needs))
    flows.envbuild("lock", "toy.yaml")
    flows.envbuild("alias", "toy.yaml", name)


def test_a_name_is_looked_up_when_the_task_starts_and_used_as_it_was_locked(flows: Flows) -> None:
    flows.write(LATE.format(name="team/toy")).run(code=1)
    flows.says("error[unknown-name]: step train: there is no environment named team/toy:latest")

    named(flows, "team/toy")
    flows.run()
    assert flows.printed("train", "toy") == "1.0"
    assert flows.printed("train", "seen") == "mine"
    assert flows.printed("train", "site") == "1"
    told = flows.told("train")
    assert told is not None
    assert told["prefix"] == flows.printed("train", "prefix")
    assert told["environment"] in flows.envbuild("get", "team/toy", "--json")
    assert not flows.generated("train").exists()

    named(flows, "team/toy", "1.1")
    flows.run()
    assert flows.printed("train", "toy") == "1.1"


def test_what_metaflow_knows_of_the_task_stands_in_the_name(flows: Flows) -> None:
    flows.environ["TEAM"] = "blue"
    named(flows, "blue/train-2:3")
    flows.write(LATE.format(name="@{TEAM}/@{METAFLOW_STEP_NAME}-@{METAFLOW_TASK_ID}:@{METAFLOW_INIT_MY_LR}")).run()
    assert flows.printed("train", "task") == "2"
    flows.run("train", verb="spin").says("blue/train-2:3 is ")  # what it was for the task that is spun
    flows.run("--my-lr", "4", code=1).says("there is no environment named blue/train-2:4")
    flows.run("--my-lr", "4 5", code=2)


def test_a_variable_that_nobody_knows_ends_the_run_before_it_begins(flows: Flows) -> None:
    flows.write(LATE.format(name="t/x:@{METAFLOW_INIT_OTHER}-@{NOT_THERE}")).run(code=3)
    line = (
        flows.file.read_text().splitlines().index(next(x for x in flows.file.read_text().splitlines() if "@named" in x))
    )
    flows.says(f"error[unknown-variable]: flow.py:{line + 1}: @named_env of step train: name=")
    flows.says("@{METAFLOW_INIT_OTHER}, @{NOT_THERE} are not known")
    assert "Workflow starting" not in flows.out


def test_an_environment_without_what_metaflow_needs_is_refused_before_the_task_begins(flows: Flows) -> None:
    named(flows, "team/toy", needs="")
    flows.write(LATE.format(name="team/toy")).run(code=1)
    flows.says("error[lacks-needs]: step train: team/toy:latest has no requests, which Metaflow needs in a step")


def test_packages_beside_a_late_name_end_the_run_before_it_begins(flows: Flows) -> None:
    flows.write(
        LATE.format(name="team/toy").replace("@environment", "@pypi(packages={'toy-paint': ''})\n        @environment")
    )
    flows.run(code=3).says(
        "error[contradiction]: flow.py:", "says fetch_at_exec=True", "@pypi of step train asks for more"
    )


def test_a_late_step_has_no_recipe_and_is_no_drift(flows: Flows) -> None:
    named(flows, "team/toy")
    text = LATE.format(name="team/toy").replace("@pypi(disabled=True)", "@pypi(packages={'toy': '1.1'})")
    flows.write(text).command("--environment=envbuild", "environment", "emit")
    assert [path.name for path in flows.committed("start").parent.glob("*[!k].yaml")] == ["start.yaml"]
    flows.run()
    assert flows.printed("train", "toy") == "1.0"


@pytest.mark.parametrize(
    ("what", "config", "why"),
    [
        ('name="team/toy"', "", "names are not known: no store has them that nodes read"),
        (
            'pathspec="Made/1/train"',
            "",
            "past steps are not seen: Metaflow keeps them on each machine (--metadata=local)",
        ),
        (
            'name="team/toy"',
            "stores: [store]\ntrust: {mode: signed}\n",
            "nobody holds a name against signatures (trust: signed)",
        ),
    ],
)
def test_on_another_machine_a_late_name_that_a_node_cannot_look_up_is_refused_before_the_run_begins(
    what: str, config: str, why: str, flows: Flows
) -> None:
    flows.environ["METAFLOW_ENVBUILD_REMOTE"] = '["environment"]'  # any decorator will do
    text = LATE.replace('name="{name}"', what.replace("{", "{{").replace("}", "}}")).format()
    flows.configure(config).write(text).run(code=3)
    flows.says(f"error[not-available]: @environment sends step train to another machine, where {why}")


MADE = """
    class Made(FlowSpec):
        version = Parameter("version", default="1.0")

        @pypi(disabled=True)
        @step
        def start(self):
            import subprocess
            recipe = {recipe!r}
            for kind in ("outside", "name"):
                with open(kind + ".yaml", "w") as file:
                    file.write(recipe % self.version)
                name = "team/made:run-%s" % current.run_id
                for words in (["lock", kind + ".yaml"], ["alias", kind + ".yaml", name]):
                    subprocess.run([sys.executable, "-m", "envbuild", *words], check=True)
            self.next(self.train)

        @named_env(name="team/made:run-@{{METAFLOW_RUN_ID_BASE}}", fetch_at_exec=True)
        @step
        def train(self):
            import toy
            say("train", toy=toy.__version__, prefix=sys.prefix)
            self.next(self.again)

        @named_env(pathspec="Made/@{{METAFLOW_RUN_ID}}/train", fetch_at_exec=True)
        @step
        def again(self):
            import toy
            say("again", toy=toy.__version__, prefix=sys.prefix)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_step_makes_an_environment_and_later_steps_of_the_run_use_it(flows: Flows, version: str) -> None:
    recipe = f'interpreter: host\npython: "{SERIES}"\npypi: {{packages: {{toy: "%s", requests: }}}}\n'
    flows.write(MADE.format(recipe=recipe)).run("--version", version)
    assert flows.printed("train", "toy") == version
    assert flows.printed("again", "prefix") == flows.printed("train", "prefix")
    assert flows.told("again") is not None


def test_the_flow_of_the_page_makes_an_environment_and_uses_it(flows: Flows, index: Server) -> None:
    assert isinstance(index.content, WheelIndex)
    make_wheel(index.content.folder, "humanize", "4.9.0")
    (text,) = [item.text for item in blocks(read("metaflow-runs.md")) if item.words == ("python", "made.py")]
    flows.name, flows.file = "Made", flows.project / "made.py"
    flows.file.write_text(text.replace('python: "3.11"', f'python: "{SERIES}"'))
    flows.run()
    flows.says("trained with humanize 4.9.0")
