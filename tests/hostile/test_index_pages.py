"""H53-H55: index pages with links to elsewhere, hashes that are weak or lie, and servers that lead away."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envbuild.lock import LockedEnvironment
from envbuild.locks.lockfile import parse_lock
from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.servers import Body, Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel, metadata

FILE = "nice-1.0-py3-none-any.whl"
Serving = Callable[..., Server]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "wheels", "nice", "1.0")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def page(serving: Serving, wheel: Path, html: str, **headers: str) -> Server:
    """An index whose one page is this text; the wheel itself is below ``/files``."""

    def answer(request: Any) -> Body | None:
        if request.path == "/simple/nice/":
            return Body(data=html.encode(), type="text/html", headers=headers)
        if request.path == f"/files/{FILE}":
            return Body(data=wheel)
        return None

    return serving(answer)


def recipe(server: Server) -> str:
    return f"interpreter: host\npython: 3.11\npypi:\n  index: {server.url}/simple\n  packages: {{nice: }}\n"


def locked(case: Case) -> LockedEnvironment:
    (environment,) = parse_lock((case.project / "x.lock.yaml").read_bytes(), "x").platforms
    return environment


def refused(case: Case, *codes: int) -> None:
    case.run("realize", "x.yaml", code=None, timeout=60)
    assert case.code in (codes or (3, 4, 5, 11)), case.err
    assert "error[" in case.err
    assert not any((case.home / "prefixes").glob("[0-9a-f]*"))
    assert not list((case.home / "tmp").glob("*"))


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "data:application/zip;base64,UEsFBg==",
        "ftp://127.0.0.1/{file}",
        "../../files/..%2f..%2f{file}",
        "../../files/%252e%252e%252f{file}",
        "../../files/sub%5c..%5c{file}",
        "http://[::1/{file}",
        "//",
        "",
    ],
)
def test_h53_links_that_are_none(href: str, case: Case, wheel: Path, serving: Serving) -> None:
    server = page(serving, wheel, f'<a href="{href.format(file=FILE)}#sha256={sha256(wheel)}">{FILE}</a>')
    case.recipe(recipe(server))
    refused(case)


def test_h53_a_file_of_this_machine(case: Case, wheel: Path, serving: Serving) -> None:
    """A page that came over the network may not name files of whoever reads it."""
    server = page(serving, wheel, f'<a href="{wheel.as_uri()}#sha256={sha256(wheel)}">{FILE}</a>')
    case.recipe(recipe(server))
    refused(case)


def test_h53_a_base_that_leads_to_files(case: Case, wheel: Path, serving: Serving) -> None:
    base = f'<base href="{wheel.parent.as_uri()}/">'
    server = page(serving, wheel, f'<head>{base}</head><a href="{FILE}#sha256={sha256(wheel)}">{FILE}</a>')
    case.recipe(recipe(server))
    refused(case)


def test_h53_an_address_that_knows_a_machine_s_secrets(case: Case, wheel: Path, serving: Serving) -> None:
    link = f"http://169.254.169.254/{FILE}#sha256={sha256(wheel)}"
    server = page(serving, wheel, f'<a href="{link}">{FILE}</a>')
    case.variable("HTTP_PROXY", None).variable("http_proxy", None).recipe(recipe(server))
    refused(case)


def test_h53_another_host_is_where_many_indices_keep_files(case: Case, wheel: Path, serving: Serving) -> None:
    """The bytes are held against the digest, wherever they come from; the name of a download is never believed."""
    other = serving(wheel.parent, host="localhost")
    server = page(
        serving,
        wheel,
        f'<a href="{other.url}/{FILE}#sha256={sha256(wheel)}">{FILE}</a>',
        **{"Content-Disposition": "attachment; filename=../../evil"},
    )
    case.recipe(recipe(server)).run("realize", "x.yaml")
    assert not list(case.project.parent.rglob("evil"))


@pytest.mark.parametrize("fragment", ["", "#md5=d41d8cd98f00b204e9800998ecf8427e", "#sha256=abc"])
def test_h54_without_a_strong_hash_the_bytes_are_fetched_to_compute_one(
    fragment: str, case: Case, wheel: Path, serving: Serving
) -> None:
    server = page(serving, wheel, f'<a href="../../files/{FILE}{fragment}">{FILE}</a>')
    case.recipe(recipe(server)).run("lock", "x.yaml", code=None)
    if case.code == 0:
        assert locked(case).wheels[0].sha256 == sha256(wheel)
    else:
        assert "error[" in case.err
        assert not (case.project / "x.lock.yaml").exists()


def test_h54_a_hash_that_lies(case: Case, wheel: Path, serving: Serving) -> None:
    server = page(serving, wheel, f'<a href="../../files/{FILE}#sha256={"1" * 64}">{FILE}</a>')
    case.recipe(recipe(server))
    refused(case, 4, 5, 11)


def test_h54_metadata_that_tells_of_another_package(case: Case, wheel: Path, serving: Serving) -> None:
    """The index's copy of METADATA is another one than the wheel's: what it is called is found at the latest then."""
    index = WheelIndex(folder=wheel.parent)
    lie = b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"

    def answer(request: Any) -> Body | None:
        if request.path.endswith(".metadata"):
            return Body(data=lie, type="text/plain")
        body = index(request)
        if body is not None and request.path == "/simple/nice/" and isinstance(body.data, bytes):
            text = body.data.decode()
            if text.startswith("{"):
                document = json.loads(text)
                document["files"][0]["core-metadata"] = {"sha256": hashlib.sha256(lie).hexdigest()}
                return Body(data=json.dumps(document).encode(), type=body.type, headers=body.headers)
        return body

    case.recipe(recipe(serving(answer)))
    refused(case)


class LyingIndex(WheelIndex):
    """An index over wheels whose copy of one wheel's METADATA has other requirements; ``lie`` None: it is honest."""

    lie: bytes | None = None

    def __call__(self, request: Any) -> Body | None:
        body = super().__call__(request)
        if self.lie is None or body is None or "/nice" not in request.path:
            return body
        if request.path.endswith(".metadata"):
            return Body(data=self.lie, type="text/plain")
        if request.path == "/simple/nice/" and isinstance(body.data, bytes):
            document = json.loads(body.data)
            document["files"][0]["core-metadata"] = {"sha256": hashlib.sha256(self.lie).hexdigest()}
            return Body(data=json.dumps(document).encode(), type=body.type, headers=body.headers)
        return body


