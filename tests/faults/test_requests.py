"""Single requests to stores that go wrong, at every kind of server, counted: R15, R16, R17 and R20 of the design.

What each call of ``envbuild.objects`` makes of an answer is tried here with short pauses; what a command makes of a
store that is in trouble is tried in ``test_networks``.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from envbuild.errors import UnreachableError
from envbuild.machine.publish import Incoming
from envbuild.objects import Objects
from envbuild.objects.retrying import Patience
from tests.faults.counts import COUNTS
from tests.faults.figures import count, worst
from tests.objects.conftest import CLOUDS, QUICK, Place, everywhere
from tests.support.fault_proxy import FaultProxy, fault_proxy

SERVED = (*CLOUDS, "http")
DATA = os.urandom(200_000)
LOGIN = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
CALLS = ("read", "fetch", "sizes", "put", "list", "delete")
TIMES = (1, 2, 3)

place = pytest.fixture(lambda request, place_of: place_of(request.param))


class Into:
    """Takes what is fetched."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data = b""


def proxy_of(place: Place) -> FaultProxy:
    assert place.proxy is not None
    place.proxy.forget()
    return place.proxy


def calls(place: Place) -> tuple[str, ...]:
    """A web server is only read."""
    return CALLS[:3] if place.kind == "http" else CALLS


def method(place: Place, call: str) -> str:
    """Of the request that a call makes."""
    if call in {"read", "fetch", "list"}:
        return "GET"
    google = place.kind == "gs"
    return {"sizes": "GET" if google else "HEAD", "put": "POST" if google else "PUT", "delete": "DELETE"}[call]


def done(objects: Objects, call: str) -> None:
    """Make a call at a place that has ``a/b``, and hold its answer to what is there."""
    if call == "read":
        assert objects.read("a/b") == b"there"
    elif call == "fetch":
        into = Into()
        assert objects.fetch("a/b", into, 5)
        assert into.data == b"there"
    elif call == "sizes":
        assert objects.sizes(["a/b", "a/absent"]) == {"a/b": 5}
    elif call == "put":
        assert objects.put("a/new", b"new") in {"created", "exists"}
        assert objects.read("a/new") == b"new"
    elif call == "list":
        assert "a/b" in {item.name for item in objects.list("a/")}
    else:
        objects.delete("a/none")


STATUSES = (408, 429, 500, 502, 503, 504) if COUNTS.full else (429, 503)
PASSING: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status, "body": BUSY} for status in STATUSES},
    "reset": {"reset": True},
    "no answer": {"drop_reply": True},
}
"""``objects/test_faults`` has every status."""


@everywhere(*SERVED)
@pytest.mark.parametrize("how", PASSING)
def test_R16_what_may_pass_is_asked_again_until_it_has(place: Place, how: str) -> None:
    place.fill("a/b", b"there")
    objects = place.open()
    good = tried = 0
    for call in calls(place):
        for times in TIMES if COUNTS.full else (1, 3):
            proxy = proxy_of(place)
            fault = proxy.fault(method(place, call), times=times, **PASSING[how])
            done(objects, call)
            tried += 1
            good += fault.times < times
    count("calls of stores answered 408, 429, 5xx, reset or not at all one to three times, and then right", good, tried)
    assert good == tried


@everywhere(*SERVED)
@pytest.mark.parametrize("how", PASSING)
def test_R16_what_does_not_pass_is_asked_as_often_as_said(place: Place, how: str) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(attempts=4, pause=0.001))
    asked = 0
    # Google's emulator needs the proxy for its condition, which then says "exists" of an answer that was lost
    several = [call for call in calls(place) if (how, place.kind, call) != ("no answer", "gs", "put")]
    for call in several:
        proxy = proxy_of(place)
        proxy.fault(method(place, call), times=10_000, **PASSING[how])
        with pytest.raises(UnreachableError) as caught:
            done(objects, call)
        assert caught.value.retryable
        # Two names are asked for their sizes. A connection that is gone the clouds' libraries open anew, once.
        found = proxy.count(method(place, call)) / (2 if call == "sizes" else 1)
        again = 2 if place.kind != "http" and not str(how).isdigit() else 1
        assert 4 <= found <= 4 * again, (call, found)
        asked += 1
    count("calls that no server answers, each given up after as many requests as said", asked, len(several))


