"""The document that says what an environment's builds came to: one for the same results, and strict to read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envbuild.compile import build_graph
from envbuild.derivations import Output
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import IntegrityError
from envbuild.package import Platform
from envbuild.store.outputs import (
    OUTPUTS,
    EnvironmentOutputs,
    agrees,
    environment_outputs,
    linked_results,
    outputs_name,
    outputs_to_bytes,
    parse_outputs,
)
from tests.unit.test_compile import BY_URL, CLICK, ZLIB, lock_of
from tests.unit.test_compile import environment as environment_of

LINUX = Platform("linux-64")
ENVIRONMENT, KEY, BLOB = (Digest(letter * 64) for letter in "abc")
GOOD = EnvironmentOutputs(
    platform=LINUX,
    environment=ENVIRONMENT,
    results=(("build-wheel", KEY, {"out": Output(sha256=BLOB, size=7), "log": Output(sha256=KEY, size=0)}),),
)


def read(data: bytes) -> EnvironmentOutputs:
    return parse_outputs(data, digest_bytes(data), LINUX, ENVIRONMENT)


def test_the_same_results_are_the_same_bytes_and_come_back() -> None:
    digest, data = outputs_to_bytes(GOOD)
    ((kind, key, outputs),) = GOOD.results
    swapped = EnvironmentOutputs(
        platform=LINUX, environment=ENVIRONMENT, results=((kind, key, dict(reversed(outputs.items()))),)
    )
    assert outputs_to_bytes(swapped) == (digest, data)
    assert read(data) == GOOD
    found = OUTPUTS.fullmatch(outputs_name(LINUX, KEY, ENVIRONMENT, digest))
    assert found is not None
    assert found.groups() == (LINUX, KEY, ENVIRONMENT, digest)


def test_it_names_what_the_link_reads_and_nothing_that_has_an_origin() -> None:
    environment = environment_of(conda=(ZLIB, BY_URL), wheels=(CLICK,))
    graph = build_graph(lock_of(environment), environment, conda_format=".tar.bz2")
    keys = linked_results(graph)
    assert [graph[key].kind for key in keys] == ["transmute", "transmute"]
    assert environment_outputs(graph, environment.platform, environment.id, {}) is None
    known = {key: {"out": Output(sha256=BLOB, size=1)} for key in (*keys, Digest("d" * 64))}
    document = environment_outputs(graph, environment.platform, environment.id, known)
    assert document is not None
    assert [(kind, key) for kind, key, _ in document.results] == [("transmute", key) for key in sorted(keys)]


def test_what_only_tells_of_the_work_is_no_part_of_it() -> None:
    environment = environment_of(conda=(ZLIB,))
    graph = build_graph(lock_of(environment), environment, conda_format=".tar.bz2")
    (key,) = linked_results(graph)

    def digest(**told: str) -> Digest:
        outputs = {name: Output(sha256=Digest(letter * 64), size=1) for name, letter in told.items()}
        document = environment_outputs(graph, environment.platform, environment.id, {key: outputs})
        assert document is not None
        return outputs_to_bytes(document)[0]

    assert digest(out="a", record="b", log="c") == digest(out="a", record="d", log="e") == digest(out="a")
    assert digest(out="a", record="b") != digest(out="b", record="b")


def test_a_record_agrees_as_far_as_the_document_says_something() -> None:
    out, log = Output(sha256=BLOB, size=7), Output(sha256=KEY, size=0)
    assert agrees({"out": out, "log": log}, {"out": out})
    assert not agrees({"out": log, "log": log}, {"out": out})
    assert not agrees({"log": log}, {"out": out})
    assert not agrees({"out": out}, {"out": out, "log": log}), "of an older document, that names logs"


def test_other_bytes_and_another_environment_are_refused() -> None:
    digest, data = outputs_to_bytes(GOOD)
    for changed in (data[:-1], data + b" ", data.replace(b"7", b"8", 1), b""):
        with pytest.raises(IntegrityError, match="holds other bytes") as caught:
            parse_outputs(changed, digest, LINUX, ENVIRONMENT)
        assert caught.value.reference == "wrong-closure"
    for platform, environment in ((Platform("osx-64"), ENVIRONMENT), (LINUX, KEY)):
        with pytest.raises(IntegrityError, match="not of"):
            parse_outputs(data, digest, platform, environment)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"results":' * 50_000, b'{"a": NaN}', b"1e999"],
    ids=lambda data: repr(data[:12]),
)
def test_H58_what_is_no_document_is_refused_though_its_digest_is_right(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="names no outputs") as caught:
        read(data)
    assert caught.value.reference == "wrong-closure"


def _result(**changes: Any) -> dict[str, Any]:
    return {"kind": "build-wheel", "key": KEY, "outputs": {"out": {"sha256": BLOB, "size": 7}}, **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"version": 1.0},
        {"more": 1},
        {"platform": 1},
        {"environment": ENVIRONMENT.upper()},
        {"environment": None},
        {"results": {}},
        {"results": [1]},
        {"results": [_result(), _result()]},
        {"results": [_result(kind="solve")]},
        {"results": [_result(kind=["build-wheel"])]},
        {"results": [_result(kind="../../refs")]},
        {"results": [_result(key="../" * 20)]},
        {"results": [_result(key=KEY + "\n")]},
        {"results": [_result(outputs={})]},
        {"results": [_result(outputs=[])]},
        {"results": [_result(more=1)]},
        {"results": [_result(outputs={"out": {"sha256": BLOB, "size": -1}})]},
        {"results": [_result(outputs={"out": {"sha256": BLOB, "size": 7.0}})]},
        {"results": [_result(outputs={"out": {"sha256": BLOB, "size": True}})]},
        {"results": [_result(outputs={"out": {"sha256": BLOB}})]},
        {"results": [_result(outputs={"out": BLOB})]},
    ],
    ids=repr,
)
def test_every_field_is_looked_at(change: dict[str, Any]) -> None:
    tree = json.loads(outputs_to_bytes(GOOD)[1])
    with pytest.raises(IntegrityError, match="names no outputs"):
        read(json.dumps({**tree, **change}).encode())


def test_a_key_that_stands_twice_is_refused() -> None:
    data = outputs_to_bytes(GOOD)[1]
    with pytest.raises(IntegrityError, match="stands twice"):
        read(data.replace(b'"version":1', b'"version":1,"version":1'))
