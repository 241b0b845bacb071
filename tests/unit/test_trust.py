"""Whom results and names are believed: patterns, thresholds, keys that end, and every signature that is none."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.builders import isolation
from envbuild.derivations import Output
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import UsageError
from envbuild.machine.signing_key import make_key, open_signer
from envbuild.names import parse_name, request_name
from envbuild.objects.memory import MemoryObjects
from envbuild.package import Platform
from envbuild.store import Result, names
from envbuild.store.envelopes import (
    GENERATION_TYPE,
    RESULT_TYPE,
    Envelope,
    envelope_bytes,
    parse_envelope,
    payload_type,
    signature_name,
    subject_name,
)
from envbuild.store.folder import result_to_bytes
from envbuild.store.generation import Named, object_name
from envbuild.store.layer import Layer
from envbuild.store.layers import Layers
from envbuild.store.object_names import blob_name, result_name
from envbuild.store.shared import SharedStore
from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME
from envbuild.store.signatures import Policy, Signer, new_private_key, read_private_key
from envbuild.store.signed_names import SignedNames
from envbuild.store.signed_records import SignedRecords
from envbuild.trust import (
    PublicKey,
    Scope,
    Trust,
    TrustedKey,
    fits,
    name_subject,
    parse_public_key,
    result_subject,
)
from tests.support.signing import hostile_envelopes, make_signer, trusting

CI, ANN, EVIL = make_signer(), make_signer(), make_signer()
SUBJECT = result_subject("build-wheel")


def found(*envelopes: Envelope) -> list[tuple[str, bytes]]:
    return [(each.keyid, envelope_bytes(each)) for each in envelopes]


# Patterns and what is wanted


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("**", "results/solve", True),
        ("results/**", "results/solve", True),
        ("results/**", "names/results/x:stable", False),
        ("names/prod/**", "names/prod/train:stable", True),
        ("names/prod/**", "names/prod/a/b:v1", True),
        ("names/prod/**", "names/production/x:v1", False),
        ("names/prod/*", "names/prod/a/b:v1", False),
        ("names/**/train:*", "names/train:v1", True),
        ("names/**/train:*", "names/a/b/train:v1", True),
        ("names/**/train:*", "names/a/strain:v1", False),
        ("names/*:stable", "names/x:stable", True),
        ("requests/ann", "requests/ann", True),
        ("requests/a.n", "requests/ann", False),
    ],
)
def test_a_pattern_means_whole_segments(pattern: str, subject: str, expected: bool) -> None:
    assert fits(pattern, subject) is expected


def test_subjects_are_names_and_kinds() -> None:
    assert name_subject(parse_name("team/train")) == "names/team/train:latest"
    assert name_subject(request_name("5" * 64, "ann")) == "requests/ann"
    assert result_subject("solve") == "results/solve"


def test_the_longest_pattern_says_what_is_wanted_and_which_keys_count() -> None:
    trust = trusting(
        {"ann": ANN, "ci": CI},
        threshold=2,
        scopes=(
            Scope(pattern="names/**", keys=("ann",)),
            Scope(pattern="names/prod/**", threshold=1),
            Scope(pattern="results/**", threshold=1, keys=("ci", "nobody")),
        ),
    )
    said = {
        subject: (wanted.threshold, [key.name for key in wanted.keys])
        for subject in ("results/solve", "names/x:v1", "names/prod/x:v1", "requests/me")
        if (wanted := trust.wanted(subject, 0))
    }
    assert said == {
        "results/solve": (1, ["ci"]),
        "names/x:v1": (2, ["ann"]),
        "names/prod/x:v1": (1, ["ann", "ci"]),
        "requests/me": (2, ["ann", "ci"]),
    }


_patterns = st.sampled_from(["**", "results/**", "results/solve", "names/**", "names/prod/**", "names/*:stable"])
_thresholds = st.none() | st.integers(1, 4)
_scopes = st.lists(
    st.builds(Scope, pattern=_patterns, threshold=_thresholds), max_size=4, unique_by=lambda s: s.pattern
)


@given(mine=_scopes, threshold=_thresholds, theirs=_scopes, wanted=_thresholds)
def test_whatever_a_project_says_no_subject_wants_fewer_signatures(
    mine: list[Scope], threshold: int | None, theirs: list[Scope], wanted: int | None
) -> None:
    own = Trust(threshold=threshold, scopes=tuple(mine))
    joined = own.tightened(Trust(threshold=wanted, scopes=tuple(theirs), keys=trusting({"evil": EVIL}).keys))
    assert joined.keys == ()
    for subject in ("results/solve", "results/x", "names/a:stable", "names/prod/a:stable", "names/prod/a:v1"):
        assert joined.wanted(subject, 0).threshold >= own.wanted(subject, 0).threshold


# Keys


@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_reads_back_from_its_line(raw: bytes) -> None:
    key = PublicKey(raw=raw)
    assert parse_public_key(str(key)) == key
    assert parse_public_key(f" {key}\n") == key


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda data: f"ed25519:{data.hex()}"))
def test_what_is_no_public_key_is_refused_with_a_reason(text: str) -> None:
    try:
        key = parse_public_key(text)
    except ValueError:
        return
    assert str(key) == text.strip()


def test_a_key_counts_until_its_end_by_the_reader_s_clock() -> None:
    end = datetime(2027, 1, 1, tzinfo=timezone.utc).timestamp()
    key = TrustedKey(name="ci", public=CI.public, not_after="2027-01-01T00:00:00Z")
    for now, counts in ((end - 1, True), (end, False), (end + 1, False)):
        policy = Policy(Trust(said="signed", keys=(key,)), clock=lambda now=now: now)  # type: ignore[misc]
        vouched = policy.check(SUBJECT, RESULT_TYPE, found(CI.sign(b"x", RESULT_TYPE)))
        assert (vouched.payload is not None) is counts
    assert vouched.lacking == "no key counts for it"


def test_a_private_key_is_in_no_text_and_leaves_its_process_nowhere() -> None:
    pem, public = new_private_key("SENTINEL")
    signer = read_private_key(pem, "SENTINEL", "here")
    assert signer.public == public
    assert repr(signer) == f"<Signer {public.keyid[:12]}>"
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    with pytest.raises(Exception, match="is not opened by this passphrase") as caught:
        read_private_key(pem, "wrong SENTINEL", "here")
    assert "SENTINEL" not in repr(caught.value)


def test_a_key_s_file_is_out_of_sight_of_builds_wherever_it_lies(tmp_path: Path) -> None:
    made = make_key(tmp_path / "deep" / "ci.key", {}, None)
    assert str(made.path) not in isolation._hidden()
    assert open_signer(str(made.path), {}, None, None).public == made.public
    assert str(made.path) in isolation._hidden()


@pytest.mark.parametrize("library", ["securesystemslib", "cryptography"])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as the import system has it for what is not to be found
    for use in (lambda: Policy(trusting({"ci": CI})), lambda: new_private_key(None)):
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.reference == "missing-extra"
        assert caught.value.hint == "run: pip install 'envbuild[sign]'"
        assert library in caught.value.message
    assert Policy(Trust(said="signed")).wanted("results/solve").keys == (), "no key needs no library"


# Signatures of bytes


def hostile(kind: str = RESULT_TYPE) -> dict[str, bytes]:
    good = CI.sign(b"payload 1", kind)
    return hostile_envelopes(good, envelope_bytes(CI.sign(b"another", kind)), EVIL)


@pytest.mark.parametrize("case", [case for case in hostile() if case != "of something else"])
def test_H57_a_signature_that_is_none_counts_for_nothing(case: str) -> None:
    policy = Policy(trusting({"ci": CI}))
    vouched = policy.check(SUBJECT, RESULT_TYPE, [(CI.keyid, hostile()[case])])
    assert vouched.payload is None
    assert vouched.lacking.startswith("it is not signed by ci; the signature by ci does not count: ")


def test_H57_a_signature_of_another_type_is_none() -> None:
    policy = Policy(trusting({"ci": CI}))
    vouched = policy.check(SUBJECT, RESULT_TYPE, found(CI.sign(b"x", GENERATION_TYPE)))
    assert vouched.payload is None
    assert "of another type" in vouched.lacking


def test_H57_the_label_of_a_key_decides_nothing() -> None:
    trust = Trust(said="signed", keys=(TrustedKey(name="ci", public=EVIL.public),))
    assert Policy(trust).check(SUBJECT, RESULT_TYPE, found(CI.sign(b"x", RESULT_TYPE))).payload is None


def test_H57_copies_and_labels_of_one_signature_reach_no_threshold() -> None:
    envelope = CI.sign(b"x", RESULT_TYPE)
    labels = (TrustedKey(name="a", public=CI.public), TrustedKey(name="b", public=CI.public))
    policy = Policy(Trust(said="signed", threshold=2, keys=(*labels, TrustedKey(name="c", public=ANN.public))))
    several = [(CI.keyid, envelope_bytes(envelope))] * 3 + [(ANN.keyid, envelope_bytes(envelope))]
    several += [(ANN.keyid, envelope_bytes(replace(envelope, keyid=ANN.keyid)))]
    vouched = policy.check(SUBJECT, RESULT_TYPE, several)
    assert vouched.payload is None
    assert vouched.lacking.startswith("it is signed by a alone, and needs 2 of a, c")
    one_file = json.loads(envelope_bytes(envelope))
    one_file["signatures"] *= 2
    vouched = policy.check(SUBJECT, RESULT_TYPE, [(CI.keyid, json.dumps(one_file).encode())])
    assert vouched.keys == ()


@pytest.mark.parametrize("threshold", [1, 2, 3])
@pytest.mark.parametrize("signed", [0, 1, 2])
def test_as_many_keys_as_are_wanted_must_have_signed_the_same_bytes(threshold: int, signed: int) -> None:
    policy = Policy(trusting({"ann": ANN, "ci": CI}, threshold=threshold))
    envelopes = [signer.sign(b"x", RESULT_TYPE) for signer in (CI, ANN)[:signed]]
    vouched = policy.check(SUBJECT, RESULT_TYPE, found(*envelopes, EVIL.sign(b"evil", RESULT_TYPE)))
    assert vouched.payload == (b"x" if signed >= threshold else None)
    if threshold == 3:
        assert "only ann, ci may give one" in vouched.lacking


def test_two_keys_that_signed_different_bytes_are_one_for_each() -> None:
    both = found(CI.sign(b"x", RESULT_TYPE), ANN.sign(b"y", RESULT_TYPE))
    keys = {"ann": ANN, "ci": CI}
    assert Policy(trusting(keys, threshold=2)).check(SUBJECT, RESULT_TYPE, both).payload is None
    assert Policy(trusting(keys)).check(SUBJECT, RESULT_TYPE, both).payload == b"x"


@given(payload=st.binary(max_size=200), position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_changed_envelope_vouches_for_other_bytes(payload: bytes, position: int, bit: int) -> None:
    data = bytearray(envelope_bytes(CI.sign(payload, RESULT_TYPE)))
    data[position % len(data)] ^= 1 << bit
    vouched = Policy(trusting({"ci": CI})).check(SUBJECT, RESULT_TYPE, [(CI.keyid, bytes(data))])
    assert vouched.payload in {None, payload}


@given(
    payload=st.binary(max_size=100),
    kind=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    signature=st.binary(min_size=64, max_size=64),
)
def test_envelopes_read_back(payload: bytes, kind: str, signature: bytes) -> None:
    envelope = Envelope(payload=payload, payload_type=kind, keyid=CI.keyid, signature=signature)
    assert parse_envelope(envelope_bytes(envelope)) == envelope


def test_envelopes_are_those_of_the_library() -> None:
    from securesystemslib.dsse import Envelope as Theirs
    from securesystemslib.signer import SSlibKey

    data = envelope_bytes(CI.sign(b"x", RESULT_TYPE))
    theirs = Theirs.from_dict(json.loads(data))
    assert theirs.payload == b"x"
    theirs.verify([SSlibKey(CI.keyid, "ed25519", "ed25519", {"public": CI.public.raw.hex()})], 1)


@pytest.mark.parametrize(
    "subject",
    [
        result_name("solve", Digest("a" * 64)),
        object_name(parse_name("team/a/b:stable"), 7),
        object_name(request_name("5" * 64, "ann"), 1),
    ],
)
def test_a_signature_s_name_says_whose_of_what(subject: str) -> None:
    name = signature_name(subject, CI.keyid)
    assert subject_name(name) == (subject, CI.keyid)
    assert payload_type(subject) == (RESULT_TYPE if subject.startswith("results/") else GENERATION_TYPE)


@pytest.mark.parametrize("name", ["signatures/x.json", "signatures/blobs/a/" + "a" * 64 + ".json", "results/a/b.json"])
def test_what_is_no_signature_s_name_is_none(name: str) -> None:
    assert subject_name(name) is None


# Records in a store

BLOB = b"wheel" * 100
KEY = Digest("5" * 64)


def result(blob: bytes = BLOB, *, key: Digest = KEY, kind: str = "build-wheel", builder: str = "ci") -> Result:
    outputs = (("out", Output(sha256=digest_bytes(blob), size=len(blob))),)
    return Result(kind=kind, key=key, outputs=outputs, platform="linux-64", created="", milliseconds=1, builder=builder)


class Bucket:
    """A store in memory, as several people see it."""

    def __init__(self, name: str) -> None:
        self.objects = MemoryObjects(name)
        for item in list(self.objects.list("")):
            self.objects.delete(item.name)
        self.objects.put(FORMAT_NAME, FORMAT_BYTES)
        self.notes: list[str] = []

    def layer(self, trust: Trust | None, signer: Signer | None = None, *, name: str = "team") -> Layer:
        store = SharedStore(name, lambda: self.objects)
        policy = Policy(trust) if trust is not None else None
        signatures = SignedRecords(store, policy, signer, self.notes.append)
        return Layer(store, believed=trust is None, written=True, note=self.notes.append, signatures=signatures)

    def put(self, name: str, data: bytes) -> None:
        self.objects.delete(name)
        self.objects.put(name, data)

    def signatures(self) -> list[str]:
        return sorted(item.name for item in self.objects.list("signatures/"))


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    return Bucket(request.node.name)


@pytest.fixture
def path(tmp_path: Path) -> Callable[[Digest], Path | None]:
    for blob in (BLOB, b"evil"):
        (tmp_path / digest_bytes(blob)).write_bytes(blob)
    return lambda digest: found if (found := tmp_path / digest).exists() else None


READER = trusting({"ci": CI})
PLACE = result_name("build-wheel", KEY)
SIGNATURE = signature_name(PLACE, CI.keyid)


def taken(layer: Layer) -> tuple[str, str] | None:
    """The record that counts: its builder and output; also as the batched question has it."""
    _, has = layer.ask((), [("build-wheel", KEY)])
    given = layer.result("build-wheel", KEY)
    assert (KEY in has) == (given is not None)
    return None if given is None else (given.builder, given.output().sha256)


def test_what_is_done_is_signed_beside_it_and_counts_for_its_readers(
    bucket: Bucket, path: Callable[[Digest], Path | None]
) -> None:
    assert bucket.layer(READER, CI).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    assert bucket.signatures() == [SIGNATURE]
    assert parse_envelope(bucket.objects.read(SIGNATURE) or b"").payload == bucket.objects.read(PLACE)
    assert taken(bucket.layer(READER)) == ("ci", digest_bytes(BLOB))
    bucket.objects.delete(PLACE)
    assert taken(bucket.layer(READER)) == ("ci", digest_bytes(BLOB)), "the envelope is read instead of the record"
    assert bucket.notes == []


def test_what_nobody_signed_is_a_miss_said_once(bucket: Bucket, path: Callable[[Digest], Path | None]) -> None:
    bucket.layer(None).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    assert bucket.signatures() == []
    layer = bucket.layer(READER)
    layers = Layers([layer])
    for _ in range(3):
        assert layers.ask((), [("build-wheel", KEY)]).results == {}
        assert layers.result("build-wheel", KEY) is None
    assert bucket.notes == [
        "build-wheel 555555555555 in the store team does not count: it is not signed by ci",
    ]
    assert taken(bucket.layer(None)) is not None, "whose word is enough needs no signature"


@pytest.mark.parametrize("case", hostile())
def test_H57_no_hostile_envelope_brings_a_record(bucket: Bucket, case: str) -> None:
    good = CI.sign(result_to_bytes(result()), RESULT_TYPE)
    other = envelope_bytes(CI.sign(result_to_bytes(result(b"old", key=Digest("6" * 64))), RESULT_TYPE))
    bucket.put(PLACE, result_to_bytes(result(b"evil", builder="evil")))
    bucket.put(SIGNATURE, hostile_envelopes(good, other, EVIL)[case])
    layer = bucket.layer(READER)
    assert Layers([layer]).ask((), [("build-wheel", KEY)]).results == {}
    assert taken(layer) is None
    assert len(bucket.notes) in {1, 2}
    assert all("does not count" in note for note in bucket.notes)


def test_H57_a_bad_store_before_a_good_one_costs_a_note_and_nothing_else(bucket: Bucket) -> None:
    good = Bucket("a good one")
    good.put(PLACE, result_to_bytes(result()))
    good.put(SIGNATURE, envelope_bytes(CI.sign(result_to_bytes(result()), RESULT_TYPE)))
    bucket.put(PLACE, result_to_bytes(result(b"evil")))
    bucket.put(
        SIGNATURE, envelope_bytes(replace(EVIL.sign(result_to_bytes(result(b"evil")), RESULT_TYPE), keyid=CI.keyid))
    )
    layers = Layers([bucket.layer(READER, name="bad"), good.layer(READER, name="good")])
    assert layers.ask((), [("build-wheel", KEY)]).results == {KEY: "good"}
    layer, given = layers.result("build-wheel", KEY) or (None, None)
    assert layer is not None
    assert given is not None
    assert (layer.name, given.output().sha256) == ("good", digest_bytes(BLOB))


def test_an_unsigned_record_makes_way_for_one_that_is_signed(
    bucket: Bucket, path: Callable[[Digest], Path | None]
) -> None:
    bucket.put(PLACE, result_to_bytes(result(b"evil", builder="evil")))
    assert bucket.layer(READER, CI).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    assert taken(bucket.layer(READER)) == ("ci", digest_bytes(BLOB))
    assert bucket.objects.read(PLACE) == result_to_bytes(result())


def test_a_record_that_says_the_same_is_signed_as_it_is(bucket: Bucket, path: Callable[[Digest], Path | None]) -> None:
    stood = result_to_bytes(replace(result(builder="somebody"), milliseconds=77))
    bucket.put(PLACE, stood)
    for signer in (CI, ANN):
        assert bucket.layer(READER, signer).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    assert bucket.objects.read(PLACE) == stood
    assert taken(bucket.layer(trusting({"ann": ANN, "ci": CI}, threshold=2))) == ("somebody", digest_bytes(BLOB))


def test_a_record_that_another_key_signed_with_other_bytes_stays_and_is_told(
    bucket: Bucket, path: Callable[[Digest], Path | None]
) -> None:
    both = trusting({"ann": ANN, "ci": CI})
    bucket.layer(both, CI).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    bucket.layer(both, ANN).deliver(path, [digest_bytes(b"evil")], result(b"evil"), sign=True)
    assert taken(bucket.layer(both)) == ("ci", digest_bytes(BLOB))
    (note,) = bucket.notes
    assert note.endswith("in the store team is signed by ci with other bytes than were made here; it is not signed")


def test_nothing_is_signed_that_was_not_done_here(bucket: Bucket, path: Callable[[Digest], Path | None]) -> None:
    bucket.layer(READER, CI).deliver(path, [digest_bytes(BLOB)], result())
    assert bucket.signatures() == []
    assert blob_name(digest_bytes(BLOB)) in {item.name for item in bucket.objects.list("blobs/")}


def test_signatures_go_on_with_a_record_to_another_store(bucket: Bucket, path: Callable[[Digest], Path | None]) -> None:
    bucket.layer(READER, CI).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    reader = bucket.layer(READER)
    taken(reader)
    near = Bucket("near")
    near.layer(READER).deliver(path, [digest_bytes(BLOB)], result(), envelopes=reader.envelopes(KEY))
    assert taken(near.layer(READER)) == ("ci", digest_bytes(BLOB))


def test_a_stale_signature_of_ours_is_put_anew(bucket: Bucket, path: Callable[[Digest], Path | None]) -> None:
    bucket.put(SIGNATURE, envelope_bytes(CI.sign(result_to_bytes(result(b"old")), RESULT_TYPE)))
    bucket.layer(READER, CI).deliver(path, [digest_bytes(BLOB)], result(), sign=True)
    assert taken(bucket.layer(READER)) == ("ci", digest_bytes(BLOB))


# Names in a store

NAME = parse_name("team/train:stable")


def meaning(digit: str) -> Named:
    return Named(request=Digest(digit * 64), environments=((Platform("linux-64"), Digest(digit * 64)),))


class Signers:
    """One name, moved by people who sign and people who do not."""

    def __init__(self, bucket: Bucket) -> None:
        self.objects = bucket.objects

    def move(self, digit: str, *signers: Signer) -> names.Generation:
        now = names.move(self.objects, NAME, meaning(digit)).now
        for signer in signers:
            self.sign(now, signer)
        return now

    def sign(self, now: names.Generation, signer: Signer) -> bool:
        return SignedNames(self.objects, None, lambda: signer).sign(now)

    def seen(
        self, trust: Trust = READER, seen: names.Generation | None = None, proof: tuple[bytes, ...] = ()
    ) -> tuple[str | None, str]:
        found = SignedNames(self.objects, Policy(trust)).current(NAME, seen, proof)
        return (found.generation.named.request[0] if found.generation is not None else None), found.lacking


@pytest.fixture
def signers(bucket: Bucket) -> Signers:
    return Signers(bucket)


def test_a_name_means_what_was_signed_last(signers: Signers) -> None:
    assert signers.seen() == (None, "")
    signers.move("1")
    assert signers.seen() == (None, "it is not signed by ci")
    now = signers.move("2", CI)
    assert signers.seen() == ("2", "")
    assert not signers.sign(now, CI), "it is signed already"
    signers.move("3", EVIL)
    signers.move("4")
    assert signers.seen() == ("2", "it is not signed by ci")
    signers.move("5", CI)
    assert signers.seen() == ("5", "")


def test_between_the_first_and_the_last_signature_a_name_means_what_it_meant(signers: Signers) -> None:
    two = trusting({"ann": ANN, "ci": CI}, scopes=(Scope(pattern="names/team/**", threshold=2),))
    signers.move("1", CI, ANN)
    now = signers.move("2", CI)
    assert signers.seen(two) == ("1", "it is signed by ci alone, and needs 2 of ann, ci")
    signers.sign(now, ANN)
    assert signers.seen(two) == ("2", "")


def test_H57_no_hostile_envelope_moves_a_name(signers: Signers) -> None:
    old = signers.move("1", CI)
    now = signers.move("2")
    good, place = CI.sign(now.data, GENERATION_TYPE), signature_name(object_name(NAME, now.number), CI.keyid)
    other = envelope_bytes(CI.sign(old.data, GENERATION_TYPE))
    cases = hostile_envelopes(good, other, EVIL)
    assert len(cases) > 10
    for case, data in cases.items():
        signers.objects.delete(place)
        signers.objects.put(place, data)
        assert signers.seen()[0] == "1", case
    signers.objects.delete(place)
    signers.objects.put(place, envelope_bytes(good))
    assert signers.seen() == ("2", "")


def test_H57_an_old_generation_under_a_new_number_is_nothing(signers: Signers) -> None:
    old = signers.move("1", CI)
    new = signers.move("2", CI)
    signature = signers.objects.read(signature_name(object_name(NAME, 1), CI.keyid)) or b""
    signers.objects.put(object_name(NAME, 3), old.data)
    signers.objects.put(signature_name(object_name(NAME, 3), CI.keyid), signature)
    with pytest.raises(Exception, match="cannot be believed"):
        signers.seen()
    for number in (3, 2):
        signers.objects.delete(object_name(NAME, number))
    with pytest.raises(Exception, match="has another past now"):
        signers.seen(seen=new)


def test_what_counted_once_is_not_gone_behind_also_when_keys_changed(signers: Signers) -> None:
    signers.move("1", CI, ANN)
    new = signers.move("2", CI)
    proof = (envelope_bytes(CI.sign(new.data, GENERATION_TYPE)),)
    ann = trusting({"ann": ANN})
    assert signers.seen(ann) == ("1", "it is not signed by ann")
    assert signers.seen(ann, new, proof) == (None, "it is not signed by ann")
    signers.move("3", ANN)
    assert signers.seen(ann, new, proof) == ("3", "")


def test_the_signatures_that_a_machine_remembers_stand_in_for_those_that_went(signers: Signers) -> None:
    now = signers.move("1", CI)
    signers.objects.delete(signature_name(object_name(NAME, 1), CI.keyid))
    assert signers.seen() == (None, "it is not signed by ci")
    assert signers.seen(READER, now, (envelope_bytes(CI.sign(now.data, GENERATION_TYPE)),)) == ("1", "")
