"""Realize about 60 conda packages (12,000 files) with warm caches, against py-rattler called directly.

Why: this is what every step of a flow pays on a node that has seen its packages before. The direct call installs the
same records from its own warm package cache; envbuild has a lock, its store and its engines' caches, and no prefix.
What envbuild adds (lock, keys, graph, plan, a child process, the rename, the manifest) must stay small, in time and
memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import synthetic_channel
from benchmarks.bench import UNSYNCED, Bench, envbuild, forget_environments, remove, without_syncs
from benchmarks.measure import Result, Side, interleave
from tests.support.channel import TestChannel, made_channel

WHAT_LIMITS = (
    "Linking by py-rattler itself; on top, starting Python and reading the lock, beside which py-rattler's process "
    "starts, and what is left of the sync before the rename. Records of conda-meta are finished, and the system begins "
    "to write, while rattler links."
)


def recipe(folder: Path, url: str, channel: TestChannel) -> str:
    """All packages of the synthetic channel, with its Python."""
    names = sorted({path.name.rsplit("-", 2)[0] for path in folder.glob("*/part-*")})
    packages = "".join(f"    {name}:\n" for name in names)
    return f'python: "=={channel.pythons[0]}"\nconda:\n  channels: ["{url}"]\n  packages:\n{packages}'


def records(folder: Path, url: str, target: Path) -> Path:
    """What ``direct_rattler.py`` is told: every record of the channel."""
    target.mkdir()
    entries = []
    for subdir in folder.iterdir():
        document = json.loads((subdir / "repodata.json").read_text()) if (subdir / "repodata.json").is_file() else {}
        for file, record in (document.get("packages.conda", {}) | document.get("packages", {})).items():
            index = target / f"{file}.json"
            index.write_text(json.dumps(record))
            address = {"url": f"{url}/{subdir.name}/{file}", "channel": url}
            digests = {name: record[name] for name in ("sha256", "md5", "size")}
            entries.append({"index": str(index), "file": file, **address, **digests})
    listing = target / "records.json"
    listing.write_text(json.dumps(entries))
    return listing


def run(bench: Bench) -> list[Result]:
    """Measure it."""
    channel = made_channel()
    folder = synthetic_channel.made(channel)
    server = bench.serve(folder)
    environ = bench.environ("ours")
    project = bench.project("ours", {"x.yaml": recipe(folder, server.url, channel)})
    direct, cache = bench.folder / "direct", bench.folder / "direct" / "cache"
    listing = records(folder, server.url, direct)
    script = str(Path(__file__).with_name("direct_rattler.py"))
    bench.setup(envbuild("realize", "x.yaml"), environ, project)
    files = sum(1 for path in next((Path(environ["ENVBUILD_HOME"]) / "prefixes").iterdir()).rglob("*"))
    bench.say(f"the prefix has {files} entries, {len(json.loads(listing.read_text()))} packages")
    sides = [
        Side(
            name="envbuild realize",
            command=lambda _: envbuild("realize", "x.yaml"),
            environ=environ,
            folder=project,
            prepare=lambda _: forget_environments(Path(environ["ENVBUILD_HOME"]), project),
        ),
        Side(
            name="py-rattler directly",
            command=lambda _: [sys.executable, script, str(listing), str(cache), str(direct / "prefix")],
            environ=bench.environ("theirs"),
            folder=direct,
            prepare=lambda _: remove(direct / "prefix"),
        ),
    ]
    samples = interleave(sides, bench.rounds(12, 4), warm_up=2)
    unsynced = interleave(without_syncs(sides), bench.rounds(12, 4), warm_up=1)
    name = "conda, ~60 packages and 12,000 files, warm"
    return [
        Result(name=name, target="<= 1.3x", limit=1.3, samples=samples, what_limits=WHAT_LIMITS),
        Result(name=f"{name}: peak memory", target="<= 1.3x", limit=1.3, samples=samples, of="peak"),
        Result(name=f"{name}{UNSYNCED}", target="none", limit=None, samples=unsynced, what_limits=WHAT_LIMITS),
    ]
