"""The table on the screen, and ``docs/performance.md``."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.kept import Measured
from benchmarks.measure import Result
from tests.support.cache import CHECKOUT

PAGE = CHECKOUT / "docs" / "performance.md"


def amount(value: float, of: str) -> str:
    """Seconds or bytes for a reader."""
    if of == "peak":
        return f"{value / 1e6:.0f} MB"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def figure(result: Result) -> str:
    """What is held against the target."""
    shown = {
        "ratio": f"{result.figure:.2f}x",
        "difference": f"{result.figure:+.3f} s",
        "seconds": f"{result.figure:.2f} s",
        "ms each": f"{result.figure:.1f} ms a recipe",
        "ms a derivation": f"{result.figure:.2f} ms a derivation",
        "ratio of slopes": f"{result.figure:.2f}x",
        "growth": f"{result.figure:.2f}",
        "requests": f"{result.figure:.0f} requests",
        "round trips": f"{result.figure:.0f} round trips",
        "MB": f"{result.figure:.0f} MB",
        "share": f"{result.figure:.0%}",
    }[result.unit]
    return shown if result.processor is None else f"{shown} (processor {result.processor:.2f}x)"


def cells(result: Result) -> list[str]:
    """One row."""
    columns = [result.name]
    for place, side in enumerate(list(result.samples)[:2]):
        low, high = result.spread(place)
        spread = f"{amount(low, result.of)} to {amount(high, result.of)}"
        columns.append(f"{side}: {amount(result.median(place), result.of)} ({spread})")
    columns += [""] * (3 - len(columns))  # what is counted has no sides
    verdict = {None: "", True: "met", False: "MISSED"}[result.met]
    return [*columns, figure(result), result.target, verdict]


def table(results: Sequence[Result]) -> str:
    """All rows as text for a terminal."""
    lines = []
    for result in results:
        name, ours, theirs, shown, target, verdict = cells(result)
        sides = [f"    {side}" for side in (ours, theirs) if side]
        lines += [name, *sides, f"    {shown}, target {target}: {verdict}", ""]
    return "\n".join(lines)


def machines(measured: Sequence[Measured]) -> list[str]:
    """What each was measured on: a list of machines with their versions, and a table."""
    known = list(dict.fromkeys((each.machine, each.versions) for each in measured))
    lines = [f"{number}. {machine}; {versions}" for number, (machine, versions) in enumerate(known, 1)]
    lines += [
        "",
        "Durability is envbuild's default; bytecode of engines and envbuild is there from rounds that are not counted.",
        "The load is the number of runnable processes in the last minute of a benchmark, its own among them.",
        "",
        "| benchmark | measured on | machine | state | load |",
        "|---|---|---|---|---|",
    ]
    for each in measured:
        number = known.index((each.machine, each.versions)) + 1
        lines.append(f"| {each.name} | {each.day} | {number} | {each.commit} | {each.load:.1f} |")
    return lines


def page(measured: Sequence[Measured]) -> str:
    """The Markdown page of what every benchmark gave when it was last measured."""
    results = [result for each in measured for result in each.results]
    rows = ["| what | envbuild | against | figure | target | |", "|---|---|---|---|---|---|"]
    rows += ["| " + " | ".join(cells(result)) + " |" for result in results]
    limits = [f"- **{result.name}.** {result.what_limits}" for result in results if result.what_limits]
    processor = []
    for result in results:
        if result.of != "wall" or result.unit == "growth":
            continue
        for side, samples in list(result.samples.items())[:2]:
            middle = sorted(samples, key=lambda item: item.cpu)[len(samples) // 2]
            largest = max(item.peak for item in samples)
            processor.append(f"| {result.name} | {side} | {amount(middle.cpu, 'wall')} | {amount(largest, 'peak')} |")
    return "\n".join(
        [
            "# Performance",
            "",
            "Written by `python -m benchmarks`, full rounds. Times are of whole processes: medians, the middle half",
            "in parentheses. Both sides run in turn, in one run, on the same inputs. A figure is the ratio of medians",
            "unless it says otherwise; beside it is the ratio of processor seconds, which other work disturbs less.",
            "",
            *rows,
            "",
            "## Machines",
            "",
            *machines(measured),
            "",
            "## What limits each",
            "",
            *limits,
            "",
            "## Processor time and memory",
            "",
            "Processor seconds of all processes of a run (median), and the largest process of all runs.",
            "",
            "| what | side | processor | largest process |",
            "|---|---|---|---|",
            *processor,
            "",
        ]
    )
