"""Servers that lie, stop, stall and vanish: what may pass is asked again, what will not is one clear line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import World, differences, nobody_stays, one_error
from tests.support.servers import Body, Incoming

FAST = {"ENVBUILD_STALL_TIMEOUT": "1"}


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """The world, its server's content put back afterwards."""
    content = world.server.content
    yield world
    world.server.content = content


def answering(world: World, part: str, data: bytes | None, kind: str = "text/html") -> None:
    """From now on every path with ``part`` in it answers these bytes (None: 404)."""
    before = world.server.content

    def content(request: Incoming) -> Body | None:
        if part in request.path:
            return None if data is None else Body(data=data, type=kind)
        return before(request)

    world.server.content = content


def repodata(world: World, data: bytes) -> None:
    """Every spelling of the channel's index gives these bytes, plain and compressed alike."""
    import zstandard

    before = world.server.content
    packed = zstandard.ZstdCompressor().compress(data)

    def content(request: Incoming) -> Body | None:
        if request.path.startswith("/channel/") and "repodata" in request.path:
            if request.path.endswith(".json"):
                return Body(data=data, type="application/json")
            return Body(data=packed) if request.path.endswith(".zst") else None
        return before(request)

    world.server.content = content


def refused(world: World, name: str, codes: set[int]) -> str:
    """Locking fails with one clear line; neither lock nor home is changed by halves, and the next run is fine."""
    before = world.lock(name).read_bytes() if world.lock(name).exists() else None
    outcome = world.run("lock", f"{name}.yaml", "--upgrade", environ=FAST, code=None)
    assert outcome.code in codes, outcome
    line = one_error(outcome)
    assert len(outcome.err) < 4000, outcome.err
    after = world.lock(name).read_bytes() if world.lock(name).exists() else None
    assert after == before
    assert not world.leftovers()
    return line


HTML = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
BAD_REPODATA = {
    "html": HTML,
    "empty": b"",
    "garbage": b"\x00\xff\x13 garbage {{{",
    "truncated": b'{"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {"a-1-0.conda": {"name": "a", "ver',
    "not an object": b"[1, 2, 3]",
    "wrong types": b'{"info": {"subdir": "noarch"}, "packages": {"a-1-0.tar.bz2": 7}, "packages.conda": {}}',
}


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("how", BAD_REPODATA)
def test_a_channel_s_index_that_is_none(world: World, how: str, locked: bool) -> None:
    if locked:
        world.run("lock", "small.yaml")
        shutil.rmtree(world.home / "cache")
    content = world.server.content
    repodata(world, BAD_REPODATA[how])
    line = refused(world, "small", {3, 5, 11} if how == "wrong types" else {3, 5})
    assert "index" in line or world.server.url in line, line
    world.server.content = content
    world.run("realize", "small.yaml")


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_channel_that_refuses(world: World, status: int) -> None:
    world.server.fault("/channel/*", status=status, times=9999)
    line = refused(world, "small", {5})
    assert world.server.url in line, line


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_index_that_refuses(world: World, status: int) -> None:
    world.server.fault("/simple/*", status=status, times=9999)
    line = refused(world, "mixed", {5})
    assert world.server.url in line, line


def test_an_index_that_is_a_page_to_sign_in(world: World) -> None:
    answering(world, "/simple/", HTML)
    refused(world, "mixed", {3, 5, 11})


def test_an_index_whose_json_is_none(world: World) -> None:
    answering(world, "/simple/", b'{"meta": {"api-version"', "application/vnd.pypi.simple.v1+json")
    refused(world, "mixed", {3, 5})


def test_a_changed_index_changes_no_lock_that_fits(world: World) -> None:
    """A stale, broken or rolled-back index is not even read while the lock fits and hints say where files are."""
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    before = world.lock("mixed").read_bytes()
    for folder in ("store/blobs", "prefixes", "stamps"):
        shutil.rmtree(world.home / folder)
    repodata(world, b"{}")
    answering(world, "/simple/", HTML)
    world.run("realize", "mixed.yaml")
    assert world.lock("mixed").read_bytes() == before
    assert not differences(world.tree("mixed"), expected)


def test_an_index_that_no_longer_lists_a_locked_wheel(world: World) -> None:
    world.clean("mixed")
    answering(world, "/simple/", HTML)
    outcome = world.run("realize", "mixed.yaml", code=5)
    wheels = [file for file in world.packages("mixed").values() if file.endswith(".whl")]
    assert all(f"{file} is not listed" in outcome.err for file in wheels), outcome.err
    assert not world.prefixes()


