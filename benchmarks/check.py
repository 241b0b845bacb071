"""``check`` of 500 recipes for 3 platforms with 150 packages each: all to be read, and 5 % of them changed.

Why: a team's CI checks every recipe on every change. Nothing is solved or fetched; this is the price of reading locks,
making their ids anew, and holding each package against the policy. What was good before is known by the digests of its
files, which are read each time; in the first case that memory is taken away.
"""

from __future__ import annotations

from benchmarks.bench import Bench, envbuild, remove
from benchmarks.measure import Result, Side, interleave
from benchmarks.review_project import PLATFORMS, change, make_project

POLICY = """\
policy:
  channels: [conda-forge]
  indices: [default]
  licenses: {deny: [AGPL-3.0-only], unknown: deny}
  forbidden: ["lib-000<1", "wheel-000<1"]
  max-size: 8GB
  min-age: 1d
"""
SHARE = 0.05
MEMORY = 300_000_000
WHAT_LIMITS = (
    "One JSON line for each package, one canonical JSON and sha256 for each environment, the lock's text made again; "
    "of what has not changed, one sha256 for each file."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    recipes, packages = (60, 40) if bench.quick else (500, 150)
    project = bench.folder / "ours" / "project"
    bench.say(f"making {recipes} recipes with locks of {packages} packages for {len(PLATFORMS)} platforms")
    make_project(project, recipes=recipes, packages=packages)
    file = project / "envbuild.yaml"
    file.write_text(file.read_text() + POLICY)
    environ = bench.environ("ours")
    memory = bench.folder / "ours" / "home" / "cache" / "check"
    bench.setup(envbuild("check"), environ, project)

    def some(number: int) -> None:
        change(project, share=SHARE, version=f"9.{number}", python=False)

    sides = [
        Side(
            name="all to be read",
            command=lambda _: envbuild("check"),
            prepare=lambda _: remove(memory),
            environ=environ,
            folder=project,
        ),
        Side(
            name=f"{SHARE:.0%} changed",
            command=lambda _: envbuild("check"),
            prepare=some,
            environ=environ,
            folder=project,
        ),
    ]
    samples = interleave(sides, bench.rounds(7, 2))
    results = []
    for (name, found), limit in zip(samples.items(), (20.0, 2.0), strict=True):
        largest = max(item.peak for item in found)
        if largest > MEMORY:
            raise AssertionError(f"check took {largest / 1e6:.0f} MB")
        result = Result(
            name=f"check of {recipes} recipes, {len(PLATFORMS)} platforms, {packages} packages, {name}",
            target=f"<= {limit:.0f} s, 300 MB",
            samples={name: found},
        )
        result.limit, result.unit, result.value = limit, "seconds", result.median(0)
        result.what_limits = WHAT_LIMITS
        results.append(result)
    return results
