"""Who we are to servers, and what never gets into a message. The table of addresses is modelled on pip's."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from envbuild.machine.credentials import Credentials, redact, without_user_info


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host.example/simple", "https://host.example/simple"),
        ("https://user@host.example/simple", "https://****@host.example/simple"),
        ("https://user:password@host.example/a", "https://user:****@host.example/a"),
        ("https://user:@host.example/a", "https://user:****@host.example/a"),
        ("https://:password@host.example/a", "https://:****@host.example/a"),
        ("https://user:pass@word@host.example/a", "https://user:****@host.example/a"),
        ("https://user%3Aname:%23%40%5E@host.example/a", "https://user%3Aname:****@host.example/a"),
        ("https://host.example:8080/a?x=1", "https://host.example:8080/a?x=1"),
        ("https://u:p@[::1]:80/a", "https://u:****@[::1]:80/a"),
        ("https://host.example/t/tk-123-abc/channel/linux-64", "https://host.example/t/****/channel/linux-64"),
        ("https://h.example/a?X-Amz-Signature=abc&X-Amz-Date=1", "https://h.example/a?X-Amz-Signature=****&X-Amz-Date=1"),
        ("https://h.example/a?sv=1&sig=abc%3D", "https://h.example/a?sv=1&sig=****"),
        ("file:///a/b", "file:///a/b"),
        ("git+ssh://git@host.example/r.git", "git+ssh://****@host.example/r.git"),
        ("http://[broken", "****"),
    ],
)  # fmt: skip
def test_addresses_that_may_be_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_what_is_kept_at_rest() -> None:
    assert without_user_info("https://me:x@h.example:1/t/tok/c/f?sig=1#sha256=2") == "https://h.example:1/c/f"


def test_user_info_of_the_configuration_serves_its_server_only() -> None:
    credentials = Credentials({}, ["https://me:a%40b@h.example/simple"])
    found = credentials.for_url("https://h.example/files/x.whl")
    assert (found.url, found.authorization) == ("https://h.example/files/x.whl", basic("me:a@b"))
    for url in ("https://other.example/x", "https://h.example:444/x", "http://h.example/x", "https://h.example.evil/x"):
        assert credentials.for_url(url).authorization is None
    assert "a@b" not in repr(found)


def test_uv_variables() -> None:
    environ = {
        "UV_INDEX": "my-corp=https://h.example/simple other=https://o.example/simple",
        "UV_INDEX_MY_CORP_USERNAME": "me",
        "UV_INDEX_MY_CORP_PASSWORD": "p:w",
    }
    credentials = Credentials(environ)
    assert credentials.for_url("https://h.example/a").authorization == basic("me:p:w")
    assert credentials.for_url("https://o.example/a").authorization is None


def test_rattlers_file(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text(
        json.dumps(
            {
                "bearer.example": {"BearerToken": "tok"},
                "*.basic.example": {"BasicHTTP": {"username": "me", "password": "pw"}},
                "conda.example": {"CondaToken": "ct"},
                "strange.example": {"New": 1},
            }
        )
    )
    file.chmod(0o600)
    said: list[str] = []
    credentials = Credentials({"RATTLER_AUTH_FILE": str(file)}, note=said.append)
    assert credentials.for_url("https://bearer.example/x").authorization == "Bearer tok"
    assert credentials.for_url("https://a.basic.example/x").authorization == basic("me:pw")
    assert credentials.for_url("https://conda.example/c/linux-64/f").url == "https://conda.example/t/ct/c/linux-64/f"
    assert credentials.for_url("https://strange.example/x").authorization is None
    assert said == []


def test_netrc_and_who_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / ".netrc"
    file.write_text("machine h.example login me password pw\n")
    file.chmod(0o644)
    said: list[str] = []
    credentials = Credentials({"HOME": str(tmp_path)}, note=said.append)
    assert credentials.for_url("https://h.example/x").authorization == basic("me:pw")
    assert credentials.for_url("https://h.example/y").authorization == basic("me:pw")
    assert len(said) == 1
    assert "chmod 600" in said[0]
    file.write_text("machine ] [ nonsense\n")
    assert Credentials({"NETRC": str(file)}, note=said.append).for_url("https://h.example/x").authorization is None


def test_a_token_file_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text('{"h.example": {"BearerToken": "tok"}}')
    link = tmp_path / "auth.json"
    link.symlink_to(real)
    said: list[str] = []
    found = Credentials({"RATTLER_AUTH_FILE": str(link)}, note=said.append).for_url("https://h.example/x")
    assert found.authorization is None
    assert "symbolic link" in said[0]


def test_the_keyring_library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get_credential(name: str, user: str | None) -> object:
        asked.append(name)
        return SimpleNamespace(username="me", password="pw") if name == "h.example" else None

    module = ModuleType("keyring")
    module.get_credential = get_credential  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)
    credentials = Credentials({})
    for _ in range(2):
        found = credentials.from_keyring("https://h.example/x")
        assert found is not None
        assert found.authorization == basic("me:pw")
    assert asked == ["https://h.example", "h.example"]
    assert credentials.from_keyring("https://o.example/x") is None


def test_the_keyring_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    program = tmp_path / "keyring"
    program.write_text('#!/bin/sh\necho \'{"username": "me", "password": "pw"}\'\n')
    program.chmod(0o755)
    found = Credentials({"PATH": f"{tmp_path}:/usr/bin:/bin"}).from_keyring("https://h.example/x")
    assert found is not None
    assert found.authorization == basic("me:pw")
    assert Credentials({"PATH": "/nowhere"}).from_keyring("https://h.example/x") is None
