"""``python -m benchmarks [--quick] [--no-write] [NAMES]``, ``python -m benchmarks --check [--update]``."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.kept import keep, kept
from benchmarks.measure import CommandError, Result
from benchmarks.report import PAGE, page, table
from tests.support.cache import cache_folder

NAMES = (
    "noop",
    "conda_warm",
    "cold_path",
    "link_path",
    "bytecode",
    "pypi_realize",
    "pypi_lock",
    "derived",
    "many_recipes",
    "many_folders",
    "graph_scale",
    "memory",
    "affected",
    "transmute",
    "hydrate",
    "hydrate_storm",
    "existence",
    "metaflow_start",
    "metaflow_node",
    "review",
    "check",
)

ROOM = 40 << 30
"""Bytes that must be free for a benchmark: what was put aside in one stays until it ends."""


def _run(name: str, quick: bool, folder: Path) -> list[Result]:
    module = importlib.import_module(f"benchmarks.{name}")

    def say(text: str) -> None:
        print(f"  {name}: {text}", file=sys.stderr, flush=True)

    folder.mkdir()
    started = time.monotonic()
    with ExitStack() as closing:
        results: list[Result] = module.run(Bench(folder=folder, quick=quick, closing=closing, say=say))
    say(f"done in {time.monotonic() - started:.0f} s")
    return results


def _check(*, update: bool) -> int:
    from benchmarks.ratios import check

    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache_folder(), ignore_cleanup_errors=True) as folder:
        verdicts = check(Path(folder), lambda text: print(text, flush=True), update=update)
    return 0 if update or all(verdict.met for verdict in verdicts) else 10


def main() -> int:
    """Run, print, write; exit 1 when a benchmark failed to run, 10 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds; writes nothing")
    parser.add_argument("--no-write", action="store_true", help="leave docs/performance.md alone")
    parser.add_argument("--check", action="store_true", help="compare small ratios with those that are kept; no page")
    parser.add_argument("--update", action="store_true", help="with --check: keep what is seen")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)}")
    arguments = parser.parse_args()
    if arguments.check:
        return _check(update=arguments.update)
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    results: list[Result] = []
    failed = False
    writes = not (arguments.quick or arguments.no_write)
    # All folders go at the end, together, where there is room for that: see ``benchmarks.bench.remove``.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache_folder(), ignore_cleanup_errors=True) as folder:
        for name in arguments.names or NAMES:
            try:
                found = _run(name, arguments.quick, Path(folder, name))
                results += found
                if writes:
                    keep(name, found)
            except (CommandError, LookupError, AssertionError, OSError) as error:
                failed = True
                print(f"{name} could not be measured: {error}\n", file=sys.stderr)
            if shutil.disk_usage(folder).free < ROOM:
                shutil.rmtree(Path(folder, name), ignore_errors=True)
    print(table(results))
    if writes:
        PAGE.write_text(page(kept(NAMES)))
        print(f"written: {PAGE.name}", file=sys.stderr)
    return 1 if failed else 10 if any(result.met is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
