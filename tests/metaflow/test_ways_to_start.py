"""A flow starts in other ways than ``python flow.py run``: resumed, with decorators, from Python, from a notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.metaflow.flows import Flows
from tests.support.notebooks import kernel_wheels
from tests.support.servers import Server
from tests.support.wheels import uv

TWO = """
    class Ways(FlowSpec):
        wanted = Parameter("wanted", default="nothing")

        @pypi(packages={"toy": "1.0"})
        @step
        def start(self):
            import toy
            self.found = toy.__version__
            say("start", toy=toy.__version__, wanted=self.wanted)
            self.next(self.end)

        @pypi(packages={"toy": "1.1"})
        @step
        def end(self):
            import toy
            if os.environ.get("FAIL") == "yes":
                raise ValueError("not yet")
            say("end", toy=toy.__version__, found=self.found)
"""


def python(flows: Flows, program: str) -> str:
    """What a program prints that uses Metaflow's API in the flow's folder."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=flows.project,
        env=flows.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_is_resumed_from_a_step_in_the_environments_that_are_there(flows: Flows, index: Server) -> None:
    flows.environ["FAIL"] = "yes"
    flows.write(TWO).run(code=1)
    del flows.environ["FAIL"]
    index.forget()
    flows.run(verb="resume")
    assert flows.printed("end", "toy") == "1.1"
    assert flows.printed("end", "found") == "1.0"
    flows.run("start", verb="resume")
    assert flows.printed("start", "toy") == "1.0"
    assert index.requests == []


def test_what_a_resumed_run_changes_is_made_for_the_steps_that_run(flows: Flows) -> None:
    flows.environ["FAIL"] = "yes"
    flows.write(TWO).run(code=1)
    del flows.environ["FAIL"]
    flows.write(TWO.replace('"1.1"', '"<1.1"')).run(verb="resume")
    assert flows.printed("end", "toy") == "1.0"
    assert "start: toy" not in flows.out


def test_decorators_of_other_kinds_come_by_the_command_line_too(flows: Flows) -> None:
    flows.write(TWO).run(
        "--with", "retry:times=1,minutes_between_retries=0", "--with", 'environment:vars={"FAIL": "no"}'
    )
    assert flows.printed("end", "toy") == "1.1"


def test_a_decorator_that_another_adds_counts_like_one_in_the_code(flows: Flows) -> None:
    flows.write(
        """
        class adding(StepMutator):
            def init(self, version):
                self.version = version

            def mutate(self, mutable_step):
                mutable_step.add_decorator("pypi", deco_kwargs={"packages": {"toy": self.version}})


        class everywhere(FlowMutator):
            def pre_mutate(self, mutable_flow):
                mutable_flow.add_decorator("pypi_base", deco_kwargs={"packages": {"toy-paint": ">=1"}})


        @everywhere
        class Mutated(FlowSpec):
            @adding("1.0")
            @step
            def start(self):
                import toy, toy_paint
                say("start", toy=toy.__version__, paint=toy_paint.__version__)
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("start", "toy") == "1.0"
    assert flows.printed("start", "paint") == "1.0"


def test_a_step_that_is_spun_runs_in_its_environment_here(flows: Flows) -> None:
    flows.write(
        """
        class Spun(FlowSpec):
            @pip(packages={"toy": "1.0"})
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
    ).run()
    remote = flows.file.read_text().replace("    @pypi(", "    @kubernetes\n    @pypi(")
    flows.file.write_text(remote)
    for step, version in (("start", "1.0"), ("end", "1.1")):
        flows.run(step, verb="spin")
        assert flows.printed(step, "toy") == version


