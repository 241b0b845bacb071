"""Loss of power, by the order of system calls: written, synced, then named, then the name synced."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.figures import count
from tests.faults.world import World

CALLS = "openat,open,creat,write,pwrite64,writev,ftruncate,copy_file_range,sendfile,fsync,fdatasync,syncfs,link,linkat"
CALLS += ",rename,renameat,renameat2"
_LINE = re.compile(r"^(\d+)\s+(\w+)\((.*)\)\s+= (-?\d+)")
_DESCRIPTOR = re.compile(r"^\d+<([^>]*)>")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """One system call that worked: its name, the path of its first descriptor, and the paths that it names."""

    name: str
    descriptor: str
    paths: tuple[str, ...]


def traced(world: World, file: Path, *arguments: str) -> list[Call]:
    """Run a command under strace; its calls in order of their ends."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("NO STRACE: the order of system calls cannot be seen")
    command = [strace, "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(file)]
    done = subprocess.run(
        [*command, sys.executable, "-m", "envbuild", *arguments],
        cwd=world.project, env=world.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip(f"NO STRACE: it may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    calls = []
    unfinished: dict[str, str] = {}
    for raw in file.read_text(encoding="utf-8", errors="replace").splitlines():
        line = raw
        pid = line.split(None, 1)[0]
        if line.endswith("<unfinished ...>"):
            unfinished[pid] = line.removesuffix("<unfinished ...>")
            continue
        if "resumed>" in line and pid in unfinished:
            line = unfinished.pop(pid) + line.partition("resumed>")[2]
        match = _LINE.match(line)
        if match is None or int(match[4]) < 0:
            continue
        descriptor = _DESCRIPTOR.match(match[3])
        calls.append(Call(match[2], descriptor[1] if descriptor else "", tuple(_STRING.findall(match[3]))))
    return calls


WRITES = {"write", "pwrite64", "writev", "ftruncate", "copy_file_range", "sendfile"}
NAMES = {"link", "linkat", "rename", "renameat", "renameat2"}


def check_file(calls: list[Call], at: int, source: str, final: str) -> None:
    """A file: its last write, then fsync, then the name, then its folder's fsync."""
    before = [call for call in calls[:at] if call.descriptor == source]
    assert before, f"{final} was never written"
    kinds = [call.name for call in before if call.name in WRITES | {"fsync", "fdatasync"}]
    assert kinds[-1] in {"fsync", "fdatasync"}, f"{final}: {kinds[-5:]} before its name"
    check_folder(calls, at, final)


def check_folder(calls: list[Call], at: int, final: str) -> None:
    folder = str(Path(final).parent)
    assert any(call.name == "fsync" and call.descriptor == folder for call in calls[at + 1 :]), (
        f"{folder} was not synced after {final} appeared"
    )


def test_everything_is_synced_before_it_has_a_name(world: World, tmp_path: Path) -> None:
    calls = traced(world, tmp_path / "trace", "realize", "mixed.yaml")
    store, prefixes = str(world.home / "store"), str(world.home / "prefixes")
    lock = str(world.lock("mixed"))
    seen = {"blobs": 0, "results": 0, "environments": 0, "prefix": 0, "lock": 0, "root": 0}
    for at, call in enumerate(calls):
        if call.name not in NAMES:
            continue
        source, final = call.paths[-2], call.paths[-1]
        kind = final.removeprefix(f"{store}/").partition("/")[0] if final.startswith(store) else ""
        if kind in {"blobs", "results", "environments"}:
            check_file(calls, at, source, final)
            seen[kind] += 1
        elif final == lock or Path(final).parent == world.home / "roots":
            check_file(calls, at, source, final)
            seen["lock" if final == lock else "root"] += 1
        elif Path(final).parent == Path(prefixes):
            synced = [n for n, item in enumerate(calls[:at]) if item.name == "syncfs"]
            assert synced, "the prefix was not synced before it got its name"
            late = [
                item
                for item in calls[synced[-1] : at]
                if item.name in WRITES and item.descriptor.startswith(f"{source}/")
            ]
            assert not late, f"written after the sync: {late[:3]}"
            check_folder(calls, at, final)
            seen["prefix"] += 1
    # Packages, what both solves found, the manifest, and what is transmuted with its record; of results the link's and
    # the transmutes' are kept, the solves' are not, for an index may change.
    transmuted = len(list((world.home / "store" / "results" / "transmute").rglob("*.json")))
    assert transmuted
    assert seen["blobs"] == len(world.blobs()) == len(world.packages("mixed")) + 3 + 2 * transmuted
    assert seen["results"] == len(list((world.home / "store" / "results").rglob("*.json"))) == 1 + transmuted
    assert (seen["environments"], seen["prefix"], seen["lock"], seen["root"]) == (1, 1, 1, 1)
    opened = [
        call.paths[0]
        for call in calls
        if call.name in WRITES and call.descriptor.startswith((f"{store}/blobs", f"{store}/results"))
    ]
    assert not opened, f"written under a final name: {opened[:3]}"
    count("publishes in the right order of system calls", sum(seen.values()), sum(seen.values()))


def test_fast_durability_syncs_nothing(world: World, tmp_path: Path) -> None:
    world.environ["ENVBUILD_DURABILITY"] = "fast"
    try:
        calls = traced(world, tmp_path / "trace", "realize", "small.yaml")
    finally:
        del world.environ["ENVBUILD_DURABILITY"]
    ours = tuple(str(world.home / name) for name in ("store", "prefixes"))  # engines sync what they like in scratch
    assert not [call for call in calls if "sync" in call.name and call.descriptor.startswith(ours)]
