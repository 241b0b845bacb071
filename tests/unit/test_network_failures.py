"""Why a server was not reached, in words: of what the library really raises."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import requests

from envbuild.machine.network_failures import reason


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """A port of this machine that sends this and hangs up; with None it says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 16)
                if answer is None:
                    over.wait(30)
                else:
                    connection.sendall(answer)

        over = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join(30)


def told(url: str, **options: object) -> str:
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, **options)  # type: ignore[arg-type]
    said = reason(caught.value)
    assert "secret" not in said
    return said


def test_what_a_server_does_is_said() -> None:
    with listening(b"") as place:
        assert told(f"http://user:secret@{place}/", timeout=30) == "the connection was cut"
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123") as place:
        assert told(f"http://{place}/?token=secret", timeout=30) == "the connection was cut"
    with listening(None) as place:
        assert told(f"http://{place}/", timeout=0.2) == "it kept us waiting too long"


def test_who_is_not_there_is_said() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        free = server.getsockname()[1]
    assert told(f"http://127.0.0.1:{free}/secret", timeout=30) == "nothing listens there"
    assert told("http://there.invalid/secret", timeout=30) == "no machine of that name is known here"
    proxies = {"http": f"http://secret@127.0.0.1:{free}"}
    assert told("http://there.invalid/", timeout=30, proxies=proxies) == "the proxy does not let us through"


def test_a_number_of_the_system_is_said_in_its_words() -> None:
    outer = requests.ConnectionError("https://user:secret@there/")
    outer.__cause__ = OSError(101, "Network is unreachable")
    assert reason(outer) == "network is unreachable"


def test_what_is_not_known_is_said_by_its_kind() -> None:
    outer = ValueError("secret")
    assert reason(outer) == "ValueError"
    outer.__cause__ = KeyError("secret")
    assert reason(outer) == "KeyError"
