"""Names of environments: which texts are names, and what a word of a command line means."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envbuild.errors import InvalidInput
from envbuild.names import MOVABLE, SEGMENTS, Name, is_id, parse_name, parse_pathspec, source_of, split_id
from envbuild.objects import check_name
from envbuild.store.generation import object_name

HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "x/../y",
    "a//b",
    "/a",
    "a/",
    "-a",
    "a/-b",
    "%2f",
    "a%2fb",
    "a\0b",
    "a\nb",
    "a\n",
    "a" * 65,
    "/".join(["a" * 60] * 3),
    "/".join("abcdefghi"),
    "cafe\u0301",
    "caf\u00e9",
    "nump\u0443",
    "con",
    "con.txt",
    "team/nul",
    "team/com1",
    "trailing.",
    "team./x",
    "deadbeef",
    "x.yaml",
    "recipes/train.lock.yaml",
    "team/x.yml:stable",
    "a" * 40,
    "0123456",
    "f" * 64,
    "Team/x",
    "team/X",
    "a b",
    "a;b",
    "$(x)",
    "a@b",
    "a\\b",
    "~a",
    "a:",
    ":v1",
    "a:b:c",
    "a:V1",
    "a:../x",
    "a:con",
    "a:x/y",
    "a:v1.",
    "a:" + "b" * 65,
]


@pytest.mark.parametrize(("text", "hint"), [("Flow/12", "Flow/12/STEP"), ("Flow", "write team/project/name")])
def test_a_run_without_its_step_is_told_so(text: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_name(text)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_H62_hostile_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_name(text)
    assert caught.value.reference == "bad-alias"
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("text", "path", "tag", "movable"),
    [
        ("x", "x", "latest", True),
        ("team/x", "team/x", "latest", True),
        ("team/project/x:stable", "team/project/x", "stable", True),
        ("team/x:candidate", "team/x", "candidate", True),
        ("team/x:v1.2", "team/x", "v1.2", False),
        ("team/x:deadbeef", "team/x", "deadbeef", False),  # a commit is a fine tag
        ("a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h", "latest", True),
        ("abcdef", "abcdef", "latest", True),  # six digits are no id
        ("team/deadbeef", "team/deadbeef", "latest", True),
        ("console", "console", "latest", True),
        ("0.1_a-b", "0.1_a-b", "latest", True),
    ],
)
def test_names_and_their_tags(text: str, path: str, tag: str, movable: bool) -> None:
    name = parse_name(text)
    assert (name.path, name.tag, name.movable) == (path, tag, movable)
    assert parse_name(str(name)) == name


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=140) | st.from_regex(r"[a-z0-9./:_-]{1,40}", fullmatch=True))
def test_a_text_is_refused_or_is_one_object_of_the_store_and_reads_back(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidInput:
        return
    place = object_name(name, 7)
    assert check_name(place) == place
    assert place == place.lower()
    parts = place.split("/")
    assert parts[0] == "refs"
    assert parts[-1] == "00000000000000000007.json"
    assert parts[-2] == f"@{name.tag}"
    assert 1 <= len(parts) - 3 <= SEGMENTS
    assert parse_name(str(name)) == name
    assert not is_id(text)


@given(st.from_regex(r"[a-z0-9]{1,3}(/[a-z0-9]{1,3}){0,3}(:[a-z0-9]{1,4})?", fullmatch=True))
def test_two_names_are_two_places(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidInput:
        return
    others = [Name(path=name.path, tag=tag) for tag in MOVABLE] + [Name(path=f"{name.path}/x", tag=name.tag)]
    for other in others:
        same = object_name(other, 1) == object_name(name, 1)
        assert same == (other == name)


@pytest.mark.parametrize(
    ("text", "kind", "rest"),
    [
        ("train.yaml", "recipe", "train.yaml"),
        ("nowhere.yaml", "recipe", "nowhere.yaml"),
        ("recipes/nowhere.yml", "recipe", "recipes/nowhere.yml"),
        ("./x", "recipe", "./x"),
        ("/abs/x", "recipe", "/abs/x"),
        ("is-a-file", "recipe", "is-a-file"),
        ("deadbeef", "recipe", "deadbeef"),  # there is such a file
        ("recipe:team/x", "recipe", "team/x"),
        ("0123abc", "id", "0123abc"),
        ("f" * 64, "id", "f" * 64),
        (f"{'a' * 64}:{'b' * 7}", "id", f"{'a' * 64}:{'b' * 7}"),
        ("id:deadbeef", "id", "deadbeef"),
        ("Flow/12/train", "step", "Flow/12/train"),
        ("Flow/12/train/3", "step", "Flow/12/train/3"),
        ("Flow/argo-flow.x-1/train/t-1", "step", "Flow/argo-flow.x-1/train/t-1"),
        ("Flow/12/train/3/4", "name", "Flow/12/train/3/4"),
        ("step:flow/12/train", "step", "flow/12/train"),
        ("flow/12/train", "name", "flow/12/train"),
        ("team/x:v1", "name", "team/x:v1"),
        ("abcdef", "name", "abcdef"),
        ("name:Flow/12/train", "name", "Flow/12/train"),
        ("name:x.yaml", "name", "x.yaml"),
        ("a//b", "name", "a//b"),
    ],
)
def test_what_a_source_is(text: str, kind: str, rest: str) -> None:
    found = source_of(text, {"train.yaml", "is-a-file", "deadbeef"}.__contains__)
    assert (found.kind, found.text) == (kind, rest)


def test_ids_whole_and_by_their_beginning() -> None:
    assert split_id("0123abc") == ("", "0123abc")
    assert split_id("0123abc:" + "f" * 64) == ("0123abc", "f" * 64)
    for text in ("0123ab", "g" * 7, "0123abc:", ":0123abc", "0123ABC", "f" * 65, "0123abc:0123abc:0123abc"):
        with pytest.raises(InvalidInput, match="is not the id"):
            split_id(text)


@pytest.mark.parametrize("text", ["Flow/12/train", "flow/12/train/3", "Flow/argo-flow.x-1/train/t-1", "_F/a/b"])
def test_a_step_of_a_run_reads_back(text: str) -> None:
    assert str(parse_pathspec(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "Flow", "Flow/12", "Flow/12/train/3/4", "Flow//train", "2F/12/train", "a-b/12/train", "../12/train"]  # noqa: RUF005  two lines
    + ["F/../train", "F/./train", "F/12/.hidden", "F/12/a b", "F/12/a\n", "F/12/@{X}", "F/12/" + "a" * 256],
)
def test_what_is_no_step_of_a_run_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_pathspec(text)
    assert caught.value.reference == "bad-pathspec"
