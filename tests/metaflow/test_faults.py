"""What goes wrong is told of decorators, with file and line, before anything runs."""

from __future__ import annotations

from pathlib import Path

from tests.metaflow.flows import Flows


def line(flows: Flows, words: str) -> int:
    """The line of the flow's file that holds some words."""
    lines = flows.file.read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if words in text)


def test_every_fault_of_a_flow_is_told_at_once_with_step_and_line(flows: Flows) -> None:
    flows.write(
        """
        @conda_base(python=3.1)
        class Wrong(FlowSpec):
            @pypi(packages={"toy>=1": ""})
            @step
            def start(self):
                self.next(self.end)

            @retry
            @conda(libraries=["toy"])
            @step
            def end(self):
                pass
        """
    ).run(code=3)
    flows.says(
        f"error[bad-decorator]: flow.py:{line(flows, '@conda_base')}: @conda_base of the flow: python=3.1 is a number",
        f"error[bad-name]: flow.py:{line(flows, '@pypi')}: @pypi of step start: packages: 'toy>=1' is not the name",
        f"error[bad-decorator]: flow.py:{line(flows, '@conda(')}: @conda of step end: libraries is not a dict",
    )
    assert "Workflow starting" not in flows.out
    assert not (flows.project / ".envs").exists()


def test_what_has_no_solution_is_told_of_the_decorator_that_asks_for_it(flows: Flows) -> None:
    flows.write(
        """
        @pypi_base(packages={"toy-core": "1.5"})
        class None_(FlowSpec):
            @pypi(packages={"toy-conflict": "1.0"})
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run(code=11)
    asked = f"flow.py:{line(flows, '@pypi(')}"
    flows.says("error[unsatisfiable]", asked, "@pypi of step start", "Steps start, end need package index")
    assert ".envs" not in flows.out
    assert "Workflow starting" not in flows.out


def test_a_secret_in_an_index_is_told_of_the_decorator_and_never_shown(flows: Flows) -> None:
    flows.write(
        """
        class Secret(FlowSpec):
            @pypi(packages={"toy": ""}, extra_indices=["https://me:hunter2@example.org/simple"])
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run(code=3)
    flows.says(f"error[secret-in-url]: flow.py:{line(flows, '@pypi')}: @pypi of step start: ")
    assert "hunter2" not in flows.out


def test_a_decorator_needs_its_environment(flows: Flows) -> None:
    flows.write(
        """
        class Alone(FlowSpec):
            @named_env(name="team/toy")
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run(environment="local", code=1)
    flows.says("@named_env needs one of --environment=envbuild, --environment=conda, --environment=pypi")


def test_the_predecessor_beside_is_refused_in_one_sentence(flows: Flows, tmp_path: Path) -> None:
    """Any module of that name is enough: Metaflow cannot serve two extensions that both bring @conda."""
    plugins = tmp_path / "beside" / "metaflow_extensions" / "netflixext" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "mfextinit_netflixext.py").write_text("STEP_DECORATORS_DESC = []\n")
    flows.environ["PYTHONPATH"] = str(tmp_path / "beside")
    flows.write(
        """
        class Two(FlowSpec):
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).run(code=1)
    (sentence,) = flows.out.strip().splitlines()
    assert sentence.startswith("envbuild and metaflow-netflixext both serve @conda and @pypi: uninstall one of the two")


def test_a_setting_leaves_conda_and_pypi_to_metaflow(flows: Flows) -> None:
    flows.environ["METAFLOW_ENVBUILD_LEAVE_OWN"] = "1"
    flows.write(
        """
        from metaflow.plugins import ENVIRONMENTS, STEP_DECORATORS

        for kind in [*ENVIRONMENTS, *STEP_DECORATORS]:
            print(getattr(kind, "TYPE", None) or kind.name, kind.__module__.split(".")[0])


        class Left(FlowSpec):
            @named_env(name="team/toy")
            @step
            def start(self):
                self.next(self.end)

            @step
            def end(self):
                pass
        """
    ).command("--environment=envbuild", "--no-pylint", "show")
    shown = set(flows.out.splitlines())
    assert {"envbuild envbuild", "conda metaflow", "pypi metaflow", "named_env envbuild", "recipe envbuild"} <= shown
    assert not {"conda envbuild", "pypi envbuild"} & shown
