"""Schemas: the quick verdict and jsonschema's are one; errors name the key to write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.errors import InvalidInput
from envbuild.reading import schema
from envbuild.reading.document import parse

NAMES = ("recipe", "project", "config")
ROOT = Path(__file__).parents[2]


def told(text: str, name: str = "recipe") -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        schema.check(parse(text.encode(), "r.yaml"), name)
    return [f"{one.where}: {one.reference}: {one.message} ({one.hint})" for one in caught.value.all_issues()]


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_valid_versioned_and_described(name: str) -> None:
    document = schema.load_schema(name)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:envbuild:schema:{name}:1"
    for key, value in document["properties"].items():
        described = value.get("description") or document["$defs"][value["$ref"].split("/")[-1]].get("description")
        assert described, f"{name}: {key} has no description for editors"


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_compiles(name: str) -> None:
    compiled = schema._compile(schema.load_schema(name), schema.load_schema(name))
    assert compiled({})


def test_what_cannot_be_compiled_goes_to_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = {"type": "object", "minProperties": 2}
    monkeypatch.setattr(schema, "load_schema", lambda _name: strange)
    schema.check(parse(b"{a: 1, b: 2}", "r.yaml"), "strange-1")
    with pytest.raises(InvalidInput):
        schema.check(parse(b"{a: 1}", "r.yaml"), "strange-1")


def test_the_users_schema_says_all_that_a_projects_does() -> None:
    project, config = schema.load_schema("project"), schema.load_schema("config")
    users = {key: config["properties"][key] for key in project["properties"]}
    assert json.loads(json.dumps(users), object_hook=_without_keys) == project["properties"]
    assert config["$defs"] == project["$defs"]


def _without_keys(node: dict[str, Any]) -> dict[str, Any]:
    """What a project may say of ``trust``: all but whose signatures count."""
    if isinstance(description := node.get("description"), str):
        node["description"] = description.replace(", keys}", "}")
    return {key: value for key, value in node.items() if key != "keys"}


def _known(name: str) -> list[str]:
    words: set[str] = {"x"}

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "properties":
                    words.update(value)
                if key == "enum":
                    words.update(value)
                collect(value)

    collect(schema.load_schema(name))
    return sorted(words)


def _trees(name: str) -> st.SearchStrategy[Any]:
    words = st.sampled_from(_known(name))
    leaves = st.none() | st.booleans() | st.text("1.*a", max_size=3) | words
    inner = st.recursive(
        leaves, lambda it: st.lists(it, max_size=3) | st.dictionaries(words, it, max_size=3), max_leaves=8
    )
    keys = st.sampled_from([*schema.load_schema(name)["properties"], "x"])
    return st.dictionaries(keys, inner, max_size=4) | inner


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(data=st.data())
def test_the_quick_verdict_is_jsonschemas(name: str, data: st.DataObject) -> None:
    tree = data.draw(_trees(name))
    full = jsonschema.Draft202012Validator(schema.load_schema(name)).is_valid(tree)
    assert schema._quick(name)(tree) == full


@settings(deadline=None)
@given(tree=_trees("recipe"))
def test_what_is_left_without_the_findings_is_accepted(tree: Any) -> None:
    text = json.dumps(tree)
    try:
        node = parse(text.encode(), "r.yaml")
    except InvalidInput:
        return
    found = schema.findings(node, "recipe")
    rest = schema.without(node, found)
    if rest is not None and found:
        assert schema.findings(rest, "recipe") == ()


def test_a_good_document_needs_no_jsonschema() -> None:
    code = (
        "import sys; from envbuild.reading.schema import check; from envbuild.reading.document import parse\n"
        "check(parse(b'pypi: {packages: {a: 1}}', 'r'), 'recipe'); sys.exit('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_exact_words() -> None:
    assert told("nam: x\nconda:\n  package:\n    a: 1\n") == [
        "r.yaml:1:1: unknown-key: `nam` is not known here (did you mean `name`?)",
        "r.yaml:3:3: unknown-key: `package` is not known in `conda` (did you mean `packages`?)",
    ]
    assert told("python: [3]\ninterpreter: hots\npypi:\n  no-index: 'no'\n  extra-indices: [{name: a}]\n") == [
        "r.yaml:1:9: bad-type: `python` takes text, not a list (write text after `python:`)",
        "r.yaml:2:14: bad-value: `interpreter` is one of conda, host, managed, not 'hots' (did you mean `host`?)",
        "r.yaml:4:13: bad-type: `no-index` takes true or false, not 'no' (write true or false without quotes)",
        "r.yaml:5:19: missing-key: `extra-indices` lacks `url` (add `url: ...`)",
    ]
    assert told("- a\n") == [
        "r.yaml:1:1: bad-type: `recipe` takes a mapping, not a list (begin with a key, such as `python: 3.12`)"
    ]


def test_an_unlike_key_gets_all_known_ones() -> None:
    assert "known are: channels, packages, constraints" in told("conda: {zzzzzz: 1}")[0]


@pytest.mark.parametrize("folder", ["envbuild/schemas", "schemas"])
def test_schemas_are_found_in_an_installation_and_in_a_checkout(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "mine.json").write_text('{"type": "object"}')
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "envbuild" / "reading" / "schema.py"))
    monkeypatch.setattr(schema, "load_schema", schema.load_schema.__wrapped__)
    assert schema.load_schema("mine") == {"type": "object"}
    with pytest.raises(FileNotFoundError):
        schema.load_schema("theirs")
