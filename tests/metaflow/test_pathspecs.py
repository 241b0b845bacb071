"""Steps of past runs as names of their environments: everywhere, whoever ran them, and also when they were resumed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.support.metadata_service import metadata_service

TWO = """
    class Two(FlowSpec):
        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            say("start", run=current.run_id)
            self.next(self.train)

        @pypi(packages={"toy": "1.1", "toy-paint": ""})
        @step
        def train(self):
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            if "FAILS" in os.environ:
                raise SystemExit(1)
"""


@pytest.fixture
def two(flows: Flows) -> Flows:
    """A flow that has run once."""
    return flows.write(TWO).run()


def run_of(flows: Flows) -> str:
    """The newest run of a flow, as a pathspec."""
    return f"{flows.name}/{flows.printed('start', 'run')}"


def refused(flows: Flows, *arguments: str, code: int = 3) -> str:
    """What `envbuild …` says when it refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "envbuild", *arguments],
        cwd=flows.project,
        env=flows.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == "" or "--json" in arguments
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_step_of_a_run_is_a_source_wherever_one_is_taken(two: Flows, tmp_path: Path) -> None:
    train = f"{run_of(two)}/train"
    told = two.told("train")
    assert told is not None
    means = json.loads(two.envbuild("get", train, "--json"))
    assert means["request"] == told["request"]
    assert means["environments"] == {told["platform"]: told["environment"]}
    assert two.envbuild("realize", train).strip() == told["prefix"]
    assert two.envbuild("run", train, "--", "python", "-c", "import toy; print(toy.__version__)").strip() == "1.1"
    assert told["prefix"] in two.envbuild("shell-hook", train)
    for words in (
        ("show", train),
        ("tree", train),
        ("why", train, "toy-core"),
        ("why-depends", train, "toy", "toy-core"),
    ):
        assert "toy" in two.envbuild(*words)
    assert "toy==1.1" in two.envbuild("export", train, "--format", "requirements")
    two.envbuild("alias", train, "team/train:v1")
    assert json.loads(two.envbuild("get", "team/train:v1", "--json"))["environments"] == means["environments"]

    store = (tmp_path / "shared").as_uri()
    two.envbuild("store", "init", store)
    two.envbuild("push", train, "--to", store)
    assert two.envbuild("verify", "--store", store, train) is not None
    two.envbuild("gc", "--store", store, "--pin", train)
    two.envbuild("gc", "--store", store, "--unpin", train)
    shutil.rmtree(two.home)
    two.envbuild("realize", train, "--store", store)
    assert "is Metaflow's" in refused(two, "remove", train, code=2)


def test_one_task_of_a_step_and_steps_that_look_like_names(two: Flows) -> None:
    told = two.told("start")
    assert told is not None
    for word in (f"{run_of(two)}/start/1", f"step:{run_of(two)}/start", f"step:{run_of(two)}/start/1"):
        assert told["environment"] in two.envbuild("get", word, "--json")


def test_neither_users_nor_namespaces_hide_a_run(two: Flows) -> None:
    told = two.told("train")
    assert told is not None
    two.environ |= {"USER": "ann", "METAFLOW_USER": "ann", "METAFLOW_NAMESPACE": "user:ann"}
    assert told["environment"] in two.envbuild("get", f"{run_of(two)}/train", "--json")


def test_a_step_that_was_resumed_has_the_environment_of_the_task_that_it_was_cloned_from(flows: Flows) -> None:
    flows.environ["FAILS"] = "1"
    flows.write(TWO).run(code=1)
    told = flows.told("train")
    assert told is not None
    first = run_of(flows)
    flows.run(verb="resume", code=1)
    del flows.environ["FAILS"]
    flows.run(verb="resume")
    runs = sorted(path.name for path in (flows.runs / flows.name).iterdir() if path.name.isdigit())
    assert len(runs) == 3
    assert runs[0] == first.partition("/")[2]
    for run in runs:
        assert told["environment"] in flows.envbuild("get", f"{flows.name}/{run}/train", "--json")


