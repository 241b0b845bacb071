"""The way to a store: endpoints, certificates of one's own organisation, proxies, and no netrc for signed requests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.objects.conftest import CLOUDS, Place, everywhere
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.proxy import Proxy, proxy_to


@pytest.fixture
def secure(place: Place, authority: Path) -> Iterator[FaultProxy]:
    """A proxy before the place's server that speaks TLS."""
    assert place.proxy is not None
    emulates = place.proxy.emulates
    with fault_proxy(place.proxy.target, emulates=emulates, at_once=2, certificate=authority) as proxy:
        yield proxy


def url_at(place: Place, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The place's address by an endpoint in its address, and by no variable."""
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    options = {"s3": f"endpoint={endpoint}&region=us-east-1", "gs": f"endpoint={endpoint}&anonymous=true"}
    if place.kind == "az":
        assert place.server is not None
        parts = dict(
            part.split("=", 1) for part in place.server.environ["AZURE_STORAGE_CONNECTION_STRING"].split(";") if part
        )
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", parts["AccountKey"])
        options["az"] = f"account={parts['AccountName']}&endpoint={endpoint}/{parts['AccountName']}"
    return f"{place.url}?{options[place.kind]}"


ASK = """
import sys
from envbuild.errors import EnvbuildError
from envbuild.objects.opening import open_objects
objects = open_objects(sys.argv[1])
try:
    print(objects.put("a/b", b"mine"), objects.put("a/b", b"other"), objects.read("a/b"))
except EnvbuildError as error:
    print(error.reference, error.retryable, "SSL_CERT_FILE" in (error.hint or ""))
"""


def asked(url: str) -> str:
    """What a process of its own prints: certificates are read once, when a library is imported."""
    done = subprocess.run([sys.executable, "-c", ASK, url], capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return done.stdout.strip()


@everywhere(*CLOUDS)
def test_an_endpoint_of_the_address_with_a_certificate_of_ones_own(
    place: Place, secure: FaultProxy, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "certificate.pem"))
    assert asked(url_at(place, secure.url, monkeypatch)) == "created exists b'mine'"
    assert secure.count("*") == 3


@everywhere(*CLOUDS)
def test_a_certificate_that_nobody_trusts_is_said_at_once(
    place: Place, secure: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(url_at(place, secure.url, monkeypatch)) == "certificate False True"
    assert secure.count("*") == 0


@pytest.fixture
def through(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A forward proxy in ``HTTP_PROXY`` that leads everything to the place's own."""
    parts = urlsplit(place.proxy.url if place.proxy else "")
    assert parts.hostname is not None
    assert parts.port is not None
    with proxy_to(parts.hostname, parts.port) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        yield proxy


@everywhere(*CLOUDS, "http")
def test_proxies_of_the_usual_variables_are_used(place: Place, through: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = place.open()
    assert objects.read("a/b") is None
    assert len(through.asked) == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert place.open().read("a/b") is None
    assert len(through.asked) == 1


@everywhere("gs", "az")
def test_netrc_is_not_for_signed_requests(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password sentinel\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert place.open().put("a/b", b"mine") == "created"
    assert place.proxy is not None
    told = [seen.headers.get("authorization", "") for seen in place.proxy.seen]
    assert [text for text in told if text.startswith("Basic")] == []
