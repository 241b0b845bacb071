"""The regression check: what envbuild costs beside something else, at small sizes; ``python -m benchmarks --check``.

Compared are ratios of processor seconds of two processes that ran one after the other, never times: a slower or a
loaded machine slows both. What was seen stands in ``ratios.json``; a ratio that is ``BOUND`` times as large is a
regression, for what this is to find (a quadratic loop, an engine that starts twice, hashing again what was hashed)
costs more than that, and what a machine's load does to the ratio of two processes is far less.

A ratio beyond the bound is measured again, ``TRIES`` times in all, and the least counts: load comes and goes, and a
defect stays. ``--check --update`` writes the file, after a deliberate change.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, base_python, envbuild, forget_environments, pypi_recipe, remove, uv
from benchmarks.measure import Sample, Side, once
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

KEPT = Path(__file__).with_name("ratios.json")
BOUND = 3.0
ROUNDS, TRIES = 3, 4

_KEYS = """\
import hashlib, rfc8785
for number in range(4000):
    hashlib.sha256(rfc8785.dumps({"file": f"p{number}.conda", "sha256": "0" * 64, "level": 3})).hexdigest()
"""
"""The price of four thousand keys: what no graph of as many derivations can do without."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two processes that are compared.

    Attributes:
        name: As ``ratios.json`` has it.
        ours: What may have become slower.
        beside: What it is compared with, which is not ours.
    """

    name: str
    ours: Side
    beside: Side


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one pair.

    Attributes:
        ratio: The least of all tries.
        kept: What ``ratios.json`` says; None when it has no such name.
        tries: How often it was measured.
    """

    name: str
    ratio: float
    kept: float | None
    tries: int

    @property
    def met(self) -> bool:
        """Whether it is no regression; a pair that nobody has measured yet is one, so that it is not forgotten."""
        return self.kept is not None and self.ratio <= BOUND * self.kept

    def __str__(self) -> str:
        kept = "not kept: run ./dev bench --check --update" if self.kept is None else f"kept {self.kept:.2f}x"
        return (
            f"{self.name}: {self.ratio:.2f}x, {kept}, bound {BOUND:.0f} times that: {'met' if self.met else 'MISSED'}"
        )


def judge(name: str, kept: float | None, measure: Callable[[], float]) -> Verdict:
    """Measure until the ratio is within its bound, ``TRIES`` times at most."""
    ratios = [measure()]
    while len(ratios) < TRIES and kept is not None and min(ratios) > BOUND * kept:
        ratios.append(measure())
    return Verdict(name=name, ratio=min(ratios), kept=kept, tries=len(ratios))


def measured(pair: Pair, run: Callable[[Side, int], Sample]) -> float:
    """The median of the ratios of some rounds; each round runs both, one after the other."""
    return statistics.median(run(pair.ours, number).cpu / run(pair.beside, number).cpu for number in range(ROUNDS))


def check(folder: Path, say: Callable[[str], None], *, update: bool = False) -> list[Verdict]:
    """Measure all pairs.

    Args:
        folder: Empty.
        say: Told each verdict.
        update: Write what was seen.
    """
    kept: dict[str, float] = {} if update else kept_ratios()
    verdicts = []
    with ExitStack() as closing:
        for pair in pairs(Bench(folder=folder, quick=True, closing=closing, say=say)):
            _run(pair.ours, ROUNDS)  # what is compiled and cached once is no part of it
            _run(pair.beside, ROUNDS)
            verdict = judge(pair.name, kept.get(pair.name), lambda pair=pair: measured(pair, _run))
            say(f"{verdict.name}: {verdict.ratio:.2f}x" if update else str(verdict))
            verdicts.append(verdict)
    if update:
        tree = {verdict.name: round(verdict.ratio, 2) for verdict in verdicts}
        KEPT.write_text(json.dumps(tree, indent=2) + "\n")
    return verdicts


def kept_ratios() -> Mapping[str, float]:
    """What was seen, by name."""
    tree: dict[str, float] = json.loads(KEPT.read_text())
    return tree


def _run(side: Side, number: int) -> Sample:
    side.prepare(number)
    return once(side.command(number), side.environ, side.folder)


def pairs(bench: Bench) -> Iterator[Pair]:
    """All that is compared; each is made ready when it is asked for."""
    environ = bench.environ("ours")

    def python(name: str, *words: str) -> Side:
        return Side(name=name, command=lambda _: [sys.executable, *words], environ=environ, folder=bench.folder)

    def child(does: str, shape: str, count: int) -> Side:
        place = bench.folder / "graph"

        def command(number: int) -> Sequence[str]:
            return [sys.executable, "-m", "benchmarks.graph_child", does, shape, str(count), "same", str(place)]

        return Side(name=does, command=command, environ=environ, folder=bench.folder, prepare=lambda _: remove(place))

    click, keys = python("import click", "-c", "import click"), python("4,000 keys", "-c", _KEYS)
    yield Pair(name="a graph of 4,000 derivations, beside their keys", ours=child("core", "lock", 4000), beside=keys)
    yield Pair(name="300 trivial derivations done, beside 4,000 keys", ours=child("run", "wide", 300), beside=keys)

    wheels = bench.folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "big", "1.0", files={f"big/part_{number}.py": f"PART = {number}\n" for number in range(1500)})
    for number in range(30):
        make_wheel(wheels, f"toy-{number}", "1.0")
    server = bench.serve(WheelIndex(folder=wheels))
    project = bench.project("ours", {"big.yaml": pypi_recipe(server.url, ("big",))})
    home, theirs = Path(environ["ENVBUILD_HOME"]), bench.environ("theirs")
    bench.setup(envbuild("realize", "big.yaml"), environ, project)

    def ours(*words: str, prepare: Callable[[int], None] = lambda _: None) -> Side:
        return Side(name=words[0], command=lambda _: envbuild(*words), environ=environ, folder=project, prepare=prepare)

    yield Pair(name="a no-op realize, beside import click", ours=ours("realize", "big.yaml"), beside=click)

    prefix = bench.folder / "theirs" / "environment"
    interpreter = base_python(next(path for path in (home / "prefixes").iterdir() if (path / "bin").is_dir()))
    install = f"{uv()} pip install --quiet --python {prefix} --index-url {server.url}/simple big"
    yield Pair(
        name="a wheel of 1,500 files linked again, beside uv",
        ours=ours("realize", "big.yaml", prepare=lambda _: forget_environments(home, project)),
        beside=Side(
            name="uv",
            command=lambda _: ["sh", "-ec", f"{uv()} venv --quiet --python {interpreter} {prefix}; {install}"],
            environ=theirs,
            folder=bench.folder,
            prepare=lambda _: remove(prefix),
        ),
    )

    names = [f"r{number:02d}.yaml" for number in range(30)]
    texts = {name: pypi_recipe(server.url, (f"toy-{number}",)) for number, name in enumerate(names)}
    bench.project("ours", texts)
    bench.setup(envbuild("lock", *names), environ, project)
    yield Pair(name="a plan of 30 recipes, beside import click", ours=ours("plan", *names), beside=click)
    yield Pair(name="a lock of 30 recipes that fit, beside import click", ours=ours("lock", *names), beside=click)
