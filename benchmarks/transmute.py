"""Transmute the synthetic channel's packages against ``cph transmute``, and use the result against what it came from.

Why: channels still hold packages as ``.tar.bz2``, whose decoding takes most of the time of a first link. Writing them
anew must cost no more than conda's own tool takes for it, at the same level and with all cores busy on both sides; and
what it costs must come back on the second use, on a machine that has the store and has not unpacked them yet.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks import old_channel
from benchmarks.bench import Bench, envbuild, forget_environments, remove
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import TestChannel, made_channel

LEVEL = 3
WHAT_LIMITS = "Decoding bz2 (three quarters of the processor time). cph decodes twice: it compares what it wrote."
SECOND_USE = "Unpacking and linking by py-rattler, and starting envbuild; the engine's caches are empty on both sides."


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    channel = made_channel()
    folder = old_channel.made(channel)
    return [*_transmuting(bench, folder), *_second_use(bench, folder, channel)]


def _transmuting(bench: Bench, folder: Path) -> list[Result]:
    environ = bench.environ("ours")
    home = Path(environ["ENVBUILD_HOME"])
    ours = [sys.executable, str(Path(__file__).with_name("transmute_all.py")), str(home), str(folder)]
    environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    theirs = bench.folder / "theirs"
    theirs.mkdir()
    packages = bench.folder / "packages"
    packages.mkdir()
    for path in folder.glob("*/*.tar.bz2"):
        (packages / path.name).symlink_to(path)
    bench.setup(ours, environ, bench.folder)
    sizes = [path.stat().st_size for path in folder.glob("*/*.tar.bz2")]
    bench.say(f"{len(sizes)} packages, {sum(sizes) / 1e6:.0f} MB")
    cph = [sys.executable, "-m", "conda_package_handling", "transmute", "--processes", str(_cores())]
    cph += ["--zstd-compression-level", str(LEVEL), "--out-folder", str(theirs / "out")]
    sides = [
        Side(
            name="envbuild",
            command=lambda _: ours,
            environ=environ,
            folder=bench.folder,
            prepare=lambda _: _forget(home),
        ),
        Side(
            name="cph transmute",
            command=lambda _: [*cph, str(packages / "*.tar.bz2"), ".conda"],
            environ=bench.environ("theirs"),
            folder=theirs,
            prepare=lambda _: _empty(theirs / "out"),
        ),
    ]
    samples = interleave(sides, bench.rounds(5, 2))
    name = f"{len(sizes)} packages from .tar.bz2 to .conda, level {LEVEL}, all cores"
    return [Result(name=name, target="<= 1.0x", limit=1.0, samples=samples, what_limits=WHAT_LIMITS)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _forget(home: Path) -> None:
    """Remove what was transmuted, and its records."""
    results = home / "store" / "results" / "transmute"
    for record in results.rglob("*.json"):
        for output in json.loads(record.read_text())["outputs"].values():
            blob = home / "store" / "blobs" / "sha256" / output["sha256"][:2] / output["sha256"]
            blob.unlink(missing_ok=True)
    remove(results)


def _empty(folder: Path) -> None:
    remove(folder)
    folder.mkdir()


def _second_use(bench: Bench, folder: Path, channel: TestChannel) -> list[Result]:
    """Two homes with the same packages in the store, in either format; no engine has unpacked any of them."""
    server = bench.serve(folder)
    names = sorted({path.name.rsplit("-", 2)[0] for path in folder.glob("*/part-*.tar.bz2")})
    recipe = f'python: "=={channel.pythons[0]}"\nconda:\n  channels: ["{server.url}"]\n  packages:\n'
    recipe += "".join(f"    {name}:\n" for name in names)
    sides = []
    for name, wanted in (("transmuted", ".conda"), ("as .tar.bz2", "keep")):
        place = f"use-{wanted.strip('.')}"
        environ = {**bench.environ(place), "ENVBUILD_CONDA_FORMAT": wanted}
        project = bench.project(place, {"x.yaml": recipe})
        bench.setup(envbuild("realize", "x.yaml"), environ, project)
        sides.append(
            Side(
                name=name,
                command=lambda _: envbuild("realize", "x.yaml"),
                environ=environ,
                folder=project,
                prepare=lambda _, home=Path(environ["ENVBUILD_HOME"]), project=project: _cold(home, project),  # type: ignore[misc]
            )
        )
    samples = interleave(sides, bench.rounds(6, 2))
    name = "second use of a transmuted set: realize from the store, nothing unpacked yet"
    return [Result(name=name, target="<= 0.33x (over 3x faster)", limit=1 / 3, samples=samples, what_limits=SECOND_USE)]


def _cold(home: Path, project: Path) -> None:
    forget_environments(home, project)
    remove(home / "cache")
    for record in (home / "store" / "results" / "link").rglob("*.json"):
        record.unlink()
