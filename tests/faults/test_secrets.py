"""Secrets (H69, H70, H71): planted wherever users put them, used, and found nowhere else: not in what is printed, not
in a file of the home, the project or a store, not in a command line.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from envbuild.objects.opening import open_objects
from tests.faults.counts import COUNTS
from tests.faults.far import Far
from tests.faults.figures import count
from tests.faults.test_surroundings import SECRET, found_in
from tests.faults.world import World, children, command_of, remove
from tests.support.servers import Server, serve

SPELLINGS = (SECRET, base64.b64encode(SECRET.encode()).decode(), base64.b64encode(f"reader:{SECRET}".encode()).decode())


def told(world: World, *words: str, environ: Mapping[str, str] | None = None) -> str:
    """What a command, however it ends, says to its user and to everybody who lists processes."""
    began = time.monotonic()
    process = world.start(*words, environ=environ)
    said = ""
    while process.poll() is None:
        said += " ".join(map(command_of, (process.pid, *children(process.pid))))
        time.sleep(0.005)
    outcome = world.ended(process, words, began, None)
    return said + outcome.out + outcome.err


def clean(world: World, said: str, holders: set[Path], objects: Mapping[str, bytes] | None = None) -> None:
    """No spelling of the secret in what was said, in any file besides those that hold it, in any object of a store."""
    assert [each for each in SPELLINGS if each in said] == []
    assert found_in(world.folder, SECRET, holders) == []
    for name, data in (objects or {}).items():
        assert not [each for each in SPELLINGS if each in name or each.encode() in data], name


def stored(url: str) -> dict[str, bytes]:
    """Every small object of a store."""
    objects = open_objects(url)
    return {item.name: objects.read(item.name, 64 << 20) or b"" for item in objects.list("") if item.size < 1 << 20}


VERBS = (
    ("realize", "both.yaml", "--locked"),
    ("realize", "both.yaml", "--json"),
    ("plan", "both.yaml"),
    ("show", "both.yaml", "--json"),
    ("store", "info"),
    ("push", "both.yaml"),
    ("config", "list"),
    ("verify",),
)

ECHO = f"<Error><Code>Whatever</Code><Message>Authorization: {SECRET} {SPELLINGS[1]}</Message></Error>".encode()


@pytest.mark.parametrize("way", ["variables", "a session token", "a profile"])
def test_h69_credentials_of_a_cloud_are_nowhere(far: Far, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"AWS_SECRET_ACCESS_KEY": SECRET}
    holders: set[Path] = set()
    if way == "a session token":
        variables["AWS_SESSION_TOKEN"] = SECRET
    if way == "a profile":
        file = Path(far.environ["HOME"]) / "aws-credentials"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\naws_access_key_id = testing\naws_secret_access_key = {SECRET}\n")
        variables = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
        holders.add(file)
    saved = dict(far.environ)
    try:
        far.emptied()
        if way == "a profile":
            far.environ.pop("AWS_SECRET_ACCESS_KEY", None)
            far.environ.pop("AWS_ACCESS_KEY_ID", None)
        said = "".join(told(far, *words, environ=variables) for words in VERBS)
        assert far.proxy.count("PUT") > 4, "the secret was used"
        if way == "variables":
            said += told(far, "store", "init", f"{far.url}-elsewhere", environ=variables)
            said += told(far, "store", "init", "s3://no-such-bucket-anywhere/x", environ=variables)
        # H70: what servers repeat
        for fault in (
            {"status": 403, "body": ECHO, "headers": {"Authorization": SECRET}},
            {"status": 400, "body": ECHO},
            {"status": 500, "body": ECHO},
            {"cut_after": 3},
        ):
            far.fresh()
            far.proxy.forget()
            far.proxy.fault("*", times=1000, **fault)
            said += told(far, "realize", "both.yaml", "--locked", environ=variables)
        far.proxy.forget()
        for name, value in {**far.cloud.environ, "AWS_SECRET_ACCESS_KEY": "other"}.items():
            monkeypatch.setenv(name, value)
        clean(far, said, holders, stored(far.url))
    finally:
        far.environ.clear()
        far.environ.update(saved)
        for path in holders:
            path.unlink()
    count("ways to give a cloud's credentials after which no secret was found, whatever servers repeat", 1, 1)


@pytest.fixture
def web(far: Far) -> Iterator[Server]:
    """A web server that gives a store to ``reader`` alone."""
    folder = far.folder / "web"
    far.run("store", "init", str(folder))
    far.realized()
    far.run("push", "both.yaml", "--to", str(folder))
    with serve(folder) as server:
        server.require_basic("reader", SECRET)
        yield server
    remove(folder)


WEB = ("netrc", "keyring", "rattler", "an address of the configuration")


@pytest.mark.parametrize("way", WEB)
def test_h69_credentials_of_a_web_server_are_nowhere(far: Far, web: Server, way: str, tmp_path: Path) -> None:
    host = web.url.removeprefix("http://")
    far.configure({"name": "cloud", "url": web.url}, trusted=[web.url])
    file = tmp_path / "holder"
    variables: dict[str, str] = {}
    if way == "netrc":
        file.write_text(f"machine {host.partition(':')[0]} login reader password {SECRET}\n")
        variables["NETRC"] = str(file)
    elif way == "rattler":
        file.write_text(json.dumps({host: {"BasicHTTP": {"username": "reader", "password": SECRET}}}))
        variables["RATTLER_AUTH_FILE"] = str(file)
    elif way == "keyring":
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "keyring"
        answer = json.dumps({"username": "reader", "password": SECRET})
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        program.chmod(0o755)
        variables["PATH"] = f"{program.parent}{os.pathsep}{far.environ['PATH']}"
        file.write_text("")
    else:
        far.configure({"name": "cloud", "url": web.url_with("reader", SECRET)}, trusted=[web.url])
        file.write_text("")
    file.chmod(0o600)
    said = ""
    for words in VERBS:
        far.close() if words[0] == "realize" else None
        said += told(far, *words, environ=variables)
    if way != "an address of the configuration":  # which is refused: addresses are kept and shown
        assert 200 in web.answers, said
        assert not web.faults
    config = Path(far.environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
    clean(far, said, {config})
    count("ways to sign in to a web server that holds a store, after which no secret was found", 1, 1)


SIGNED = ("X-Amz-Signature", "sig", "token", "X-Goog-Signature")


@pytest.mark.parametrize("name", SIGNED if COUNTS.full else SIGNED[:2])
def test_h69_a_signature_in_an_address_of_a_recipe_is_refused_or_kept_out(world: World, name: str) -> None:
    said = ""
    try:
        for text in (
            f"conda:\n  channels: ['{world.server.url}/channel?{name}={SECRET}']\n  packages:\n    activated:\n",
            world.conda_lines(f"odd: {{url: '{world.server.url}/channel/noarch/odd-1.0-0.conda?{name}={SECRET}'}}"),
            f"pypi:\n  index: '{world.server.url}/simple?{name}={SECRET}'\n  packages:\n    tool-box:\n",
        ):
            world.recipe("signed", text)
            for words in (("lock", "signed.yaml"), ("realize", "signed.yaml"), ("plan", "signed.yaml")):
                said += told(world, *words)
        typed: tuple[tuple[str, ...], ...] = (
            ("store", "init", f"s3://bucket/x?{name}={SECRET}"),
            ("realize", "small.yaml", "--store", f"https://host.invalid/x?{name}={SECRET}"),
        )
        for line in typed:  # which stands in the list of processes, whatever we do
            outcome = world.run(*line, code=None)
            assert outcome.code in {2, 3}, outcome
            said += outcome.out + outcome.err
        clean(world, said.replace("\n", " "), {world.project / "signed.yaml"})
    finally:
        (world.project / "signed.yaml").unlink()
        world.lock("signed").unlink(missing_ok=True)
    count("signed addresses (X-Amz-Signature, sig, token) after which no secret was found", 5, 5)


def test_h71_files_of_credentials_that_others_may_read_are_told_and_links_are_refused(far: Far, web: Server) -> None:
    host = web.url.removeprefix("http://")
    far.configure({"name": "cloud", "url": web.url}, trusted=[web.url])
    folder = Path(far.environ["HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    netrc, real, link = folder / "netrc", folder / "real.json", folder / "link.json"
    try:
        netrc.write_text(f"machine {host.partition(':')[0]} login reader password {SECRET}\n")
        netrc.chmod(0o644)
        far.fresh()
        outcome = far.realized(environ={"NETRC": str(netrc)})
        assert f"chmod 600 {netrc}" in outcome.err
        assert outcome.err.count("others may read") == 1
        real.write_text(json.dumps({host: {"BasicHTTP": {"username": "reader", "password": SECRET}}}))
        real.chmod(0o600)
        link.symlink_to(real)
        far.fresh()
        outcome = far.run("store", "info", environ={"RATTLER_AUTH_FILE": str(link)}, code=None)
        assert "symbolic link" in outcome.err
        clean(far, outcome.out + outcome.err, {netrc, real})
        far.close()
        outcome = far.run("realize", "both.yaml", "--locked", environ={"RATTLER_AUTH_FILE": str(link)}, code=5)
        assert "symbolic link" in outcome.err
        far.run("store", "info", environ={"RATTLER_AUTH_FILE": str(real)})
    finally:
        for path in (netrc, link, real):
            path.unlink(missing_ok=True)
    count("files of credentials that others may read, told; that are links, refused", 2, 2)
