"""Flows run end to end: each step in its environment, nothing done twice."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.case import CHECKOUT
from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows
from tests.support.servers import Server

PYPI = """
    @pypi_base(packages={"toy": "1.0"})
    class Pypi(FlowSpec):
        @step
        def start(self):
            import toy, toy_core
            say("start", toy=toy.__version__, python=sys.executable, site=os.environ["PYTHONNOUSERSITE"])
            say("start", path=os.environ["PATH"].split(os.pathsep)[0], venv=os.environ.get("VIRTUAL_ENV"))
            self.next(self.middle)

        @pypi(packages={"toy": "1.1", "toy-paint": ">=1"})
        @step
        def middle(self):
            import toy, toy_paint
            say("middle", toy=toy.__version__, paint=toy_paint.__version__, python=sys.executable)
            self.next(self.end)

        @pypi(disabled=True)
        @step
        def end(self):
            say("end", python=sys.executable, told=repr(os.environ["METAFLOW_ENVBUILD_ENVIRONMENT"]))
"""


def test_each_step_runs_in_its_own_environment_and_a_second_run_asks_nobody(flows: Flows, index: Server) -> None:
    flows.environ["VIRTUAL_ENV"] = "/nowhere"
    flows.environ["PYTHONHOME"] = sys.base_prefix
    flows.write(PYPI).run()
    assert flows.printed("start", "toy") == "1.0"
    assert flows.printed("middle", "toy") == "1.1"
    assert flows.printed("middle", "paint") == "1.0"
    prefix = Path(flows.printed("start", "python")).parents[1]
    assert prefix.parent == flows.home / "prefixes"
    assert flows.printed("start", "path") == str(prefix / "bin")
    assert flows.printed("start", "site") == "1"
    assert flows.printed("start", "venv") == str(prefix)
    assert flows.printed("middle", "python") != flows.printed("start", "python")
    assert flows.printed("end", "python") == sys.executable
    assert flows.printed("end", "told") == "''"
    flows.says(f"Steps start, middle need package index {index.url}/simple (reached)")
    flows.says("Environment of step start is ready", "Environment of step middle is ready")

    asked = len(index.requests)
    locks = {path: path.stat().st_mtime_ns for path in flows.generated("start").parent.iterdir()}
    flows.run()
    assert len(index.requests) == asked
    assert {path: path.stat().st_mtime_ns for path in flows.generated("start").parent.iterdir()} == locks
    assert "Environment of" not in flows.out
    assert "package index" not in flows.out


def test_a_task_s_metadata_says_which_environment_it_ran_in(flows: Flows) -> None:
    flows.write(PYPI).run()
    told = flows.told("start")
    assert told is not None
    shown = json.loads(flows.envbuild("show", told["environment"], "--json"))
    assert {"toy", "toy-core", "requests"} <= {item["name"] for item in shown["packages"]}
    assert flows.told("end") is None
    other = flows.told("middle")
    assert other is not None
    assert other["environment"] != told["environment"]


def test_what_a_run_makes_stays_out_of_git_and_says_what_metaflow_needs(flows: Flows) -> None:
    flows.write(PYPI).run()
    assert (flows.project / ".envs" / ".gitignore").read_text() == "*\n"
    text = flows.generated("middle").read_text()
    assert '    toy: "1.1"\n    toy-paint: ">=1"\n    # what Metaflow itself needs in a step\n    requests:' in text
    assert f'python: "{SERIES}"' in text


def test_equal_steps_share_one_environment(flows: Flows) -> None:
    flows.write(
        """
        class Equal(FlowSpec):
            @pypi(packages={"toy": "1.0", "toy-core": ""})
            @step
            def start(self):
                say("start", python=sys.executable)
                self.next(self.middle)

            @pypi(packages={"toy_core": None})
            @pip(packages={"Toy": "1.0"})
            @step
            def middle(self):
                say("middle", python=sys.executable)
                self.next(self.end)

            @step
            def end(self):
                import requests
                say("end", python=sys.executable)
        """
    ).run()
    assert flows.printed("start", "python") == flows.printed("middle", "python")
    assert flows.printed("end", "python") != flows.printed("start", "python")
    assert sorted(path.name for path in flows.generated("start").parent.glob("*.lock.yaml")) == [
        "end.lock.yaml",
        "start.lock.yaml",
    ]
    flows.says("note: @pip of step middle is an old spelling: write @pypi")
    assert flows.out.count("old spelling") == 1


def test_conda_steps_and_mixed_ones_run_and_are_activated(conda_flows: Flows) -> None:
    conda_flows.write(
        """
        @conda_base(libraries={"greet": "1.*"})
        class Mixed(FlowSpec):
            @step
            def start(self):
                import greet
                say("start", greet=greet.__version__, prefix=sys.prefix, conda=os.environ["CONDA_PREFIX"])
                self.next(self.mixed)

            @conda(libraries={"activated": ""})
            @pypi(packages={"toy": "<2"})
            @step
            def mixed(self):
                import greet, toy
                say("mixed", greet=greet.__version__, toy=toy.__version__)
                say("mixed", by=os.environ["ACTIVATED_BY"], colour=os.environ["ACTIVATED_COLOUR"], prefix=sys.prefix)
                self.next(self.end)

            @conda(libraries={"greet": "2.0"})
            @step
            def end(self):
                import greet
                say("end", greet=greet.__version__)
        """
    ).run(environment="conda")
    assert conda_flows.printed("start", "greet") == "1.0"
    assert conda_flows.printed("start", "conda") == conda_flows.printed("start", "prefix")
    assert conda_flows.printed("mixed", "toy") == "1.1"
    assert conda_flows.printed("mixed", "by") == conda_flows.printed("mixed", "prefix")
    assert conda_flows.printed("mixed", "colour") == "blue"
    assert conda_flows.printed("end", "greet") == "2.0"


def test_a_foreach_of_a_hundred_solves_and_makes_nothing_for_its_tasks(flows: Flows, index: Server) -> None:
    """Tasks load nothing of what launches, ask nobody, and leave home and recipes as the launch left them."""
    flows.environ["METAFLOW_DEBUG_ENVBUILD"] = "1"
    flows.write(
        """
        def state(folders):
            return sorted((root, name) for place in folders for root, _, names in os.walk(place) for name in names)


        class Each(FlowSpec):
            @pypi(disabled=True)
            @step
            def start(self):
                self.items = list(range(100))
                self.folders = (os.environ["ENVBUILD_HOME"], ".envs")
                self.before = state(self.folders)
                self.next(self.work, foreach="items")

            @pypi(packages={"toy": "1.0"})
            @step
            def work(self):
                import toy
                loaded = [name for name in sys.modules if name.startswith(("envbuild", "rattler"))]
                self.found = (toy.__version__, sys.prefix, tuple(sorted(loaded)))
                self.next(self.join)

            @pypi(disabled=True)
            @step
            def join(self, inputs):
                found = [item.found for item in inputs]
                self.merge_artifacts(inputs, include=["folders", "before"])
                after = [item for item in state(self.folders) if item not in self.before]
                say("join", found=len(found), alike=len(set(found)), loaded=" ".join(found[0][2]))
                say("join", made=[name for _, name in after if not name.endswith(".pyc")])
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run("--max-workers", "2", "--max-num-splits", "100", environment="pypi")
    assert flows.printed("join", "found") == "100"
    assert flows.printed("join", "alike") == "1"
    assert flows.printed("join", "made") == "[]"
    loaded = flows.printed("join", "loaded").split()
    assert not {"envbuild.session", "envbuild.metaflow.launching", "rattler"} & set(loaded)
    for moment in ("asked: step work", "found: step work", "locked: step work", "realized: step work"):
        assert flows.out.count(moment) == 1, moment
    assert flows.out.count("started: realise solve") == 1
    assert flows.out.count("started: realise link") == 1
    wheels = [request.path for request in index.requests if request.path.endswith(".whl")]
    assert len(wheels) == len(set(wheels))


