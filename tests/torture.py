"""``./dev torture``: the fault tests with full counts; their figures go into ``docs/reliability.md``.

    python -m tests.torture                  everything, about an hour on two cores
    python -m tests.torture 0.25             a quarter of the counts
    python -m tests.torture 0.25 --inputs 1  all inputs of parsers, and a quarter of everything else
    python -m tests.torture 1 -k kill        further arguments go to pytest; no page is written
    python -m tests.torture 1 --part -k kill  a run in parts: what each counts is added to what is kept, in Git, and the
                                             page is written of all of it
    python -m tests.torture 1 --part FILE    the same with another file, begun where it is not there

The page says what was tried, how often, and what came of it; no paths and no names of this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.figures import VARIABLE, added_up, parsers, parts

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / "tests" / "faults" / "tried.jsonl"
"""What all parts of the last run counted; to begin anew, remove it."""

INTRODUCTION = """# Reliability: what was tried, and what came of it

Written by `./dev torture`; do not edit. The tests are in `tests/faults/`, and `./dev test` runs all of them with small
counts. "Survived" means each time: the next `realize` exits 0, its tree equals that of a clean run in every path, mode
and byte, no package that was in the store is fetched again, `verify` finds nothing, locks are free within a second, no
child process lives on, and after `gc` no temporary file is left.

Shared stores are folders, and moto's S3, Azurite and an emulator of Google's storage, each as a process behind a proxy
that breaks what passes, and that keeps the conditions which they do not keep ([stores](stores.md)). Machines are mount
namespaces with a home and a project of their own at the same paths.
"""


PARSERS = """
## Damaged inputs

Each parser gets good inputs with bytes, words, lines, headers or fields changed. An input is read, and then what was
read must hold (it is what other readers find; no word is a path that leads out; nothing lies beside what was unpacked),
or it is refused with one of envbuild's own errors, in less than 5 seconds, by a process of less than 512 MB.

| parser | inputs | read | slowest, s | most, MB |
|---|---:|---:|---:|---:|"""

HOSTILE = """
## Hostile inputs

Each is tried by `./dev test`: it ends in an error with a reference, a place and an exit code, without a traceback, in
bounded time and memory, and leaves every file as it was. The parsers of what comes from outside are also fed with
damaged inputs, as the table above says.

| row | what | tests | in `tests/` |
|---|---|---:|---|"""


def machine() -> str:
    """What a reader must know to compare: cores, memory, system and Python, no names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def share(scale: float) -> str:
    """A scale in words."""
    return "full counts" if scale == 1 else f"{scale:g} of the full counts"


def page(figures: Path) -> str:
    """The page's text, of what one run or all parts of one counted."""
    sums, largest = added_up(figures)
    lines = [INTRODUCTION]
    for part in parts(figures):
        counts = share(part["scale"])
        if part["inputs"] != part["scale"]:
            counts += f" (inputs for parsers: {share(part['inputs'])})"
        minutes = part["seconds"] / 60
        lines.append(f"- {part['day']}, {part['what']}: {counts}, {minutes:.0f} minutes; {part['summary']}.")
    lines.append(f"\n{machine()}.\n")
    lines.append("| what | good | tried |\n|---|---:|---:|")
    lines += [f"| {name} | {good} | {tried} |" for name, (good, tried) in sorted(sums.items())]
    lines.append("\n| worst of all | value |\n|---|---:|")
    lines += [f"| {name} | {value:.3g} |" for name, value in sorted(largest.items())]
    lines.append(PARSERS)
    lines += [
        f"| {name} | {told['inputs']:,} | {told['read']:,} | {told['seconds']:.2g} | {told['megabytes']:.0f} |"
        for name, told in sorted(parsers(figures).items())
    ]
    return "\n".join(lines) + "\n" + hostile_rows()


def hostile_rows() -> str:
    """The part of the page that says which hostile inputs are tried, from the list that a test holds to be true."""
    from tests.hostile.test_rows import ROWS

    lines = [HOSTILE]
    for row, tests in ROWS.items():
        number, _, what = row.partition(" ")
        files = sorted({test.partition("::")[0] for test in tests})
        lines.append(f"| {number} | {what} | {len(tests)} | {', '.join(f'`{file}`' for file in files)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Run the tests and, when all of them passed, write the page."""
    options = argparse.ArgumentParser(prog="./dev torture", allow_abbrev=False)
    options.add_argument("scale", nargs="?", type=float, default=1.0, help="share of the full counts")
    options.add_argument("--inputs", type=float, help="share of the damaged inputs for each parser; SCALE by default")
    options.add_argument(
        "--part", type=Path, metavar="FILE", nargs="?", const=KEPT, help="a part of a run, whose counts FILE keeps"
    )
    options.add_argument("-k", dest="tests", metavar="EXPRESSION", help="only these tests, as pytest's own -k")
    chosen, rest = options.parse_known_args(arguments)
    inputs = chosen.scale if chosen.inputs is None else chosen.inputs
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; commands would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.jsonl"
        figures.touch()
        began = time.monotonic()
        only = ["-k", chosen.tests] if chosen.tests else []
        code, last = tests(figures, chosen.scale, inputs, [*only, *rest])
        if code:
            return code
        part = {
            "day": time.strftime("%Y-%m-%d", time.gmtime()),
            "what": f"`pytest {shlex.join(only)}`" if only else "everything",
            "scale": chosen.scale,
            "inputs": inputs,
            "seconds": time.monotonic() - began,
            "summary": last.partition(" in ")[0],
        }
        with figures.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"part": part}) + "\n")
        if chosen.part is not None:
            with chosen.part.open("a", encoding="utf-8") as stream:
                stream.write(figures.read_text(encoding="utf-8"))
            figures = chosen.part
        if chosen.part is not None or not (only or rest):
            PAGE.write_text(page(figures), "utf-8")
            print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


def tests(figures: Path, scale: float, inputs: float, arguments: list[str]) -> tuple[int, str]:
    """Run pytest; its exit code and its last line."""
    environ = {**os.environ, "ENVBUILD_TEST_TORTURE": str(scale), VARIABLE: str(figures)}
    environ["ENVBUILD_TEST_TORTURE_INPUTS"] = str(inputs)
    command = [sys.executable, "-m", "pytest", "tests/faults", "-o", "timeout=7200"]
    command += ["-n", "2", "--dist", "loadgroup", *arguments]
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line.strip("= \n") or last
    return process.returncode, last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
