from __future__ import annotations

import pickle
import re
from contextlib import contextmanager

import pytest

from envbuild import worker
from envbuild.derivations import KINDS, Output
from envbuild.digest import digest_bytes
from envbuild.errors import EnvbuildError, NoSpaceError, UnreachableError
from envbuild.job import Job
from envbuild.store import Result
from envbuild.worker import Done, Task, run
from tests.toy import Bench, Toy


class Results:
    def __init__(self) -> None:
        self.put_results: list[Result] = []

    def put(self, result: Result) -> str:
        self.put_results.append(result)
        return "created"


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "toy", "tests.toy")


def task(toy: Toy, *inputs: Toy, phase: str = "realise", bench: Bench | None = None) -> Task:
    outputs = {each.key: {"out": _published(bench, each)} for each in inputs}
    job = Job(key=toy.key, phase=phase, input=inputs[0].key if phase == "prepare" else None, derivation=toy)
    return Task(job=job, inputs=outputs, derivations={each.key: each for each in inputs})


def _published(bench: Bench | None, toy: Toy):
    assert bench is not None
    return bench.for_job(toy, {}, {}).put_bytes(toy.name.encode())


def test_a_job_is_done_and_its_result_recorded():
    bench, results = Bench(), Results()
    first = Toy(name="first")
    second = Toy(name="second", inputs=(first.key,))
    done = run(task(second, first, bench=bench), bench, results)
    assert dict(done.outputs)["out"].sha256 == digest_bytes(b"second")
    (result,) = results.put_results
    assert (result.kind, result.key, result.output()) == ("toy", second.key, dict(done.outputs)["out"])
    assert result.platform == "linux-64"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result.created)
    assert result.builder.startswith("envbuild ")
    assert result.milliseconds == done.milliseconds


@pytest.mark.parametrize("purity", ["fixed", "impure"])
def test_what_is_not_pure_is_not_recorded(purity):
    results = Results()
    run(task(Toy(name="a", purity=purity)), Bench(), results)
    assert results.put_results == []


def test_without_results_nothing_is_recorded_and_the_work_is_done():
    assert run(task(Toy(name="a")), Bench(), None).outputs


def test_a_preparation_has_no_outputs_and_no_record():
    bench, results = Bench(), Results()
    first = Toy(name="first")
    second = Toy(name="second", inputs=(first.key,))
    done = run(task(second, first, phase="prepare", bench=bench), bench, results)
    assert done.outputs == ()
    assert results.put_results == []


def test_notes_are_passed_on_and_kept_once():
    bench, results = Bench(), Results()
    done = run(task(Toy(name="a", does="note=no dates on this index")), bench, results)
    assert done.notes == ("no dates on this index",)
    assert bench.notes == ["no dates on this index"] * 2
    assert results.put_results[0].notes == done.notes


def test_the_kinds_own_error_passes_untouched():
    with pytest.raises(UnreachableError) as caught:
        run(task(Toy(name="a", does="fail")), Bench(), Results())
    assert (caught.value.reference, caught.value.hint) == ("asleep", "wake it")


@pytest.mark.parametrize(
    ("does", "kind", "reference", "text"),
    [
        ("full", NoSpaceError, "no-space", "the disk is full: toy a could not be written"),
        ("read-only", NoSpaceError, "not-writable", "toy a may not write here"),
        ("io-error", EnvbuildError, "defect", "toy a met OSError: Input/output error"),
        ("defect", EnvbuildError, "defect", "toy a met what it does not know: ZeroDivisionError: nobody foresaw this"),
    ],
)
def test_other_errors_become_ours_with_their_cause(does, kind, reference, text):
    results = Results()
    with pytest.raises(kind, match=re.escape(text)) as caught:
        run(task(Toy(name="a", does=does)), Bench(), results)
    assert type(caught.value) is kind
    assert caught.value.reference == reference
    assert caught.value.__cause__ is not None
    assert results.put_results == []
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), type(again)) == (str(caught.value), kind)


