"""R34: random walks through stores, held against a dictionary after each step.

``HomeWalk`` is a home: blobs and records are put, damaged, verified, repaired, linked by prefixes and collected; names
are moved. ``SharedWalk`` is a shared store in a folder: the same as objects, mended by right bytes, collected in
two phases while others rely on what was announced. In both any step
may be killed at one of the fault points on its way, in a forked child that the parent outlives; what was to be done is
then done or not, and nothing else has changed.

The dictionary says what each call answers and what is there; ``verify`` must find what the dictionary knows to be
wrong, and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from envbuild import faults
from envbuild.derivations import Output
from envbuild.digest import Digest, digest_bytes
from envbuild.environments.roots import Root, register
from envbuild.errors import IntegrityError, NameConflictError, UnreachableError
from envbuild.machine.home import open_home
from envbuild.machine.publish import Incoming
from envbuild.names import Name, parse_name
from envbuild.objects.folder import FolderObjects
from envbuild.package import Platform
from envbuild.store import Result, mark_logs, marks
from envbuild.store.collect import collect
from envbuild.store.collect_shared import collect_store
from envbuild.store.collected import Policy
from envbuild.store.folder import open_store, result_to_bytes
from envbuild.store.generation import Named
from envbuild.store.names import current, history, move
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.replacing import replace_blob, replace_result
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME
from envbuild.store.verify import drop, verify_store
from envbuild.store.verify_shared import Verification
from tests.faults.counts import COUNTS
from tests.faults.figures import count

PLATFORM = Platform("linux-64")
CONTENTS = [b"", b"1", *(bytes([number]) * (1 << 2 * number) for number in range(2, 7))]
DIGESTS = [digest_bytes(data) for data in CONTENTS]
KEYS = [digest_bytes(b"key %d" % number) for number in range(4)]
NAMES = [parse_name("team/a:stable"), parse_name("team/a:v1"), parse_name("b:latest")]
POINTS = ["tmp-created", "pre-fsync", "pre-rename", "post-rename-pre-result", "pre-name-put", "post-name-put"]

blobs = st.sampled_from(range(len(CONTENTS)))
keys = st.sampled_from(KEYS)
names = st.sampled_from(NAMES)


def record(key: Digest, blob: int) -> Result:
    return Result(
        kind="transmute",
        key=key,
        outputs=(("out", Output(sha256=DIGESTS[blob], size=len(CONTENTS[blob]))),),
        platform=PLATFORM,
        created="2026-11-21T00:00:00Z",
        milliseconds=1,
        builder="tests",
        notes=(),
    )


def meaning(number: int) -> Named:
    return Named(request=digest_bytes(b"request %d" % number), environments=((PLATFORM, digest_bytes(b"%d" % number)),))


class Walk(RuleBasedStateMachine):
    """What both walks share: a folder, names, kills, and a count of steps."""

    steps = 0
    kills = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="walk-"))
        self.past: dict[Name, list[Named]] = {}
        self.source = self.folder / "source"
        self.names_in = FolderObjects(self.folder / "store", "fast")

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @invariant()
    def one_more_step(self) -> None:
        type(self).steps += 1

    def killed(self, point: str, act: Callable[[], object]) -> bool:
        """Do something in a child that is killed when it reaches a fault point; whether it was."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # threads of the test process are at rest
            child = os.fork()
        if not child:
            try:
                faults._PLAN = f"{point}:kill"
                faults._seen.clear()
                act()
            except BaseException:
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0 or os.WIFSIGNALED(status), "the child failed"
        type(self).kills += os.WIFSIGNALED(status)
        assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGKILL
        return os.WIFSIGNALED(status)

    def file(self, blob: int) -> Path:
        self.source.write_bytes(CONTENTS[blob])
        return self.source

    @rule(name=names, number=st.integers(0, 3), expect=st.one_of(st.none(), st.integers(0, 4)))
    def move_name(self, name: Name, number: int, expect: int | None) -> None:
        past = self.past.setdefault(name, [])
        wanted = meaning(number)
        try:
            moved = move(self.names_in, name, wanted, expect=expect)
        except NameConflictError as error:
            assert past[-1:] != [wanted]
            moved_on = expect is not None and expect != len(past)
            reference = error.reference
            assert reference == ("name-moved" if moved_on else "name-taken")
            assert moved_on or (past and not name.movable)
            return
        if past[-1:] == [wanted]:
            assert not moved.written
        else:
            assert moved.written
            assert expect in {None, len(past)}
            assert name.movable or not past
            past.append(wanted)
        assert moved.now.number == len(past)

    @rule(name=names, number=st.integers(4, 6), point=st.sampled_from(POINTS))
    def move_name_and_be_killed(self, name: Name, number: int, point: str) -> None:
        past = self.past.setdefault(name, [])
        if past and (not name.movable or past[-1] == meaning(number)):
            return
        killed = self.killed(point, lambda: move(self.names_in, name, meaning(number)))
        now = current(self.names_in, name)
        if now is not None and now.number == len(past) + 1:
            past.append(meaning(number))
        else:
            assert killed

    @rule(name=names)
    def read_name(self, name: Name) -> None:
        past = self.past.get(name, [])
        now = current(self.names_in, name)
        found = [] if now is None else [item.named for item in history(self.names_in, name, now)]
        assert found == past[::-1]


