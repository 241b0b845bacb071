"""What benchmarks gave when they were last measured, in ``measured/``, in Git: the page is written of all of them.

So one can be measured anew, alone, when a machine is quiet, on another machine too, and the page stays whole and says
which machine gave what. What is compared was always measured in one run. Only full rounds are kept.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Result, Sample
from tests.support.cache import CHECKOUT
from tests.support.wheels import uv

FOLDER = Path(__file__).with_name("measured")
_DIGITS = 5
"""Digits of seconds that are kept: hundredths of milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One benchmark's last results.

    Attributes:
        name: The benchmark.
        day: When, ``2026-01-31``.
        commit: Of which state, its first digits; with a ``+`` when files had been changed since.
        machine: What it was measured on, without names of machines or people.
        versions: Of what decides the figures.
        load: Runnable processes of the machine in the minute before its end; the benchmark's own are among them.
        results: Rows.
    """

    name: str
    day: str
    commit: str
    machine: str
    versions: str
    load: float
    results: Sequence[Result]


def keep(name: str, results: Sequence[Result]) -> None:
    """Keep what was just measured."""
    head = {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "machine": machine(),
        "versions": versions(),
        "load": round(os.getloadavg()[0], 1),
    }
    rows = ",\n".join(json.dumps(_plain(result)) for result in results)
    fresh = FOLDER / f".{name}.json"
    fresh.write_text(f'{json.dumps(head)[:-1]}, "results": [\n{rows}\n]}}\n')
    fresh.replace(FOLDER / f"{name}.json")


def kept(names: Iterable[str]) -> list[Measured]:
    """What is kept of these, in their order."""
    return [_read(name) for name in names if (FOLDER / f"{name}.json").is_file()]


def machine() -> str:
    """Processors, memory and system; no names of machines or people."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors ({model}), {memory:.0f} GB, {platform.system()} {platform.release()}"


def versions() -> str:
    """Of Python, and of the engines and libraries that decide the figures."""
    said = subprocess.run([uv(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    others = [f"{name} {importlib.metadata.version(name)}" for name in ("py-rattler", "click")]
    return ", ".join([f"Python {platform.python_version()}", f"uv {said}", *others])


def _plain(result: Result) -> dict[str, object]:
    tree = dataclasses.asdict(result)
    for several in tree["samples"].values():
        for sample in several:
            sample |= {name: round(sample[name], _DIGITS) for name in ("wall", "cpu")}
    return tree


def _read(name: str) -> Measured:
    tree = json.loads((FOLDER / f"{name}.json").read_text())
    results = []
    for row in tree.pop("results"):
        samples = {side: [Sample(**sample) for sample in several] for side, several in row.pop("samples").items()}
        results.append(Result(samples=samples, **row))
    return Measured(name=name, results=results, **tree)


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "envbuild", "benchmarks", ":!benchmarks/measured")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if changed else "")