EACH = """
    class Each(FlowSpec):
        @pypi(disabled=True)
        @step
        def start(self):
            say("start", run=current.run_id)
            self.each = range({many})
            self.next(self.train, foreach="each")

        @named_env(name="team/toy:@{{METAFLOW_TASK_ID}}", fetch_at_exec=True)
        @step
        def train(self):
            import toy
            self.toy = toy.__version__
            self.next(self.join)

        @pypi(disabled=True)
        @step
        def join(self, inputs):
            say("join", toys=sorted(item.toy for item in inputs))
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def named_for_tasks(flows: Flows, versions: dict[str, str]) -> None:
    """Names ``team/toy:<task>``, each of an environment with that version of toy."""
    for task, version in versions.items():
        recipe = flows.project / f"toy-{version}.yaml"
        packages = f'{{toy: "{version}", requests: }}'
        recipe.write_text(f'interpreter: host\npython: "{SERIES}"\npypi: {{packages: {packages}}}\n')
        flows.envbuild("lock", recipe.name)
        flows.envbuild("alias", recipe.name, f"team/toy:{task}")


def test_tasks_of_one_step_that_ran_in_different_environments_are_listed(flows: Flows) -> None:
    named_for_tasks(flows, {"2": "1.0", "3": "1.1", "4": "1.0"})
    flows.write(EACH.format(many=3)).run()
    assert flows.printed("join", "toys") == "['1.0', '1.0', '1.1']"
    step = f"{run_of(flows)}/train"
    said = refused(flows, "get", step)
    assert f"error[tasks-disagree]: the tasks of {step} ran in 2 environments: " in said
    assert "(tasks 2, 4)" in said
    assert "(task 3)" in said
    assert f"hint: name one of its tasks: {step}/2" in said
    assert "toy==1.1" in flows.envbuild("export", f"{step}/3", "--format", "requirements")


MANY = """
    class Many(FlowSpec):
        @pypi(disabled=True)
        @step
        def start(self):
            say("start", run=current.run_id)
            self.each = range(12)
            self.next(self.train, foreach="each")

        @pypi(packages={"toy": "1.0"})
        @step
        def train(self):
            self.next(self.join)

        @pypi(disabled=True)
        @step
        def join(self, inputs):
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


@pytest.mark.parametrize(("version", "reads"), [("2.5.0", 1), ("2.4.0", 12)])
def test_of_many_tasks_a_service_is_asked_for_one_and_whether_the_others_say_the_same(
    flows: Flows, version: str, reads: int
) -> None:
    with metadata_service(version) as service:
        flows.environ |= {"METAFLOW_DEFAULT_METADATA": "service", "METAFLOW_SERVICE_URL": service.url}
        flows.write(MANY).run()
        service.asked.clear()
        step = f"{run_of(flows)}/train"
        means = json.loads(flows.envbuild("get", step, "--json"))
        assert sum(path.endswith("/metadata") for path in service.asked) == reads
        assert "toy==1.0" in flows.envbuild("export", step, "--format", "requirements")
        (environment,) = means["environments"].values()
        task = next(path.split("/")[8] for path in service.asked if path.endswith("/metadata"))
        assert environment in flows.envbuild("get", f"{step}/{task}", "--json")


def test_a_service_is_not_asked_offline_and_one_that_does_not_answer_is_exit_5(flows: Flows) -> None:
    flows.environ["METAFLOW_DEFAULT_METADATA"] = "service"
    flows.environ["METAFLOW_SERVICE_RETRY_COUNT"] = "1"
    with metadata_service() as service:
        flows.environ["METAFLOW_SERVICE_URL"] = service.url
        said = refused(flows, "get", "Two/1/train", "--offline", code=5)
        assert f"error[offline]: Two/1/train is known to the metadata service {service.url}" in said
        assert service.asked == []
        assert "error[unknown-step]" in refused(flows, "get", "Two/1/train")
    assert "error[no-metadata]" in refused(flows, "get", "Two/1/train", code=5)
    del flows.environ["METAFLOW_SERVICE_URL"]
    assert "error[no-metadata]" in refused(flows, "get", "Two/1/train", code=5)


def test_a_step_that_is_not_there_and_one_that_had_no_environment(two: Flows) -> None:
    run = run_of(two)
    for word in ("Two/1/train", f"{run}/nothing", f"{run}/train/99", "None/1/train"):
        said = refused(two, "realize", word)
        assert f"error[unknown-step]: there is no {word} in Metaflow's metadata (local@" in said
        assert "METAFLOW_PROFILE" in said
    said = refused(two, "realize", f"{run}/end")
    assert f"error[no-environment]: {run}/end ran in no environment of envbuild" in said
    assert "error[bad-pathspec]" in refused(two, "get", "step:Two/1")
    assert "error[bad-pathspec]" in refused(two, "get", "step:../../etc/passwd")


def test_without_any_metadata_here_a_step_is_not_found(flows: Flows) -> None:
    del flows.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"]
    assert "error[unknown-step]" in refused(flows, "get", "Two/1/train")
    assert not (flows.project / ".metaflow").exists()


def test_without_metaflow_a_step_is_one_error_that_says_so(flows: Flows) -> None:
    """None in ``sys.modules`` is what Python itself takes for a module that is not there."""
    program = "import sys; sys.modules['metaflow'] = None; from envbuild.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "get", "Two/1/train"],
        cwd=flows.project,
        env=flows.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error[no-metaflow]: Two/1/train is a step of a Metaflow run")
    assert 'hint: pip install "envbuild[metaflow]"' in done.stderr
    assert "Traceback" not in done.stderr


def record(flows: Flows, step: str) -> Path:
    """The file in which the newest task of a step says where it ran."""
    return max(flows.runs.glob(f"{flows.name}/*/{step}/*/_meta/sysmeta_envbuild-environment_*.json"))


