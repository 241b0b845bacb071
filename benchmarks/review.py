"""``diff`` of a project of 500 recipes, three platforms and 150 packages each; the merge of two branches.

Why: whoever reads a pull request waits for it, and so does its comment; and a merge that takes longer than locking
again would be done by locking again. Of the recipes one in twenty changed, and all of them, with every conda package of
theirs: that is what a new version of Python does. The merge is `git merge` from start to end, with the driver, of two
branches that each added a package; it is held against one `envbuild lock` of the merged recipe that has the lock of one
side to prefer.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from pathlib import Path

from benchmarks.bench import PYPI_SET, Bench, envbuild, pypi_recipe, pypi_wheels, remove
from benchmarks.measure import Result, Sample, Side, interleave
from benchmarks.review_project import change, commit, make_project
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

DIFF_LIMITS = "Git's listing of both revisions; then one JSON line a package of the locks that differ, and their ids."
MERGE_LIMITS = "The solve; before it four processes of git, and starting Python a second time."
CONDA = 105
"""Conda packages of an environment with 150: all of them change."""


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    return [*_diffs(bench), _merge(bench)]


def _diffs(bench: Bench) -> list[Result]:
    most = 60 if bench.quick else 500
    environ = {**bench.environ("diff"), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    few, every = bench.folder / "few", bench.folder / "every"
    bench.say(f"making {most} recipes with locks")
    make_project(few, recipes=most)
    commit(few, "first")
    shutil.copytree(few, every)
    change(few)
    commit(few, "one in twenty")
    change(every, share=1, packages=CONDA)
    commit(every, "all")

    def side(name: str, folder: Path, *words: str) -> Side:
        return Side(name=name, command=lambda _: envbuild("diff", *words), environ=environ, folder=folder)

    rounds = bench.rounds(9, 3)
    some = interleave([side("two revisions", few, "HEAD~1..HEAD")], rounds)
    tree = interleave([side("the working tree", few, "HEAD~1")], rounds)
    bench.say("all changed")
    whole = interleave([side("two revisions", every, "HEAD~1..HEAD")], bench.rounds(3, 1))
    title = f"diff of {most} recipes x 3 platforms x 150 packages"

    def row(what: str, samples: dict[str, list[Sample]], limit: float) -> Result:
        (measured,) = samples.values()
        return Result(
            name=f"{title}, {what}",
            target=f"<= {limit:.0f} s",
            limit=limit,
            unit="seconds",
            value=statistics.median(item.wall for item in measured),
            samples=samples,
            what_limits=DIFF_LIMITS,
        )

    (measured,) = whole.values()
    return [
        row("5 % changed", some, 2.0),
        row("5 % changed, against the working tree", tree, 2.0),
        row("all changed", whole, 20.0),
        Result(
            name=f"{title}, all changed: peak memory",
            target="<= 300 MB",
            limit=300.0,
            unit="MB",
            of="peak",
            value=max(item.peak for item in measured) / 1e6,
            samples=whole,
        ),
    ]


def _merge(bench: Bench) -> Result:
    wheels = bench.folder / "wheels"
    wheels.mkdir()
    for wheel in pypi_wheels().glob("*.whl"):
        (wheels / wheel.name).symlink_to(wheel)
    for name in ("toy-one", "toy-two"):
        make_wheel(wheels, name, "1.0")
    server = bench.serve(WheelIndex(folder=wheels))
    environ = {
        **bench.environ("merge"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{who}_NAME": "Reviewer" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "reviewer@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    project = bench.project("merge", {"envbuild.yaml": "recipes: .\n"})
    home = Path(environ["ENVBUILD_HOME"])

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=project, env=environ, check=True, capture_output=True)

    def branch(name: str, packages: tuple[str, ...]) -> None:
        (project / "x.yaml").write_text(pypi_recipe(server.url, packages))
        bench.setup(envbuild("lock", "x.yaml"), environ, project)
        git("add", "-A")
        git("commit", "-q", "-m", name)

    bench.say("two branches")
    git("init", "-q", "-b", "main")
    bench.setup(envbuild("init", "--git"), environ, project)
    branch("main", PYPI_SET)
    git("checkout", "-q", "-b", "one")
    branch("one", ("toy-one", *PYPI_SET))
    git("checkout", "-q", "-b", "two", "main")
    branch("two", (*PYPI_SET, "toy-two"))
    again = bench.project(
        "again", {"envbuild.yaml": "recipes: .\n", "x.yaml": pypi_recipe(server.url, ("toy-one", *PYPI_SET, "toy-two"))}
    )

    def unsolved() -> None:
        remove(home / "stamps")
        remove(home / "store" / "results" / "solve")

    def apart(_: int) -> None:
        git("reset", "-q", "--hard", "two")
        unsolved()

    git("checkout", "-q", "-B", "merged", "two")

    def before(_: int) -> None:
        lock = subprocess.run(["git", "show", "two:x.lock.yaml"], cwd=project, capture_output=True, check=True).stdout
        (again / "x.lock.yaml").write_bytes(lock)
        unsolved()

    sides = [
        Side(
            name="git merge",
            command=lambda _: ["git", "merge", "-q", "-m", "merged", "one"],
            environ=environ,
            folder=project,
            prepare=apart,
        ),
        Side(
            name="envbuild lock",
            command=lambda _: envbuild("lock", "x.yaml"),
            environ=environ,
            folder=again,
            prepare=before,
        ),
    ]
    samples = interleave(sides, bench.rounds(20, 5), warm_up=2)
    if (project / "x.lock.yaml").read_bytes() != (again / "x.lock.yaml").read_bytes():
        raise AssertionError("the merged lock is another one than that of the merged recipe")
    return Result(
        name="merge of two branches that each added a package, against one lock of the merged recipe",
        target="<= 1.2x",
        limit=1.2,
        samples=samples,
        what_limits=MERGE_LIMITS,
    )
