from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envbuild.derivations.transmute import Transmute
from envbuild.digest import Digest, canonical_json
from envbuild.why import Reason, compare

json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def told(old, new) -> list[str]:
    return [str(reason) for reason in compare(old, new)]


def test_equal_documents_have_no_reasons():
    assert compare({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == ()


def test_a_changed_value_is_told_with_its_path():
    assert compare({"python": "3.11"}, {"python": "3.12"}) == (
        Reason(path="python", change="changed", old="3.11", new="3.12"),
    )
    assert told({"request": {"python": "3.11"}}, {"request": {"python": None}}) == [
        "request.python changed from '3.11' to nothing"
    ]


def test_added_and_removed():
    assert told({"variables": {"A": "1"}}, {"variables": {"B": "2"}}) == [
        "variables.A was removed: it was '1'",
        "variables.B was added: '2'",
    ]


def test_null_and_absent_differ():
    assert told({"a": None}, {}) == ["a was removed: it was nothing"]
    assert told({}, {"a": None}) == ["a was added: nothing"]


def test_one_package_more_is_one_reason():
    old = {"conda": [{"name": "a", "version": "1"}, {"name": "c", "version": "1"}]}
    new = {"conda": [{"name": "a", "version": "1"}, {"name": "b", "version": "1"}, {"name": "c", "version": "2"}]}
    assert [(reason.path, reason.change) for reason in compare(old, new)] == [
        ("conda[b]", "added"),
        ("conda[c].version", "changed"),
    ]


def test_items_that_are_lists_go_by_their_first_element():
    assert told({"pins": [["numpy", "1.26"], ["zlib", "1"]]}, {"pins": [["numpy", "2.0"], ["zlib", "1"]]}) == [
        "pins[numpy][1.26] was removed: it was '1.26'",
        "pins[numpy][2.0] was added: '2.0'",
    ]


def test_order_alone_is_a_reason():
    assert told({"channels": ["a", "b"]}, {"channels": ["b", "a"]}) == ["channels has the same items in another order"]


def test_lists_without_names_go_by_position():
    assert told({"n": [1, 2]}, {"n": [1, 3, 4]}) == ["n[1] changed from 2 to 3", "n[2] was added: 4"]
    assert told({"n": ["a", "a"]}, {"n": ["a"]}) == ["n[1] was removed: it was 'a'"]


def test_digests_are_short_and_long_values_cut():
    old, new = "ab" * 32, "cd" * 32
    assert told({"sha256": old}, {"sha256": new}) == ["sha256 changed from abababababab to cdcdcdcdcdcd"]
    (line,) = told({}, {"x": list(range(100))})
    assert len(line) < 80
    assert line.endswith("...")


def test_true_and_one_differ():
    assert told({"a": True}, {"a": 1}) == ["a changed from true to 1"]
    assert told(True, 1) == ["the document changed from true to 1"]


def test_real_key_documents():
    input_key = Digest("ab" * 32)
    old, new = Transmute(input=input_key, file="a-1-0.conda"), Transmute(input=input_key, file="a-1-0.conda", level=19)
    assert told(old.document(), new.document()) == ["level changed from 3 to 19"]


@given(json, json)
def test_there_is_a_reason_exactly_when_the_bytes_differ(old, new):
    assert bool(compare(old, new)) == (canonical_json(old) != canonical_json(new))
    assert compare(old, old) == ()
    assert all(str(reason) for reason in compare(old, new))
