"""Proxies, certificates and trusted hosts, by whole commands: everything that asks a server obeys them.

Locking asks by uv (pages), by rattler (repodata) and by ourselves (METADATA, files without digests); realizing fetches.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from envbuild.machine.credentials import Credentials
from envbuild.machine.http import Connections, Patience
from envbuild.machine.relay import relay_to
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.proxy import Proxy, proxy_to
from tests.support.servers import Body, Server, folder_content
from tests.support.wheel_index import WheelIndex

HOST = "packages.invalid"
"""Resolves nowhere (RFC 2606): only a proxy can lead there."""


def both(channel: TestChannel, wheels: Path) -> Callable[[Any], Any]:
    """A channel below ``/channel`` and an index below ``/simple``."""
    index = WheelIndex(folder=wheels)

    def answer(request: Any) -> Any:
        if request.path.startswith("/channel/"):
            return folder_content(channel.folder)(replace(request, path=request.path.removeprefix("/channel")))
        return index(request)

    return answer


@pytest.fixture
def server(channel: TestChannel, toy_wheels: Path, serving: Callable[..., Server]) -> Server:
    return serving(both(channel, toy_wheels))


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with proxy_to("127.0.0.1", server.server_address[1]) as running:
        yield running


def recipe(channel: TestChannel, address: str) -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return (
        f"python: {series}\nplatforms: [{channel.platform}]\nconda:\n  channels: ['{address}/channel']\n"
        f"  packages: {{colours: '1.0'}}\npypi:\n  index: {address}/simple\n  packages: {{toy: }}\n"
    )


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_everything_goes_through_the_proxy(variable: str, case: Case, channel: TestChannel, proxy: Proxy) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        case.variable(name, None).variable(name.lower(), None)
    case.recipe(recipe(channel, f"http://{HOST}")).variable(variable, proxy.url).run("realize", "x.yaml")
    asked = [address.removeprefix(f"http://{HOST}") for address in proxy.asked]
    assert all(address.startswith("/") for address in asked), "a request for another host"
    assert any("/simple/toy/" in address for address in asked), "uv asked past the proxy"
    assert any("repodata" in address for address in asked), "rattler asked past the proxy"
    assert any(address.endswith(".metadata") for address in asked), "METADATA was asked past the proxy"
    assert any(address.endswith(".conda") for address in asked), "a package was fetched past the proxy"
    assert any(address.endswith(".whl") for address in asked), "a wheel was fetched past the proxy"
    assert proxy.url not in (case.project / "x.lock.yaml").read_text()


def test_without_the_proxy_nothing_is_reached(case: Case, channel: TestChannel) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        case.variable(name, None).variable(name.lower(), None)
    case.recipe(recipe(channel, f"http://{HOST}")).run("lock", "x.yaml", code=5)


def test_what_no_proxy_names_is_asked_itself(case: Case, channel: TestChannel, server: Server, proxy: Proxy) -> None:
    case.variable("HTTP_PROXY", proxy.url).variable("NO_PROXY", "127.0.0.1").variable("no_proxy", "127.0.0.1")
    case.recipe(recipe(channel, server.url)).run("realize", "x.yaml")
    assert proxy.asked == []
    assert server.count("/simple/toy/") > 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``authority.pem``, and what it signed for 127.0.0.1: ``certificate.pem`` and ``key.pem``."""
    if shutil.which("openssl") is None:
        pytest.skip("NO OPENSSL PROGRAM: no certificate could be made")
    folder = tmp_path_factory.mktemp("authority")

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)

    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl(f"req -x509 {curve} -days 2 -subj /CN=authority -keyout authority.key -out authority.pem")
    openssl(f"req {curve} -subj /CN=server -keyout key.pem -out request.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl(
        "x509 -req -days 2 -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial -extfile names"
        " -out certificate.pem"
    )
    return folder