class HomeWalk(Walk):
    """A home's store."""

    @initialize()
    def begin(self) -> None:
        self.home = open_home(self.folder)
        self.store = open_store(self.home.store, durability="fast")
        self.held: dict[Digest, bytes] = {}
        self.records: dict[Digest, int] = {}
        self.prefixes: dict[str, tuple[Digest, frozenset[Digest]]] = {}
        self.rooted: set[str] = set()

    @rule(blob=blobs)
    def put_blob(self, blob: int) -> None:
        told = self.store.blobs.put(self.file(blob), DIGESTS[blob])
        assert told == ("exists" if DIGESTS[blob] in self.held else "created")
        self.held.setdefault(DIGESTS[blob], CONTENTS[blob])

    @rule(blob=blobs, point=st.sampled_from(POINTS[:4]))
    def put_blob_and_be_killed(self, blob: int, point: str) -> None:
        killed = self.killed(point, lambda: self.store.blobs.put(self.file(blob), DIGESTS[blob]))
        if DIGESTS[blob] not in self.held:
            path = self.store.blobs.path(DIGESTS[blob])
            assert killed or path is not None
            if path is not None:
                self.held[DIGESTS[blob]] = CONTENTS[blob]

    @rule(blob=blobs, other=blobs)
    def put_wrong_bytes(self, blob: int, other: int) -> None:
        if blob != other and DIGESTS[blob] not in self.held:
            with pytest.raises(IntegrityError):
                self.store.blobs.put(self.file(other), DIGESTS[blob])

    @rule(key=keys, blob=blobs)
    def put_record(self, key: Digest, blob: int) -> None:
        there = self.records.get(key)
        stands = there is not None and DIGESTS[there] in self.held
        assert self.store.results.put(record(key, blob)) == ("exists" if stands else "created")
        if not stands:
            self.records[key] = blob

    @rule(blob=blobs)
    def damage(self, blob: int) -> None:
        path = self.store.blobs.path(DIGESTS[blob])
        assert (path is not None) == (DIGESTS[blob] in self.held)
        if path is not None:
            path.chmod(0o644)
            path.write_bytes(CONTENTS[blob] + b"x")
            path.chmod(0o444)
            self.held[DIGESTS[blob]] = CONTENTS[blob] + b"x"

    def wrong(self) -> set[tuple[str, str]]:
        """What the dictionary knows to be wrong: problems, and the last part of their paths."""
        found = {("wrong-bytes", digest) for digest, data in self.held.items() if digest_bytes(data) != digest}
        return found | {
            ("missing-output", f"{key}.json") for key, blob in self.records.items() if DIGESTS[blob] not in self.held
        }

    @rule(repair=st.booleans())
    def verify(self, repair: bool) -> None:
        report = verify_store(self.store, jobs=1)
        wrong = self.wrong()
        assert {(item.problem, item.path.name) for item in report.findings} == wrong
        assert report.blobs == len(self.held)
        if repair:
            drop(self.store, report)
            for problem, name in wrong:
                if problem == "wrong-bytes":
                    del self.held[Digest(name)]
                else:
                    del self.records[Digest(name.removesuffix(".json"))]

    @rule(number=st.integers(0, 2), linked=st.sets(blobs, max_size=3))
    def make_prefix(self, number: int, linked: set[int]) -> None:
        """As a link does: blobs, a manifest, a record, a folder, and a link of the user's that keeps it."""
        name = digest_bytes(b"prefix %d" % number)
        if name[:32] in self.prefixes:
            return
        for blob in linked:
            self.put_blob(blob)
        manifest = json.dumps({"number": number, "blobs": sorted(DIGESTS[blob] for blob in linked)}).encode()
        self.source.write_bytes(manifest)
        digest = digest_bytes(manifest)
        self.store.blobs.put(self.source, digest)
        self.held.setdefault(digest, manifest)
        made = record(name, 0)
        output = Output(sha256=digest, size=len(manifest))
        self.store.results.put(
            Result(
                **{
                    **{item: getattr(made, item) for item in ("key", "platform", "created", "builder", "notes")},
                    "kind": "link",
                    "outputs": (("out", output),),
                    "milliseconds": 1,
                }
            )
        )
        (self.home.prefixes / name[:32]).mkdir()
        self.prefixes[name[:32]] = (digest, frozenset(DIGESTS[blob] for blob in linked))
        link = self.folder / f"link-{number}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.home.prefixes / name[:32])
        told = dict.fromkeys(("name", "recipe", "platform", "environment", "request", "created"), "x")
        register(self.home.roots, Root(link=str(link), prefix=str(self.home.prefixes / name[:32]), **told), "fast")
        self.rooted.add(name[:32])

    @rule(number=st.integers(0, 2))
    def remove_link(self, number: int) -> None:
        (self.folder / f"link-{number}").unlink(missing_ok=True)
        self.rooted.discard(digest_bytes(b"prefix %d" % number)[:32])

    def kept(self) -> tuple[set[Digest], set[Digest]]:
        """Blobs and records of transmutes that a collection must leave."""
        blobs_kept: set[Digest] = set()
        for name in self.rooted & self.prefixes.keys():
            manifest, linked = self.prefixes[name]
            blobs_kept |= {manifest, *linked}
        blobs_kept &= self.held.keys()
        wanted = {digest for name in self.rooted & self.prefixes.keys() for digest in self.prefixes[name][1]}
        wanted |= {self.prefixes[name][0] for name in self.rooted & self.prefixes.keys()}
        return blobs_kept, {key for key, blob in self.records.items() if DIGESTS[blob] in wanted}

    @rule(everything=st.booleans())
    def gc(self, everything: bool) -> None:
        damaged_manifests = {
            name for name, (manifest, _) in self.prefixes.items() if digest_bytes(self.held[manifest]) != manifest
        }
        assert not damaged_manifests
        collect(self.home, keep_days=0 if everything else 1)
        if everything:
            blobs_kept, records_kept = self.kept()
            self.held = {digest: data for digest, data in self.held.items() if digest in blobs_kept}
            self.records = {key: blob for key, blob in self.records.items() if key in records_kept}
            self.prefixes = {name: what for name, what in self.prefixes.items() if name in self.rooted}
        self.nothing_else()

    @rule(point=st.sampled_from(["gc-post-mark", "gc-mid-sweep"]))
    def gc_and_be_killed(self, point: str) -> None:
        """What was to stay is there; what was to go may be."""
        self.killed(point, lambda: collect(self.home, keep_days=0))
        blobs_kept, records_kept = self.kept()
        there = {digest for digest, _, _ in self.store.blobs.list()}
        left = set(self.store.results.list("transmute"))
        prefixes = {path.name for path in self.home.prefixes.iterdir()}
        assert blobs_kept <= there <= self.held.keys()
        assert records_kept <= left <= self.records.keys()
        assert self.rooted & self.prefixes.keys() <= prefixes <= self.prefixes.keys()
        self.held = {digest: data for digest, data in self.held.items() if digest in there}
        self.records = {key: blob for key, blob in self.records.items() if key in left}
        self.prefixes = {name: what for name, what in self.prefixes.items() if name in prefixes}
        lost = [name for name, (manifest, _) in self.prefixes.items() if manifest not in there]
        assert not self.rooted & set(lost)
        collect(self.home, keep_days=0)
        self.gc(everything=True)

    @rule()
    def nothing_else(self) -> None:
        """Blobs, records and prefixes are those of the dictionary, byte for byte."""
        assert {digest: self.store.blobs.name(digest).read_bytes() for digest, _, _ in self.store.blobs.list()} == (
            self.held
        )
        assert set(self.store.results.list("transmute")) == self.records.keys()
        for key, blob in self.records.items():
            assert self.store.results.get("transmute", key) == record(key, blob)
        assert {path.name for path in self.home.prefixes.iterdir()} == self.prefixes.keys()


