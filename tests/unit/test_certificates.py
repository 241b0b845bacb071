"""Servers with certificates: whom we trust, by which bundle, and that a bundle is read once."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput, UnreachableError
from envbuild.machine import certificates
from envbuild.machine.credentials import Credentials
from envbuild.machine.http import Connections, Patience
from tests.support.servers import Server

Serving = Callable[..., Server]


@pytest.fixture
def secure(authority: Path, serving: Serving, tmp_path: Path) -> Server:
    """A server of a folder with ten files, by TLS; ``url`` begins with https."""
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.txt").write_text(str(number))
    server = serving(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def address(server: Server, path: str) -> str:
    return f"{server.url.replace('http://', 'https://')}/{path}"


def connections(environ: Mapping[str, str], trusted: Sequence[str] = ()) -> Connections:
    return Connections(Credentials({}), environ, Patience(connect=10, stall=10, pause=0), trusted)


def text(pool: Connections, url: str) -> str:
    with pool.open(url, {}) as response:
        return response.text


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"])
def test_a_bundle_of_the_user_is_trusted_and_read_once(
    name: str, authority: Path, secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    really = certificates._context

    def counted(place: str) -> ssl.SSLContext:
        read.append(place)
        return really(place)

    monkeypatch.setattr(certificates, "_context", counted)
    pool = connections({name: str(authority / "certificate.pem")})
    pool.expect(address(secure, ""))
    assert secure.requests == []
    with ThreadPoolExecutor(5) as threads:
        found = list(threads.map(lambda number: text(pool, address(secure, f"{number}.txt")), range(10)))
    pool.close()
    assert found == [str(number) for number in range(10)]
    assert read == [str(authority / "certificate.pem")]


def test_a_folder_of_certificates_is_a_bundle_too(authority: Path, secure: Server, tmp_path: Path) -> None:
    folder = tmp_path / "trusted"
    folder.mkdir()
    shutil.copy(authority / "certificate.pem", folder)
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    pool = connections({"SSL_CERT_FILE": str(folder)})
    assert text(pool, address(secure, "1.txt")) == "1"
    pool.close()


def test_who_is_not_in_the_bundle_is_refused(secure: Server) -> None:
    pool = connections({})
    with pytest.raises(UnreachableError, match="certificate that is not trusted") as caught:
        pool.open(address(secure, "1.txt"), {})
    assert caught.value.reference == "certificate"
    pool.close()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_trusted_host_is_not_checked_and_makes_no_other_trusted(secure: Server) -> None:
    pool = connections({}, ["127.0.0.1"])
    assert text(pool, address(secure, "1.txt")) == "1"
    pool.close()
    pool = connections({}, ["localhost"])
    with pytest.raises(UnreachableError, match="not trusted"):
        pool.open(address(secure, "1.txt"), {})
    pool.close()


def test_the_name_in_the_certificate_counts(authority: Path, secure: Server) -> None:
    pool = connections({"SSL_CERT_FILE": str(authority / "certificate.pem")})
    with pytest.raises(UnreachableError, match="not trusted"):
        pool.open(address(secure, "1.txt").replace("127.0.0.1", "localhost"), {})
    pool.close()


def test_a_bundle_that_is_not_there_is_said(secure: Server, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for place in (tmp_path / "nowhere.pem", tmp_path / "empty.pem"):
        pool = connections({"SSL_CERT_FILE": str(place)})
        with pytest.raises(InvalidInput, match="cannot be read"):
            pool.open(address(secure, "1.txt"), {})
        pool.close()


@pytest.mark.parametrize("status", [404, 403])
def test_a_refusal_leaves_the_connection_open(status: int, serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    server = serving(tmp_path)
    pool = connections({})
    server.fault("*.metadata", status=status)
    accepted: list[object] = []
    really = server.process_request
    server.process_request = lambda request, client: (accepted.append(client), really(request, client))[1]  # type: ignore[method-assign,assignment,func-returns-value]
    for number in range(3):
        with pytest.raises(UnreachableError):
            pool.open(f"{server.url}/{number}.metadata", {})
        assert text(pool, f"{server.url}/a.txt") == "a"
    pool.close()
    assert len(accepted) == 1


def test_plain_addresses_read_no_bundle(secure: Server, serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    pool = connections({"SSL_CERT_FILE": str(tmp_path / "nowhere.pem")})
    assert text(pool, f"{serving(tmp_path).url}/a.txt") == "a"
    pool.close()
    imports = "import sys, envbuild.machine.http, envbuild.machine.download"
    said = f"{imports}; print('requests' in sys.modules, 'ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
