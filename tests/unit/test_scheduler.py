from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.derivations import KINDS, Output
from envbuild.digest import digest_bytes
from envbuild.errors import EnvbuildError, NoSpaceError, Terminated, UnreachableError
from envbuild.executors import open_executor
from envbuild.graph import Graph
from envbuild.plan import Plan
from envbuild.reporter import Recorder
from envbuild.scheduler import PROGRESS_PAUSE, Scheduler
from envbuild.worker import Done, run
from tests.toy import Bench, Toy


@pytest.fixture(autouse=True)
def toy_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("toy", "fetch", "link"):
        monkeypatch.setitem(KINDS, kind, "tests.toy")


@pytest.fixture(params=["local", "synchronous"])
def executor(request):
    made = open_executor(request.param, jobs=2)
    yield made
    made.close(patience=20)


def environment(count: int = 4) -> tuple[list[Toy], Toy]:
    fetches = [Toy(name=f"package-{index}", kind="fetch", purity="fixed", size=9) for index in range(count)]
    return fetches, Toy(name="prefix", kind="link", inputs=tuple(each.key for each in fetches))


def go(executor, plan: Plan, **options):
    recorder, bench = Recorder(), Bench()
    outcome = Scheduler(executor, recorder, **options).run(plan, partial(run, workspace=bench, results=None))
    return outcome, recorder, bench


def test_a_graph_is_run_and_counted(executor):
    fetches, link = environment()
    outcome, recorder, bench = go(executor, Plan(Graph([*fetches, link]), {}, prepared_kinds={"link"}))
    assert dict(outcome.outputs[link.key])["out"].sha256 == digest_bytes(b"prefix")
    assert outcome.done == (("fetch", 4), ("link", 1))
    assert (outcome.count("fetch"), outcome.count("solve"), outcome.hits) == (4, 0, 0)
    assert outcome.fetched_bytes == sum(len(each.name) for each in fetches)
    assert set(outcome.milliseconds) == {link.key, *(each.key for each in fetches)}
    assert outcome.error() is None
    started = [(event.data["key"], event.data.get("input")) for event in recorder.named("started")]
    assert len(started) == len(set(started)) == len(recorder.named("finished"))
    assert {key for key, prepared in started if prepared is None} == {link.key, *(each.key for each in fetches)}
    assert recorder.names()[0] == "plan_made"
    assert recorder.names()[-1] == "ended"
    assert bench.blobs.keys() >= {digest_bytes(each.name.encode()) for each in fetches}


def test_a_second_run_over_the_outputs_of_the_first_is_all_hits(executor):
    fetches, link = environment()
    graph = Graph([*fetches, link])
    outcome, _, _ = go(executor, Plan(graph, {}))
    again, recorder, bench = go(executor, Plan(graph, outcome.outputs))
    assert again.hits == 1
    assert again.done == ()
    assert bench.blobs == {}
    assert recorder.names() == ["plan_made", "hit", "ended"]


def test_one_packages_preparation_overlaps_the_next_ones_fetch():
    slow = Toy(name="slow", kind="fetch", purity="fixed", does="sleep=400")
    quick = Toy(name="quick", kind="fetch", purity="fixed")
    link = Toy(name="prefix", kind="link", inputs=(slow.key, quick.key), prepare_does="sleep=100")
    executor = open_executor("local", jobs=2)
    _, recorder, _ = go(executor, Plan(Graph([slow, quick, link]), {}, prepared_kinds={"link"}))
    assert executor.close(patience=20)
    began, ended = recorder.span(slow.key)
    preparing, prepared = recorder.span(link.key, input=quick.key)
    assert began < preparing < prepared < ended
    assert recorder.span(link.key)[0] >= ended


def test_downloads_do_not_wait_for_computing_slots():
    downloads = [Toy(name=f"d{index}", kind="fetch", does="sleep=300") for index in range(12)]
    executor = open_executor("local", jobs=1)
    _, recorder, _ = go(executor, Plan(Graph(downloads), {}))
    assert executor.close(patience=20)
    spans = [recorder.span(each.key) for each in downloads]
    assert max(start for start, _ in spans) < min(end for _, end in spans)


