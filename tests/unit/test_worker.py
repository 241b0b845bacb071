from __future__ import annotations

import pickle
import re

import pytest

from envbuild.derivations import KINDS
from envbuild.digest import digest_bytes
from envbuild.errors import EnvbuildError, NoSpaceError, UnreachableError
from envbuild.plan import Job
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
