"""Downloads against real servers that misbehave."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from envbuild.digest import Digest
from envbuild.errors import IntegrityError, InvalidInput, UnreachableError
from envbuild.machine.credentials import Credentials
from envbuild.machine.download import Downloader
from envbuild.machine.http import Patience
from envbuild.machine.publish import Incoming
from tests.support.servers import Body, Server

Serving = Callable[..., Server]
DATA = os.urandom(300_000)
SHA = Digest(hashlib.sha256(DATA).hexdigest())


def downloader(
    configured: tuple[str, ...] = (), stall: float = 5.0, environ: Mapping[str, str] | None = None
) -> Downloader:
    given = environ or {}
    return Downloader(
        Credentials(given, configured), environ=given, patience=Patience(connect=2, stall=stall, pause=0.01)
    )


def get(
    folder: Path, *urls: str, sha256: Digest | None = SHA, size: int | None = len(DATA), **options: object
) -> bytes:
    with Incoming(folder / "tmp") as sink:
        downloader(**options).fetch(urls, sink, sha256=sha256, size=size)  # type: ignore[arg-type]
        return sink.path.read_bytes()


@pytest.fixture
def server(serving: Serving) -> Server:
    return serving(lambda request: Body(data=DATA))


def test_a_file_comes_whole(server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, f"{server.url}/a") == DATA
    assert server.count() == 1
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_file_url_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "a file"
    source.write_bytes(DATA)
    assert get(tmp_path, source.as_uri()) == DATA


@pytest.mark.parametrize("cut", [0, 1, 13, 50, 74, 150, 8096, 16384, 20000, len(DATA) - 1])
def test_a_body_that_stops_is_continued(server: Server, tmp_path: Path, cut: int) -> None:
    server.fault("/a", cut_after=cut)
    assert get(tmp_path, f"{server.url}/a") == DATA
    ranges = [request.range for request in server.matching("/a")]
    assert ranges == [None, f"bytes={cut}-" if cut else None]


def test_a_body_that_stops_begins_anew_where_ranges_are_unknown(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.fault("/a", cut_after=1000, times=2)
    assert get(tmp_path, f"{server.url}/a") == DATA
    assert server.count() == 3


def test_a_file_that_changed_in_between_is_not_joined(serving: Serving, tmp_path: Path) -> None:
    bodies = [os.urandom(len(DATA)), DATA]
    server = serving(lambda request: Body(data=bodies[min(len(server.requests), 2) - 1]))
    server.fault("/a", cut_after=5000)
    assert get(tmp_path, f"{server.url}/a") == DATA


def test_a_wrong_continuation_is_fetched_from_its_first_byte(serving: Serving, tmp_path: Path) -> None:
    server = serving(lambda request: Body(data=DATA))
    server.fault("/a", cut_after=5000)
    server.fault("/a", wrong_bytes=True)
    assert get(tmp_path, f"{server.url}/a") == DATA
    assert [request.range for request in server.requests] == [None, "bytes=5000-", None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.fault("/a", status=status, times=3)
    assert get(tmp_path, f"{server.url}/a") == DATA
    assert server.count() == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_asked_once(server: Server, tmp_path: Path, status: int) -> None:
    server.fault("/a", status=status, times=99)
    with pytest.raises(UnreachableError) as caught:
        get(tmp_path, f"{server.url}/a")
    assert server.count() == 1
    assert str(status) in caught.value.message
    assert not caught.value.retryable


def test_for_ever_is_five_times(server: Server, tmp_path: Path) -> None:
    server.fault("/a", status=503, times=99)
    with pytest.raises(UnreachableError) as caught:
        get(tmp_path, f"{server.url}/a")
    assert (server.count(), caught.value.retryable) == (5, True)


def test_retry_after_is_honoured(server: Server, tmp_path: Path) -> None:
    server.fault("/a", status=503, headers={"Retry-After": "1"})
    start = time.monotonic()
    get(tmp_path, f"{server.url}/a")
    assert time.monotonic() - start >= 1.0


def test_silence_is_cut_and_asked_again(server: Server, tmp_path: Path) -> None:
    server.fault("/a", cut_after=1000, stall=30)
    start = time.monotonic()
    assert get(tmp_path, f"{server.url}/a", stall=0.5) == DATA
    assert time.monotonic() - start < 10


def test_endless_silence_is_asked_three_times(server: Server, tmp_path: Path) -> None:
    server.fault("/a", cut_after=1000, stall=30, times=99)
    start = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        get(tmp_path, f"{server.url}/a", stall=0.3)
    assert time.monotonic() - start < 5
    assert (server.count(), caught.value.retryable) == (3, True)


def test_one_byte_now_and_then_is_silence(tmp_path: Path) -> None:
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
                try:
                    while not ended.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    continue

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(UnreachableError, match="stands still"):
            get(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}/a", stall=0.5)
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        get(tmp_path, "http://127.0.0.1:9/a")
    assert caught.value.exit_code == 5


def test_wrong_bytes_name_both_digests_and_the_next_address_is_tried(serving: Serving, tmp_path: Path) -> None:
    page = serving(lambda request: Body(data=b"<html>please log in</html>", type="text/html"))
    with pytest.raises(IntegrityError) as caught:
        get(tmp_path, f"{page.url}/a")
    assert SHA in caught.value.message
    assert hashlib.sha256(b"<html>please log in</html>").hexdigest() in caught.value.message
    assert caught.value.exit_code == 4
    good = serving(lambda request: Body(data=DATA))
    assert get(tmp_path, f"{page.url}/a", f"{good.url}/a") == DATA
    assert page.count() == 2  # once each time: wrong bytes are not asked for again


def test_more_addresses_are_asked_for_only_when_the_first_fail(server: Server, tmp_path: Path) -> None:
    asked = []

    def more() -> tuple[str, ...]:
        asked.append(1)
        return (f"{server.url}/b",)

    for first, expected in (("/a", []), ("/gone", [1])):
        server.fault("/gone", status=404)
        with Incoming(tmp_path / "tmp") as sink:
            downloader().fetch((server.url + first,), sink, sha256=SHA, size=None, more=more)
        assert asked == expected


def test_a_larger_file_than_promised_is_cut(server: Server, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="more than the 1000 bytes"):
        get(tmp_path, f"{server.url}/a", size=1000)


def test_gzip_that_nobody_asked_for(serving: Serving, tmp_path: Path) -> None:
    packed = serving(lambda request: Body(data=gzip.compress(DATA), headers={"Content-Encoding": "gzip"}))
    assert get(tmp_path, f"{packed.url}/a") == DATA
    archive = gzip.compress(DATA)
    mislabelled = serving(lambda request: Body(data=archive, headers={"Content-Encoding": "gzip"}))
    sha256 = Digest(hashlib.sha256(archive).hexdigest())
    assert get(tmp_path, f"{mislabelled.url}/a.tar.gz", sha256=sha256, size=None) == archive


def test_a_gzip_bomb_meets_the_limit(serving: Serving, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(200 << 20))
    server = serving(lambda request: Body(data=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(IntegrityError, match="more than the 1000000 bytes"):
        get(tmp_path, f"{server.url}/a", size=1_000_000)


def test_credentials_stay_with_their_host(serving: Serving, tmp_path: Path) -> None:
    other = serving(lambda request: Body(data=DATA))
    first = serving(lambda request: Body(data=DATA), host="localhost")
    first.require_basic("me", "hunter2")
    first.fault("/a", redirect=f"{other.url}/b")
    assert get(tmp_path, f"{first.url}/a", configured=(first.url_with("me", "hunter2"),)) == DATA
    assert first.matching("/a")[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in other.matching("/b")[0].headers


def test_user_info_in_the_address_becomes_a_header_and_no_message(serving: Serving, tmp_path: Path) -> None:
    server = serving(lambda request: Body(data=DATA))
    server.require_basic("me", "hunter2")
    url = server.url_with("me", "hunter2") + "/a"
    assert get(tmp_path, url) == DATA
    with pytest.raises(IntegrityError) as caught:
        get(tmp_path, url, sha256=Digest("1" * 64))
    secret = base64.b64encode(b"me:hunter2").decode()
    assert "hunter2" not in caught.value.message
    assert secret not in caught.value.message
    server.sign_in = {"nobody"}
    with pytest.raises(UnreachableError) as refused:
        get(tmp_path, url)
    assert "hunter2" not in refused.value.message + str(refused.value.__cause__)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.invalid/a", "http://169.254.169.254/latest"])
def test_redirects_to_unsafe_places_are_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.fault("/a", redirect=target)
    with pytest.raises(UnreachableError):
        get(tmp_path, f"{server.url}/a")
    assert server.count() == 1


def test_endless_redirects_end(server: Server, tmp_path: Path) -> None:
    server.fault("*", redirect="/a", times=99)
    with pytest.raises(UnreachableError, match="too often"):
        get(tmp_path, f"{server.url}/a")


def test_small_documents(server: Server) -> None:
    read = downloader().read
    assert read((f"{server.url}/a",), limit=len(DATA)) == DATA
    assert read((f"{server.url}/a",), limit=100, span=(10, 19)) == DATA[10:20]
    assert read((f"{server.url}/a",), limit=100, span=(-10, -1)) == DATA[-10:]
    with pytest.raises(InvalidInput) as caught:
        read((f"{server.url}/a",), limit=100)
    assert caught.value.reference == "too-large"
    server.fault("/gone", status=404, times=2)
    assert read((f"{server.url}/gone",), limit=100) is None
    assert read((f"{server.url}/gone", f"{server.url}/a"), limit=len(DATA)) == DATA
    server.fault("/no", status=403, times=9)
    with pytest.raises(UnreachableError):
        read((f"{server.url}/no",), limit=100)


def test_dozens_at_once_share_connections(server: Server, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    shared = downloader()

    def one(number: int) -> bool:
        with Incoming(tmp_path / "tmp") as sink:
            shared.fetch((f"{server.url}/{number}",), sink, sha256=SHA, size=None)
            return sink.digest == SHA

    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(one, range(96)))
    assert server.count() == 96
    shared.close()
