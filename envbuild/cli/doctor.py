"""``doctor``: what is wrong here, and what mends it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from envbuild.cli.options import as_json, offline, quiet, stores

if TYPE_CHECKING:
    from envbuild.doctor.finding import Finding

_SIGNS = {"good": "ok", "note": "note", "problem": "PROBLEM"}


@click.command("doctor", short_help="Say what is wrong here, and what mends it.")
@offline
@stores
@as_json
@quiet
def doctor_command(offline: bool, stores: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Look at home, programs, machine, project, stores and network; change nothing. A problem is exit 10."""
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    found: list[Finding] = []
    for finding in session.doctor():
        found.append(finding)
        if not as_json:
            screen.result(_line(finding))
            if finding.hint and finding.state != "good":
                screen.result(f"{'':20}{finding.hint}")
    problems = sum(item.state == "problem" for item in found)
    notes = sum(item.state == "note" for item in found)
    if not screen.document(
        {"findings": [{"area": item.area, "state": item.state, "text": item.text, "hint": item.hint} for item in found]}
    ):
        screen.say(_closing(problems, notes))
    sys.exit(10 if problems else 0)


def _line(finding: Finding) -> str:
    return f"{_SIGNS[finding.state]:8} {finding.area:10} {finding.text}"


def _closing(problems: int, notes: int) -> str:
    from envbuild.cli.wording import count

    told = count(problems, "problem") if problems else "Nothing is wrong here"
    return f"{told}, {count(notes, 'note')}" if notes else told
