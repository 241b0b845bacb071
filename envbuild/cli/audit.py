"""``audit``: what is known to be vulnerable of what is locked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from envbuild.cli.options import as_json, offline, option, quiet, stores

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.review.auditing import Audited, Vulnerable


@click.command("audit", short_help="Say what is known to be vulnerable of what is locked.")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@option("--database", metavar="URL|FILE", help="OSV's service, or a zip or folder of its documents.")
@option("--ignore", "ignore", multiple=True, metavar="ID", help="Accept this advisory; repeatable.")
@offline
@stores
@as_json
@quiet
def audit_command(
    sources: tuple[str, ...],
    database: str | None,
    ignore: tuple[str, ...],
    offline: bool,
    stores: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Look up every package of locks in advisories of OSV. A finding is exit 4.

    Without a SOURCE, every lock of the project. The service is told names and versions of packages on PyPI.
    """
    from envbuild.cli.screen import Screen
    from envbuild.session import Session

    screen = Screen(quiet=quiet, as_json=as_json)
    session = Session(reporter=screen.reporter, offline=offline, stores=stores)
    audited = session.audit(*sources, database=database, ignore=ignore)
    _show(screen, audited)
    sys.exit(4 if audited.found else 0)


def _show(screen: Screen, audited: Audited) -> None:
    from envbuild.cli.wording import count
    from envbuild.review.auditing import as_tree

    if screen.document(dict(as_tree(audited))):
        return
    for item in audited.found:
        for line in _lines(item):
            screen.result(line)
    if audited.unknown:
        shown = ", ".join(audited.unknown[:5]) + (", …" if len(audited.unknown) > 5 else "")
        screen.say(f"note: {count(len(audited.unknown), 'package')} cannot be looked up: {shown}")
    told = count(len(audited.found), "vulnerability", "vulnerabilities") if audited.found else "Nothing known"
    ignored = f", {audited.ignored} ignored" if audited.ignored else ""
    screen.say(f"{told} in {count(audited.packages, 'package')}{ignored}, {screen.elapsed()}")


def _lines(item: Vulnerable) -> list[str]:
    names = f"{item.id} ({', '.join(item.aliases)})" if item.aliases else item.id
    severity = f" [{item.severity}]" if item.severity else ""
    lines = [f"{item.name} {item.version}: {names}{severity}"]
    if item.summary:
        lines.append(f"  {item.summary[:200]}")
    lines.append(f"  in {', '.join(item.environments)}")
    mends = f"fixed in {item.fixed}: envbuild lock --upgrade-package {item.name}" if item.fixed else "no fix is known"
    lines.append(f"  {mends}")
    return lines
