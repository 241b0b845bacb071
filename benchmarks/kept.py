"""What benchmarks gave when they were last measured, kept beside the caches: the page is written of all of them.

So one can be measured anew, alone, when the machine is quiet, and the page stays whole. What is compared was always
measured in one run. Only full rounds are kept.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Result, Sample
from tests.support.cache import CHECKOUT, cache_folder


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One benchmark's last results.

    Attributes:
        name: The benchmark.
        day: When, ``2026-01-31``.
        commit: Of which state, its first digits; with a ``+`` when files had been changed since.
        load: Runnable processes of the machine in the minute before its end; the benchmark's own are among them.
        results: Rows.
    """

    name: str
    day: str
    commit: str
    load: float
    results: Sequence[Result]


def keep(name: str, results: Sequence[Result]) -> None:
    """Keep what was just measured."""
    _folder().mkdir(exist_ok=True)
    tree = {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "load": os.getloadavg()[0],
        "results": [dataclasses.asdict(result) for result in results],
    }
    fresh = _folder() / f".{name}.json"
    fresh.write_text(json.dumps(tree))
    fresh.replace(_folder() / f"{name}.json")


def kept(names: Iterable[str]) -> list[Measured]:
    """What is kept of these, in their order."""
    return [_read(name) for name in names if (_folder() / f"{name}.json").is_file()]


def _read(name: str) -> Measured:
    tree = json.loads((_folder() / f"{name}.json").read_text())
    results = []
    for row in tree.pop("results"):
        samples = {side: [Sample(**sample) for sample in several] for side, several in row.pop("samples").items()}
        results.append(Result(samples=samples, **row))
    return Measured(name=name, results=results, **tree)


def _folder() -> Path:
    return cache_folder() / "benchmarks"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "envbuild", "benchmarks")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if changed else "")
