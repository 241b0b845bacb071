"""What is there? Sizes of 500 blobs of a bucket that is 30 ms away, against ``s3fs`` alone; and round trips to a start.

Why: a plan asks what of it is in the store before anything runs. Both sides are whole processes, ask by HEAD for the
same 500 objects, and have as many in flight.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.bench import Bench, envbuild, pypi_recipe, remove
from benchmarks.bucket import Bucket
from benchmarks.far import far_away
from benchmarks.measure import Result, Side, interleave
from envbuild.store.parallel import in_parallel
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

OBJECTS, LATENCY = 500, 0.03
LIMITS = "s3fs, which takes two milliseconds of processor for each request, and the server, which takes more."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    bucket = Bucket.made(bench)
    digests = [f"{number:064x}" for number in range(OBJECTS)]
    in_parallel(
        lambda digest: bucket.server.put_key(bucket.name, f"team/blobs/sha256/{digest[:2]}/{digest}", b"x"), digests, 4
    )
    port = bench.closing.enter_context(far_away(bucket.server.port, LATENCY))
    environ, script = bucket.environ("asking", port), str(Path(__file__).with_name("ask_sizes.py"))

    def side(name: str, word: str) -> Side:
        command = [sys.executable, script, word, bucket.url, str(OBJECTS)]
        return Side(name=name, command=lambda _: command, environ=environ, folder=bench.folder)

    samples = interleave([side("envbuild's layer", "layer"), side("s3fs alone", "s3fs")], bench.rounds(10, 3))
    return [
        Result(
            name=f"what is there of {OBJECTS} derivations, 30 ms away",
            target="<= 1.3x",
            limit=1.3,
            samples=samples,
            what_limits=LIMITS,
        ),
        *_round_trips(bench, bucket),
    ]


def _round_trips(bench: Bench, bucket: Bucket) -> list[Result]:
    folder = bench.folder / "wheels"
    folder.mkdir()
    for name in ("one", "two", "three"):
        make_wheel(folder, name, "1.0")
    set_ = bucket.fill("known", pypi_recipe(bench.serve(WheelIndex(folder=folder)).url, ("one", "two", "three")))
    first = bench.folder / "first" / "project"
    bench.setup(envbuild("alias", "known.yaml", "team/known"), bucket.environ("first"), first)
    proxy = bucket.server.proxy
    results = []
    for word, source in (("id", set_.identity), ("name", "team/known")):
        environ = bucket.environ("known", proxy.server_address[1])
        remove(Path(environ["ENVBUILD_HOME"]))
        proxy.forget()
        proxy.latency = 0.3  # far more than what the processors decide
        bench.setup(envbuild("realize", source), environ, bench.project("known", {"envbuild.yaml": ""}))
        rounds = proxy.rounds()
        proxy.forget()
        name = f"round trips until a known environment is linked on a cold node, by its {word}"
        results.append(Result(name=name, target="<= 5", limit=5, unit="round trips", value=rounds))
    return results