@everywhere(*SERVED)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 412] if COUNTS.full else [400, 403, 412])
def test_R16_what_cannot_pass_is_asked_once(place: Place, status: int) -> None:
    """Where credentials may have expired (401 of Google, 400 of S3 without a word) they are read anew, and it is asked
    once more."""
    place.fill("a/b", b"there")
    good = 0
    for call in calls(place):
        objects = place.open()
        proxy = proxy_of(place)
        proxy.fault(method(place, call), status=status, body=b"<Error><Code>Whatever</Code></Error>", times=99)
        with suppress(UnreachableError, AssertionError):  # absent, or refused
            done(objects, call)
        renewed = (place.kind == "gs" and status == 401) or (place.kind == "s3" and status == 400 and call == "sizes")
        # botocore asks for the bucket's region too
        about = [seen for seen in proxy.matching(method(place, call)) if "list-type" in seen.query or "/a" in seen.path]
        most = (2 if call == "sizes" else 1) * (2 if renewed else 1)
        assert len(about) <= most, (call, [seen.path for seen in about])
        good += 1
    count("calls refused for good (400, 401, 403, 404, 405, 412) and not asked again", good, len(calls(place)))


@everywhere(*SERVED)
def test_R16_connections_that_are_dropped_before_a_byte_is_said(place: Place, authority: Path) -> None:
    """And of TLS before its handshake."""
    place.fill("a/b", b"there")
    tried = 0
    for times in TIMES if COUNTS.full else (3,):
        for call in calls(place):
            objects = place.open()
            proxy_of(place).drop_connections = times
            done(objects, call)
            tried += 1
    count("calls whose connections were dropped one to three times, and then right", tried, tried)


@everywhere("s3", "http")
def test_R16_handshakes_of_tls_that_break(
    place: Place, authority: Path, monkeypatch: pytest.MonkeyPatch, serving: Callable[..., object]
) -> None:
    place.fill("a/b", b"there")
    assert place.proxy is not None
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority / "certificate.pem"))
    tried = 0
    with fault_proxy(place.proxy.target, emulates=place.proxy.emulates, certificate=authority) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        secure = Place(kind=place.kind, url=proxy.url if place.kind == "http" else place.url, proxy=proxy)
        for times in TIMES if COUNTS.full else (3,):
            for call in calls(place):
                objects = secure.open()
                proxy.drop_connections = times
                done(objects, call)
                assert proxy.drop_connections == 0
                tried += 1
    count("calls whose TLS handshakes broke one to three times, and then right", tried, tried)


@everywhere(*SERVED)
def test_R16_who_says_how_long_to_wait_is_not_asked_before(place: Place) -> None:
    place.fill("a/b", b"there")
    objects = place.open(patience=Patience(pause=0.001, longest=5))
    kept = 0
    several = calls(place) if COUNTS.full else ("sizes",)  # of reads, ``objects/test_faults``
    for call in several:
        proxy_of(place).fault(method(place, call), status=503, body=BUSY, headers={"Retry-After": "1"})
        began = time.monotonic()
        done(objects, call)
        kept += time.monotonic() - began >= 1.0
    count("waits that a server asked for (Retry-After) and got", kept, len(several))
    assert kept == len(several)


CUTS = (0, 1, 13, 50, 74, 150, 8096, 16384, 20000, len(DATA) - 1)


@everywhere(*SERVED)
def test_R15_transfers_that_are_cut_begin_anew_and_end_right(place: Place, tmp_path: Path) -> None:
    place.fill("a/b", DATA)
    objects = place.open()
    proxy = proxy_of(place)
    good = tried = 0
    # Azure's library waits a second before it asks again, whatever it is told
    for cut in CUTS if place.kind != "az" or COUNTS.full else (0, 20000):
        for times in (1, 3) if COUNTS.full else (1,):
            proxy.forget()
            proxy.fault("GET", "*/a/b", cut_after=cut, times=times)
            with Incoming(tmp_path / "incoming") as into:
                assert objects.fetch("a/b", into, len(DATA))
                good += into.digest == hashlib.sha256(DATA).hexdigest()
            tried += 1
    count("transfers from stores cut at 10 places, once and three times, and whole in the end", good, tried)
    assert good == tried


ANSWERS: dict[str, dict[str, Any]] = {
    "a page to sign in": {"status": 200, "body": LOGIN, "headers": {"Content-Type": "text/html"}},
    "packed with gzip": {"status": 200, "body": gzip.compress(DATA), "headers": {"Content-Encoding": "gzip"}},
    "packed, and cut": {"status": 200, "body": gzip.compress(DATA)[:5000], "headers": {"Content-Encoding": "gzip"}},
    "a part that nobody asked for": {
        "status": 206,
        "body": DATA[100:1100],
        "headers": {"Content-Range": f"bytes 100-1099/{len(DATA)}"},
    },
    "less, and said so": {"status": 200, "body": DATA[:-1]},
    "more, and said so": {"status": 200, "body": DATA + b"x"},
    "nothing": {"status": 200, "body": b""},
    "no content": {"status": 204, "body": b""},
    "another place": {"status": 302, "body": b"", "headers": {"Location": "http://127.0.0.1:9/elsewhere"}},
}