def test_a_resumed_run_goes_on_in_the_same_environments(flows: Flows) -> None:
    flows.write(
        """
        class Again(FlowSpec):
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                self.kept = sys.prefix
                say("start", ran=1)
                self.next(self.end)

            @pypi(packages={"toy": "1.0"})
            @step
            def end(self):
                import toy
                if not os.path.exists("mended"):
                    sys.exit("not yet")
                say("end", same=self.kept == sys.prefix)
        """
    ).run(code=1)
    assert flows.printed("start", "ran") == "1"
    (flows.project / "mended").touch()
    flows.run(verb="resume")
    assert flows.printed("end", "same") == "True"
    assert "start: ran" not in flows.out


def test_decorators_of_the_command_line_count_where_the_code_says_nothing(flows: Flows) -> None:
    flows.write(
        """
        class With(FlowSpec):
            @step
            def start(self):
                import toy
                say("start", toy=toy.__version__)
                self.next(self.end)

            @pypi(packages={"toy": "1.1"})
            @step
            def end(self):
                import toy
                say("end", toy=toy.__version__)
        """
    ).run("--with", 'pypi:packages={"toy": "1.0"}')
    assert flows.printed("start", "toy") == "1.0"
    assert flows.printed("end", "toy") == "1.1"


def test_values_of_a_configuration_file_count(flows: Flows) -> None:
    (flows.project / "config.json").write_text('{"packages": {"toy": "1.0"}}')
    flows.write(
        """
        class Configured(FlowSpec):
            config = Config("config", default="config.json")

            @pypi(packages=config_expr("config.packages"))
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
    ).run()
    assert flows.printed("start", "toy") == "1.0"
    assert not flows.generated("end").exists()


def test_a_task_loads_nothing_of_envbuild_but_what_every_python_can_read(flows: Flows) -> None:
    """Steps run on Pythons that are older than those that envbuild itself runs on."""
    flows.write(
        """
        class Small(FlowSpec):
            @step
            def start(self):
                say("start", loaded=" ".join(sorted(name for name in sys.modules if name.startswith("envbuild"))))
                say("start", path=os.pathsep.join(sys.path))
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run()
    loaded = flows.printed("start", "loaded").split()
    inside = ["commands", "decorators", "environment", "names"]
    expected = ["envbuild", "envbuild.metaflow", *(f"envbuild.metaflow.{name}" for name in inside), "envbuild.version"]
    assert set(loaded) <= set(expected)
    for name in loaded:
        file = CHECKOUT / Path(*name.split(".")).with_suffix(".py")
        text = (file if file.is_file() else file.with_suffix("") / "__init__.py").read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 7))
    for file in (CHECKOUT / "metaflow_extensions").rglob("*.py"):
        ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 7))
    others = [part for part in flows.printed("start", "path").split(os.pathsep) if "site-packages" in part]
    assert all(part.startswith(str(flows.home / "prefixes")) for part in others)


def test_parallel_tasks_run_in_the_environment_of_their_step(flows: Flows) -> None:
    flows.write(
        """
        class Together(FlowSpec):
            @step
            def start(self):
                self.next(self.work, num_parallel=2)

            @pypi(packages={"toy": "1.0"})
            @parallel
            @step
            def work(self):
                import toy
                self.found = (toy.__version__, sys.prefix, current.parallel.node_index)
                self.next(self.join)

            @step
            def join(self, inputs):
                found = sorted(item.found for item in inputs)
                say("join", nodes=[node for _, _, node in found], prefixes=len({prefix for _, prefix, _ in found}))
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("join", "nodes") == "[0, 1]"
    assert flows.printed("join", "prefixes") == "1"
    assert flows.told("work") is not None


def test_the_runner_runs_a_flow_and_the_client_reads_its_environment(flows: Flows) -> None:
    flows.write(PYPI)
    program = """
from metaflow import Runner
with Runner("flow.py", environment="envbuild", pylint=False).run() as running:
    (told,) = [item.value for item in running.run["start"].task.metadata if item.name == "envbuild-environment"]
    print(running.status, told)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=flows.project,
        env=flows.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = flows.told("start")
    assert told is not None
    assert f"successful {json.dumps(told)}" in done.stdout
