"""Hydrate an environment whose id a cold node knows from S3, against one bulk get of ``s3fs`` and linking the same.

Why: this is what every node of a flow pays but the first. The peer is told every key, reads all of them with one call
of ``s3fs`` and has py-rattler, or uv, link the files. It looks into nothing, keeps no store, and knows no closure. For
information: the same command with a lock and without a store, from the channel or index.

And whether small files would better lie together: the blobs alone, from 30 ms away, one by one or the small ones as one
object, which is split and hashed while it comes.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from benchmarks import synthetic_channel
from benchmarks.bench import (
    PYPI_SET,
    UNSYNCED,
    Bench,
    base_python,
    envbuild,
    pypi_recipe,
    pypi_wheels,
    remove,
    uv,
    without_syncs,
)
from benchmarks.bucket import Bucket, Filled
from benchmarks.conda_warm import recipe, records
from benchmarks.far import far_away
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import made_channel
from tests.support.wheel_index import WheelIndex

LATENCY = 0.03
SMALL = 256 << 10

WHAT_LIMITS = (
    "Importing s3fs and making its client (0.35 s, the peer's too); the server itself, which shares the processors; "
    "then linking, while the last blobs come. On top of the peer: starting envbuild, the store's files (hashed, "
    "synced), looking into packages; the disk, which takes all that was unpacked before the environment gets its name."
)
PACKED = (
    "The bytes, and what each request costs the client and the server in processor time (2 to 5 ms each here). With 64 "
    "in flight all small blobs wait for one and the same round trip, beside the large ones."
)


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    bucket = Bucket.made(bench)
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    conda_url = bench.serve(folder).url
    index_url = bench.serve(WheelIndex(folder=pypi_wheels())).url
    conda = bucket.fill("conda", recipe(folder, conda_url, channel))
    pypi = bucket.fill("pypi", pypi_recipe(index_url, PYPI_SET))
    listing = records(folder, f"file://{bench.folder / 'conda-peer' / 'files'}", bench.folder / "records")
    entries = json.loads(listing.read_text())
    for entry in entries:
        entry["url"] = f"file://{bench.folder / 'conda-peer' / 'files' / entry['file']}"
    listing.write_text(json.dumps(entries))
    results = []
    for name, what, set_ in (("conda, ~60 packages and 12,000 files", "conda", conda), ("PyPI set", "pypi", pypi)):
        results += _hydrated(bench, bucket, name, what, set_, listing)
    for name, set_ in (("conda", conda), ("PyPI", pypi)):
        results.append(_packed(bench, bucket, name, set_))
    return results


def _hydrated(bench: Bench, bucket: Bucket, name: str, what: str, set_: Filled, listing: Path) -> list[Result]:
    ours, theirs, origin = bucket.environ(what), bench.environ(f"{what}-peer"), bench.environ(f"{what}-origin")
    project, direct = bench.project(what, {"envbuild.yaml": ""}), bench.folder / f"{what}-peer"
    files = direct / "files"
    told = {
        "endpoint": bucket.endpoint(),
        "get": [[key, str(files / file)] for file, key in set_.blobs.items()],
        **(_rattler(listing, direct) if what == "conda" else _uv(set_, files, direct)),
    }
    (direct / "what.json").write_text(json.dumps(told))
    locked = bench.project(f"{what}-origin", {"envbuild.yaml": ""})
    for file in (f"{what}.yaml", f"{what}.lock.yaml"):
        shutil.copy(bench.folder / "first" / "project" / file, locked / file)

    def nothing_of_theirs(_: int) -> None:
        for path in (files, direct / "cache", direct / "prefix", Path(theirs["UV_CACHE_DIR"])):
            remove(path)
        files.mkdir()

    def nothing_at_origin(_: int) -> None:
        remove(Path(origin["ENVBUILD_HOME"]))
        remove(locked / ".envs")

    ours_side = Side(
        name="envbuild realize ID",
        command=lambda _: envbuild("realize", set_.identity),
        environ=ours,
        folder=project,
        prepare=lambda _: remove(Path(ours["ENVBUILD_HOME"])),
    )
    peer = Side(
        name="s3fs bulk get, then " + ("py-rattler" if what == "conda" else "uv"),
        command=lambda _: [sys.executable, str(Path(__file__).with_name("direct_s3fs.py")), str(direct / "what.json")],
        environ={**theirs, **bucket.server.environ, "AWS_ENDPOINT_URL": bucket.endpoint()},
        folder=direct,
        prepare=nothing_of_theirs,
    )
    from_origin = Side(
        name="envbuild realize --locked, no store, from the " + ("channel" if what == "conda" else "index"),
        command=lambda _: envbuild("realize", f"{what}.yaml", "--locked"),
        environ=origin,
        folder=locked,
        prepare=nothing_at_origin,
    )
    bench.say(f"{what}: {len(set_.blobs)} blobs, {sum(set_.sizes.values()) / 1e6:.0f} MB")
    samples = interleave([ours_side, peer, from_origin], bench.rounds(8, 2))
    unsynced = interleave(without_syncs([ours_side, peer]), bench.rounds(8, 2))
    first, second, third = samples
    pair = {first: samples[first], second: samples[second]}
    title = f"{name}, hydrated from S3 on a cold node"
    return [
        Result(name=title, target="<= 1.3x", limit=1.3, samples=pair, what_limits=WHAT_LIMITS),
        Result(name=f"{title}{UNSYNCED}", target="none", samples=unsynced, what_limits=WHAT_LIMITS),
        Result(name=f"{title}: peak memory", target="<= 1.3x", limit=1.3, samples=pair, of="peak"),
        Result(
            name=f"{title}, and from its origin (information)",
            target="none",
            samples={first: samples[first], third: samples[third]},
        ),
        _requests(bench, bucket, title, set_),
    ]


def _rattler(listing: Path, direct: Path) -> dict[str, object]:
    script = str(Path(__file__).with_name("direct_rattler.py"))
    return {"rattler": [script, str(listing), str(direct / "cache"), str(direct / "prefix")]}


def _uv(set_: Filled, files: Path, direct: Path) -> dict[str, object]:
    prefix = str(direct / "prefix")
    make = [uv(), "venv", "--quiet", "--python", base_python(set_.prefix), prefix]
    install = [uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", prefix]
    return {"uv": [make, [*install, *(str(files / file) for file in set_.blobs)]]}


def _requests(bench: Bench, bucket: Bucket, title: str, set_: Filled) -> Result:
    """How many requests one environment takes, and how many round trips one after the other, from 30 ms away."""
    proxy = bucket.server.proxy
    proxy.forget()
    environ = bucket.environ("counted", proxy.server_address[1])
    remove(Path(environ["ENVBUILD_HOME"]))
    proxy.latency = LATENCY
    bench.setup(envbuild("realize", set_.identity), environ, bench.project("counted", {"envbuild.yaml": ""}))
    asked = proxy.count("*")
    proxy.forget()
    return Result(
        name=f"{title}: requests, for {len(set_.blobs)} blobs and a closure",
        target="<= objects + 3",
        limit=len(set_.blobs) + 1 + 3,
        unit="requests",
        value=asked,
    )


def _packed(bench: Bench, bucket: Bucket, name: str, set_: Filled) -> Result:
    small = [file for file, size in set_.sizes.items() if size <= SMALL]
    size = sum(set_.sizes[file] for file in small)
    port = bench.closing.enter_context(far_away(bucket.server.port, LATENCY))
    told = bench.folder / f"packed-{name}.json"
    target = bench.folder / f"packed-{name}"
    blobs = [[key.removeprefix(f"{bucket.name}/team/"), set_.sizes[file]] for file, key in set_.blobs.items()]
    told.write_text(json.dumps({"url": bucket.url, "blobs": blobs, "small": SMALL, "folder": str(target)}))
    script, environ = str(Path(__file__).with_name("fetch_blobs.py")), bucket.environ(f"packed-{name}", port)
    bench.setup([sys.executable, script, str(told), "pack"], environ, bench.folder)

    def side(title: str, word: str) -> Side:
        return Side(
            name=title,
            command=lambda _: [sys.executable, script, str(told), word],
            environ=environ,
            folder=bench.folder,
            prepare=lambda _: remove(target),
        )

    return Result(
        name=f"{name}: {len(blobs)} blobs alone, from S3 30 ms away, 64 in flight; "
        f"{len(small)} of them, {size / 1e6:.1f} MB, as one object (information)",
        target="none",
        samples=interleave([side("packed", "packed"), side("one by one", "single")], bench.rounds(10, 3)),
        what_limits=PACKED,
    )
