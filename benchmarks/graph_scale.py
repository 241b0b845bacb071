"""Graphs of 100 to 100,000 derivations: compiled, planned, scheduled and done, beside Nix and ninja.

Why: a team with a thousand recipes has a hundred thousand derivations, and nearly all of them are done. What one of
them costs must not depend on how many there are, and should be what it costs others who do this for a living.

Three shapes: each reads the one before it, one reads all others, all stand alone and are wanted. envbuild's derivations
are of a trivial kind of this folder (``benchmarks.trivial``), Nix's have the same names and programs. Nix is Debian's,
with a store of its own, as one user, and evaluates a file, as envbuild makes derivations: in memory, from a loop.

What is compared is the slope: what each derivation more costs, between a small and a large graph, in processor seconds
of the whole process and its children. So what a process costs to start, on either side, is no part of it.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.measure import Result, Sample, Side, interleave
from benchmarks.peers import NIX_SHAPES, ninja, ninja_file, nix
from benchmarks.trivial import SHAPES

NOTHING = (
    "Making each derivation's canonical JSON and sha256, a dozen microseconds, in Python; where every one is wanted, "
    "also reading its record and looking for its blob."
)
FIRST = (
    "The same, and the question for a record that is not there. Nix writes each derivation to its store, with SQLite."
)
DOING = (
    "The file system: a file for the output, a file for the record, a name for each. No process is started, which is "
    "most of what Nix does; a kind that starts one pays for it."
)
CORE = "Canonical JSON and sha256 of each derivation; the graph, both plans and the run are a fourth of it."

Sizes = dict[int, Side]


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    environ = bench.environ("ours")
    theirs = nix(bench.folder / "nix", bench.environ("theirs"))
    (bench.folder / "built").mkdir()
    for shape in SHAPES:
        (bench.folder / f"{shape}.nix").write_text(NIX_SHAPES[shape])
    results: list[Result] = []
    for shape in SHAPES:
        results += _nothing_to_do(bench, shape, environ, theirs)
    for shape in ("chain", "wide"):
        results += _first(bench, shape, environ, theirs)
        results += _doing(bench, shape, environ, theirs)
    return results + _linear(bench, environ)


def _ours(bench: Bench, environ: dict[str, str], does: str, shape: str, count: int, salt: str = "") -> Side:
    """envbuild, with a home that others of this benchmark have; with ``salt`` nobody has done it in any round."""
    place = str(bench.folder / "ours" / "home")

    def command(number: int) -> list[str]:
        fresh = f"{salt}{number}" if salt else "same"
        return [sys.executable, "-m", "benchmarks.graph_child", does, shape, str(count), fresh, place]

    return Side(name=f"envbuild, {count}", command=command, environ=environ, folder=bench.folder)


def _nix(bench: Bench, environ: dict[str, str], words: Sequence[str], shape: str, count: int, salt: str = "") -> Side:
    def command(number: int) -> list[str]:
        fresh = f"{salt}{number}" if salt else "same"
        return [*words, str(bench.folder / f"{shape}.nix"), "--arg", "count", str(count), "--argstr", "salt", fresh]

    return Side(name=f"Nix, {count}", command=command, environ=environ, folder=bench.folder)


def _nothing_to_do(bench: Bench, shape: str, environ: dict[str, str], theirs: dict[str, str]) -> list[Result]:
    small, large = (100, 500) if bench.quick else (500, 5000)
    program = ninja()
    ours, peers, ninjas = {}, {}, {}
    bench.say(f"{shape}: doing it once, on all sides")
    for count in (small, large):
        ours[count] = _ours(bench, environ, "run", shape, count)
        peers[count] = _nix(bench, theirs, ["nix-build", "--no-out-link"], shape, count)
        folder = bench.folder / "built" / f"{shape}-{count}"
        folder.mkdir()
        (folder / "build.ninja").write_text(ninja_file(shape, count))
        ninjas[count] = Side(
            name=f"ninja, {count}", command=lambda _: [program], environ=bench.environ("ninja"), folder=folder
        )
        for side in (ours[count], peers[count], ninjas[count]):
            bench.setup(list(side.command(0)), dict(side.environ), side.folder)
    samples = interleave([*ours.values(), *peers.values(), *ninjas.values()], bench.rounds(7, 3))
    name = f"nothing to do, {shape}, for each derivation more ({small} to {large})"
    return [
        _slopes(f"{name}, against Nix", samples, ours, peers, "<= 2x", 2.0, NOTHING),
        _slopes(f"{name}, against ninja", samples, ours, ninjas, "none (information)", None, ""),
    ]


def _first(bench: Bench, shape: str, environ: dict[str, str], theirs: dict[str, str]) -> list[Result]:
    small, large = (100, 500) if bench.quick else (500, 5000)
    ours = {count: _ours(bench, environ, "first", shape, count, f"first-{count}-") for count in (small, large)}
    peers = {count: _nix(bench, theirs, ["nix-instantiate"], shape, count, f"first-{count}-") for count in ours}
    samples = interleave([*ours.values(), *peers.values()], bench.rounds(5, 2))
    name = f"first compilation, {shape}, for each derivation more ({small} to {large}), against nix-instantiate"
    return [_slopes(name, samples, ours, peers, "< 1x", 1.0, FIRST)]


def _doing(bench: Bench, shape: str, environ: dict[str, str], theirs: dict[str, str]) -> list[Result]:
    small, large = (50, 150) if bench.quick else (100, 1000)
    ours = {count: _ours(bench, environ, "run", shape, count, f"doing-{count}-") for count in (small, large)}
    words = ["nix-build", "--no-out-link"]
    peers = {count: _nix(bench, theirs, words, shape, count, f"doing-{count}-") for count in ours}
    samples = interleave([*ours.values(), *peers.values()], bench.rounds(5, 1), warm_up=1)
    name = f"a trivial derivation done, {shape}, `durability: fast`, on the wall ({small} to {large})"
    result = _slopes(name, samples, ours, peers, "<= 1 ms", None, DOING, of="wall")
    each, processor = (_slope(samples, ours, of) * 1000 for of in ("wall", "cpu"))
    result.unit, result.value, result.limit = "ms a derivation", each, 1.0
    result.what_limits += f" Of a derivation's time {processor:.2f} ms were the processor's."
    return [result]


def _slopes(
    name: str,
    samples: dict[str, list[Sample]],
    ours: Sizes,
    theirs: Sizes,
    target: str,
    limit: float | None,
    what_limits: str,
    of: str = "cpu",
) -> Result:
    """A row whose figure is the ratio of two slopes; the samples shown are those of the large graph."""
    own, other = _slope(samples, ours, of), _slope(samples, theirs, of)
    shown = [max(side.items())[1].name for side in (ours, theirs)]
    told = f"{own * 1000:.3f} ms here, {other * 1000:.3f} ms there."
    return Result(
        name=name,
        target=target,
        limit=limit,
        of=of,
        unit="ratio of slopes",
        value=own / other,
        samples={side: samples[side] for side in shown},
        what_limits=f"{told} {what_limits}".strip(),
    )


def _slope(samples: dict[str, list[Sample]], sides: Sizes, of: str) -> float:
    """Seconds for each derivation more: the median over rounds, whose two sizes ran one after the other."""
    small, large = sorted(sides)
    pairs = zip(samples[sides[small].name], samples[sides[large].name], strict=True)
    return statistics.median((getattr(more, of) - getattr(few, of)) / (large - small) for few, more in pairs)


def _linear(bench: Bench, environ: dict[str, str]) -> list[Result]:
    """A hundred thousand of real kinds, from a lock: what each of the second half costs, and of the second quarter."""
    counts = (2000, 4000, 8000) if bench.quick else (25_000, 50_000, 100_000)
    sides = {count: _ours(bench, environ, "core", "lock", count) for count in reversed(counts)}
    samples = interleave(list(sides.values()), bench.rounds(5, 2))
    middle = {
        of: [statistics.median(getattr(item, of) for item in samples[sides[count].name]) for count in counts]
        for of in ("cpu", "peak")
    }
    results = []
    for of, word in (("cpu", "processor seconds"), ("peak", "memory")):
        quarter, half, whole = middle[of]
        each = (whole - quarter) / (counts[2] - counts[0])
        shown = f"{each * 1e6:.0f} µs" if of == "cpu" else f"{each / 1000:.1f} kB"
        results.append(
            Result(
                name=f"{counts[2]:,} derivations of a lock compiled, planned and scheduled, {word}: "
                "of each in the second half / in the second quarter (1 is linear)",
                target="<= 1.3",
                limit=1.3,
                unit="growth",
                of=of,
                value=((whole - half) / (counts[2] - counts[1])) / ((half - quarter) / (counts[1] - counts[0])),
                samples={sides[counts[2]].name: samples[sides[counts[2]].name]},
                what_limits=f"{shown} each. {CORE if of == 'cpu' else ''}".strip(),
            )
        )
    return results