class SharedWalk(Walk):
    """A shared store in a folder."""

    @initialize()
    def begin(self) -> None:
        self.objects = FolderObjects(self.folder / "store", "fast")
        self.objects.put(FORMAT_NAME, FORMAT_BYTES)
        self.held: dict[str, bytes] = {}
        self.promised: set[str] = set()
        self.again()

    @rule()
    def again(self) -> None:
        """Another process opens it."""
        self.store = SharedStore("store", lambda: FolderObjects(self.folder / "store", "fast"))

    @rule(blob=blobs)
    def put_blob(self, blob: int) -> None:
        name = blob_name(DIGESTS[blob])
        told = self.store.put_blob(DIGESTS[blob], self.file(blob))
        assert told == ("exists" if name in self.held else "created")
        self.held.setdefault(name, CONTENTS[blob])

    @rule(blob=blobs, point=st.sampled_from(POINTS[:4]))
    def put_blob_and_be_killed(self, blob: int, point: str) -> None:
        killed = self.killed(point, lambda: self.store.put_blob(DIGESTS[blob], self.file(blob)))
        self.perhaps(blob_name(DIGESTS[blob]), CONTENTS[blob], killed)

    @rule(key=keys, blob=blobs, point=st.sampled_from(POINTS[:4]))
    def put_record_and_be_killed(self, key: Digest, blob: int, point: str) -> None:
        if self.mark() == "closed":
            return
        killed = self.killed(point, lambda: self.store.put_result(record(key, blob)))
        self.perhaps(result_name("transmute", key), result_to_bytes(record(key, blob)), killed)

    def perhaps(self, name: str, data: bytes, killed: bool) -> None:
        """Something may have been put."""
        if name not in self.held:
            there = self.objects.read(name)
            assert there in {None, data}
            assert killed or there is not None
            if there is not None:
                self.held[name] = data

    @rule(blob=blobs)
    def get_blob(self, blob: int) -> None:
        data = self.held.get(blob_name(DIGESTS[blob]))
        with Incoming(self.folder / "incoming", None) as incoming:
            if data is not None and data != CONTENTS[blob]:
                with pytest.raises(IntegrityError):
                    self.store.blob(DIGESTS[blob], incoming, len(CONTENTS[blob]))
            else:
                assert self.store.blob(DIGESTS[blob], incoming, len(CONTENTS[blob])) == (data is not None)

    @rule(key=keys, blob=blobs)
    def put_record(self, key: Digest, blob: int) -> None:
        name = result_name("transmute", key)
        told = self.refused(name, lambda: self.store.put_result(record(key, blob)))
        if told is None:
            return
        if self.mark() == "open":
            self.promised |= {name, blob_name(DIGESTS[blob])} & {*self.held, name}
        assert told == ("exists" if name in self.held else "created")
        self.held.setdefault(name, result_to_bytes(record(key, blob)))

    @rule(key=keys)
    def get_record(self, key: Digest) -> None:
        data = self.held.get(result_name("transmute", key))
        if data == b"none":
            with pytest.raises(IntegrityError):
                self.store.result("transmute", key)
        else:
            result = self.store.result("transmute", key)
            assert (result is None) == (data is None)
            assert data is None or json.loads(data)["outputs"]["out"]["sha256"] in {
                output.sha256 for _, output in (result.outputs if result else ())
            }

    @rule(what=st.one_of(blobs, keys), lost=st.booleans())
    def damage(self, what: int | Digest, lost: bool) -> None:
        """Bytes of an object are others, or it is gone."""
        name = blob_name(DIGESTS[what]) if isinstance(what, int) else result_name("transmute", what)
        if name not in self.held:
            return
        self.objects.delete(name)
        del self.held[name]
        if not lost:
            self.held[name] = CONTENTS[what] + b"x" if isinstance(what, int) else b"none"
            self.objects.put(name, self.held[name])

    @rule(blob=blobs)
    def mend_blob(self, blob: int) -> None:
        name = blob_name(DIGESTS[blob])
        replaced = replace_blob(self.store, DIGESTS[blob], self.file(blob))
        assert replaced == (self.held.get(name) != CONTENTS[blob])
        self.held[name] = CONTENTS[blob]

    @rule(key=keys, blob=blobs)
    def mend_record(self, key: Digest, blob: int) -> None:
        """In the place of one that cannot be read; one that can be stands."""
        name = result_name("transmute", key)
        if self.refused(name, lambda: replace_result(self.store, record(key, blob), None) or "done") is None:
            return
        if self.held.get(name) in {None, b"none"}:
            self.held[name] = result_to_bytes(record(key, blob))

    @rule()
    def verify(self) -> None:
        report = Verification(self.store).everything()
        right = {blob_name(digest): data for digest, data in zip(DIGESTS, CONTENTS, strict=True)}
        wrong = {("wrong-bytes", name) for name, data in self.held.items() if name in right and data != right[name]}
        for name, data in self.held.items():
            if name.startswith("results/"):
                if data == b"none":
                    wrong.add(("bad-record", name))
                else:
                    output = blob_name(Digest(json.loads(data)["outputs"]["out"]["sha256"]))
                    if output not in self.held:
                        wrong.add(("missing-output", name))
        told = {(item.problem, item.name) for item in report.findings}
        assert wrong == {item for item in told if item[0] in {"wrong-bytes", "bad-record", "missing-output"}}
        assert {problem for problem, _ in told - wrong} <= {"absent-environment", "wrong-size"}

    def mark(self) -> str:
        """Whether a collection has announced something, and may be relied against."""
        mark = marks.read_mark(self.objects)
        return "none" if mark is None else "closed" if mark_logs.is_closed(self.objects, mark.identity) else "open"

    def refused(self, name: str, act: Callable[[], str]) -> str | None:
        """What a put said; None when a collection that deletes by now refuses it, and then nothing is put."""
        closed = self.mark() == "closed"
        try:
            return act()
        except UnreachableError as error:
            reference = error.reference
        assert closed
        assert reference == "being-collected"
        there = self.objects.read(name)
        assert there in {None, self.held.get(name)}
        if there is None:
            self.held.pop(name, None)
        return None

    def collect(self) -> None:
        collect_store(self.store, Policy(days=0, grace=0))

    def left(self) -> None:
        """What a collection took is gone, and nothing came."""
        there = {name for name in self.held if self.objects.read(name) is not None}
        self.held = {name: data for name, data in self.held.items() if name in there}
        self.promised.clear()
        self.again()  # who lives through a whole grace is another test

    @rule()
    def gc(self) -> None:
        """Without days and grace, what nobody names goes; what was held goes with the collection after."""
        for _ in range(3):
            self.collect()
        self.left()
        assert not self.held

    @rule(point=st.sampled_from([point for point in faults.FAULTS if point.startswith("store-gc-")]))
    def gc_and_be_killed(self, point: str) -> None:
        killed = self.killed(point, self.collect)
        if killed and point == "store-gc-pre-mark":  # what was announced before is gone, and nothing else was yet
            assert all(self.objects.read(name) is not None for name in self.promised)
        if killed and point == "store-gc-post-mark":  # it may be relied on again, once it is held
            self.left()
            assert self.mark() == "open"
        self.left()

    @rule()
    def nothing_else(self) -> None:
        others = ("refs/", "collect/")
        names_there = {item.name for item in self.objects.list("") if not item.name.startswith(others)}
        assert names_there == {*self.held, FORMAT_NAME}
        for name, data in self.held.items():
            assert self.objects.read(name) == data


STEPS = 50


@pytest.mark.parametrize("walk", [HomeWalk, SharedWalk])
@pytest.mark.parametrize("number", range(COUNTS.seeds))
def test_R34_a_store_is_what_a_dictionary_says(walk: type[Walk], number: int) -> None:
    seeded = seed(number)(type(walk.__name__, (walk,), {"steps": 0, "kills": 0}))
    run_state_machine_as_test(
        seeded,
        settings=settings(
            max_examples=max(1, COUNTS.steps // STEPS),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # a failure comes again by its seed; to shrink one takes long
            suppress_health_check=list(HealthCheck),
        ),
    )
    where = "a home" if walk is HomeWalk else "a shared store"
    assert seeded.steps >= COUNTS.steps // 2
    count(f"random steps in {where} that did what a dictionary says", seeded.steps, seeded.steps)
    count(f"of them killed on their way, in {where}", seeded.kills, seeded.kills)
