"""Commands and stores in trouble: R15, R16, R17, R19 and R20 of the design. Trouble costs time, never correctness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counts import COUNTS
from tests.faults.far import Far, everywhere, notes
from tests.faults.figures import count, worst
from tests.faults.test_requests import EXPIRED, LOGIN
from tests.faults.world import Outcome
from tests.support.fault_proxy import fault_proxy

LONGEST = 120.0
"""Seconds that a store in trouble may cost, at most."""

FILES = 5
"""Packages of the environment."""


def fetched(outcome: Outcome) -> tuple[int, int]:
    """How many packages came from their origin, and from stores."""
    (found,) = json.loads(outcome.out)["environments"]
    return found["fetched"], found["pulled"]


@everywhere
@pytest.mark.parametrize("times", [1, 2, 3] if COUNTS.full else [3])
@pytest.mark.parametrize("how", ["503", "500", "429", "408", "reset", "no answer"] if COUNTS.full else ["503", "reset"])
def test_R16_trouble_that_passes_is_not_even_noticed(far: Far, how: str, times: int) -> None:
    fault: dict[str, Any] = {"status": int(how)} if how.isdigit() else {how.replace("no answer", "drop_reply"): True}
    for method in {"GET", far.heads}:
        for name in ("*format.json", "*/blobs/*"):
            far.proxy.fault(method, name, times=times, **fault)
    outcome = far.realized()
    assert fetched(outcome) == (0, FILES)
    assert notes(outcome) == []
    worst("seconds of a command whose store failed three times", outcome.seconds)
    far.emptied()
    for name in ("*blobs*", "*environments*") if far.puts == "PUT" else ("*",):
        far.proxy.fault(far.puts, name, times=times, **fault)
    assert notes(far.realized()) == []
    far.fresh()
    far.proxy.forget()
    assert fetched(far.realized()) == (0, FILES), "everything was sent"
    far.proxy.fault("GET", "*", times=times, **fault)
    assert json.loads(far.run("store", "info", "--json").out)["stores"][0]["environments"] == 1
    count("commands beside stores that failed one to three times (GET, HEAD, PUT, LIST), unnoticed", 3, 3)


def dead(far: Far, how: str, request: pytest.FixtureRequest) -> None:
    """From now on the store is in trouble for good."""
    if how == "gone":
        far.proxy.refuse_all = True
    elif how.isdigit():
        far.proxy.fault("*", status=int(how), times=100_000)
    elif how == "asks to wait for an hour":
        far.proxy.fault("*", status=503, headers={"Retry-After": "3600"}, times=100_000)
    elif how == "reset":
        far.proxy.fault("*", reset=True, times=100_000)
    elif how == "cut":
        far.proxy.fault("GET", cut_after=3, times=100_000)
    elif how == "no such host":
        far.use(far.filled, AWS_ENDPOINT_URL="http://nowhere.invalid:9000")
    elif how == "no such port":
        far.use(far.filled, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    else:
        assert how == "a certificate that nobody trusts"
        authority: Path = request.getfixturevalue("authority")
        proxy = fault_proxy(far.proxy.target, emulates="moto", certificate=authority)
        url = proxy.__enter__().url
        request.addfinalizer(lambda: proxy.__exit__(None, None, None))
        far.use(far.filled, AWS_ENDPOINT_URL=url)


FOR_GOOD = ("gone", "500", "503", "429", "408", "reset", "cut") if COUNTS.full else ("gone", "503")
OF_S3 = ("no such host", "no such port", "a certificate that nobody trusts")


def costs_time_only(far: Far, how: str, request: pytest.FixtureRequest) -> None:
    dead(far, how, request)
    outcome = far.realized()
    assert fetched(outcome) == (FILES, 0)
    assert len(notes(outcome)) == 1, outcome.err
    assert outcome.seconds < LONGEST
    worst("seconds of a command whose store never answers, with packages from their origin", outcome.seconds)
    count("commands beside stores that never answer rightly: a miss and one line, packages from their origin", 1, 1)
    far.fresh()
    far.close()
    outcome = far.realized(code=5)
    assert outcome.seconds < LONGEST
    assert len(notes(outcome)) == 1, outcome.err
    worst("seconds of a command that fails because neither store nor origin answers", outcome.seconds)
    count("commands without store and origin: exit 5, nothing linked, nothing left", 1, 1)


@everywhere
@pytest.mark.parametrize("how", FOR_GOOD)
def test_R16_trouble_for_good_is_a_miss_and_one_line(far: Far, how: str, request: pytest.FixtureRequest) -> None:
    costs_time_only(far, how, request)


@pytest.mark.parametrize("how", OF_S3 if COUNTS.full else OF_S3[2:])
def test_R16_no_name_no_port_no_trust(far: Far, how: str, request: pytest.FixtureRequest) -> None:
    costs_time_only(far, how, request)


@pytest.mark.skipif(not COUNTS.full, reason="TAKES MINUTES: ./dev torture")
def test_R16_a_store_that_asks_for_an_hour_gets_two_minutes_at_most(far: Far, request: pytest.FixtureRequest) -> None:
    costs_time_only(far, "asks to wait for an hour", request)


@pytest.fixture
def answering(far: Far) -> Iterator[Callable[..., object]]:
    """``answering(status=…)``: every blob that is read is answered so."""
    yield lambda **fault: far.proxy.fault("GET", "*/blobs/sha256/*", times=100_000, **fault)
    far.proxy.forget()


WRONG: dict[str, dict[str, Any]] = {
    "a page to sign in": {"status": 200, "body": LOGIN, "headers": {"Content-Type": "text/html"}},
    "a part": {"status": 206, "body": b"x" * 100, "headers": {"Content-Range": "bytes 0-99/1000000"}},
    "nothing": {"status": 200, "body": b""},
    "packed": {"status": 200, "body": b"\x1f\x8b garbage", "headers": {"Content-Encoding": "gzip"}},
    **{f"cut at {cut}": {"cut_after": cut} for cut in (0, 1, 13, 50, 74, 150, 1000)},
}


@everywhere
@pytest.mark.parametrize("how", WRONG if COUNTS.full else ["a page to sign in", "cut at 13"])
def test_R15_answers_that_are_no_packages(far: Far, how: str, answering: Callable[..., object]) -> None:
    answering(**WRONG[how])
    outcome = far.realized()
    assert fetched(outcome) == (FILES, 0)
    assert 1 <= len(notes(outcome)) <= FILES, outcome.err
    worst("seconds of a command whose store gives cut or foreign answers for good", outcome.seconds)
    far.fresh()
    far.close()
    outcome = far.realized(code=5)
    assert outcome.seconds < 60
    count("commands whose store gives cut or foreign answers for good: origin, or exit 5", 2, 2)


@everywhere
def test_R17_one_transfer_that_stands_still_holds_up_no_other(far: Far) -> None:
    (slow,) = [sha256 for sha256, file in far.packages("both").items() if file.startswith("bulky")]
    far.proxy.fault("GET", f"*/{slow}", stall=60.0)
    outcome = far.realized(environ={"ENVBUILD_STALL_TIMEOUT": "3"})
    assert fetched(outcome) == (0, FILES)
    reads = [seen.path.rpartition("/")[2] for seen in far.proxy.matching("GET", "*/blobs/*")]
    if far.heads == "GET":
        reads = [path for path, seen in zip(reads, far.proxy.matching("GET", "*/blobs/*"), strict=True) if seen.query]
    assert reads.count(slow) >= 2, "it was given up, and asked for again"
    last = max(index for index, name in enumerate(reads) if name == slow)
    assert set(far.packages("both")) <= set(reads[: last + 1]), "the others did not wait for it"
    assert outcome.seconds < 30
    count("commands with one transfer that stands still: given up and asked again, the others not held up", 1, 1)


@everywhere
@pytest.mark.parametrize("good", [0, 3])
def test_R19_a_store_that_takes_no_writes(far: Far, good: int) -> None:
    """From the start: one put is tried. After the third: one, and at most one that was under way beside it."""
    far.emptied()
    refusals = far.proxy.fault(far.puts, status=403, times=1000, skip=good)
    outcome = far.realized()
    tried = 1000 - refusals.times
    assert len(notes(outcome)) == 1, outcome.err
    assert "cannot be written" in outcome.err
    if good:
        assert 1 <= tried <= 2, "and at most one more, which was under way"
        worst("puts under way, and so refused too, when a store begins to refuse them", tried)
    else:
        assert tried == 1
    count("commands beside stores that refuse writes, from the start or after three: exit 0, one line", 1, 1)


@everywhere
def test_R20_credentials_that_end_in_the_middle(far: Far) -> None:
    kind = far.cloud.scheme
    if kind != "az":  # an account's key does not expire
        far.proxy.fault("GET", "*/blobs/*", **EXPIRED[kind])
        outcome = far.realized()
        assert (fetched(outcome), notes(outcome)) == ((0, FILES), [])
        count("commands whose credentials expired in the middle and were renewed, unnoticed", 1, 1)
        far.fresh()
        far.proxy.forget()
    far.proxy.fault("*", "*/blobs/*", times=1000, skip=6, **EXPIRED[kind])
    outcome = far.realized()
    assert len(notes(outcome)) <= 1, outcome.err
    far.emptied()
    far.proxy.fault(far.puts, times=1000, skip=2, **EXPIRED[kind])
    outcome = far.realized()
    assert len(notes(outcome)) == 1, outcome.err
    assert outcome.seconds < LONGEST
    count("commands whose credentials expired for good while reading or writing: exit 0, one line", 2, 2)
