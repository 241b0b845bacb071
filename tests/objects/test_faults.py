"""What goes wrong between us and a store, at each kind of server: cut, refused, slow, lost, half sent, wrong."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envbuild.errors import UnreachableError, UsageError
from envbuild.machine.publish import Incoming
from envbuild.objects.opening import open_objects
from envbuild.objects.retrying import Patience
from tests.objects.conftest import CLOUDS, Place, everywhere
from tests.support.fault_proxy import FaultProxy

SERVED = (*CLOUDS, "http")
DATA = os.urandom(200_000)
CUTS = (0, 1, 13, 50, 74, 150, 8096, 16384, 20000, 199_999)
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


def proxy_of(place: Place) -> FaultProxy:
    """The proxy, its log emptied."""
    assert place.proxy is not None
    place.proxy.forget()
    return place.proxy


def put_method(place: Place) -> str:
    return "POST" if place.kind == "gs" else "PUT"


def read_methods(place: Place) -> tuple[str, str]:
    """Of a read, and of a size."""
    return "GET", "GET" if place.kind == "gs" else "HEAD"


@everywhere(*SERVED)
def test_a_transfer_that_is_cut_begins_anew_and_ends_right(place: Place, tmp_path: Path) -> None:
    place.fill("a/b", DATA)
    objects = place.open()
    proxy = proxy_of(place)
    for cut in CUTS if place.kind != "az" else (1, 20000):  # whose library waits a second before it asks again
        proxy.forget()
        proxy.fault("GET", "*/a/b", cut_after=cut, times=2)
        with Incoming(tmp_path / "incoming") as into:
            assert objects.fetch("a/b", into, len(DATA))
            assert into.digest == hashlib.sha256(DATA).hexdigest()
            assert into.size == len(DATA)
        assert proxy.count("GET", "*/a/b") == 3, cut
        proxy.forget()
        proxy.fault("GET", "*/a/b", cut_after=cut, times=2)
        assert objects.read("a/b") == DATA


@everywhere(*SERVED)
def test_a_transfer_that_is_always_cut_is_unreachable_and_never_whole(place: Place, tmp_path: Path) -> None:
    place.fill("a/b", DATA)
    objects = place.open()
    proxy = proxy_of(place)
    proxy.fault("GET", "*/a/b", cut_after=100_000, times=99)
    with Incoming(tmp_path / "incoming") as into:
        with pytest.raises(UnreachableError) as caught:
            objects.fetch("a/b", into, len(DATA))
        assert into.size < len(DATA)
    assert caught.value.retryable
    assert "asked 6 times" in caught.value.message
    # Azure's library asks for a cut body three times whatever it is told, and nobody else does.
    assert proxy.count("GET", "*/a/b") == 6 * (3 if place.kind == "az" else 1)


@everywhere("gs", "az", "http")
def test_flipped_bytes_come_as_they_are_for_the_hash_to_tell(place: Place, tmp_path: Path) -> None:
    place.fill("a/b", DATA)
    objects = place.open()
    proxy_of(place).fault("GET", wrong_bytes=True)
    with Incoming(tmp_path / "incoming") as into:
        assert objects.fetch("a/b", into, len(DATA))
        assert into.size == len(DATA)
        assert into.digest != hashlib.sha256(DATA).hexdigest()


@everywhere("s3")
def test_flipped_bytes_of_s3_are_found_by_its_own_checksum_and_asked_again(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open()
    proxy = proxy_of(place)
    proxy.fault("GET", wrong_bytes=True)
    assert objects.read("a/b") == DATA
    assert proxy.count("GET") == 2
    proxy.fault("GET", wrong_bytes=True, times=99)
    with pytest.raises(UnreachableError) as caught:
        objects.read("a/b")
    assert caught.value.retryable


@everywhere(*SERVED)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again_and_only_by_us(place: Place, status: int) -> None:
    place.fill("a/b", b"there")
    objects = place.open()
    proxy = proxy_of(place)
    read, size = read_methods(place)
    proxy.fault(read, status=status, body=BUSY, times=3)
    assert objects.read("a/b") == b"there"
    assert proxy.count(read) == 4
    proxy.forget()
    proxy.fault(size, status=status, body=b"", times=3)
    assert objects.sizes(["a/b"]) == {"a/b": 5}
    assert proxy.count(size) == 4
    if place.kind == "http":
        return
    proxy.forget()
    proxy.fault(put_method(place), status=status, body=BUSY, times=3)
    assert objects.put("a/c", b"made") == "created"
    assert proxy.count(put_method(place)) == 4
    proxy.forget()
    proxy.fault("GET", status=status, body=BUSY, times=3)
    assert {item.name for item in objects.list("a/")} == {"a/b", "a/c"}
    assert proxy.count("GET") == 4
    proxy.forget()
    proxy.fault("DELETE", status=status, body=BUSY, times=3)
    objects.delete("a/c")
    assert proxy.count("DELETE") == 4


@everywhere(*SERVED)
def test_what_never_passes_is_asked_as_often_as_said_and_no_more(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(attempts=3, pause=0.01))
    proxy = proxy_of(place)
    proxy.fault("*", status=503, body=BUSY, times=999)
    asks = [lambda: objects.read("a/b"), lambda: objects.sizes(["a/b"])]
    if place.kind != "http":
        asks += [lambda: objects.put("a/c", b""), lambda: list(objects.list("")), lambda: objects.delete("a/b")]
    for number, ask in enumerate(asks, start=1):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.retryable
        assert "asked 3 times" in caught.value.message
        assert proxy.count("*") == 3 * number


@everywhere(*SERVED)
def test_the_deadline_ends_asking(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(deadline=0.0, attempts=99, pause=0.01))
    proxy = proxy_of(place)
    proxy.fault("*", status=503, body=BUSY, times=999)
    with pytest.raises(UnreachableError):
        objects.read("a/b")
    assert proxy.count("GET") == 1


@everywhere(*SERVED)
def test_a_server_that_says_how_long_to_wait_is_not_asked_before(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(pause=0.001, longest=5))
    proxy_of(place).fault("GET", status=503, body=BUSY, headers={"Retry-After": "1"})
    began = time.monotonic()
    assert objects.read("a/b") == b"there"
    assert time.monotonic() - began >= 1.0


@everywhere(*SERVED)
@pytest.mark.parametrize("status", [400, 405, 501])
def test_what_cannot_pass_is_asked_once(place: Place, status: int) -> None:
    objects = place.open()
    proxy = proxy_of(place)
    proxy.fault("*", status=status, body=b"<Error><Code>Whatever</Code></Error>", times=99)
    for ask in (lambda: objects.read("a/b"), lambda: objects.sizes(["a/b"])):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert not caught.value.retryable
    # A HEAD that says 400 may be about credentials that have expired: they are read anew, once. (botocore also asks for
    # the bucket's region.)
    assert proxy.count("*", "*/a/b") == 2 + (place.kind == "s3" and status == 400)


@everywhere(*CLOUDS)
def test_a_put_whose_answer_is_lost_is_there_once(place: Place, tmp_path: Path) -> None:
    objects = place.open()
    proxy = proxy_of(place)
    large = tmp_path / "large"
    large.write_bytes(DATA * 100)
    proxy.fault(put_method(place), drop_reply=True)
    assert objects.put("a/small", b"mine") == "exists"
    assert objects.read("a/small") == b"mine"
    # of a large one, the answer to the request that makes it visible
    proxy.forget()
    last, skip = {"s3": ("POST", 1), "gs": ("POST", 0), "az": ("PUT", 5)}[place.kind]
    lost = proxy.fault(last, "*large*" if place.kind != "gs" else "*", drop_reply=True, skip=skip)
    assert objects.put("a/large", large) == "exists"
    assert lost.times == 0
    into = bytearray()

    class Into:
        def write(self, data: bytes) -> None:
            into.extend(data)

        def restart(self) -> None:
            into.clear()

    assert objects.fetch("a/large", Into())
    assert bytes(into) == large.read_bytes()


@everywhere(*CLOUDS)
def test_an_upload_that_is_cut_is_never_seen_and_succeeds_when_asked_again(place: Place, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(20_000_000))
    proxy = proxy_of(place)
    for cut in (0, 100_000, 3_000_000):
        objects = place.open(patience=Patience(attempts=2, pause=0.01))
        uploads = "PUT" if place.kind != "gs" else "POST"
        proxy.fault(uploads, cut_upload=cut, times=99)
        with pytest.raises(UnreachableError) as caught:
            objects.put(f"cut/{cut}", large)
        assert caught.value.retryable
        proxy.forget()
        assert objects.read(f"cut/{cut}", 30_000_000) is None
        assert objects.sizes([f"cut/{cut}"]) == {}
        assert list(objects.list("cut/")) == []
        proxy.fault(uploads, cut_upload=cut)
        assert objects.put(f"cut/{cut}", large) == "created"
        assert objects.sizes([f"cut/{cut}"]) == {f"cut/{cut}": 20_000_000}
        objects.delete(f"cut/{cut}")


@everywhere(*SERVED)
def test_a_server_that_falls_silent_is_given_up_and_asked_again(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open(stall=1.0)
    objects.read("a/b")
    proxy = proxy_of(place)
    proxy.fault("GET", "*/a/b", stall=30.0)
    began = time.monotonic()
    assert objects.read("a/b") == DATA
    assert time.monotonic() - began < 20
    assert proxy.count("GET", "*/a/b") == 2


@everywhere("s3", "gs", "http")
def test_a_byte_a_second_is_silence_too(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open(stall=2.0, patience=Patience(attempts=1))
    proxy_of(place).fault("GET", "*/a/b", dribble=True, times=9)
    with pytest.raises(UnreachableError) as caught:
        objects.read("a/b")
    assert caught.value.retryable
    assert "stands still" in caught.value.message


@everywhere(*SERVED)
def test_a_network_that_is_gone_is_unreachable_and_may_come_back(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(attempts=2, pause=0.01))
    proxy = proxy_of(place)
    proxy.refuse_all = True
    for ask in (lambda: objects.read("a/b"), lambda: objects.sizes(["a/b", "a/c"])):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.retryable
    proxy.refuse_all = False
    assert objects.read("a/b") == b"there"


@everywhere(*SERVED)
def test_only_sizes_that_are_still_open_are_asked_for_again(place: Place) -> None:
    place.fill("a/3", b"there")
    objects = place.open()
    proxy = proxy_of(place)
    size = read_methods(place)[1]
    for number in (3, 5, 7):
        proxy.fault(size, f"*/a/{number}", status=503, body=b"", times=2)
    assert objects.sizes([f"a/{number}" for number in range(50)]) == {"a/3": 5}
    assert proxy.count(size) == 50 + 3 * 2


@everywhere(*SERVED)
def test_sixty_four_sizes_are_under_way_at_once(place: Place) -> None:
    objects = place.open()
    objects.read("a/b")
    proxy = proxy_of(place)
    proxy.latency = 0.5  # longer than a busy machine takes to start as many threads
    assert objects.sizes([f"a/{number}" for number in range(300)]) == {}
    assert proxy.most >= 64
    assert proxy.count("*") == 300


@everywhere(*CLOUDS)
def test_nothing_is_listed_on_the_way_of_reads_and_puts(place: Place) -> None:
    place.fill("a/there", b"there")
    objects = place.open()
    proxy = proxy_of(place)
    objects.read("a/there")
    objects.read("a/absent")
    objects.sizes(["a/there", "a/absent", "a"])
    objects.put("a/there", b"again")
    objects.put("a/new", b"new")
    objects.delete("a/new")
    assert proxy.count("*") == 8  # one request for each question
    lists = [seen for seen in proxy.matching("GET") if "prefix=" in seen.query]
    assert lists == []


@everywhere(*CLOUDS)
def test_every_way_to_create_sends_its_condition(place: Place, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"small")
    large.write_bytes(DATA * 100)
    objects = place.open()
    for name, source in {
        "w/bytes": b"x",
        "w/none": b"",
        "w/medium": DATA * 20,
        "w/file": small,
        "w/large": large,
    }.items():
        proxy = proxy_of(place)
        assert objects.put(name, source) == "created"
        if place.kind == "gs":
            (request,) = proxy.matching("POST")
            assert "ifGenerationMatch=0" in request.query
        else:
            # all but parts, which nobody sees
            visible = [
                seen
                for seen in [*proxy.matching("PUT"), *proxy.matching("POST")]
                if "partNumber=" not in seen.query and "uploads" not in seen.query and "comp=block&" not in seen.query
            ]
            (request,) = visible
            assert request.headers["if-none-match"] == "*", name


@everywhere("s3")
@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "SlowDown", "OperationAborted"])
def test_a_conflict_of_conditional_puts_is_asked_again(place: Place, code: str) -> None:
    objects = place.open()
    body = f"<Error><Code>{code}</Code><Message>again</Message></Error>".encode()
    proxy = proxy_of(place)
    proxy.fault("PUT", status=409 if code != "SlowDown" else 503, body=body, times=3)
    assert objects.put("a/b", b"made") == "created"
    assert proxy.count("PUT") == 4


@everywhere("http")
def test_with_a_deadline_it_is_asked_again_until_then_however_often(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ENVBUILD_DEADLINE``: a node of many waits for a store that is busy, and then lets its scheduler try again."""
    monkeypatch.setattr("envbuild.objects.retrying.random.uniform", lambda low, high: low)
    place.fill("a/b", DATA)
    objects = place.open(patience=None, environ={"ENVBUILD_DEADLINE": "60"})
    proxy_of(place).fault("GET", "*/a/b", status=503, times=40)
    assert objects.read("a/b") == DATA
    objects = place.open(patience=None, environ={"ENVBUILD_DEADLINE": "0.2"})
    proxy_of(place).fault("GET", "*/a/b", status=503, times=1_000_000)
    with pytest.raises(UnreachableError) as caught:
        objects.read("a/b")
    assert caught.value.retryable
    proxy_of(place).fault("GET", "*/a/b", status=503, times=40)
    with pytest.raises(UnreachableError, match="asked 6 times"):
        place.open(patience=None, environ={}).read("a/b")


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_deadline_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ENVBUILD_DEADLINE"):
        open_objects("https://store.example/", environ={"ENVBUILD_DEADLINE": text})


@everywhere("s3", "gs", "az")
def test_a_server_that_answers_late_is_asked_fewer_things_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envbuild.objects.window.LATE", 0.05)
    names = [f"a/{number}" for number in range(40)]
    for name in names:
        place.fill(name, name.encode())
    objects = place.open()
    proxy = proxy_of(place)
    proxy.latency = 0.2
    assert objects.read(names[0]) == names[0].encode()
    proxy.forget()
    proxy.latency = 0.2
    with ThreadPoolExecutor(40) as threads:
        assert list(threads.map(objects.read, names)) == [name.encode() for name in names]
    assert proxy.most <= 16
