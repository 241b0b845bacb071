"""Who may do what: refusals by cause, absent names to those who may not list, credentials that end, and secrets."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.objects.cloud import LARGE
from envbuild.objects.opening import open_objects
from envbuild.objects.probe import Probed, probe
from envbuild.objects.retrying import Patience
from tests.objects.conftest import CLOUDS, QUICK, Place, everywhere
from tests.objects.test_faults import proxy_of

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
SENTINEL = "sentinel-of-a-secret-7f3a"


def s3_says(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SENTINEL}</Message></Error>".encode()


@everywhere("s3", "gs")
def test_a_403_is_a_miss_for_readers_who_may_not_list(place: Place) -> None:
    place.fill("a/there", b"there")
    objects = place.open()
    proxy = proxy_of(place)
    proxy.fault("*", "*absent*", status=403, body=DENIED, times=99)
    assert objects.read("a/absent") is None
    assert objects.fetch("a/absent", _Nothing()) is False
    assert objects.sizes(["a/there", "a/absent", "a/absent2"]) == {"a/there": 5}
    assert objects.read("a/there") == b"there"


@everywhere("s3", "gs", "az")
def test_large_files_that_wait_while_another_is_refused_are_not_sent(place: Place, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * LARGE)
    objects = place.open()
    proxy = proxy_of(place)
    header = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    method = "POST" if place.kind == "gs" else "PUT"
    puts = proxy.fault(method, times=99, status=403, body=DENIED, headers=header)
    began = threading.Barrier(12)

    def put(number: int) -> str:
        began.wait(60)
        try:
            return objects.put(f"a/{number}", large)
        except UnreachableError as error:
            return str(error.reference)

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(put, range(12))) == {"refused"}
    assert 1 <= 99 - puts.times <= 6, "two at a time, and who began after the refusal"
    proxy.forget()
    assert objects.put("a/later", large) == "created", "who did not wait asks anew"


@everywhere("s3", "gs", "az")
def test_a_403_is_a_refusal_for_writers_asked_once_and_names_the_right(place: Place) -> None:
    objects = place.open()
    proxy = proxy_of(place)
    header = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    proxy.fault("*", status=403, body=DENIED, headers=header, times=99)
    rights = {"s3": "s3:PutObject", "gs": "Storage Object User", "az": "Storage Blob Data Contributor"}
    with pytest.raises(UnreachableError) as caught:
        objects.put("a/b", b"mine")
    assert caught.value.reference == "refused"
    assert not caught.value.retryable
    assert rights[place.kind] in (caught.value.hint or "")
    assert proxy.count("*") == 1
    for ask in (lambda: objects.delete("a/b"), lambda: list(objects.list(""))):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == "refused"


@everywhere("az")
def test_azure_names_the_role_that_reading_takes(place: Place) -> None:
    objects = place.open()
    header = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    proxy_of(place).fault("*", status=403, body=b"", headers=header, times=99)
    for ask in (lambda: objects.read("a/b"), lambda: objects.sizes(["a/b"])):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == "refused"
        assert "Storage Blob Data Reader" in (caught.value.hint or "")


@everywhere("http")
def test_a_web_server_refuses_unless_it_is_a_bucket(place: Place) -> None:
    objects = place.open()
    proxy = proxy_of(place)
    for status in (401, 403):
        proxy.fault("GET", status=status)
        with pytest.raises(UnreachableError) as caught:
            objects.read("a/b")
        assert caught.value.reference == "refused"
    proxy.fault("GET", status=403, headers={"x-amz-request-id": "1"})
    assert objects.read("a/b") is None
    proxy.fault("HEAD", status=403, headers={"x-guploader-uploadid": "1"})
    assert objects.sizes(["a/b"]) == {}


@everywhere("http")
def test_a_web_server_is_neither_written_nor_listed(place: Place) -> None:
    objects = place.open()
    proxy = proxy_of(place)
    asks: dict[Callable[[], object], str] = {
        lambda: objects.put("a/b", b""): "read-only",
        lambda: objects.delete("a/b"): "read-only",
        lambda: list(objects.list("")): "no-listing",
    }
    for ask, reference in asks.items():
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == reference
    assert proxy.seen == []


@everywhere("s3")
@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_wrong_credentials_are_no_miss(place: Place, code: str) -> None:
    objects = place.open()
    proxy_of(place).fault("*", status=403, body=s3_says(code), times=99)
    for ask in (
        lambda: objects.read("a/b"),
        lambda: objects.sizes(["a/b"]),  # a HEAD has no body: it is looked at once
        lambda: objects.put("a/b", b""),
    ):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == "refused"
        assert code in caught.value.message


@everywhere("s3")
def test_a_clock_that_is_wrong_is_named(place: Place) -> None:
    objects = place.open()
    proxy_of(place).fault("*", status=403, body=s3_says("RequestTimeTooSkewed"), times=99)
    with pytest.raises(UnreachableError) as caught:
        objects.read("a/b")
    assert "clock" in (caught.value.hint or "")


@everywhere("s3", "gs")
def test_credentials_that_expire_are_read_anew_once(place: Place) -> None:
    place.fill("a/b", b"there")
    proxy = proxy_of(place)
    status, body = {
        "s3": (400, s3_says("ExpiredToken")),
        "gs": (401, b'{"error": {"message": "Invalid Credentials"}}'),
    }[place.kind]
    objects = place.open()
    proxy.fault("GET", "*/a/b", status=status, body=body)
    assert objects.read("a/b") == b"there"
    assert proxy.count("GET", "*/a/b") == 2
    proxy.forget()
    proxy.fault("GET", "*/a/b", status=status, body=body, times=99)
    with pytest.raises(UnreachableError) as caught:
        place.open().read("a/b")
    assert caught.value.reference == "refused"
    assert proxy.count("GET", "*/a/b") == 2


@everywhere("s3", "gs")
def test_credentials_that_expire_for_many_requests_at_once_are_read_anew_once_for_all(place: Place) -> None:
    names = [f"a/{number}" for number in range(40)]
    for name in names:
        place.fill(name, name.encode())
    status, body = {
        "s3": (400, s3_says("ExpiredToken")),
        "gs": (401, b'{"error": {"message": "Invalid Credentials"}}'),
    }[place.kind]
    objects = place.open()
    proxy = proxy_of(place)
    proxy.latency = 0.3
    for name in names:  # whoever asks late meets it too, and whoever asks again does not
        proxy.fault("GET", f"*/{name}", status=status, body=body)
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(objects.read, names)) == [name.encode() for name in names]
    assert proxy.count("GET", "*/a/*") == 2 * len(names)


@everywhere("s3")
def test_sizes_that_are_refused_by_expired_credentials_are_asked_again(place: Place) -> None:
    names = [f"a/{number}" for number in range(40)]
    for name in names:
        place.fill(name, b"there")
    objects = place.open()
    proxy = proxy_of(place)
    proxy.latency = 0.3
    for name in names:
        proxy.fault("HEAD", f"*/{name}", status=400, body=b"")
    assert objects.sizes(names) == dict.fromkeys(names, 5)


def test_without_credentials_the_error_says_what_makes_some(
    place_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of("s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UnreachableError) as caught:
        place.open().read("a/b")
    assert (caught.value.reference, caught.value.retryable) == ("refused", False)
    assert "aws configure" in (caught.value.hint or "")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(UnreachableError) as caught:
        open_objects("gs://bucket/store", patience=QUICK).read("a/b")
    assert (caught.value.reference, caught.value.retryable) == ("refused", False)
    assert "gcloud auth" in (caught.value.hint or "")


def test_credentials_come_from_the_usual_files(
    place_of: Callable[[str], Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of("s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id = KEYOFTHETEAM\naws_secret_access_key = {SENTINEL}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert open_objects(f"{place.url}?profile=team", patience=QUICK).put("a/b", b"x") == "created"
    assert place.proxy is not None
    assert "KEYOFTHETEAM" in place.proxy.seen[-1].headers["authorization"]


def test_a_service_account_of_google_gets_its_token_and_a_new_one_when_it_is_refused(
    place_of: Callable[[str], Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: TokenServer
) -> None:
    place = place_of("gs")
    assert place.proxy is not None
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tokens.account(tmp_path)))
    objects = open_objects(f"{place.url}?endpoint={place.proxy.url}", patience=QUICK)
    assert objects.put("a/b", b"x") == "created"
    place.proxy.fault("GET", status=401, body=b'{"error": {"message": "Invalid Credentials"}}')
    assert objects.read("a/b") == b"x"
    told = [seen.headers.get("authorization") for seen in place.proxy.seen]
    assert told == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_an_azure_address_without_an_account_says_how_to_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ANON", "true")
    with pytest.raises(EnvbuildError) as caught:
        open_objects("az://container/store", patience=QUICK).read("a/b")
    assert caught.value.reference == "bad-address"
    assert "?account=NAME" in (caught.value.hint or "")


@everywhere(*CLOUDS)
def test_a_bucket_that_is_not_there_is_named_with_what_makes_it(place: Place) -> None:
    objects = open_objects(f"{place.kind}://not-there-at-all/store", patience=QUICK)
    makes = {
        "s3": "aws s3api create-bucket",
        "gs": "gcloud storage buckets create",
        "az": "az storage container create",
    }
    word = "container" if place.kind == "az" else "bucket"
    for ask in (lambda: probe(objects), lambda: objects.put("a/b", b""), lambda: list(objects.list(""))):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == "no-bucket"
        assert f"there is no such {word}" in caught.value.message
        assert (caught.value.hint or "").startswith(f"run: {makes[place.kind]}")


@everywhere("s3", "gs", "az")
def test_the_probe_finds_a_server_that_ignores_the_condition(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    if place.kind == "az":  # whose keys sign the condition: a signed address does not
        assert place.server is not None
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", signed_address(place))
    objects = place.open()
    proxy = proxy_of(place)
    proxy.fault("*", strip=("If-None-Match",), strip_query=("ifGenerationMatch",), times=999)
    with pytest.raises(UnreachableError) as caught:
        probe(objects)
    assert caught.value.reference == "overwrites"
    assert not caught.value.retryable
    proxy.forget()
    assert list(objects.list("")) == []
    probe(objects)


@everywhere(*CLOUDS)
def test_who_may_neither_list_nor_delete_can_keep_a_store(place: Place) -> None:
    objects = place.open()
    header = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    lists = {"s3": f"/{place.url.split('/')[2]}", "gs": "*/o", "az": f"*/{place.url.split('/')[2]}"}[place.kind]
    proxy = proxy_of(place)
    proxy.fault("GET", lists, status=403, body=DENIED, headers=header, times=99)
    proxy.fault("DELETE", status=403, body=DENIED, headers=header, times=99)
    assert probe(objects) == Probed(lists=False, deletes=False)


@everywhere(*CLOUDS)
def test_the_probe_of_a_server_that_does_not_answer_waits_once(place: Place) -> None:
    objects = place.open(patience=Patience(attempts=2, pause=0.01))
    proxy = proxy_of(place)
    proxy.refuse_all = True
    with pytest.raises(UnreachableError) as caught:
        probe(objects)
    assert caught.value.retryable
    assert proxy.count("DELETE") == 0


@everywhere(*CLOUDS)
def test_the_probe_says_that_reading_is_not_allowed(place: Place) -> None:
    objects = place.open()
    header = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
    proxy_of(place).fault("GET", status=403, body=DENIED, headers=header, times=99)
    with pytest.raises(UnreachableError) as caught:
        probe(objects)
    assert caught.value.reference in {"unfit", "refused"}
    assert "read" in (caught.value.hint or "").lower()


@everywhere(*CLOUDS)
def test_the_probe_of_a_read_only_place_changes_nothing(place: Place) -> None:
    proxy = proxy_of(place)
    with pytest.raises(UnreachableError) as caught:
        probe(place.open(mode="read-only"))
    assert caught.value.reference == "read-only"
    assert proxy.seen == []


@everywhere(*CLOUDS, "http")
def test_no_secret_gets_into_an_error_whatever_the_server_repeats(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place.fill("a/b", b"there")
    if place.kind == "s3":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SENTINEL)
        monkeypatch.setenv("AWS_SESSION_TOKEN", SENTINEL)
    if place.kind == "az":
        assert place.server is not None
        connection = place.server.environ["AZURE_STORAGE_CONNECTION_STRING"]
        address = connection.partition("BlobEndpoint=")[2].rstrip(";")
        signed = f"BlobEndpoint={address};SharedAccessSignature=sv=2021-08-06&sig={SENTINEL}"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", signed)
    url = place.url.replace("://", f"://user-{SENTINEL}@", 1) if place.kind == "http" else place.url
    objects = open_objects(url, patience=QUICK)
    proxy = proxy_of(place)
    texts = [repr(objects), objects.address]
    echo = {"Authorization": SENTINEL, "x-ms-error-code": "Whatever"}
    with caplog.at_level(logging.INFO):
        for fault in (
            {"status": 400, "body": s3_says("Whatever"), "headers": echo},
            {"status": 403, "body": s3_says("InvalidAccessKeyId"), "headers": echo},
            {"status": 503, "body": f'{{"error": "{SENTINEL}"}}'.encode(), "headers": echo},
            {"cut_after": 1},
        ):
            proxy.forget()
            proxy.fault("*", times=99, **fault)
            for ask in (lambda: objects.read("a/b"), lambda: objects.sizes(["a/b"]), lambda: objects.put("a/c", b"x")):
                try:
                    ask()
                except EnvbuildError as error:
                    texts += [*traceback.format_exception(error), str(error.hint)]
    ours = [line for text in texts for line in text.splitlines()]
    assert len(ours) > 20
    assert [line for line in ours if SENTINEL in line] == []
    told = [record.getMessage() for record in caplog.records if record.name.startswith("envbuild")]
    assert [text for text in told if SENTINEL in text] == []


class TokenServer(ThreadingHTTPServer):
    """Gives out tokens as Google does: token-1, token-2, …"""

    given = 0

    def account(self, folder: Path) -> Path:
        """The file of a service account whose tokens come from here."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        about = {
            "type": "service_account",
            "client_email": "tests@example.org",
            "private_key": key.decode(),
            "token_uri": f"http://127.0.0.1:{self.server_address[1]}/token",
        }
        (folder / "account.json").write_text(json.dumps(about))
        return folder / "account.json"


class _Tokens(BaseHTTPRequestHandler):
    server: TokenServer

    def log_message(self, format: str, *args: object) -> None:
        """Nobody wants it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.given += 1
        body = json.dumps({"access_token": f"token-{self.server.given}", "expires_in": 3600, "token_type": "Bearer"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    """A running server of tokens."""
    with TokenServer(("127.0.0.1", 0), _Tokens) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Nothing:
    def write(self, data: bytes) -> None:
        raise AssertionError("nothing was to come")

    def restart(self) -> None:
        pass


def signed_address(place: Place) -> str:
    from datetime import datetime, timedelta, timezone

    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    assert place.server is not None
    parts = dict(
        part.split("=", 1) for part in place.server.environ["AZURE_STORAGE_CONNECTION_STRING"].split(";") if part
    )
    token = generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        datetime.now(timezone.utc) + timedelta(hours=1),
    )
    return f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={token}"
