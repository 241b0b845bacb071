"""Modules that only the launching Python has, used from inside of a step's environment."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from tests.metaflow.flows import Flows

WITH_TEST_LIB = """
    @pypi_base(packages={"toy": "1.0"})
    class Escaping(FlowSpec):
        @step
        def start(self):
            import toy, test_lib
            thing = test_lib.TestClass1(5)
            say("start", value=test_lib.test_value, printed=thing.print_value(), here=sys.prefix)
            try:
                thing.raiseOrReturnSomeException(True)
            except test_lib.SomeException as error:
                say("start", raised=error.user_value)
            self.next(self.end)

        @step
        def end(self):
            pass
"""


def test_a_step_uses_the_module_that_metaflow_itself_lets_escape(flows: Flows) -> None:
    """Values, objects and overrides of ``test_lib``, Metaflow's own example, cross into the environment."""
    flows.write(WITH_TEST_LIB).run()
    assert flows.printed("start", "value") == "1"
    assert flows.printed("start", "printed") == str(5 + 3 + 5), "the overrides of both sides count"
    assert flows.printed("start", "raised") == "42", "an exception has its class and what was said of it outside"
    assert Path(flows.printed("start", "here")).parent == flows.home / "prefixes"


def test_a_module_of_an_extension_runs_in_the_python_that_launched(flows: Flows, tmp_path: Path) -> None:
    flows.environ["PYTHONPATH"] = str(extension(tmp_path / "beside"))
    flows.environ["LD_LIBRARY_PATH"] = "/nowhere/outside"
    flows.write(
        """
        class Outside(FlowSpec):
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                import outer
                say("start", prefix=outer.prefix(), library=outer.variable("LD_LIBRARY_PATH"), here=sys.prefix)
                self.next(self.end)

            @pypi(packages={"toy-core": "1.0"})
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("start", "prefix") == sys.prefix
    assert flows.printed("start", "library") == "/nowhere/outside"
    assert flows.printed("start", "here") != sys.prefix


def test_a_module_that_the_step_has_itself_is_not_replaced(flows: Flows, tmp_path: Path) -> None:
    flows.environ["PYTHONPATH"] = str(extension(tmp_path / "beside", "toy"))
    flows.write(
        """
        class Own(FlowSpec):
            @pypi(packages={"toy": "1.0"})
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


def test_the_escape_can_be_switched_off(flows: Flows) -> None:
    flows.environ["METAFLOW_ENV_ESCAPE_DISABLED"] = "True"
    flows.write(WITH_TEST_LIB).run(code=1)
    flows.says("No module named 'test_lib'")


def extension(folder: Path, module: str = "outer") -> Path:
    """An extension that lets a module escape, and the module itself, which only the launching Python finds."""
    plugins = folder / "metaflow_extensions" / "escaping" / "plugins"
    place = plugins / "env_escape" / "configurations" / f"emulate_{module}"
    place.mkdir(parents=True)
    for package in (plugins.parent, plugins, plugins / "env_escape"):
        (package / "__init__.py").touch()
    (place / "__init__.py").touch()
    (place / "server_mappings.py").write_text(
        textwrap.dedent(
            f"""
            import os, sys

            def prefix():
                return sys.prefix

            def variable(name):
                return os.environ.get(name)

            EXPORTED_CLASSES = {{}}
            EXPORTED_EXCEPTIONS = {{}}
            EXPORTED_FUNCTIONS = {{"{module}": {{"prefix": prefix, "variable": variable}}}}
            EXPORTED_VALUES = {{}}
            PROXIED_CLASSES = []
            """
        )
    )
    return folder
