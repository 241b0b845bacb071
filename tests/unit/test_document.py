"""What people and attackers put into YAML files, and what is said about it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.errors import InvalidInput, Issue
from envbuild.reading.document import (
    LARGEST_COUNT,
    LARGEST_DEPTH,
    LARGEST_FILE,
    Mapping,
    Scalar,
    Sequence,
    at,
    items,
    parse,
    plain,
)


def issues(data: bytes | str) -> tuple[Issue, ...]:
    with pytest.raises(InvalidInput) as caught:
        parse(data.encode() if isinstance(data, str) else data, "r.yaml")
    return caught.value.all_issues()


def told(data: bytes | str) -> list[str]:
    return [f"{issue.where}: {issue.reference}: {issue.message}" for issue in issues(data)]


def test_every_node_knows_its_line_and_column() -> None:
    root = parse(b"a: 1\nb:\n  - x\n  - {c: d}\n", "r.yaml")
    assert isinstance(root, Mapping)
    assert str(root.entries[0][1].where) == "r.yaml:1:4"
    assert str(at(root, ("b", 1, "c")).where) == "r.yaml:4:9"
    assert plain(root) == {"a": "1", "b": ["x", {"c": "d"}]}


def test_scalars_stay_text() -> None:
    written = "[3.10, no, 1:30, 010, 0x1F, 2026-11-01, 1e3, .inf, yes, off]"
    root = parse(written.encode(), "r.yaml")
    assert plain(root) == ["3.10", "no", "1:30", "010", "0x1F", "2026-11-01", "1e3", ".inf", "yes", "off"]


def test_only_the_core_words_are_booleans_and_nothing_and_only_without_quotes() -> None:
    root = parse(b"[true, 'true', False, ~, null, '', 'null', ]", "r.yaml")
    assert plain(root) == [True, "true", False, None, None, "", "null"]


def test_absent_and_empty_values_are_none() -> None:
    root = parse(b"a:\nb: ''\n", "r.yaml")
    assert isinstance(root, Mapping)
    assert root.get("a") is None
    assert root.get("c") is None
    assert root.key("a") is not None
    assert isinstance(root.get("b"), Scalar)
    assert items(None) == ()


@pytest.mark.parametrize(
    ("data", "reference"),
    [
        ("a: !!python/object/apply:os.system ['id']", "bad-yaml-tag"),
        ("a: !!str x", "bad-yaml-tag"),
        ("a: ! x", "bad-yaml-tag"),
        ("!local {a: b}", "bad-yaml-tag"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "bad-yaml-tag"),
        ("%YAML 1.1\n---\na: no", "bad-yaml-tag"),
        ("a: &x 1\n", "bad-yaml-alias"),
        ("a: &r [*r]\n", "bad-yaml-alias"),
        ("a: 1\na: 2\n", "duplicate-key"),
        ("a: {b: 1, 'b': 2}\n", "duplicate-key"),
        ("a: 1\n---\nb: 2\n", "bad-syntax"),
        ("? [a, b]\n: c\n", "bad-syntax"),
        ("a: b: c", "bad-syntax"),
        ("a: [1, 2", "bad-syntax"),
        ("a: 'x", "bad-syntax"),
        ("a: @x", "bad-syntax"),
        ("a:\n\tb: 1\n", "bad-syntax"),
        ("a: x\0y", "bad-syntax"),
        ("a: \x07", "bad-syntax"),
        ("", "empty-file"),
        ("\n\n# only a comment\n", "empty-file"),
        ("---\n...\n", "empty-file"),
        ("null", "empty-file"),
        (b"\xff\xfea\x00:\x00", "bad-encoding"),
        (b"\xfe\xff\x00a\x00:", "bad-encoding"),
        (b"\xef\xbb\xbfa: 1", "bad-encoding"),
        (b"a: caf\xe9\n", "bad-encoding"),
        (b"a: \xed\xa0\x80\n", "bad-encoding"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> branch\n", "merge-conflict"),
        ("a: 1\r\n<<<<<<< HEAD\r\nb: 1\r\n", "merge-conflict"),
        ("[" * 3000 + "]" * 3000, "too-large"),
        ("{a: " * 3000, "too-large"),
        ("- " * 3000, "too-large"),
        ("[" * 400_000, "too-large"),
        ("#" * (LARGEST_FILE + 1), "too-large"),
        ("[" + "1," * (LARGEST_COUNT + 1) + "]", "too-large"),
    ],
)
def test_hostile_text_is_refused_with_a_place_and_a_hint(data: bytes | str, reference: str) -> None:
    found = issues(data)
    assert {issue.reference for issue in found} == {reference}
    assert found[0].where is not None
    assert found[0].hint
    assert len(found[0].message) < 200


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    begin = time.monotonic()
    found = issues(bomb)
    assert time.monotonic() - begin < 1
    assert {issue.reference for issue in found} == {"bad-yaml-alias"}


def test_all_findings_of_a_file_come_at_once() -> None:
    assert told("a: !t 1\nb: &x 2\nc: *x\na: 3\n") == [
        "r.yaml:1:4: bad-yaml-tag: the tag '!t' is not allowed",
        "r.yaml:2:4: bad-yaml-alias: the anchor &x is not allowed",
        "r.yaml:3:4: bad-yaml-alias: the alias *x is not allowed",
        "r.yaml:4:1: duplicate-key: 'a' stands twice in one mapping, first in line 1",
    ]


def test_findings_before_a_syntax_error_are_not_lost() -> None:
    assert [line.split(": ")[1] for line in told("a: !t 1\nb: [\n")] == ["bad-yaml-tag", "bad-syntax"]


def test_exact_words_for_common_slips() -> None:
    assert told("a:\n\tb: 1\n") == ["r.yaml:2:1: bad-syntax: a tab is used for indentation"]
    assert told("a: b: c") == ["r.yaml:1:5: bad-syntax: a second `: ` in one line"]
    assert told("{a:}") == ["r.yaml:1:3: bad-syntax: a `:` in braces has no space after it"]
    assert told("a: @x") == ["r.yaml:1:4: bad-syntax: '@' cannot begin a value"]
    assert told("x: 1\n<<<<<<< HEAD\n") == ["r.yaml:2:1: merge-conflict: the file holds an unresolved merge conflict"]
    assert told("a: 1\nb: \x00") == ["r.yaml:2:4: bad-syntax: the character U+0000 may not stand in YAML"]


def test_nesting_is_allowed_up_to_the_limit() -> None:
    depth = LARGEST_DEPTH - 1
    assert plain(parse(("[" * depth + "x" + "]" * depth).encode(), "r.yaml"))
    assert issues("[" * LARGEST_DEPTH + "x" + "]" * LARGEST_DEPTH)[0].reference == "too-large"


def test_a_windows_file_reads_the_same() -> None:
    assert plain(parse(b"a: 1\r\nb:\r\n  c: 2\r\n", "r.yaml")) == {"a": "1", "b": {"c": "2"}}


trees = st.recursive(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc{}:- ", min_size=1), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(trees.filter(lambda tree: tree != "" and not isinstance(tree, str)))
def test_quoted_json_reads_back(tree: object) -> None:
    assert plain(parse(json.dumps(tree).encode(), "r.yaml")) == tree


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text("a:-[]{}&*!|>'\"#%@`, \n\t~?<=0", max_size=40).map(str.encode))
def test_any_bytes_give_a_tree_or_an_error_with_a_place(data: bytes) -> None:
    try:
        found: tuple[Issue, ...] = ()
        assert isinstance(parse(data, "r.yaml"), (Mapping, Sequence, Scalar))
    except InvalidInput as error:
        found = error.all_issues()
    assert all(issue.where and issue.where.file == "r.yaml" for issue in found)