@pytest.mark.parametrize("file", ["*data-files*.conda", "*tool_box*.whl"])
def test_other_bytes_at_the_origin(world: World, file: str) -> None:
    world.clean("mixed")
    world.server.fault(file, wrong_bytes=True, times=99)
    outcome = world.run("realize", "mixed.yaml", code=4)
    (wanted,) = [sha256 for sha256, name in world.packages("mixed").items() if name.startswith(file[1:6].strip("*"))]
    line = one_error(outcome)
    assert f"expected sha256 {wanted}" in line
    assert "got " in line
    assert wanted not in world.blobs()
    assert not world.prefixes()
    assert not world.leftovers()
    world.server.forget()
    world.run("realize", "mixed.yaml")


@pytest.mark.parametrize("file", ["*python-3*.conda", "*bulky*.whl"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 2},
        {"status": 429, "times": 1, "headers": {"Retry-After": "1"}},
        {"cut_after": 0, "times": 1},
        {"cut_after": 600_000, "times": 1},
        {"cut_after": 1, "times": 3},
        {"cut_after": 500_000, "stall": 30.0, "times": 1},
    ],
    ids=["503 twice", "429", "cut at once", "cut in the middle", "cut thrice", "stalled"],
)
def test_a_transfer_that_goes_wrong_for_a_while(world: World, file: str, fault: dict[str, object]) -> None:
    expected = world.clean("mixed")
    world.server.fault(file, **fault)
    outcome = world.run("realize", "mixed.yaml", environ=FAST)
    assert outcome.seconds < 25
    assert not differences(world.tree("mixed"), expected)
    assert world.server.count(file) == int(str(fault["times"])) + 1
    if fault.get("cut_after") == 600_000:
        assert world.server.matching(file)[-1].range == "bytes=600000-"


def test_a_server_that_never_answers_is_named_in_time(world: World) -> None:
    world.clean("mixed")
    world.server.fault("*bulky*.whl", cut_after=10, stall=60.0, times=99)
    outcome = world.run("realize", "mixed.yaml", environ=FAST, code=5)
    assert outcome.seconds < 30
    assert "bulky" in one_error(outcome)
    assert not world.prefixes()


def test_a_server_that_is_gone(world: World) -> None:
    world.run("lock", "mixed.yaml")
    text = world.lock("mixed").read_text()
    port = world.server.url.rpartition(":")[2]
    world.recipe("mixed", world.mixed().replace(f":{port}/", ":9/"))
    world.lock("mixed").write_text(text.replace(f":{port}/", ":9/"))
    try:
        outcome = world.run("realize", "mixed.yaml", environ=FAST, code=None)
        assert outcome.code in {4, 5}, outcome
        one_error(outcome)
    finally:
        world.recipe("mixed", world.mixed())


# No network at all


def without_network(*command: str) -> list[str]:
    """A command in a network namespace without a route, not even to this machine."""
    unshare = shutil.which("unshare")
    probe = [unshare or "unshare", "-n", "true"]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("NO NETWORK NAMESPACES: unshare -n is not there or not allowed")
    return [unshare, "-n", *command]


def isolated(world: World, *arguments: str, trace: Path | None = None) -> subprocess.CompletedProcess[str]:
    import sys

    command = [sys.executable, "-m", "envbuild", *arguments]
    if trace is not None:
        strace = shutil.which("strace")
        if strace is None:
            pytest.skip("NO STRACE: system calls cannot be seen")
        command = [strace, "-f", "-qq", "-e", "trace=connect", "-o", str(trace), *command]
    return subprocess.run(
        without_network(*command), cwd=world.project, env=world.environ, capture_output=True, text=True, check=False
    )


def test_without_a_network_what_is_there_is_enough(world: World, tmp_path: Path) -> None:
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    shutil.rmtree(world.home / "prefixes")
    shutil.rmtree(world.home / "stamps")
    trace = tmp_path / "trace"
    done = isolated(world, "realize", "mixed.yaml", trace=trace)
    assert done.returncode == 0, done.stderr
    connects = [line for line in trace.read_text().splitlines() if "connect(" in line and "AF_UNIX" not in line]
    assert connects == []
    assert not differences(world.tree("mixed"), expected)
    again = isolated(world, "realize", "mixed.yaml")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("flags", [("--offline",), ()])
def test_without_a_network_everything_missing_is_named_at_once(world: World, flags: tuple[str, ...]) -> None:
    world.clean("mixed")
    import time

    began = time.monotonic()
    with nobody_stays():
        done = isolated(world, "realize", "mixed.yaml", *flags)
    took = time.monotonic() - began
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    names = [file.split("-")[0].replace("_", "-") for file in world.packages("mixed").values()]
    missing = [name for name in names if name not in done.stderr.replace("_", "-")]
    assert not missing, f"{missing} not in\n{done.stderr}"
    if flags:
        assert took < 5  # 2 s on a machine that is not busy with other tests
    assert not world.prefixes()
