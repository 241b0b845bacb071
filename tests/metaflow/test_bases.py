"""Steps that stand on a recipe or on a named environment."""

from __future__ import annotations

import json

from tests.metaflow.conftest import SERIES
from tests.metaflow.flows import Flows

RECIPE = f'interpreter: host\npython: "{SERIES}"\npypi:\n  packages: {{{{toy: "{{version}}"}}}}\n'


def recipe(flows: Flows, version: str) -> None:
    folder = flows.project / "recipes"
    folder.mkdir(exist_ok=True)
    (folder / "train.yaml").write_text(RECIPE.format(version=version))


STANDS = """
    class Stands(FlowSpec):
        @recipe(path="recipes/train.yaml")
        @step
        def start(self):
            import requests, toy
            say("start", toy=toy.__version__)
            self.next(self.end)

        @named_env(name="team/train")
        @pypi(packages={"toy-paint": ""})
        @step
        def end(self):
            import toy, toy_paint
            say("end", toy=toy.__version__, paint=toy_paint.__version__)
"""


def test_a_recipe_is_used_as_it_is_locked_and_a_name_as_it_stands_now(flows: Flows) -> None:
    recipe(flows, "1.0")
    flows.envbuild("lock", "recipes/train.yaml")
    flows.envbuild("alias", "recipes/train.yaml", "team/train")
    flows.write(STANDS).run()
    assert flows.printed("start", "toy") == "1.0"
    assert flows.printed("end", "toy") == "1.0"
    assert flows.printed("end", "paint") == "1.0"
    told = flows.told("end")
    assert told is not None
    shown = json.loads(flows.envbuild("show", told["environment"], "--json"))
    assert {"toy", "toy-paint", "requests"} <= {item["name"] for item in shown["packages"]}

    recipe(flows, "1.1")
    flows.run(code=10).says("error[stale]: recipes/train.lock.yaml")
    flows.envbuild("lock", "recipes/train.yaml")
    flows.run()
    assert flows.printed("start", "toy") == "1.1"
    assert flows.printed("end", "toy") == "1.0"

    flows.envbuild("alias", "recipes/train.yaml", "team/train")
    flows.run()
    assert flows.printed("end", "toy") == "1.1"


def test_a_base_that_is_not_there_is_told_of_its_decorator(flows: Flows) -> None:
    flows.write(STANDS).run(code=3)
    number = flows.file.read_text().splitlines().index('    @recipe(path="recipes/train.yaml")') + 1
    flows.says(f"error[missing-file]: flow.py:{number}: @recipe of step start: there is no recipe")


def test_without_what_metaflow_needs_a_step_gets_exactly_its_recipe(flows: Flows) -> None:
    recipe(flows, "1.0")
    (flows.project / "recipes" / "train.yaml").write_text(
        RECIPE.format(version="1.0").replace("{toy:", '{requests: "", toy:')
    )
    locked = flows.envbuild("lock", "recipes/train.yaml", "--json")
    flows.environ["METAFLOW_ENVBUILD_NEEDS"] = "0"
    flows.write(
        """
        class Exactly(FlowSpec):
            @recipe(path="recipes/train.yaml")
            @step
            def start(self):
                self.next(self.end)

            @recipe(path="recipes/train.yaml")
            @step
            def end(self):
                pass
        """
    ).run()
    told = flows.told("end")
    assert told is not None
    (lock,) = json.loads(locked)["locks"]
    assert told["environment"] in lock["environments"].values()