def test_a_failure_is_told_and_stops_what_depends_on_it(executor):
    bad = Toy(name="bad", kind="fetch", does="fail")
    link = Toy(name="prefix", kind="link", inputs=(bad.key,))
    outcome, recorder, _ = go(executor, Plan(Graph([bad, link]), {}))
    error = outcome.error()
    assert isinstance(error, UnreachableError)
    assert error.reference == "asleep"
    assert outcome.blocked == {link.key: bad.key}
    assert link.key not in outcome.outputs
    assert recorder.named("failed")[0].data["reference"] == "asleep"
    assert [(event.data["label"], event.data["failed"]) for event in recorder.named("blocked")] == [("prefix", bad.key)]


def test_a_full_disk_is_one_failure_however_many_jobs_met_it(executor):
    full = [Toy(name=f"full{index}", kind="fetch", does="full") for index in range(3)]
    outcome, _, _ = go(executor, Plan(Graph(full), {}, keep_going=True))
    assert len(outcome.failures) == 3
    error = outcome.error()
    assert isinstance(error, NoSpaceError)
    assert len(error.all_issues()) == 1


def test_keep_going_collects_all_failures(executor):
    bad = [Toy(name=f"bad-{index}", kind="fetch", does="fail") for index in range(3)]
    odd = Toy(name="odd", kind="fetch", does="defect")
    good = Toy(name="good", kind="fetch")
    outcome, _, _ = go(executor, Plan(Graph([good, *bad, odd]), {}, keep_going=True))
    assert len(outcome.failures) == 4
    assert good.key in outcome.outputs
    error = outcome.error()
    assert isinstance(error, EnvbuildError)
    assert {issue.reference for issue in error.all_issues()} == {"asleep", "defect"}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 20), max_size=3), min_size=1, max_size=12),
    st.lists(st.sampled_from(["toy", "fetch", "link"]), min_size=12, max_size=12),
    st.sets(st.integers(0, 11), max_size=2),
)
def test_threads_and_no_threads_do_the_same(shape, kinds, failing):
    nodes: list[Toy] = []
    for index, needed in enumerate(shape):
        inputs = tuple(nodes[each % index].key for each in needed) if index else ()
        does = "fail" if index in failing else ""
        nodes.append(Toy(name=f"n{index}", kind=kinds[index], inputs=inputs, does=does))
    graph = Graph(nodes)
    outcomes = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("toy", "fetch", "link"):
            patch.setitem(KINDS, kind, "tests.toy")
        for name in ("local", "synchronous"):
            executor = open_executor(name, jobs=3)
            outcome, _, _ = go(executor, Plan(graph, {}, prepared_kinds={"link"}, keep_going=True))
            assert executor.close(patience=20)
            outcomes.append(outcome)
    threads, none = outcomes
    assert threads.outputs == none.outputs
    assert threads.done == none.done
    assert set(threads.blocked) == set(none.blocked)
    assert {failure.job for failure in threads.failures} == {failure.job for failure in none.failures}
    assert len(threads.outputs) + len(threads.blocked) + len(threads.failures) == len(graph)


def test_progress_and_notes_from_jobs_reach_the_reporter_in_the_loops_thread():
    class Where(Recorder):
        def heard(self, event):
            super().heard(event)
            assert threading.current_thread() is threading.main_thread()

    recorder = Where()
    executor = open_executor("local", jobs=2)
    scheduler = Scheduler(executor, recorder)
    toys = [Toy(name=f"t{index}") for index in range(6)]

    def work(task):
        assert threading.current_thread() is not threading.main_thread()
        for done in (1, 2, 3, 10):
            scheduler.progress(task.job.key, done, 10)
        scheduler.note(f"from {task.job.derivation.label}")
        return Done(outputs=(), milliseconds=0)

    scheduler.run(Plan(Graph(toys), {}), work)
    assert executor.close(patience=20)
    assert sorted(event.data["text"] for event in recorder.named("note")) == [f"from t{index}" for index in range(6)]
    steps = [event.data["done"] for event in recorder.named("progress") if event.data["key"] == toys[0].key]
    assert steps[0] == 1
    assert steps[-1] == 10
    assert PROGRESS_PAUSE > 0.01
    assert len(steps) < 4  # steps that follow one another at once are not all told


def test_a_reporter_that_raises_ends_the_run():
    class Broken(Recorder):
        def finished(self, job, milliseconds, size):
            raise AssertionError("broken reporter")

    with pytest.raises(AssertionError, match="broken reporter"):
        Scheduler(open_executor("synchronous"), Broken()).run(
            Plan(Graph([Toy(name="a")]), {}), partial(run, workspace=Bench(), results=None)
        )


