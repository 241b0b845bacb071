"""R12 and R14: every kind of object of a shared store, damaged in every way, or lost.

Told by ``verify --store`` in all cases; never linked; costs a realize time and one line each; mended by whoever does
the work and may write, so that the next one only reads. A name, and the closure that it leads to, have no origin: there
the realize is an error that names the object, until ``--repair`` or the store's owner puts it right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from envbuild.digest import sealed, unsealed
from envbuild.objects import Objects
from envbuild.objects.opening import open_objects
from tests.faults.counts import TORTURE
from tests.faults.figures import count
from tests.faults.world import differences
from tests.flows.test_shared_stores import Team
from tests.support.channel import TestChannel
from tests.support.object_servers import serve_objects
from tests.support.servers import serve

Way = Callable[["Kept", str, bytes], bytes]


def flip(place: float) -> Way:
    def way(kept: Kept, name: str, data: bytes) -> bytes:
        changed = bytearray(data)
        if data:
            changed[int(place * (len(data) - 1))] ^= 1
        return bytes(changed)

    return way


def cut(size: Callable[[int], int]) -> Way:
    return lambda kept, name, data: data[: max(0, size(len(data)))]


def swapped(kept: Kept, name: str, data: bytes) -> bytes:
    """The bytes of another valid object of the same kind, of the same length where there is one."""
    others = [kept.good[other] for other in kept.of(kind_of(name)) if kept.good[other] != data]
    return next((other for other in others if len(other) == len(data)), others[0])


def previous(kept: Kept, name: str, data: bytes) -> bytes:
    """What was true before: of a record other outputs, of a name the generation before, else another version."""
    if kind_of(name) == "record":
        tree = json.loads(unsealed(data))
        for output in tree["outputs"].values():
            output["sha256"] = hashlib.sha256(output["sha256"].encode()).hexdigest()
        return sealed(json.dumps(tree, sort_keys=True, indent=1).encode() + b"\n")
    if kind_of(name) == "generation":
        folder, _, file = name.rpartition("/")
        number = int(file.partition(".")[0])
        return kept.good.get(f"{folder}/{number - 1:020}.json") or swapped(kept, name, data)
    return swapped(kept, name, data)


WAYS: dict[str, Way] = {
    "first byte": flip(0),
    "middle byte": flip(0.5),
    "last byte": flip(1),
    "empty": cut(lambda size: 0),
    "one byte": cut(lambda size: 1),
    "half": cut(lambda size: size // 2),
    "one byte short": cut(lambda size: size - 1),
    "one byte more": lambda kept, name, data: data + b"\0",
    "another object's bytes": swapped,
    "what was there before": previous,
}
CHOSEN = list(WAYS) if TORTURE else ["middle byte", "half", "another object's bytes"]
LOST = ["blobs", "results", "half", "all"]


def in_stores(values: list[str]) -> list[tuple[str, str]]:
    """Each case in a folder and in S3; in S3 only one of them where counts are small."""
    return [("file", value) for value in values] + [("s3", value) for value in (values if TORTURE else values[:1])]


KINDS = ("blob", "record", "closure", "generation")


def kind_of(name: str) -> str:
    areas = {"blobs": "blob", "results": "record", "environments": "closure", "refs": "generation"}
    return areas.get(name.partition("/")[0], "")


class Kept(Team):
    """A team whose store can be put back to what a first machine left there, wherever it is."""

    good: dict[str, bytes]
    objects_there: Objects

    def begin(self, url: str, objects: Objects) -> None:
        """Fill the store: three environments, and a name that has been two of them."""
        self.url, self.objects_there = url, objects
        self.configure({"name": "team", "url": url})
        self.run("store", "init", url)
        for name in ("small", "mixed", "everything"):
            self.one(name)
        self.whole = self.tree("everything")  # type: ignore[attr-defined]
        self.locked = self.lock("everything").read_bytes()  # type: ignore[attr-defined]
        for name in ("mixed", "everything"):
            self.run("alias", f"{name}.yaml", "team/train:stable")
        self.good = self.now()

    def now(self) -> dict[str, bytes]:
        found = {}
        for item in self.objects_there.list(""):
            data = self.objects_there.read(item.name, 64 << 20)
            assert data is not None
            found[item.name] = data
        return found

    def of(self, kind: str) -> list[str]:
        return [name for name in self.good if kind_of(name) == kind]

    def put(self, name: str, data: bytes) -> None:
        self.objects_there.delete(name)
        assert self.objects_there.put(name, data) == "created"

    def back(self) -> None:
        """The store as it was, and a machine that has nothing but the lock."""
        now = self.now()
        for name in now.keys() - self.good.keys():
            self.objects_there.delete(name)
        for name, data in self.good.items():
            if now.get(name) != data:
                self.put(name, data)
        self.fresh()
        self.server.content = self._content()
        self.lock("everything").write_bytes(self.locked)

    def damage(self, way: str, *kinds: str) -> list[str]:
        """Damage every object of some kinds; gives those that are not what they were."""
        changed = {name: WAYS[way](self, name, self.good[name]) for kind in kinds for name in self.of(kind)}
        wrong = {name: data for name, data in changed.items() if data != self.good[name]}
        for name, data in wrong.items():
            self.put(name, data)
        return sorted(wrong)

    def read_by_a_realize(self) -> set[str]:
        """The blobs and records that a machine reads that has nothing at home."""
        found = set()
        for name in self.of("record"):
            tree = json.loads(self.good[name])
            if tree["kind"] in {"transmute", "build-wheel"}:
                found |= {name, *(blob(output["sha256"]) for output in tree["outputs"].values())}
        packages = {blob(sha256) for sha256, file in self.packages("everything").items() if not file.endswith(".bz2")}
        sources = {blob(sha256) for sha256, file in self.packages("everything").items() if file.endswith(".gz")}
        return (found | packages) - sources

    def told(self) -> set[str]:
        report = json.loads(self.run("verify", "--store", "team", "--json", code=None).out)
        return {item["name"] for item in report["findings"]}


def about(name: str) -> str:
    """How a note begins to speak of an object."""
    stem = name.rpartition("/")[2].removesuffix(".json")[:12]
    return f"blob {stem} of the store" if kind_of(name) == "blob" else f"{name.split('/')[1]} {stem} "


def blob(sha256: str) -> str:
    return f"blobs/sha256/{sha256[:2]}/{sha256}"


@pytest.fixture(scope="module")
def _kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, channel: TestChannel
) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    with ExitStack() as stack:
        server = stack.enter_context(serve(lambda _: None))
        kept = Kept(folder / "team", channel, server)
        url, environ = str(folder / "objects"), {}
        if request.param == "s3":
            cloud = stack.enter_context(serve_objects("s3", folder))
            environ = dict(cloud.environ)
            kept.environ.update(environ)
            url = f"s3://{cloud.bucket()}/team"
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environ.items():
            patch.setenv(name, value)
        kept.begin(url, open_objects(url))
        yield kept


@pytest.fixture
def kept(_kept: Kept) -> Kept:
    _kept.back()
    return _kept


@pytest.mark.parametrize(("_kept", "way"), in_stores(CHOSEN), indirect=["_kept"])
def test_R12_every_damaged_object_is_told_by_verify(kept: Kept, way: str) -> None:
    wrong = kept.damage(way, *KINDS)
    assert {kind_of(name) for name in wrong} == set(KINDS)
    told = kept.told()
    for kind in KINDS:
        of_kind = [name for name in wrong if kind_of(name) == kind]
        found = [name for name in of_kind if name in told]
        count(f"damaged {kind}s of shared stores told by verify --store", len(found), len(of_kind))
        assert found == of_kind, (kind, set(of_kind) - set(found))


@pytest.mark.parametrize(("_kept", "way"), in_stores(CHOSEN), indirect=["_kept"])
@pytest.mark.parametrize("kind", ["blob", "record"])
def test_R12_a_damaged_object_is_never_linked_is_said_once_and_is_mended(kept: Kept, kind: str, way: str) -> None:
    wrong = set(kept.damage(way, kind)) & kept.read_by_a_realize()
    assert wrong
    outcome = kept.run("realize", "everything.yaml", "--locked")
    assert not differences(kept.tree("everything"), kept.whole)
    lines = outcome.err.splitlines()
    for name in wrong:
        said = [line for line in lines if about(name) in line]
        assert len(said) <= 1, said
    linked = {name for name in wrong if name.rpartition("/")[2] in kept.packages("everything")}
    unsaid = [name for name in linked if not any(about(name) in line for line in lines)]
    assert unsaid == [], outcome.err
    now = kept.now()
    mended = {name for name in wrong if kind == "record" or now.get(name) == kept.good[name]}
    count(f"damaged {kind}s of shared stores that a realize needed, never linked", len(wrong), len(wrong))
    kept.fresh()
    kept.server.content = lambda _: None
    again = kept.one("everything", "--locked")
    assert (again["built"], again["fetched"]) == (0, 0), "the next one only reads"
    assert not differences(kept.tree("everything"), kept.whole)
    assert linked <= mended
    count(f"damaged {kind}s of shared stores mended for the next reader", len(wrong), len(wrong))


@pytest.mark.parametrize(("_kept", "way"), in_stores(CHOSEN), indirect=["_kept"])
@pytest.mark.parametrize("kind", ["closure", "generation"])
def test_R12_what_a_name_leads_to_is_an_error_until_it_is_put_right(kept: Kept, kind: str, way: str) -> None:
    wrong = kept.damage(way, kind)
    outcome = kept.run("realize", "team/train:stable", code=4)
    assert kept.prefixes() == []
    assert "team/train:stable" in outcome.err or "environment" in outcome.err
    count(f"damaged {kind}s of shared stores that a realize by name refused", 1, 1)
    kept.run("realize", "everything.yaml", "--locked")
    assert not differences(kept.tree("everything"), kept.whole)
    kept.run("verify", "--store", "team", "--repair", code=4)
    if kind == "generation":
        assert {name: kept.now()[name] for name in wrong} != {name: kept.good[name] for name in wrong}
        kept.back()
        assert kept.told() == set()
    else:
        assert kept.told() <= {name for name in wrong if name not in kept.now()}, "who has it puts it back"
    (closure,) = (name for name in kept.of("closure") if environment_of(kept) in name)
    assert kept.now()[closure] == kept.good[closure]
    kept.fresh()
    kept.run("realize", "team/train:stable")


def environment_of(kept: Kept) -> str:
    newest = max(kept.of("generation"))
    (environment,) = json.loads(kept.good[newest])["environments"].values()
    return str(environment)


@pytest.mark.parametrize(("_kept", "lost"), in_stores(LOST), indirect=["_kept"])
def test_R14_what_a_store_lost_is_done_again_and_sent_again(kept: Kept, lost: str) -> None:
    names = [name for name in kept.good if name != "format.json" and not name.startswith("refs/")]
    gone = [name for name in names if lost in {"half", "all"} or name.startswith(lost)][:: 2 if lost == "half" else 1]
    for name in gone:
        kept.objects_there.delete(name)
    outcome = kept.run("realize", "everything.yaml", "--locked")
    assert not differences(kept.tree("everything"), kept.whole)
    assert outcome.err.count("note: ") <= len(gone)
    kept.fresh()
    kept.server.content = lambda _: None
    again = kept.one("everything", "--locked")
    assert (again["built"], again["fetched"]) == (0, 0)
    assert not differences(kept.tree("everything"), kept.whole)
    count("losses of a shared store that the next realize made up for", 1, 1)