@pytest.mark.parametrize(
    ("own", "lie", "said"),
    [
        ([], ["evil"], "it does not need evil"),
        (["kind"], [], "it needs kind"),
        (["kind<2"], ["kind"], "it needs kind<2; it does not need kind"),
    ],
)
def test_h54_a_copy_of_metadata_with_other_requirements(
    own: list[str], lie: list[str], said: str, case: Case, serving: Serving, tmp_path: Path
) -> None:
    """Found when the wheel is looked into; found again the next time; gone with a new lock from an honest index."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "nice", "1.0", requires=own)
    make_wheel(folder, "kind", "1.0")
    make_wheel(folder, "evil", "1.0")
    index = LyingIndex(folder=folder)
    index.lie = metadata("nice", "1.0", requires=lie).encode()
    case.recipe(recipe(serving(index))).run("lock", "x.yaml")
    for _ in range(2):
        refused(case, 4)
        case.mentions("wrong-metadata", said, "envbuild lock --upgrade-package nice")
    index.lie = None
    case.run("lock", "--upgrade-package", "nice", "x.yaml").run("realize", "x.yaml")
    (nice,) = (item for item in locked(case).wheels if item.name == "nice")
    assert nice.requires == (("kind",) if own else ())


def test_h54_a_copy_that_lies_about_a_wheel_that_is_linked_already(
    case: Case, serving: Serving, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "wheels", "nice", "1.0")
    make_wheel(tmp_path / "wheels", "evil", "1.0")
    index = LyingIndex(folder=tmp_path / "wheels")
    server = serving(index)
    case.recipe(recipe(server)).run("realize", "x.yaml")
    shutil.rmtree(case.home / "cache" / "metadata")
    shutil.rmtree(case.home / "cache" / "uv")
    index.lie = metadata("nice", "1.0", requires=["evil"]).encode()
    case.recipe(recipe(server), "y.yaml").run("lock", "y.yaml").run("realize", "y.yaml", code=4)
    case.mentions("wrong-metadata", "it does not need evil")


def test_h54_a_lock_of_another_machine_that_believed_a_lie(case: Case, serving: Serving, tmp_path: Path) -> None:
    """Only the lock is there to ask, and overrides are not in it: it is said, once, and nothing is refused."""
    make_wheel(tmp_path / "wheels", "nice", "1.0", requires=["kind", "unasked; extra == 'more'"])
    make_wheel(tmp_path / "wheels", "evil", "1.0")
    index = LyingIndex(folder=tmp_path / "wheels")
    index.lie = metadata("nice", "1.0", requires=["evil"]).encode()
    case.recipe(recipe(serving(index))).run("lock", "x.yaml")
    shutil.rmtree(case.home)
    case.run("realize", "--locked", "x.yaml")
    case.mentions(
        "nice 1.0 needs kind, which the lock does not have",
        "the lock says that nice 1.0 needs evil, its own METADATA does not",
    )
    case.run("realize", "--locked", "x.yaml").hides("needs kind", "unasked")


def test_h54_overrides_extras_and_markers_are_no_lies(case: Case, serving: Serving, tmp_path: Path) -> None:
    make_wheel(
        tmp_path / "wheels",
        "nice",
        "1.0",
        requires=["gone", "kind>=2", "mac-only; sys_platform == 'darwin'"],
        extras={"more": ["extra-thing"], "not-asked": ["unknown"]},
    )
    make_wheel(tmp_path / "wheels", "kind", "1.0")
    make_wheel(tmp_path / "wheels", "extra-thing", "1.0")
    server = serving(WheelIndex(folder=tmp_path / "wheels"))
    overrides = "  overrides:\n    kind: ==1.0\n    gone:\n      markers: sys_platform == 'darwin'\n"
    case.recipe(recipe(server).replace("{nice: }", "{'nice[more]': }") + overrides).run("realize", "x.yaml")
    case.hides("METADATA", "does not have")
    shutil.rmtree(case.home)
    case.run("realize", "--locked", "x.yaml").mentions("nice 1.0 needs gone, which the lock does not have")


def test_h54_what_conda_provides_is_no_lie(case: Case, serving: Serving, tmp_path: Path, channel: TestChannel) -> None:
    """conda's names are not the wheel's, and `provides` is not in the lock; nor what an extra of conda's would need."""
    make_wheel(tmp_path / "wheels", "nice", "1.0", requires=["proper-name>=0"], extras={"more": ["absent"]})
    server = serving(WheelIndex(folder=tmp_path / "wheels"))
    text = f"python: {'.'.join(channel.pythons[0].split('.')[:2])}\n" + recipe(server).split("\n", 2)[2]
    text += f"conda:\n  channels: ['{channel.folder.as_uri()}']\n  packages: {{greet: '1.*'}}\n"
    text += "  provides: {greet: proper-name}\n"
    case.recipe(text).run("realize", "x.yaml").hides("METADATA", "does not have")
    (nice,) = locked(case).wheels
    assert nice.requires == ("greet",)
    shutil.rmtree(case.home)
    case.run("realize", "--locked", "x.yaml").hides("METADATA", "does not have")