def test_asking_for_an_undeclared_input_is_a_defect():
    bench = Bench()
    other = Toy(name="other")
    _published(bench, other)
    with pytest.raises(EnvbuildError) as caught:
        run(task(Toy(name="nosy", does=f"blob={other.key}"), bench=bench), bench, None)
    assert caught.value.exit_code == 1
    assert isinstance(caught.value.__cause__, KeyError)


def test_task_and_done_can_be_pickled():
    bench = Bench()
    first = Toy(name="first")
    given = task(Toy(name="second", inputs=(first.key,)), first, bench=bench)
    again = pickle.loads(pickle.dumps(given))
    assert again == given
    assert again.job.derivation == given.job.derivation
    done = run(again, bench, None)
    assert pickle.loads(pickle.dumps(done)) == done
    assert isinstance(done, Done)


class OnceBench(Bench):
    """A bench whose kind is done once: it has locks, and knows what was recorded."""

    def __init__(self, results: Results) -> None:
        super().__init__()
        self.results = results
        self.taken: list[tuple[str, bool]] = []
        self.meanwhile: Result | None = None

    def for_job(self, derivation, inputs, derivations):
        context = super().for_job(derivation, inputs, derivations)
        context.lock = self.take
        return context

    @contextmanager
    def take(self, name: str, *, patient: bool = False):
        self.taken.append((name, patient))
        if self.meanwhile is not None:
            self.results.put(self.meanwhile)
        yield

    def known(self, derivations):
        return {
            each.key: dict(result.outputs)
            for each in derivations
            for result in self.results.put_results
            if result.key == each.key and all(output.sha256 in self.blobs for _, output in result.outputs)
        }


class StoredResults(Results):
    """The first record for a key stands until it is deleted."""

    def put(self, result: Result) -> str:
        if any(known.key == result.key for known in self.put_results):
            return "exists"
        return super().put(result)

    def delete(self, kind: str, key: str) -> None:
        self.put_results = [known for known in self.put_results if known.key != key]


def recorded(toy: Toy, text: bytes) -> Result:
    outputs = (("out", Output(sha256=digest_bytes(text), size=len(text))),)
    return Result(
        kind="toy", key=toy.key, outputs=outputs, platform="linux-64", created="", milliseconds=9, builder="another"
    )


def test_what_another_process_did_while_this_one_waited_is_the_result(monkeypatch):
    monkeypatch.setattr(worker, "_ONCE", frozenset({"toy"}))
    toy, results = Toy(name="long"), StoredResults()
    bench = OnceBench(results)
    bench.blobs[digest_bytes(b"theirs")] = b"theirs"
    bench.meanwhile = recorded(toy, b"theirs")
    done = run(task(toy, bench=bench), bench, results)
    assert done == Done(outputs=bench.meanwhile.outputs, milliseconds=0, found=True)
    assert bench.taken == [(f"toy-{toy.key}", True)]
    assert results.put_results == [bench.meanwhile]


def test_a_record_whose_outputs_are_lost_makes_way_for_the_new_one(monkeypatch):
    monkeypatch.setattr(worker, "_ONCE", frozenset({"toy"}))
    toy, results = Toy(name="long"), StoredResults()
    bench = OnceBench(results)
    bench.meanwhile = recorded(toy, b"lost")
    done = run(task(toy, bench=bench), bench, results)
    assert not done.found
    assert [result.output() for result in results.put_results] == [dict(done.outputs)["out"]]


def test_short_work_and_work_that_nobody_records_take_no_lock(monkeypatch):
    toy, results = Toy(name="short"), StoredResults()
    bench = OnceBench(results)
    run(task(toy, bench=bench), bench, results)
    monkeypatch.setattr(worker, "_ONCE", frozenset({"toy"}))
    run(task(toy, bench=bench), bench, None)
    assert bench.taken == []