def test_a_runner_starts_resumes_and_passes_parameters(flows: Flows, index: Server) -> None:
    flows.write(TWO)
    said = python(
        flows,
        """
import asyncio
from metaflow import Runner

async def again():
    async with Runner("flow.py", environment="envbuild", pylint=False, env={"FAIL": "no"}) as runner:
        running = await runner.async_run(wanted="more")
        await running.wait()
        return running.status, running.stdout

with Runner("flow.py", environment="envbuild", pylint=False, env={"FAIL": "yes"}).run(wanted="much") as failed:
    print("first", failed.status, "much" in failed.stdout)
with Runner("flow.py", environment="envbuild", pylint=False, env={"FAIL": "no"}).resume() as resumed:
    print("second", resumed.status, resumed.run["end"].task.metadata_dict["envbuild-environment"] != "")
status, said = asyncio.run(again())
print("third", status, "wanted=more" in said)
""",
    )
    assert "first failed True" in said
    assert "second successful True" in said
    assert "third successful True" in said


def test_a_flow_in_a_cell_of_a_notebook_runs_in_its_environments(flows: Flows, tmp_path: Path) -> None:
    """A cell as a kernel runs it: ``NBRunner`` reads its source, and only that, from the shell."""
    shell = tmp_path / "shell"
    found = ["--no-index", "--find-links", str(kernel_wheels()), "ipython"]
    subprocess.run([uv(), "pip", "install", "--quiet", "--target", str(shell), *found], env=flows.environ, check=True)
    cell = """
from metaflow import FlowSpec, NBRunner, pypi, step

class Cell(FlowSpec):
    @pypi(packages={"toy": "1.0"})
    @step
    def start(self):
        import toy
        self.found = toy.__version__
        self.next(self.end)

    @pypi(disabled=True)
    @step
    def end(self):
        pass

run = NBRunner(Cell, environment="envbuild", pylint=False, base_dir=".").nbrun()
print("found", run["start"].task["found"].data, "finished", run.successful)
"""
    program = f"""
import sys
sys.path.append({str(shell)!r})
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
result = shell.run_cell({cell!r}, store_history=True)
result.raise_error()
"""
    assert "found 1.0 finished True" in python(flows, program)


def test_a_step_outside_starts_another_flow_and_one_inside_is_told_why_it_cannot(flows: Flows) -> None:
    flows.write(TWO)
    flows.file.rename(flows.project / "inner.py")
    flows.write(
        """
        import subprocess

        def inner():
            command = [sys.executable, "inner.py", "--environment=envbuild", "--no-pylint", "run"]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            print(done.stdout)
            return done.returncode


        class Outer(FlowSpec):
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                say("start", code=inner())
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                say("end", code=inner())
        """
    ).run()
    assert flows.printed("start", "code") == "1"
    assert flows.printed("end", "code") == "0"
    flows.says("cannot start a flow inside of a step's environment, where envbuild is not installed", "end: toy=1.1")
    assert "Traceback" not in flows.out


def test_decorators_of_another_extension_that_extend_ours_are_read_like_these(
    conda_flows: Flows, tmp_path: Path
) -> None:
    """Under a name of their own, with attributes of their own, and with requirements that they know themselves."""
    plugins = tmp_path / "beside" / "metaflow_extensions" / "team" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "mfextinit_team.py").write_text(
        'STEP_DECORATORS_DESC = [("team_conda", ".ours.TeamConda"), ("team_pypi", ".ours.TeamPypi")]\n'
    )
    (plugins / "ours.py").write_text(
        """
from envbuild.metaflow.decorators import CondaStep, PypiStep

class TeamConda(CondaStep):
    name = "team_conda"
    defaults = {**CondaStep.defaults, "audience": None}

class TeamPypi(PypiStep):
    name = "team_pypi"

    def init(self):
        self.attributes["packages"] = {"toy": "1.0", **(self.attributes["packages"] or {})}
"""
    )
    conda_flows.environ["PYTHONPATH"] = str(tmp_path / "beside")
    conda_flows.write(
        """
        class Extended(FlowSpec):
            @team_conda(packages={"greet": "1.0"}, audience="us")
            @team_pypi
            @step
            def start(self):
                import greet, toy
                say("start", greet=greet.__version__, toy=toy.__version__)
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert conda_flows.printed("start", "greet") == "1.0"
    assert conda_flows.printed("start", "toy") == "1.0"
    assert "old spelling" not in conda_flows.out
