"""Without a network (R32): what is here works without one connection, and what is not is named at once, all of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.far import Far
from tests.faults.figures import count, worst
from tests.faults.world import Outcome, World, differences, remove

_CONNECT = re.compile(r"\bconnect\(\d+, \{sa_family=(AF_\w+)")


def isolated(world: World, trace: Path, *arguments: str, code: int = 0) -> tuple[Outcome, list[str]]:
    """A command in a network namespace without routes, and the families that it, or a child, tried to connect to."""
    strace, unshare = shutil.which("strace"), shutil.which("unshare")
    if strace is None or unshare is None:
        pytest.skip("NO STRACE OR UNSHARE: connections cannot be seen")
    command = [unshare, "-n", strace, "-f", "-qq", "-e", "trace=connect", "-o", str(trace)]
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, sys.executable, "-m", "envbuild", *arguments],
        cwd=world.project,
        env=world.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=120)
    if b"unshare failed" in err or b"ptrace" in err.lower():
        pytest.skip(f"NO NAMESPACES OR NO PTRACE: {err.decode().strip()}")
    outcome = Outcome(code=process.returncode, out=out.decode(), err=err.decode(), seconds=time.monotonic() - began)
    assert "Traceback" not in outcome.err
    assert outcome.code == code, outcome
    return outcome, _CONNECT.findall(trace.read_text(encoding="utf-8", errors="replace"))


def test_R32_what_is_at_home_needs_no_connection(world: World, tmp_path: Path) -> None:
    expected = world.clean("mixed")
    world.run("realize", "mixed.yaml")
    good = tried = 0
    for gone in ((), ("stamps",), ("prefixes", "stamps"), ("prefixes", "stamps", "cache")):
        for flags in ((), ("--offline",), ("--locked",)):
            for part in gone:
                remove(world.home / part)
            _, connected = isolated(world, tmp_path / "trace", "realize", "mixed.yaml", *flags)
            assert not differences(world.tree("mixed"), expected)
            tried += 1
            good += not [family for family in connected if family != "AF_UNIX"]
    isolated(world, tmp_path / "trace", "run", "mixed.yaml", "--", "tool-box")
    count("realizes without a network of what is at home, with no connection tried", good, tried)
    assert good == tried


def test_R32_a_store_in_a_folder_needs_no_connection(far: Far, tmp_path: Path) -> None:
    """And one in a cloud is not asked with ``--offline``."""
    near = far.folder / "near"
    far.run("store", "init", str(near))
    far.realized()
    far.run("push", "both.yaml", "--to", str(near))
    far.fresh()
    far.configure({"name": "near", "url": str(near)}, {"name": "cloud", "url": far.filled})
    far.proxy.forget()
    _, connected = isolated(far, tmp_path / "trace", "realize", "both.yaml", "--offline")
    assert not differences(far.tree("both"), far.whole)
    assert [family for family in connected if family != "AF_UNIX"] == []
    assert far.proxy.count("*") == 0
    count("realizes without a network from a store in a folder, with no connection tried", 1, 1)
    remove(near)


def test_R32_what_is_missing_is_named_at_once_all_of_it(world: World, tmp_path: Path) -> None:
    world.run("lock", "mixed.yaml")
    world.fresh()
    outcome, connected = isolated(world, tmp_path / "trace", "realize", "mixed.yaml", "--offline", code=5)
    assert connected == []
    named = [name for name in world.packages("mixed").values() if name.split("-")[0].replace("_", "-") in outcome.err]
    assert len(named) == len(world.packages("mixed")), outcome.err
    assert world.prefixes() == []
    assert not world.leftovers()
    # Without strace, which makes every process slow
    again = world.run("realize", "mixed.yaml", "--offline", code=5)
    worst("seconds until all that is missing without a network is named", again.seconds)
    count("misses without a network that name everything at once", 1, 1)


def test_R32_a_network_that_is_not_there_is_an_answer_in_time(world: World, tmp_path: Path) -> None:
    """Without ``--offline``: each thing is asked for as patiently as otherwise, but nothing is linked."""
    world.run("lock", "small.yaml")
    world.fresh()
    outcome, _ = isolated(world, tmp_path / "trace", "realize", "small.yaml", code=5)
    assert outcome.seconds < 120
    worst("seconds until a network that is not there is said, without --offline", outcome.seconds)
    assert world.prefixes() == []
