from __future__ import annotations

import inspect
import io
import json

import pytest

from envbuild.digest import Digest
from envbuild.errors import UnreachableError
from envbuild.job import Job, Summary
from envbuild.reporter import JsonLines, Recorder, Reporter, Several
from tests.toy import Toy

NUMPY = Toy(name="numpy 1.26.4", kind="fetch")
LINK = Toy(name="train", kind="link", inputs=(NUMPY.key,))
PREPARE = Job(key=LINK.key, phase="prepare", input=NUMPY.key, derivation=LINK)
SUMMARY = Summary(hits=1, needed=(("fetch", 2),), fetch_bytes=7, unknown_sizes=0, milliseconds=60)

CALLS = {
    "plan_made": (SUMMARY,),
    "plan_grown": (SUMMARY,),
    "recipe_ended": ("recipes/train.yaml", "done", 3, 30),
    "hit": (NUMPY,),
    "started": (PREPARE,),
    "progress": (NUMPY.key, 3, None),
    "finished": (PREPARE, 12, 0),
    "failed": (PREPARE, UnreachableError("asleep", reference="asleep")),
    "missed": (Job(key=LINK.key, phase="pull", derivation=LINK),),
    "blocked": (LINK, NUMPY),
    "note": ("ça va",),
    "interrupted": (),
    "ended": (99,),
}
HOOKS = {name for name, _ in inspect.getmembers(Reporter, inspect.isfunction) if not name.startswith("_")}


def tell_all(reporter: Reporter) -> None:
    for name, arguments in CALLS.items():
        getattr(reporter, name)(*arguments)


def test_every_hook_is_tried_here():
    assert set(CALLS) == HOOKS


def test_the_base_does_nothing():
    assert all(getattr(Reporter(), name)(*arguments) is None for name, arguments in CALLS.items())


def test_several_tell_each_everything_in_order():
    one, two = Recorder(), Recorder()
    tell_all(Several(one, two))
    assert one.names() == two.names() == list(CALLS)


def test_the_recorder_keeps_events_with_rising_times():
    recorder = Recorder()
    tell_all(recorder)
    assert recorder.names() == list(CALLS)
    times = [event.seconds for event in recorder.events]
    assert times == sorted(times)
    assert recorder.named("failed")[0].data["message"] == "asleep"


def test_a_span_needs_both_ends():
    recorder = Recorder()
    recorder.started(PREPARE)
    with pytest.raises(KeyError):
        recorder.span(LINK.key, input=NUMPY.key)
    recorder.finished(PREPARE, 1, 0)
    started, finished = recorder.span(LINK.key, input=NUMPY.key)
    assert 0 <= started <= finished
    with pytest.raises(KeyError):
        recorder.span(LINK.key)


def test_json_lines_are_one_versioned_object_each():
    stream = io.StringIO()
    tell_all(JsonLines(stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.pop("event") for line in lines] == list(CALLS)
    assert all(line.pop("version") == 1 and line.pop("seconds") >= 0 for line in lines)
    named = {"kind": "link", "key": LINK.key, "label": "train", "phase": "prepare", "input": NUMPY.key}
    assert dict(zip(CALLS, lines, strict=True)) == {
        "plan_made": {
            "hits": 1,
            "needed": {"fetch": 2},
            "fetch_bytes": 7,
            "unknown_sizes": 0,
            "expected_milliseconds": 60,
        },
        "plan_grown": {
            "hits": 1,
            "needed": {"fetch": 2},
            "fetch_bytes": 7,
            "unknown_sizes": 0,
            "expected_milliseconds": 60,
        },
        "recipe_ended": {"recipe": "recipes/train.yaml", "state": "done", "ended": 3, "total": 30},
        "hit": {"kind": "fetch", "key": NUMPY.key, "label": "numpy 1.26.4"},
        "started": named,
        "progress": {"key": NUMPY.key, "done": 3, "total": None},
        "finished": {**named, "milliseconds": 12, "size": 0},
        "failed": {**named, "reference": "asleep", "message": "asleep"},
        "missed": {**named, "phase": "pull", "input": None},
        "blocked": {"kind": "link", "key": LINK.key, "label": "train", "failed": NUMPY.key},
        "note": {"text": "ça va"},
        "interrupted": {},
        "ended": {"milliseconds": 99},
    }


def test_an_unforeseen_error_is_told_as_a_defect():
    recorder = Recorder()
    recorder.failed(Job(key=Digest(NUMPY.key), derivation=NUMPY), ZeroDivisionError("x"))
    assert recorder.events[0].data["reference"] == "defect"
