"""Recipes of a flow in the checkout: emitted, used as they are, and held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from tests.metaflow.flows import Flows
from tests.support.channel import TestChannel
from tests.support.servers import Server
from tests.support.wheels import make_wheel

FLOW = """
    @pypi_base(packages={{"toy": "{flow}"}})
    class Kept(FlowSpec):
        @step
        def start(self):
            import toy, toy_core
            say("start", toy=toy.__version__, core=toy_core.__version__)
            self.next(self.middle)

        @pypi(packages={{"toy": "{step}"}})
        @step
        def middle(self):
            import toy
            say("middle", toy=toy.__version__, told=os.environ["METAFLOW_ENVBUILD_ENVIRONMENT"])
            self.next(self.end)

        @step
        def end(self):
            pass
"""
EMIT = ("--environment=envbuild", "--no-pylint", "environment", "emit")


def emitted(flows: Flows) -> Flows:
    flows.write(FLOW.format(flow="<2", step="1.0"))
    return flows.command(*EMIT)


def test_one_recipe_and_lock_for_each_distinct_environment(flows: Flows) -> None:
    emitted(flows)
    folder = flows.committed("start").parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "middle.lock.yaml",
        "middle.yaml",
        "start.lock.yaml",
        "start.yaml",
    ]
    flows.says("Wrote recipes/flows/Kept/start.yaml, and its lock", "recipes/flows/Kept/middle.yaml")
    assert flows.committed("start").read_text().startswith("# steps start, end of Kept, as the code says\n")
    flows.envbuild("lock", "--check")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    flows.command(*EMIT).says("Kept recipes/flows/Kept/start.yaml")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_uses_exactly_what_is_committed(flows: Flows, index: Server) -> None:
    emitted(flows)
    start = flows.committed("start")
    start.write_text(start.read_text() + '  constraints: {toy-core: "<1.5"}\n')  # the code says nothing of that
    flows.run(code=10).says("error[stale]: recipes/flows/Kept/start.lock.yaml", "envbuild lock recipes/flows")
    flows.envbuild("lock", "recipes/flows/Kept/start.yaml")
    asked = len([item for item in index.requests if item.path.startswith("/simple")])
    flows.run()
    assert flows.printed("start", "core") == "1.0"
    assert flows.printed("middle", "toy") == "1.0"
    assert len([item for item in index.requests if item.path.startswith("/simple")]) == asked
    assert not flows.generated("start").parent.exists()
    told = flows.told("middle")
    assert told is not None
    assert told["environment"] in flows.committed("middle").with_suffix(".lock.yaml").read_text()


def test_code_that_says_otherwise_ends_a_run_with_each_difference(flows: Flows) -> None:
    emitted(flows)
    flows.write(FLOW.format(flow="<2", step="1.1").replace('"toy": "1.1"', '"toy": "1.1", "toy-paint": ">=1"'))
    flows.run(code=10)
    flows.says(
        "error[recipe-drift]: the code of Kept says otherwise than its recipes in recipes/flows/Kept",
        "hint: python flow.py --environment=envbuild environment emit",
        "middle.yaml:7:5: PyPI toy: the code asks for ==1.1, the recipe for ==1.0 (step middle)",
        "PyPI toy-paint: the code asks for >=1, the recipe does not (step middle)",
    )
    assert "step start" not in flows.out
    flows.command(*EMIT).says("Wrote recipes/flows/Kept/middle.yaml", "Kept recipes/flows/Kept/start.yaml")
    flows.run()
    assert flows.printed("middle", "toy") == "1.1"


def test_emitting_again_keeps_what_was_added_by_hand_or_says_that_it_cannot(flows: Flows) -> None:
    emitted(flows)
    middle = flows.committed("middle")
    middle.write_text(middle.read_text() + '  constraints: {toy-core: "<1.5"}\n\nvariables: {A: b}\n')
    flows.write(FLOW.format(flow="<2", step="1.1"))
    flows.command(*EMIT).says("Wrote recipes/flows/Kept/middle.yaml")
    text = middle.read_text()
    assert 'toy: "1.1"' in text
    assert 'constraints: {toy-core: "<1.5"}' in text
    assert "variables: {A: b}" in text

    middle.write_text(re.sub(r"pypi:\n(.*\n)*", 'pypi: {packages: {toy: "1.1"}, no-build: true}\n', text))
    flows.write(FLOW.format(flow="<2", step="1.0"))
    before = middle.read_bytes()
    flows.command(*EMIT, code=10).says("error[recipe-drift]: recipes/flows/Kept/middle.yaml: what was added")
    assert middle.read_bytes() == before


def test_bytecode_of_the_code_stands_in_the_recipe_and_steps_run_compiled_modules(flows: Flows) -> None:
    emitted(flows)
    text = FLOW.format(flow="<2", step="1.0")
    compiled = text.replace('"toy": "<2"}', '"toy": "<2"}, bytecode=True')
    flows.write(compiled.replace('say("start", toy', 'say("start", there=os.path.exists(toy.__cached__), toy'))
    flows.run(code=10).says("start.yaml: the code says bytecode=True, the recipe does not (steps start, end)")
    flows.command(*EMIT).says("Wrote recipes/flows/Kept/start.yaml", "Wrote recipes/flows/Kept/middle.yaml")
    assert "bytecode: true\n" in flows.committed("start").read_text()
    flows.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    flows.run()
    assert flows.printed("start", "there") == "True"


def test_a_package_that_the_code_no_longer_asks_for_is_drift(flows: Flows) -> None:
    emitted(flows)
    start = flows.committed("start")
    start.write_text(start.read_text().replace("    toy:", "    toy-paint: \n    toy:"))
    flows.run(code=10).says("PyPI toy-paint: the recipe asks for any version, the code does not (steps start, end)")


def test_a_step_without_a_recipe_is_drift(flows: Flows) -> None:
    emitted(flows)
    flows.committed("middle").unlink()
    flows.run(code=10).says("there is no recipe for step middle: no step that asks for the same has one")


def test_what_the_code_leaves_unsaid_is_the_recipe_s(flows: Flows) -> None:
    emitted(flows)
    text = flows.committed("start").read_text()
    series = re.search(r'python: "3\.(\d+)"', text)
    assert series is not None
    flows.committed("start").write_text(
        text.replace(series[0], f'python: ">=3.{series[1]},<3.99"\nvariables: {{A: b}}')
    )
    flows.envbuild("lock", "recipes/flows/Kept/start.yaml")
    flows.run()


def test_recipes_go_where_one_says_and_runs_do_not_look_there(flows: Flows) -> None:
    flows.write(FLOW.format(flow="<2", step="1.0"))
    flows.command(*EMIT, "--dir", "elsewhere").says("note: runs look in recipes/flows/Kept only")
    assert (flows.project / "elsewhere" / "middle.lock.yaml").is_file()


def test_a_recipe_of_no_step_is_said_and_kept(flows: Flows) -> None:
    emitted(flows)
    flows.write(FLOW.format(flow="<2", step="1.0").replace("middle", "between"))
    flows.command(*EMIT).says("middle.yaml belongs to no step any more")
    assert flows.committed("middle").is_file()
    assert flows.committed("between").is_file()


def test_a_recipe_serves_runs_with_several_datastores_and_none_that_lacks_what_one_needs(
    flows: Flows, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "index", "boto3", "1.30")
    emitted(flows)
    on_s3 = ("--datastore=s3", "--datastore-root=s3://bucket/runs", *EMIT[:-1])
    flows.command(*on_s3, "show", code=10).says(
        "middle.yaml: Metaflow itself needs boto3 in a step, which neither the recipe nor its lock has (step middle)"
    )
    flows.command(*on_s3, "emit").says("Wrote recipes/flows/Kept/middle.yaml, and its lock")
    flows.command(*on_s3, "show")
    flows.run()
    flows.write(FLOW.format(flow="<2", step="1.1"))
    flows.command(*EMIT).says("Wrote recipes/flows/Kept/middle.yaml")
    flows.command(*on_s3, "show")
    assert "boto3" in flows.committed("middle").read_text()


def test_places_that_the_code_names_are_the_same_in_the_checkout(conda_flows: Flows, channel: TestChannel) -> None:
    """A wheel beside the flow, and a channel with a slash at its end, which its recipe leaves out."""
    wheel = make_wheel(conda_flows.project / "wheels", "mine", "3.0")
    conda_flows.write(
        f"""
        class Placed(FlowSpec):
            @conda(libraries={{"greet": "1.*"}}, channels=["{channel.url}/"])
            @pypi(packages={{"mine": "@./wheels/{wheel.name}"}})
            @step
            def start(self):
                import greet, mine
                say("start", greet=greet.__version__, mine=mine.__version__)
                self.next(self.end)

            @conda(disabled=True)
            @step
            def end(self):
                pass
        """
    )
    for _ in ("made", "committed"):
        conda_flows.run(environment="conda")
        assert (conda_flows.printed("start", "greet"), conda_flows.printed("start", "mine")) == ("1.0", "3.0")
        conda_flows.command(*EMIT)
    assert f'mine: {{path: "../../../wheels/{wheel.name}"}}' in conda_flows.committed("start").read_text()
