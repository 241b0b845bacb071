"""Findings as SARIF 2.1.0: what its readers need, whatever names and messages hold."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.review.findings import GRAVITY, RULES, Checked, Finding, found, ordered
from envbuild.review.sarif import LONGEST, sarif

FINDINGS = (
    found("stale", "the lock does not fit its recipe", "recipes/a.lock.yaml", hint="envbuild lock recipes/a.yaml"),
    found("forbidden-license", "no", "recipes/b.lock.yaml", line=7, column=7, related=("recipes/b.yaml", 3, 5)),
    found("unknown-license", "who knows", "recipes/b.lock.yaml", line=8, column=7),
    Finding(rule="bad-syntax", message="a tab", file="recipes/c.yaml", line=1, column=1),
)


def run_of(*findings: Finding, below: str = "") -> dict[str, Any]:
    document = sarif(Checked(recipes=1, findings=findings), version="0.1.0.dev3+g12", below=below)
    assert json.loads(json.dumps(document)) == document
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def test_every_result_has_a_rule_with_words_and_a_place() -> None:
    run = run_of(*FINDINGS)
    driver = run["tool"]["driver"]
    assert driver["semanticVersion"] == "0.1.0"
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == sorted(set(ids))
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning"}
    for result, item in zip(run["results"], FINDINGS, strict=True):
        assert ids[result["ruleIndex"]] == result["ruleId"] == item.rule
        assert result["level"] == item.level
        (place,) = result["locations"]
        physical = place["physicalLocation"]
        assert physical["artifactLocation"] == {"uri": item.file, "uriBaseId": "SRCROOT"}
        assert physical["region"]["startLine"] == (item.line or 1)
    assert set(run["originalUriBaseIds"]) == {"SRCROOT"}
    assert "uri" not in run["originalUriBaseIds"]["SRCROOT"]  # no path of a machine
    (related,) = run["results"][1]["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "recipes/b.yaml"


def _object(needed: str = "", /, **properties: object) -> dict[str, Any]:
    """An object that holds these properties and no other; an underscore at the end keeps a word of Python's apart."""
    named = {name.rstrip("_"): item for name, item in properties.items()}
    return {"type": "object", "properties": named, "required": needed.split(), "additionalProperties": False}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "uniqueItems": True}


STRING, POSITIVE = {"type": "string"}, {"type": "integer", "minimum": 1}
TEXT = _object("text", text=STRING, markdown=STRING)
LEVEL = {"enum": ["none", "note", "warning", "error"]}
PLACE = _object(
    physicalLocation=_object(
        "artifactLocation",
        artifactLocation=_object(uri=STRING, uriBaseId=STRING),
        region=_object(startLine=POSITIVE, startColumn=POSITIVE),
    ),
    message=TEXT,
    id={"type": "integer", "minimum": -1},
)
RULE = _object(
    "id",
    id=STRING,
    name=STRING,
    shortDescription=TEXT,
    fullDescription=TEXT,
    help=TEXT,
    helpUri={"type": "string", "pattern": "^https://"},
    defaultConfiguration=_object(level=LEVEL),
)
RESULT = _object(
    "message",
    ruleId=STRING,
    ruleIndex={"type": "integer", "minimum": -1},
    level=LEVEL,
    message=TEXT,
    locations=_list(PLACE),
    relatedLocations=_list(PLACE),
    partialFingerprints={"type": "object", "additionalProperties": STRING},
)
DRIVER = _object(
    "name",
    name=STRING,
    version=STRING,
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    rules=_list(RULE),
)
RUN = _object(
    "tool",
    tool=_object("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    originalUriBaseIds={"type": "object", "additionalProperties": _object(uri=STRING, description=TEXT)},
    automationDetails=_object(id=STRING, description=TEXT),
    results=_list(RESULT),
)
LOG = _object("version runs", **{"$schema": STRING}, version={"const": "2.1.0"}, runs=_list(RUN))
"""As much of SARIF 2.1.0 as findings use (sections 3.13 to 3.58): the standard's own schema is in no package."""


def test_a_report_has_the_structure_of_the_standard_whatever_was_found() -> None:
    every = [
        found(rule, "said", f"{rule}.yaml", line=number or None, column=1, related=("x.yaml", 3, 5) if number else None)
        for number, rule in enumerate(RULES)
    ]
    for findings in (every, FINDINGS, ()):
        checked = Checked(recipes=1, findings=tuple(findings))
        document = sarif(checked, version="0.1.0.dev3", help_uri="https://example.org/review", below="a/")
        jsonschema.validate(document, LOG)


def test_paths_are_from_the_repository_s_root() -> None:
    (result,) = run_of(FINDINGS[0], below="team a/x/")["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "team%20a/x/recipes/a.lock.yaml"


def test_fingerprints_stay_when_lines_move() -> None:
    first, second = (run_of(found("stale", "x", "a.yaml", line=line))["results"][0] for line in (1, 9))
    assert first["partialFingerprints"] == second["partialFingerprints"]


@given(st.text(), st.text())
@settings(max_examples=200, deadline=None)
def test_no_name_is_an_address_and_no_message_a_placeholder_or_link(name: str, message: str) -> None:
    (result,) = run_of(found("stale", message, f"recipes/{name}"))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert uri.startswith("recipes/")
    assert not set(uri) & set(' :\\?#"<>{}|^`\n\r\t\x00')
    text = result["message"]["text"]
    assert len(text) <= LONGEST
    assert text.isprintable()
    bare = text.replace("{{", "").replace("}}", "")
    assert "{" not in bare
    assert "}" not in bare
    assert "[" not in text.replace("\\\\", "").replace("\\[", "")


def test_the_gravest_finding_decides_and_warnings_count_for_whoever_asks() -> None:
    def code(*rules: str, strict: bool = False) -> int:
        return Checked(recipes=1, findings=tuple(found(rule, "", "x") for rule in rules)).exit_code(strict=strict)

    assert code() == 0
    assert code("unknown-license") == 0
    assert code("unknown-license", strict=True) == 10
    assert code("stale", "unknown-license") == 10
    assert code("stale", "leaves-project") == 3
    assert code("leaves-project", "stale", "lock-edited") == 4
    assert {rule.exit_code for rule in RULES.values()} - {None} <= set(GRAVITY)


def test_findings_are_told_once_and_in_the_order_of_places() -> None:
    one, two = found("stale", "x", "b.yaml", line=2), found("stale", "x", "a.yaml", line=10)
    assert ordered([one, two, one]) == (two, one)