@everywhere(*SERVED)
@pytest.mark.parametrize("how", ANSWERS)
def test_R15_an_answer_of_other_bytes_is_never_taken_for_the_object(place: Place, how: str, tmp_path: Path) -> None:
    """It is an error of the store, or bytes whose hash tells; one of the two, and the right bytes afterwards."""
    from envbuild.errors import EnvbuildError

    place.fill("a/b", DATA)
    objects = place.open(patience=Patience(attempts=2, pause=0.001))
    proxy_of(place).fault("GET", "*/a/b", times=99, **ANSWERS[how])
    right = hashlib.sha256(DATA).hexdigest()
    with Incoming(tmp_path / "incoming") as into:
        try:
            told = "found" if objects.fetch("a/b", into, len(DATA)) else "absent"
        except EnvbuildError:
            told = "refused"
        wrong = told == "found" and into.digest != right
        unpacked = told == "found" and into.digest == right
    assert told == "refused" or wrong or (unpacked and how == "packed with gzip"), (told, how)
    proxy_of(place)
    with Incoming(tmp_path / "incoming") as into:
        assert objects.fetch("a/b", into, len(DATA))
        assert into.digest == right
    count("answers of other bytes (sign-in pages, gzip, 206, too short, too long) not taken for an object", 1, 1)


@everywhere(*SERVED)
def test_R17_silence_is_cut_and_asked_again(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open(stall=1.0, patience=QUICK)
    objects.read("a/b")
    proxy = proxy_of(place)
    proxy.fault("GET", "*/a/b", stall=60.0)
    began = time.monotonic()
    assert objects.read("a/b") == DATA
    worst("seconds to get past a server that fell silent, with a limit of 1 s", time.monotonic() - began)
    assert proxy.count("GET", "*/a/b") == 2
    count("transfers that stood still, cut and asked again", 1, 1)


@everywhere("s3", "http")
def test_R17_a_byte_a_second_is_silence(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open(stall=2.0, patience=QUICK)
    proxy = proxy_of(place)
    proxy.fault("GET", "*/a/b", dribble=True)
    assert objects.read("a/b") == DATA
    assert proxy.count("GET", "*/a/b") == 2
    count("transfers that stood still, cut and asked again", 1, 1)


@everywhere(*SERVED)
def test_R17_a_server_that_is_slow_to_begin_is_waited_for(place: Place) -> None:
    place.fill("a/b", DATA)
    objects = place.open(stall=4.0 if not COUNTS.full else 30.0)
    proxy = proxy_of(place)
    proxy.fault("GET", "*/a/b", stall=2.0 if not COUNTS.full else 20.0)
    assert objects.read("a/b") == DATA
    assert proxy.count("GET", "*/a/b") == 1
    count("servers slow to begin (20 s of 30), waited for", 1, 1)


EXPIRED: dict[str, dict[str, Any]] = {
    "s3": {"status": 400, "body": b"<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>"},
    "gs": {"status": 401, "body": b'{"error": {"message": "Invalid Credentials"}}'},
    "az": {
        "status": 401,
        "body": b"<Error><Code>InvalidAuthenticationInfo</Code></Error>",
        "headers": {"x-ms-error-code": "InvalidAuthenticationInfo"},
    },
}


@everywhere(*CLOUDS)
def test_R20_credentials_that_expire_are_read_anew_once(place: Place) -> None:
    place.fill("a/b", b"there")
    good = 0
    tried = [call for call in CALLS if call != "sizes" or place.kind == "gs"]  # a HEAD has no body to say why
    for call in tried:
        objects = place.open()
        proxy = proxy_of(place)
        done(objects, "read")
        proxy = proxy_of(place)
        fault = proxy.fault(method(place, call), **EXPIRED[place.kind])
        if place.kind == "az":  # an account's key does not expire: what is refused stays so, and is asked once
            with pytest.raises(UnreachableError):
                done(objects, call)
        else:
            done(objects, call)
        assert fault.times == 0
        proxy = proxy_of(place)
        proxy.fault(method(place, call), times=99, **EXPIRED[place.kind])
        with pytest.raises(UnreachableError) as caught:
            done(objects, call)
        assert caught.value.reference == "refused"
        assert proxy.count(method(place, call)) <= 2, call
        good += 1
    count("calls whose credentials expired, asked once more with new ones, and no third time", good, len(tried))
