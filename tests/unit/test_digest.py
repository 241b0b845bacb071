"""Digests and canonical JSON: one text per value, and nothing that has none."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.digest import (
    EMPTY,
    canonical_json,
    digest_bytes,
    digest_file,
    key,
    parse_digest,
    sealed,
    short,
    unique_names,
    unsealed,
)
from envbuild.errors import InvalidInput

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(documents)
def test_canonical_json_reads_back_as_the_same_value(document):
    assert json.loads(canonical_json(document)) == document


@given(st.dictionaries(st.text("abcdef", max_size=3), st.integers(0, 9)), st.randoms())
def test_order_of_keys_never_counts(document, random):
    items = list(document.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(document)


@pytest.mark.parametrize("value", [1.0, {1, 2}, b"x", object(), {"deep": [{"float": 0.5}]}, {1: "number as a name"}])
def test_a_value_without_one_text_is_refused(value):
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize(("left", "right"), [(True, 1), (None, "null"), ("1", 1), ([], {}), ({"a": None}, {})])
def test_values_that_look_alike_have_different_keys(left, right):
    assert key("solve", 1, left) != key("solve", 1, right)


def test_kind_and_version_are_part_of_the_key():
    keys = {key(kind, version, {}) for kind in ("solve", "fetch") for version in (1, 2)}
    assert len(keys) == 4
    assert key("fetch", 1, {}) == hashlib.sha256(b"envbuild/fetch/v1\n{}").hexdigest()


@pytest.mark.parametrize(
    "text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "sha256:" + "0" * 57, EMPTY, "0" * 32, "0" * 64 + "\n"]
)
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(InvalidInput) as error:
        parse_digest(text)
    assert error.value.reference == "bad-hash"


def test_files_and_bytes_agree(tmp_path):
    data = b"x" * (3 << 20)
    path = tmp_path / "blob"
    path.write_bytes(data)
    assert digest_file(path) == digest_bytes(data) == hashlib.sha256(data).hexdigest()
    assert short(digest_bytes(data)) == digest_bytes(data)[:12]


def test_no_changed_byte_of_a_sealed_document_goes_unseen() -> None:
    document = b'{"kind": "x", "outputs": {}}\n'
    data = sealed(document)
    assert json.loads(data) == {"check": digest_bytes(document), **json.loads(document)}
    assert unsealed(data) == document
    assert unsealed(document) == document
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError):
                strictly(bytes(changed))
    for other in (data[:-1], data + b" ", data[:1], data[13:]):
        with pytest.raises(ValueError):
            strictly(other)


def strictly(data: bytes) -> None:
    tree = json.loads(unsealed(data), object_pairs_hook=unique_names)
    if set(tree) != {"kind", "outputs"}:
        raise ValueError
