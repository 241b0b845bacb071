"""Collecting garbage: roots, recent use, running programs, blobs of kept prefixes, races and kills."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations import Output
from envbuild.derivations.fetch import Fetch, realise
from envbuild.digest import Digest
from envbuild.environments.roots import Root, point, register
from envbuild.errors import LockTimeoutError
from envbuild.machine.home import Home, open_home
from envbuild.machine.kernel_lock import KernelLock
from envbuild.machine.publish import Incoming
from envbuild.machine.workspace import Workspace
from envbuild.package import Platform, UrlOrigin
from envbuild.store import Result
from envbuild.store.collect import Garbage, collect
from envbuild.store.folder import FolderStore, open_store
from envbuild.store.verify import verify_store
from tests.support.cache import CHECKOUT
from tests.support.servers import Body, Server

OLD = time.time() - 100 * 86400

COLLECT = """
import sys
from pathlib import Path
from envbuild.machine.home import Home
from envbuild.store.collect import collect
collect(Home(path=Path(sys.argv[1])), keep_days=0)
"""


class Stand:
    """A home with two environments; ``shared`` is a blob of both."""

    def __init__(self, path: Path, outside: Path) -> None:
        self.home: Home = open_home(path)
        self.store: FolderStore = open_store(self.home.store)
        self.outside = outside
        self.shared = self.blob(b"shared")
        self.one = self.prefix("1", [self.shared, self.blob(b"only one")])
        self.two = self.prefix("2", [self.shared, self.blob(b"only two")])

    def blob(self, data: bytes) -> Digest:
        with Incoming(self.store.incoming) as incoming:
            incoming.write(data)
            self.store.blobs.adopt(incoming, incoming.digest)
            digest = incoming.digest
        os.utime(self.store.blobs.name(digest), (OLD, OLD))
        return digest

    def prefix(self, letter: str, blobs: list[Digest]) -> Path:
        key = Digest(letter * 64)
        manifest = self.blob(json.dumps({"blobs": blobs}).encode())
        output = Output(sha256=manifest, size=1)
        self.store.results.put(
            Result(kind="link", key=key, outputs=(("out", output),), platform=Platform("linux-64"), created="",
                   milliseconds=0, builder="")
        )  # fmt: skip
        path = self.home.prefixes / key[:32]
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").write_text(letter * 1000)
        for old in (path, self.store.results.name("link", key)):
            os.utime(old, (OLD, OLD))
        return path

    def record(self, kind: str, letter: str, **outputs: Digest) -> Path:
        """An old record of some work."""
        several = tuple((name, Output(sha256=digest, size=1)) for name, digest in outputs.items())
        self.store.results.put(
            Result(kind=kind, key=Digest(letter * 64), outputs=several, platform=Platform("linux-64"), created="",
                   milliseconds=0, builder="")
        )  # fmt: skip
        path = self.store.results.name(kind, Digest(letter * 64))
        os.utime(path, (OLD, OLD))
        return path

    def closure(self, environment: str, source: Digest, *conda: Digest) -> Path:
        """An old closure of an environment: the source that it was built from, and its conda packages."""
        path = self.home.store / "environments" / "linux-64" / "r" / f"{environment}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        tree = {"sources": [{"sha256": source}], "conda": [{"sha256": item} for item in conda]}
        path.write_text(json.dumps({"platforms": {"linux-64": tree}}))
        os.utime(path, (OLD, OLD))
        return path

    def root(self, prefix: Path, name: str, environment: str = "") -> Path:
        link = self.outside / name
        register(
            self.home.roots,
            Root(
                link=str(link),
                prefix=str(prefix),
                name=name,
                recipe="",
                platform="",
                environment=environment,
                request="",
                created="",
            ),
        )
        point(link, prefix)
        return link

    def stamp(self, prefix: Path, age: float) -> Path:
        path = self.home.stamps / "one.json"
        path.write_text(json.dumps({"prefix": str(prefix)}))
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    def collect(self, *, keep_days: float = 1, dry_run: bool = False) -> Garbage:
        return collect(self.home, keep_days=keep_days, dry_run=dry_run, lock_timeout=5)

    def blobs(self) -> set[bytes]:
        return {self.store.blobs.name(digest).read_bytes() for digest, _, _ in self.store.blobs.list()}


@pytest.fixture
def stand(home: Path, tmp_path: Path) -> Stand:
    return Stand(home, tmp_path / "outside")


def test_without_roots_everything_old_goes(stand: Stand) -> None:
    garbage = stand.collect()
    assert garbage.prefixes == (stand.one, stand.two)
    assert garbage.kept_prefixes == garbage.kept_blobs == 0
    assert garbage.size > 2000
    assert stand.blobs() == set()
    assert list(stand.home.prefixes.iterdir()) == []
    assert list(stand.home.scratch.iterdir()) == []
    assert stand.collect().paths == ()


def test_a_root_keeps_its_prefix_and_all_its_blobs(stand: Stand) -> None:
    link = stand.root(stand.one, "env")
    before = {path: path.read_bytes() for path in stand.one.rglob("*") if path.is_file()}
    garbage = stand.collect(keep_days=0)
    assert garbage.prefixes == (stand.two,)
    assert {path: path.read_bytes() for path in stand.one.rglob("*") if path.is_file()} == before
    assert {b"shared", b"only one"} < stand.blobs()
    assert b"only two" not in stand.blobs()
    assert (garbage.kept_prefixes, garbage.kept_blobs) == (1, 3)
    assert stand.store.results.get("link", Digest("1" * 64)) is not None
    assert stand.store.results.get("link", Digest("2" * 64)) is None
    link.unlink()
    assert stand.collect(keep_days=0).prefixes == (stand.one,)
    assert list(stand.home.roots.iterdir()) == []


def test_a_kept_prefix_keeps_its_builds_their_logs_and_their_sources(stand: Stand) -> None:
    wheel, other = stand.blob(b"only one"), stand.blob(b"only two")
    log, tells, source = stand.blob(b"log"), stand.blob(b"tells"), stand.blob(b"source")
    kept = stand.record("build-wheel", "a", out=wheel, log=log, record=tells)
    transmuted = stand.record("transmute", "c", out=stand.shared)
    gone = stand.record("build-wheel", "b", out=other, log=stand.blob(b"other log"))
    closure = stand.closure("e1", source, stand.blob(b"original"))
    lost = stand.closure("e2", stand.blob(b"other source"))
    stand.root(stand.one, "one", "e1")
    garbage = stand.collect()
    assert kept.exists()
    assert transmuted.exists()
    assert not gone.exists()
    assert {b"only one", b"log", b"tells", b"source", b"shared", b"original"} < stand.blobs()
    assert not {b"only two", b"other log", b"other source"} & stand.blobs()
    assert closure.exists()
    assert lost in garbage.closures
    assert stand.collect().paths == ()
    closure.write_text("[]")  # a damaged one keeps nothing and breaks nothing
    stand.collect()
    assert b"source" not in stand.blobs()
    assert b"log" in stand.blobs()


def test_a_link_that_points_elsewhere_is_no_root(stand: Stand) -> None:
    link = stand.root(stand.one, "env")
    link.unlink()
    link.symlink_to(stand.two)
    assert stand.collect(keep_days=0).kept_prefixes == 0


def test_a_dry_run_tells_the_same_and_takes_nothing(stand: Stand) -> None:
    stand.root(stand.one, "env")
    everything = sorted(stand.home.path.rglob("*"))
    planned = stand.collect(dry_run=True)
    assert sorted(stand.home.path.rglob("*")) == everything
    assert stand.collect() == planned


@pytest.mark.parametrize(("age", "kept"), [(3600, 1), (5 * 86400, 0)])
def test_recent_use_keeps(stand: Stand, age: float, kept: int) -> None:
    stamp = stand.stamp(stand.one, age)
    assert stand.collect(keep_days=2).kept_prefixes == kept
    assert stamp.exists() is bool(kept)


def test_what_was_just_made_stays(stand: Stand) -> None:
    fresh = stand.blob(b"fresh")
    os.utime(stand.store.blobs.name(fresh))
    stand.collect(keep_days=1)
    assert stand.blobs() == {b"fresh"}


@pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="only Linux tells what processes use")
@pytest.mark.parametrize("how", ["working folder", "open file", "mapped file"])
def test_a_running_process_keeps_its_prefix(stand: Stand, how: str) -> None:
    code = {
        "working folder": "import time; print(1, flush=True); time.sleep(60)",
        "open file": "import time, os; f = open('bin/python'); os.chdir('/'); print(1, flush=True); time.sleep(60)",
        "mapped file": "import time, mmap, os; f = open('bin/python', 'rb'); m = mmap.mmap(f.fileno(), 0, access=1); "
        "f.close(); os.chdir('/'); print(1, flush=True); time.sleep(60)",
    }[how]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=stand.one, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert stand.collect(keep_days=0).prefixes == (stand.two,)
    process.kill()
    process.wait()
    process.stdout.close()
    assert stand.collect(keep_days=0).prefixes == (stand.one,)


def test_a_program_that_envbuild_runs_keeps_its_prefix(stand: Stand) -> None:
    workspace = Workspace(stand.home.path, Addresses(root="/"))
    with workspace.using(stand.one.name):
        workspace.close()
        assert stand.collect(keep_days=0).prefixes == (stand.two,)
    assert stand.collect(keep_days=0).prefixes == (stand.one,)
    workspace.close()


def test_users_and_the_collector_wait_for_each_other(stand: Stand) -> None:
    with Workspace(stand.home.path, Addresses(root="/")), pytest.raises(LockTimeoutError):
        collect(stand.home, keep_days=0, lock_timeout=0.1)
    with KernelLock(stand.home.lock), pytest.raises(LockTimeoutError):
        Workspace(stand.home.path, Addresses(root="/"), lock_timeout=0.1).use()
    assert stand.one.exists()


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(stand: Stand) -> None:
    (stand.home.scratch / "dead").mkdir()
    (stand.store.incoming / "dead").write_text("half a package")
    half = [folder / "0123.77.tmp" for folder in (stand.home.roots, stand.home.stamps)]
    for path in half:
        path.write_text("half a record")
    with Incoming(stand.store.incoming) as living:
        stand.collect()
        assert list(stand.store.incoming.iterdir()) == [living.path]
    assert list(stand.home.scratch.iterdir()) == []
    assert not any(path.exists() for path in half)


def test_strangers_and_targets_of_links_stay(stand: Stand, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    stranger = stand.home.prefixes / "notes"
    stranger.mkdir()
    (stand.home.prefixes / ("3" * 32)).symlink_to(precious)
    digest = Digest(hashlib.sha256(b"precious").hexdigest())
    name = stand.store.blobs.name(digest)
    name.parent.mkdir(parents=True, exist_ok=True)
    name.symlink_to(precious / "file")
    garbage = stand.collect(keep_days=-1)
    assert name in garbage.blobs
    assert not os.path.lexists(name)
    assert not os.path.lexists(stand.home.prefixes / ("3" * 32))
    assert (precious / "file").read_text() == "x"
    assert stranger.exists()


@pytest.mark.parametrize("fault", ["gc-post-mark", "gc-mid-sweep"])
def test_a_killed_collector_harms_nothing(stand: Stand, fault: str) -> None:
    stand.root(stand.one, "env")
    environ = {**os.environ, "ENVBUILD_FAULT": f"{fault}:kill", "PYTHONPATH": str(CHECKOUT)}
    killed = subprocess.run([sys.executable, "-c", COLLECT, str(stand.home.path)], env=environ)
    assert killed.returncode == -9
    assert (stand.one / "bin" / "python").exists()
    assert {b"shared", b"only one"} < stand.blobs()
    assert verify_store(stand.store).findings == ()
    stand.collect(keep_days=0)
    assert list(stand.home.scratch.iterdir()) == []
    assert not stand.two.exists()
    assert {b"shared", b"only one"} < stand.blobs()


def test_collecting_while_others_fetch_loses_nothing(home: Path, serving: Callable[..., Server]) -> None:
    data = {f"/{number}": os.urandom(20_000) for number in range(30)}
    server = serving(lambda request: Body(data=data[request.path]))
    ended = threading.Event()
    collections = []

    def keep_collecting() -> None:
        open_home(home)
        while not ended.is_set():
            collect(Home(path=home), keep_days=0)
            collections.append(1)
            time.sleep(0.005)

    thread = threading.Thread(target=keep_collecting)
    thread.start()
    try:
        for path, content in data.items():
            with Workspace(home, Addresses(root="/")) as workspace:
                sha256 = Digest(hashlib.sha256(content).hexdigest())
                fetch = Fetch(sha256=sha256, file="f", origin=UrlOrigin(url=server.url + path, file="f"))
                outputs = realise(fetch, workspace.for_job(fetch, {}))
                file = workspace.for_job(fetch, {fetch.key: outputs}).blob(fetch.key)
                time.sleep(0.01)
                assert file.read_bytes() == content
            time.sleep(0.06)  # longer than a waiting collector pauses, so that it gets its turn
    finally:
        ended.set()
        thread.join()
    assert len(collections) > 1
