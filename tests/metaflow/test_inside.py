"""What a step finds inside of its environment: interpreters, programs, and nothing of the launching side's user."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows


def test_every_name_of_python_is_the_environment_s(flows: Flows, conda_flows: Flows) -> None:
    """For programs that a step starts by ``python``, ``python3`` or the series, or by the first line of a script."""
    for interpreter in ("host", "conda"):
        if interpreter == "host":
            conda_flows.environ["ENVBUILD_INTERPRETER"] = "host"
        else:
            del conda_flows.environ["ENVBUILD_INTERPRETER"]
        conda_flows.write(
            f"""
            class Named(FlowSpec):
                @pypi(packages={{"toy": "1.0"}})
                @step
                def start(self):
                    import shutil, subprocess
                    asked = "import sys, toy, metaflow; print(sys.prefix, toy.__version__)"
                    for name in ("python", "python3", "python{SERIES}"):
                        found = shutil.which(name)
                        told = subprocess.run([name, "-c", asked], capture_output=True, text=True, check=True).stdout
                        say("start", **{{name.replace(".", "_"): f"{{os.path.dirname(found)}} {{told.strip()}}"}})
                    say("start", prefix=sys.prefix)
                    self.next(self.end)

                @pypi(disabled=True)
                @step
                def end(self):
                    pass
            """
        ).run()
        prefix = conda_flows.printed("start", "prefix")
        for name in ("python", "python3", f"python{SERIES.replace('.', '_')}"):
            assert conda_flows.printed("start", name) == f"{prefix}/bin {prefix} 1.0", (interpreter, name)


def test_what_the_user_has_installed_for_himself_is_not_seen_in_a_step(flows: Flows) -> None:
    """Neither from the user's site nor from what the launching Python has."""
    user = Path(flows.environ["HOME"], ".local", "lib", f"python{SERIES}", "site-packages")
    user.mkdir(parents=True)
    (user / "mine.py").write_text("")
    flows.write(
        """
        import importlib.util

        class Alone(FlowSpec):
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                names = ("mine", "pytest", "rattler", "toy", "metaflow")
                say("start", found=[name for name in names if importlib.util.find_spec(name)])
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("start", "found") == "['toy', 'metaflow']"


def test_what_the_flow_says_of_variables_is_nearer_than_the_recipe(flows: Flows) -> None:
    flows.write(
        """
        class Variables(FlowSpec):
            @environment(vars={"COLOUR": "red", "PYTHONNOUSERSITE": "yes", "PATH": "/own/bin:/bin"})
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                say("start", colour=os.environ["COLOUR"], site=os.environ["PYTHONNOUSERSITE"], path=sys.prefix)
                say("start", programs=os.environ["PATH"])
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("start", "colour") == "red"
    assert flows.printed("start", "site") == "yes"
    assert flows.printed("start", "path") != sys.prefix
    assert flows.printed("start", "programs") == f"{flows.printed('start', 'path')}/bin:/own/bin:/bin"
