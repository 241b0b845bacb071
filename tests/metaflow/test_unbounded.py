"""Tasks that start other tasks of their step: the control tasks of ``@parallel`` and of unbounded foreaches."""

from __future__ import annotations

from tests.metaflow.flows import Flows
from tests.support.servers import Server


def test_the_tasks_of_an_unbounded_foreach_run_in_the_environment_of_their_step(flows: Flows, index: Server) -> None:
    """With Metaflow's own example of one: its control task starts the others with the Python that it runs in."""
    flows.write(
        """
        from metaflow.plugins import InternalTestUnboundedForeachInput


        class Unbounded(FlowSpec):
            @step
            def start(self):
                self.items = InternalTestUnboundedForeachInput(["a", "b", "c"])
                self.next(self.work, foreach="items")

            @pypi(packages={"toy": "1.0"})
            @unbounded_test_foreach_internal
            @step
            def work(self):
                import toy
                told = os.environ["METAFLOW_ENVBUILD_ENVIRONMENT"]
                self.found = (self.input, toy.__version__, sys.prefix, told)
                self.next(self.join)

            @pypi(disabled=True)
            @step
            def join(self, inputs):
                found = [item.found for item in inputs]
                say("join", items=sorted(item for item, *_ in found), outside=sys.prefix)
                say("join", toys={toy for _, toy, _, _ in found}, prefixes=len({prefix for _, _, prefix, _ in found}))
                say("join", prefix=found[0][2], told=len({told for *_, told in found}))
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("join", "items") == "['a', 'b', 'c']"
    assert flows.printed("join", "toys") == "{'1.0'}"
    assert flows.printed("join", "prefixes") == "1"
    assert flows.printed("join", "told") == "1"
    assert flows.printed("join", "prefix") != flows.printed("join", "outside")
    records = list(flows.runs.glob("Unbounded/*/work/*/_meta/*envbuild-environment*.json"))
    assert len(records) == 4, "the control task and the three that it starts say where they ran"
    wheels = [request.path for request in index.requests if request.path.endswith(".whl")]
    assert len(wheels) == len(set(wheels))


def test_a_control_task_of_a_disabled_step_starts_its_tasks_outside(flows: Flows) -> None:
    flows.write(
        """
        class Outside(FlowSpec):
            @pypi(packages={"toy": "1.0"})
            @step
            def start(self):
                self.next(self.work, num_parallel=2)

            @pypi(disabled=True)
            @parallel
            @step
            def work(self):
                self.found = (sys.executable, current.parallel.node_index)
                self.next(self.join)

            @pypi(disabled=True)
            @step
            def join(self, inputs):
                say("join", pythons={python for python, _ in (item.found for item in inputs)} == {sys.executable})
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("join", "pythons") == "True"
    assert flows.told("work") is None


def test_a_parallel_step_that_is_tried_again_stays_in_its_environment(flows: Flows) -> None:
    flows.write(
        """
        class Retried(FlowSpec):
            @pypi(disabled=True)
            @step
            def start(self):
                self.next(self.work, num_parallel=2)

            @retry(times=1, minutes_between_retries=0)
            @pypi(packages={"toy": "1.0"})
            @parallel
            @step
            def work(self):
                import toy
                if current.retry_count == 0:
                    raise ValueError("not yet")
                self.found = (toy.__version__, sys.prefix)
                self.next(self.join)

            @pypi(disabled=True)
            @step
            def join(self, inputs):
                say("join", found=len({item.found for item in inputs}))
                self.next(self.end)

            @pypi(disabled=True)
            @step
            def end(self):
                pass
        """
    ).run()
    assert flows.printed("join", "found") == "1"