def test_an_interrupt_stops_cancels_and_is_raised_again():
    recorder, cancelled = Recorder(), threading.Event()
    executor = open_executor("local", jobs=1)
    stuck = [Toy(name=f"stuck-{index}") for index in range(3)]

    def work(task):
        os.kill(os.getpid(), signal.SIGINT)
        assert cancelled.wait(20)
        return Done(outputs=(), milliseconds=0)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Scheduler(executor, recorder, cancel=cancelled.set, patience=10).run(Plan(Graph(stuck), {}), work)
    assert time.monotonic() - began < 10
    assert len(recorder.named("started")) == 1
    assert recorder.names()[-2:] == ["interrupted", "ended"]
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit("cpu", print, "")


def test_sigterm_is_an_interrupt_of_its_own_and_the_handler_goes_away():
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        executor = open_executor("local", jobs=1)
        gate = threading.Event()

        def work(task):
            os.kill(os.getpid(), signal.SIGTERM)
            gate.wait(20)
            return Done(outputs=(), milliseconds=0)

        with pytest.raises(Terminated):
            Scheduler(executor, Recorder(), cancel=gate.set).run(Plan(Graph([Toy(name="a")]), {}), work)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_is_gone_soon_after_an_interrupt_even_when_a_job_hangs():
    code = textwrap.dedent("""
        import sys, time
        from envbuild.executors import open_executor
        from envbuild.graph import Graph
        from envbuild.plan import Plan
        from envbuild.reporter import Reporter
        from envbuild.errors import Terminated
        from envbuild.scheduler import Scheduler
        from tests.toy import Toy

        def work(task):
            print("running", flush=True)
            time.sleep(60)

        try:
            Scheduler(open_executor("local"), Reporter(), patience=0.2).run(Plan(Graph([Toy(name="a")]), {}), work)
        except Terminated:
            sys.exit(143)
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=30) == status
        assert time.monotonic() - began < 15
        process.stdout.close()


def test_sixty_known_packages_cost_milliseconds():
    fetches, link = environment(60)
    known: dict = {each.key: {} for each in fetches}

    def seconds() -> float:
        began = time.perf_counter()
        Plan(Graph([*fetches, link]), known, prepared_kinds={"link"}).ready()
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.005


def test_a_note_that_comes_after_a_run_is_heard_and_nothing_else_is(executor):
    recorder = Recorder()
    scheduler = Scheduler(executor, recorder)
    scheduler.note("too late")
    scheduler.progress(Toy(name="x").key, 1, 2)
    scheduler.hear()
    assert recorder.names() == ["note"]


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_far_is_pulled_and_counts_as_nothing_done(executor, gone):
    source = Toy(name="source", kind="fetch", purity="fixed")
    wheel = Toy(name="wheel", inputs=(source.key,))
    link = Toy(name="prefix", kind="link", inputs=(wheel.key,))
    bench = PullBench(gone)
    recorder = Recorder()
    plan = Plan(Graph([source, wheel, link]), {}, far={wheel.key})
    outcome = Scheduler(executor, recorder).run(plan, partial(run, workspace=bench, results=None))
    assert outcome.error() is None
    assert link.key in outcome.outputs
    done = dict(outcome.done)
    assert done == ({"fetch": 1, "toy": 1, "link": 1} if gone else {"link": 1})
    assert outcome.pulled == ({} if gone else {wheel.key: "team"})
    assert [event.data["phase"] for event in recorder.named("missed")] == (["pull"] if gone else [])


class PullBench(Bench):
    """Somebody else has the wheel, or had it when the plan was made."""

    def __init__(self, gone: bool) -> None:
        super().__init__()
        self.gone = gone

    def for_job(self, derivation, inputs, derivations):
        context = super().for_job(derivation, inputs, derivations)
        context.lock = lambda name, patient=False: threading.Lock()
        return context

    def known(self, derivations):
        return {}

    def pull(self, derivation):
        return None if self.gone else {"out": _output(self, derivation)}

    def came_from(self, outputs):
        return (
            "team" if not self.gone and any(self.blobs[each.sha256] == b"wheel" for each in outputs.values()) else None
        )


def _output(bench: Bench, derivation: Toy) -> Output:
    data = derivation.name.encode()
    bench.blobs[digest_bytes(data)] = data
    return Output(sha256=digest_bytes(data), size=len(data))