def test_h54_a_version_that_was_yanked_is_taken_by_nobody(case: Case, wheel: Path, serving: Serving) -> None:
    make_wheel(wheel.parent, "nice", "2.0")
    server = serving(WheelIndex(folder=wheel.parent, yanked={"nice-2.0-py3-none-any.whl": "broken"}))
    case.recipe(recipe(server)).run("lock", "x.yaml")
    assert locked(case).wheels[0].version == "1.0"


def test_h54_a_python_requirement_that_costs(case: Case, wheel: Path, serving: Serving) -> None:
    long = "&gt;=3," * 20_000 + "&gt;=3"
    server = page(
        serving,
        wheel,
        f'<a href="../../files/{FILE}#sha256={sha256(wheel)}" data-requires-python="{long}">{FILE}</a>',
    )
    case.recipe(recipe(server)).run("lock", "x.yaml", code=None, timeout=60)
    assert case.code in {0, 3, 5, 11}


def test_h55_credentials_do_not_follow_to_another_host(
    case: Case, wheel: Path, serving: Serving, tmp_path: Path
) -> None:
    """The index asks for a password and leads its files elsewhere: the other host sees no password."""
    other = serving(wheel.parent, host="localhost")
    server = page(serving, wheel, f'<a href="../../files/{FILE}#sha256={sha256(wheel)}">{FILE}</a>')
    server.require_basic("user", "s3cret")
    server.fault(f"/files/{FILE}", redirect=f"{other.url}/{FILE}", times=50)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password s3cret\n")
    netrc.chmod(0o600)
    case.variable("NETRC", str(netrc)).recipe(recipe(server)).run("realize", "x.yaml")
    assert server.matching("/simple/nice/")[-1].headers.get("authorization")
    assert other.requests
    assert not [item for item in other.requests if "authorization" in item.headers]
    case.hides("s3cret")
    assert "s3cret" not in (case.project / "x.lock.yaml").read_text()