@pytest.fixture
def secure(server: Server, authority: Path) -> str:
    """The address of the same server, by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http://", "https://")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"])
def test_an_authority_of_one_s_own(
    variable: str, case: Case, channel: TestChannel, secure: str, authority: Path
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        case.variable(name, None)
    case.variable(variable, str(authority / "authority.pem")).recipe(recipe(channel, secure))
    case.run("realize", "x.yaml")
    case.run("run", "x.yaml", "--", "python", "-c", "import toy, colours")


def test_an_authority_that_nobody_trusts_is_said(case: Case, channel: TestChannel, secure: str) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        case.variable(name, None)
    case.recipe(recipe(channel, secure)).run("lock", "x.yaml", code=5).mentions("SSL_CERT_FILE")
    wheels = f"interpreter: host\npython: 3.11\npypi:\n  index: {secure}/simple\n  packages: {{toy: }}\n"
    case.recipe(wheels).run("lock", "x.yaml", code=5).mentions("SSL_CERT_FILE")


def without_certificates(case: Case) -> Case:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        case.variable(name, None)
    return case


@pytest.mark.parametrize("trusted", ["127.0.0.1", "127.0.0.1:PORT"])
def test_a_trusted_host_is_asked_without_its_certificate(
    trusted: str, case: Case, channel: TestChannel, secure: str
) -> None:
    """By uv, by our own requests, and by the conda solver, which asks it through us."""
    port = secure.rpartition(":")[2]
    without_certificates(case).variable("ENVBUILD_TRUSTED_HOSTS", trusted.replace("PORT", port))
    case.recipe(f"interpreter: host\npython: 3.11\npypi:\n  index: {secure}/simple\n  packages: {{toy: }}\n")
    case.run("realize", "x.yaml").run("run", "x.yaml", "--", "toy")
    case.recipe(recipe(channel, secure), "y.yaml").run("realize", "y.yaml")
    case.run("run", "y.yaml", "--", "python", "-c", "import toy, colours")
    lock = (case.project / "y.lock.yaml").read_text()
    assert f"{secure}/channel" in lock
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", lock)) == {port}, "the relay is in the lock"


def test_only_the_trusted_host_is_not_checked(case: Case, channel: TestChannel, secure: str) -> None:
    """Neither is another name of the same server, nor another port, nor the host that a trusted one leads to."""
    without_certificates(case).recipe(recipe(channel, secure))
    for other in ("localhost", "127.0.0.1:1", "packages.invalid"):
        case.variable("ENVBUILD_TRUSTED_HOSTS", other).run("lock", "x.yaml", code=5)
        case.mentions("certificate", "SSL_CERT_FILE", "trusted-hosts")


def test_a_trusted_host_that_leads_to_another_trusts_only_itself(
    case: Case, channel: TestChannel, server: Server, secure: str
) -> None:
    elsewhere = secure.replace("127.0.0.1", "localhost")
    server.fault("/channel/noarch/repodata.json", times=99, redirect=f"{elsewhere}/channel//noarch/repodata.json")
    server.fault("/channel/noarch/repodata?*", times=99, status=404)  # the other forms of an index
    only = f"platforms: [{channel.platform}]\nconda: {{channels: ['{secure}/channel'], packages: {{colours: }}}}\n"
    without_certificates(case).variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1").recipe(only)
    case.run("lock", "x.yaml", code=5).mentions("error[certificate]", "localhost")
    case.variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1,localhost").run("lock", "x.yaml").hides("Warning")


def test_a_trusted_mirror_of_a_channel(case: Case, channel: TestChannel, server: Server, secure: str) -> None:
    """With credentials in the mirror's address, behind a proxy that leads nowhere, and none of it in the lock."""
    server.require_basic("me", "secret-word")
    only = f"platforms: [{channel.platform}]\nconda: {{channels: [upstream], packages: {{colours: }}}}\n"
    mirror = secure.replace("https://", "https://me:secret-word@")
    without_certificates(case).recipe(only).variable("ENVBUILD_CHANNEL_ALIAS", f"https://{HOST}/")
    case.variable("ENVBUILD_MIRRORS", f"{{https://{HOST}/upstream: ['{mirror}/channel']}}")
    for name in ("HTTP_PROXY", "http_proxy"):
        case.variable(name, "http://127.0.0.1:9")
    case.run("lock", "x.yaml", code=5).mentions("certificate").hides("secret-word")
    case.variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1").run("realize", "x.yaml").hides("secret-word")
    lock = (case.project / "x.lock.yaml").read_text()
    assert "127.0.0.1" not in lock
    assert "secret-word" not in lock