def test_what_a_task_says_is_read_as_input_from_outside(two: Flows) -> None:
    file = record(two, "train")
    tree = json.loads(file.read_text())
    told = json.loads(tree["value"])
    values = ["", "no JSON", "[]", "{}", "7", "[" * 100_000]
    values += [
        json.dumps({**told, key: wrong}) for key in ("platform", "request", "environment") for wrong in ("../x", 7)
    ]
    for value in values:
        file.write_text(json.dumps({**tree, "value": value}))
        assert "error[bad-metadata]" in refused(two, "get", f"{run_of(two)}/train")
    for text in ("", "{", "[]", "{}"):
        file.write_text(text)
        assert "error[bad-metadata]" in refused(two, "get", f"{run_of(two)}/train")


def test_environments_that_others_made_are_named_as_such(two: Flows) -> None:
    file = record(two, "train")
    tree = json.loads(file.read_text())
    for field, value, words in (
        ("conda_env_id", '["0a", "1b", "linux-64"]', "but in one that metaflow-netflixext made"),
        ("conda_env_prefix", "metaflow/linux-64/0123456789abcde", "but in one that Metaflow's own conda or pypi made"),
    ):
        file.write_text(json.dumps({**tree, "field_name": field, "type": field, "value": value}))
        said = refused(two, "realize", f"{run_of(two)}/train")
        assert f"ran in no environment of envbuild, {words}" in said
        assert "envbuild capture" in said


def test_an_environment_that_no_store_has_any_more_is_exit_4(two: Flows) -> None:
    shutil.rmtree(two.home)
    assert "error[absent-environment]" in refused(two, "realize", f"{run_of(two)}/train", code=4)


def test_a_step_is_the_base_of_a_recipe_and_the_lock_keeps_what_it_was(two: Flows) -> None:
    train = f"{run_of(two)}/train"
    told = two.told("train")
    assert told is not None
    (two.project / "more.yaml").write_text(f"extends: {{pathspec: {train}}}\npypi: {{packages: {{toy-extras: }}}}\n")
    two.envbuild("lock", "more.yaml")
    lock = (two.project / "more.lock.yaml").read_text()
    assert f'"pathspec": "{train}"' in lock
    assert told["environment"] in lock
    shutil.rmtree(two.runs)
    two.envbuild("lock", "--check", "more.yaml")
    exported = two.envbuild("export", "more.yaml", "--format", "requirements")
    assert "toy==1.1" in exported
    assert "toy-extras==" in exported
    assert "error[unknown-step]" in refused(two, "lock", "more.yaml", "--upgrade-base")


STANDS = """
    class Stands(FlowSpec):
        @named_env(pathspec="{train}")
        @step
        def start(self):
            import toy
            say("start", toy=toy.__version__, prefix=sys.prefix)
            self.next(self.more)

        @conda(pathspec="{train}", pip_packages={{"toy-extras": ""}})
        @step
        def more(self):
            import toy, toy_extras
            say("more", toy=toy.__version__)
            self.next(self.bare)

        @named_env(name="team/bare")
        @step
        def bare(self):
            import toy, requests
            say("bare", toy=toy.__version__)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            pass
"""


def test_the_environment_of_a_past_step_is_that_of_a_step_and_what_others_stand_on(two: Flows) -> None:
    train = f"{run_of(two)}/train"
    told = two.told("train")
    assert told is not None
    (two.project / "bare.yaml").write_text(
        f'interpreter: host\npython: "{SERIES}"\npypi: {{packages: {{toy: "1.0"}}}}\n'
    )
    two.envbuild("lock", "bare.yaml")
    two.envbuild("alias", "bare.yaml", "team/bare")
    two.write(STANDS.format(train=train)).run()
    assert two.printed("start", "prefix") == told["prefix"]
    assert two.printed("more", "toy") == "1.1"
    assert two.printed("bare", "toy") == "1.0"
    assert f'extends: {{pathspec: "{train}"}}' in two.generated("more").read_text()
    two.says("stands on")

    assert two.generated("start").read_text().splitlines()[2:] == [f'extends: {{pathspec: "{train}"}}']
    assert "requests" in two.generated("bare").read_text()

    locks = {path: path.stat().st_mtime_ns for path in two.generated("start").parent.iterdir()}
    two.run()
    assert {path: path.stat().st_mtime_ns for path in two.generated("start").parent.iterdir()} == locks


def test_a_past_step_that_is_not_there_is_told_of_its_decorator(flows: Flows) -> None:
    flows.write(STANDS.format(train="Two/1/train")).run(code=3)
    line = next(n for n, text in enumerate(flows.file.read_text().splitlines(), 1) if "@named_env(pathspec" in text)
    flows.says(f"error[unknown-step]: flow.py:{line}: @named_env of step start: there is no Two/1/train")
