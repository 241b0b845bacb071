"""The program that begins on a node: what it reads of each kind of store, and how it ends when it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from envbuild.metaflow.archive import packed
from envbuild.metaflow.inline import first_program, inline, lean, room, words
from envbuild.objects import Objects
from envbuild.objects.opening import open_objects
from tests.case import CHECKOUT
from tests.objects.conftest import Place, az_server, everywhere, gs_server, place, place_of, s3_server
from tests.support.servers import Body, Incoming, Server

__all__ = ["az_server", "gs_server", "place", "place_of", "s3_server"]

SAYS = b"def main(words):\n    print('it is', *words)\n    return 0\n"


def put(objects: Objects, data: bytes, name: str | None = None) -> str:
    digest = name or hashlib.sha256(data).hexdigest()
    objects.put(f"blobs/sha256/{digest[:2]}/{digest}", data)
    return digest


def begin(url: str, digest: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = f"PATH={Path(sys.executable).parent}:$PATH; {inline(url)} {words(url, digest)}"
    return subprocess.run(["sh", "-c", command], env=dict(environ), capture_output=True, text=True, check=False)


@everywhere("file", "s3", "gs", "az")
def test_the_first_program_is_read_from_each_kind_of_store(place: Place) -> None:
    digest = put(open_objects(place.url), SAYS)
    done = begin(place.url, digest, os.environ)
    assert done.stdout == f"it is tools {place.url}\n", done.stderr


@everywhere("file", "s3", "gs", "az")
def test_what_is_absent_ends_at_once_and_wrong_bytes_are_never_run(place: Place) -> None:
    objects = open_objects(place.url)
    absent = begin(place.url, "0" * 64, os.environ)
    assert absent.returncode == 4, absent.stderr
    wrong = begin(place.url, put(objects, SAYS, "1" * 64), {**os.environ, "ENVBUILD_DEADLINE": "0"})
    assert (wrong.returncode, wrong.stdout) == (5, ""), wrong.stderr
    assert "wrong bytes" in wrong.stderr


@pytest.mark.parametrize(
    "url",
    [
        "s3://b/s?endpoint=http://127.0.0.1:1",
        "gs://b/s?endpoint=http://127.0.0.1:1",
        "az://b/s?endpoint=http://127.0.0.1:1",
    ],
)
def test_a_store_that_does_not_answer_is_exit_5_after_the_deadline(url: str) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "ENVBUILD_DEADLINE": "0",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AZURE_STORAGE_ACCOUNT_KEY": "aaaa",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
    }
    assert begin(url, "0" * 64, environ).returncode == 5


@everywhere("file", "s3", "gs", "az")
def test_what_is_read_later_is_read_with_the_same_credentials(place: Place, tmp_path: Path) -> None:
    open_objects(place.url).put("some/package", b"the package")
    program = tmp_path / "first.py"
    program.write_bytes(first_program({}, {}) + b"sys.exit(main(sys.argv[1:]))\n")
    command = [sys.executable, "-I", str(program), "package", f"{place.url}/some", "package", str(tmp_path / "job")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "job").read_bytes() == b"the package"


BRINGS = """
import types
STORE, TOOLS, LATER = "file:///store", "", None
def bring(words, arrival):
    print(os.getpid(), *words, os.environ["ENVBUILD_DURABILITY"])
    if words[1] == "broken":
        raise OSError("of envbuild's own")
    return 4
