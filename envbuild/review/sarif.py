"""Findings as SARIF 2.1.0, which code scanning of hosting sites reads, and as JSON of our own.

Paths are relative to the checkout and percent-encoded, so that no name can be anything but a path. Columns count
characters (``unicodeCodePoints``), as ours do. What a finding is about stays the same when lines move: its fingerprint
is made of rule, file and message.

Rules of the file: pure; findings in, a tree out.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from envbuild.review.findings import Checked, Finding, Rule, rules_of

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LONGEST = 1000
"""Characters of a message; hosting sites cut longer ones."""


def sarif(checked: Checked, *, version: str, help_uri: str | None = None, below: str = "") -> dict[str, Any]:
    """A SARIF log with one run.

    Args:
        checked: What was found.
        version: Of envbuild.
        help_uri: Where rules are explained.
        below: The project's folder from the repository's root, with ``/`` at its end; empty where they are the same.
    """
    rules = rules_of(checked.findings)
    numbers = {rule.name: number for number, rule in enumerate(rules)}
    driver: dict[str, Any] = {
        "name": "envbuild",
        "semanticVersion": _semantic(version),
        "version": version,
        "rules": [_rule(rule, help_uri) for rule in rules],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    "SRCROOT": {"description": {"text": "The root of the checkout."}},
                },
                "automationDetails": {"id": f"envbuild/check/{_uri(below)}" if below else "envbuild/check/"},
                "results": [_result(item, numbers[item.rule], below) for item in checked.findings],
            }
        ],
    }


def tree(checked: Checked, *, strict: bool) -> dict[str, Any]:
    """The JSON of ``--format json``."""
    return {
        "recipes": checked.recipes,
        "remembered": checked.remembered,
        "asked": checked.asked,
        "fixed": list(checked.fixed),
        "exit-code": checked.exit_code(strict=strict),
        "findings": [
            {
                "rule": item.rule,
                "level": item.level,
                "message": item.message,
                "file": item.file,
                "line": item.line,
                "column": item.column,
                "hint": item.hint,
                "fixable": item.fixable,
                "exit-code": item.exit_code,
            }
            for item in checked.findings
        ],
    }


def _rule(rule: Rule, help_uri: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": rule.name,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.short},
        "fullDescription": {"text": f"{rule.short}."},
        "help": {"text": rule.help, "markdown": rule.help},
        "defaultConfiguration": {"level": rule.level},
    }
    if help_uri is not None:
        said["helpUri"] = help_uri
    return said


def _result(item: Finding, number: int, below: str) -> dict[str, Any]:
    text = f"{item.message}. {item.hint}" if item.hint else item.message
    said: dict[str, Any] = {
        "ruleId": item.rule,
        "ruleIndex": number,
        "level": item.level,
        "message": {"text": _plain(text)},
        "locations": [_location(item.file, item.line, item.column, below)],
        "partialFingerprints": {"envbuild/v1": _fingerprint(item)},
    }
    if item.related is not None:
        said["relatedLocations"] = [
            {**_location(*item.related, below), "message": {"text": "What asks for it."}, "id": 1}
        ]
    return said


def _location(file: str, line: int | None, column: int | None, below: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(below + file), "uriBaseId": "SRCROOT"}}
    region = {"startLine": line or 1}
    if line is not None and column is not None:
        region["startColumn"] = column
    physical["region"] = region
    return {"physicalLocation": physical}


def _uri(path: str) -> str:
    """A relative reference: what leads out of the checkout, or a name with a colon, is no address of anything else."""
    encoded = quote(path.lstrip("/"), safe="/-._~", errors="surrogateescape")
    return encoded or "."


def _plain(text: str) -> str:
    """A message without what its reader could take for placeholders or links, and of bounded length."""
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    for sign in "\\[]":
        shown = shown.replace(sign, f"\\{sign}")
    shown = shown.replace("{", "{{").replace("}", "}}")
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3].rstrip("\\{}") + "..."


def _fingerprint(item: Finding) -> str:
    return hashlib.sha256("\n".join((item.rule, item.file, item.message)).encode("utf-8", "replace")).hexdigest()


def _semantic(version: str) -> str:
    """A PEP 440 version as semantic versions write it: three numbers."""
    import re

    numbers = re.findall(r"[0-9]+", version.partition("+")[0])[:3]
    return ".".join((*map(str, map(int, numbers)), "0", "0", "0")[:3])