def test_what_a_trusted_host_refuses_is_told_by_its_own_address(
    case: Case, channel: TestChannel, server: Server, secure: str
) -> None:
    only = f"platforms: [{channel.platform}]\nconda: {{channels: ['{secure}/channel'], packages: {{colours: }}}}\n"
    without_certificates(case).variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1").recipe(only)
    server.fault("/channel/noarch/*", times=99, status=404)
    case.run("lock", "x.yaml", code=5).mentions("error[no-channel]", f"{secure}/channel".rpartition(":")[0])
    server.forget()
    server.fault("/channel/noarch/*", times=99, status=403)
    case.run("lock", "x.yaml", code=5)
    assert f"{secure}/channel/noarch/repodata" in case.err
    server.close()
    case.run("lock", "x.yaml", code=5).mentions("a channel does not answer")
    assert f"{secure}/channel/" in case.err


def test_the_copy_of_a_broken_index_of_a_trusted_host(
    case: Case, tmp_path: Path, channel: TestChannel, secure: str, server: Server
) -> None:
    """Old copies and the relay work together: caches know the channel by its own address."""
    only = f"platforms: [{channel.platform}]\nconda: {{channels: ['{secure}/channel'], packages: {{colours: }}}}\n"
    without_certificates(case).variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1").recipe(only).run("lock", "x.yaml")
    (case.project / "x.lock.yaml").unlink()
    content = server.content
    server.content = lambda request: Body(data=b"[]") if "/repodata" in request.path else content(request)
    case.run("lock", "x.yaml").mentions("cannot be read")


def test_records_of_a_foreign_lock_come_from_a_trusted_host(case: Case, channel: TestChannel, secure: str) -> None:
    records = json.loads((channel.folder / "noarch" / "repodata.json").read_bytes())["packages.conda"]
    name, md5 = next((name, record["md5"]) for name, record in records.items() if record["name"] == "colours")
    case.file("explicit.txt", f"# platform: {channel.platform}\n@EXPLICIT\n{secure}/channel/noarch/{name}#{md5}\n")
    without_certificates(case).run("import", "explicit.txt", "-o", "x.yaml", code=5).mentions("certificate")
    case.variable("ENVBUILD_TRUSTED_HOSTS", "127.0.0.1").run("import", "explicit.txt", "-o", "x.yaml")
    case.mentions("taken from the channels' indices")
    assert records[name]["sha256"] in (case.project / "x.lock.yaml").read_text()


def test_the_relay_answers_nobody_else(server: Server) -> None:
    """Who does not know its secret path gets nothing, and who does gets trusted hosts alone."""
    connections = Connections(Credentials({}, ()), {}, Patience())
    with relay_to([f"{server.url}/"], connections.pass_on, {}) as relay:
        here = relay.places[f"{server.url}/"]
        good = requests.get(f"{here}channel/noarch/repodata.json", timeout=20)
        assert good.status_code == 200
        assert good.json()["info"]["subdir"] == "noarch"
        tag = good.headers["ETag"]
        again = requests.get(f"{here}channel/noarch/repodata.json", headers={"If-None-Match": tag}, timeout=20)
        assert (again.status_code, again.content) == (304, b"")
        assert requests.head(f"{here}channel/noarch/repodata.json", timeout=20).headers["ETag"] == tag
        base, _, rest = here.removesuffix("/0/").rpartition("/")
        for stranger in (
            f"{base}/",
            f"{base}/{rest[:-1]}x/0/channel/",
            f"{base}/{rest}/1/channel/",
            f"{base}/{rest}/0",
        ):
            assert requests.get(stranger, timeout=20).status_code == 404
    with pytest.raises(requests.ConnectionError):
        requests.get(here, timeout=20)


class Chunks(BaseHTTPRequestHandler):
    """Answers in chunks, as servers do that do not know a length; below ``/cut`` the last one is missing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n6\r\nsecond\r\n")
        if self.path.startswith("/cut"):
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_body_that_breaks_off_does_not_look_whole_behind_the_relay(server: Server) -> None:
    chunks = ThreadingHTTPServer(("127.0.0.1", 0), Chunks)
    threading.Thread(target=chunks.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    base = f"http://127.0.0.1:{chunks.server_address[1]}/"
    connections = Connections(Credentials({}, ()), {}, Patience())
    try:
        with relay_to([f"{server.url}/", base], connections.pass_on, {}) as relay:
            assert requests.get(f"{relay.places[base]}whole", timeout=20).content == b"firstsecond"
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                requests.get(f"{relay.places[base]}cut", timeout=20)
            server.fault("/channel/noarch/repodata.json", cut_after=50)
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                requests.get(f"{relay.places[f'{server.url}/']}channel/noarch/repodata.json", timeout=20)
    finally:
        chunks.shutdown()
        chunks.server_close()