sys.modules["envbuild.metaflow.hydrating"] = types.SimpleNamespace(main=bring)
print(os.getpid())
sys.exit(main(["enter", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(("step", "code"), [("F/good", 4), ("F/bad", 1)])
def test_what_was_brought_runs_in_the_process_that_enters_and_its_faults_are_none_of_the_store(
    step: str, code: int, tmp_path: Path
) -> None:
    program = tmp_path / "first.py"
    steps = {"F/good": ("request", "id", "closure"), "F/bad": ("broken", "id", "closure")}
    program.write_bytes(first_program({}, steps) + BRINGS.encode())
    (tmp_path / "node").mkdir()
    command = [sys.executable, "-I", "-S", str(program), step]
    environ = {"ENVBUILD_HOME": str(tmp_path), "ENVBUILD_DURABILITY": "safe"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    process, answer = done.stdout.splitlines()
    assert answer == f"{process} file:///store {' '.join(steps[step])} {step} safe"
    assert ("of envbuild's own" in done.stderr) == ("Traceback" in done.stderr) == (code == 1)


PROGRAMS = """
import types
STORE, TOOLS, LATER = sys.argv[2], "", [sys.argv[3], True]
def bring(words, arrival):
    from envbuild.errors import EnvbuildError
    from envbuild.machine.uv_program import uv_program
    from envbuild.metaflow.hydrating import await_arrival
    await_arrival(arrival)
    try:
        print(uv_program() != "", arrival())
    except EnvbuildError as error:
        print(error.reference)
        return error.exit_code
    return 0
sys.path[:0] = sys.argv[4:]
import envbuild.metaflow.hydrating
envbuild.metaflow.hydrating.main = bring
sys.exit(main(["enter", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("lost", "code", "said"), [("", 0, "True 0"), ("absent", 4, "no-tools"), ("wrong", 4, "no-tools")]
)
def test_what_links_comes_in_another_process_and_who_needs_it_first_waits(
    lost: str, code: int, said: str, tmp_path: Path
) -> None:
    data = packed({"bin/toy": (b"#!/bin/sh\n", True)})
    digest = hashlib.sha256(data).hexdigest()
    store = tmp_path / "store" / "blobs" / "sha256" / digest[:2]
    store.mkdir(parents=True)
    if lost != "absent":
        (store / digest).write_bytes(data + b"x" * bool(lost))
    (tmp_path / "node").mkdir()
    program = tmp_path / "first.py"
    program.write_bytes(first_program({}, {"F/step": ("request", "id", "closure")}) + PROGRAMS.encode())
    words = [sys.executable, "-I", str(program), "F/step", str(tmp_path / "store"), digest, str(CHECKOUT)]
    done = subprocess.run(words, env={"ENVBUILD_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, f"{said}\n"), done.stderr
    assert len(list(tmp_path.glob("node/*/bin/toy"))) == (not lost)
    assert ("the store has no" in done.stderr, "wrong bytes" in done.stderr) == (lost == "absent", lost == "wrong")


ROLE = {"AccessKeyId": "ROLE", "SecretAccessKey": "se/cr+et=", "Token": "/to+ken=="}
STS = "<A><AssumedRoleId>X:y</AssumedRoleId><SessionToken>{Token}</SessionToken><SecretAccessKey>{SecretAccessKey}"
STS += "</SecretAccessKey><AccessKeyId>{AccessKeyId}</AccessKeyId></A>"


@pytest.mark.parametrize("kind", ["container", "web identity", "variables"])
@pytest.mark.parametrize("program", ["begin_s3", "get_s3"])
def test_credentials_of_a_node_sign_as_amazon_s_own_library_does(
    kind: str, program: str, tmp_path: Path, serving: Callable[..., Server]
) -> None:
    def answer(request: Incoming) -> Body | None:
        if request.path == "/role":
            return Body(data=json.dumps(ROLE).encode())
        if request.path == "/":
            return Body(data=STS.format(**ROLE).encode())
        return Body(data=SAYS)

    server = serving(answer)
    (tmp_path / "token").write_text("a-token")
    environ = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1"} | {
        "container": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/role",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        },
        "web identity": {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/a",
            "AWS_ENDPOINT_URL_STS": server.url,
        },
        "variables": {
            "AWS_ACCESS_KEY_ID": ROLE["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": ROLE["SecretAccessKey"],
            "AWS_SESSION_TOKEN": ROLE["Token"],
        },
    }[kind]
    digest = hashlib.sha256(SAYS).hexdigest()
    if program == "begin_s3":
        done = begin("s3://a-bucket/some+path", digest, environ)
    else:
        text = (
            room("get_s3")
            + f"\nprint(get('s3://a-bucket/some+path', 'blobs/sha256/{digest[:2]}/{digest}') is not None)"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", text], env=environ, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout in {"it is tools s3://a-bucket/some+path\n", "True\n"}
    asked = server.requests[-1]
    assert asked.path.startswith("/a-bucket/some")
    if kind == "container":
        assert server.requests[0].headers["authorization"] == "a-token"
    assert asked.headers["x-amz-security-token"] == ROLE["Token"]
    assert asked.headers["authorization"].endswith(f"Signature={signature(server.url, asked)}")


def signature(url: str, asked: Any) -> str:
    """What botocore would sign this request with."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    auth = S3SigV4Auth(Credentials(ROLE["AccessKeyId"], ROLE["SecretAccessKey"], ROLE["Token"]), "s3", "eu-west-1")
    names = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(
        "GET", url + quote(asked.path, safe="/"), headers={name: asked.headers[name] for name in names}
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    found: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return found


def test_node_programs_are_python_3_8_and_need_nothing_but_its_library() -> None:
    import ast

    for name in ("begin", "begin_s3", "first", "get_az", "get_file", "get_gs", "get_s3", "unpacking"):
        tree = ast.parse(lean(room(name)), feature_version=(3, 8))
        imported = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert imported <= set(sys.stdlib_module_names)
        assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
