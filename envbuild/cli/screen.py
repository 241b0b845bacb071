"""What people see: progress, closing lines, tables, trees; JSON when asked.

Results go to stdout, everything else to stderr. Progress moves only on a terminal; elsewhere, and in a log of CI, one
line says what happened and how long it took.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envbuild.cli.as_json import JSON_VERSION, tree
from envbuild.cli.errors import printable
from envbuild.cli.render import QuietReporter, TerminalReporter
from envbuild.cli.wording import count, seconds, size_text
from envbuild.reporter import Reporter

if TYPE_CHECKING:
    from envbuild.environments.inspection import Shown, Why
    from envbuild.environments.many import Many
    from envbuild.environments.realized import Planned
    from envbuild.environments.upkeep import Verified
    from envbuild.locks.dependencies import Branch
    from envbuild.locks.locking import Locked
    from envbuild.store.collect import Garbage


class Screen:
    """One command's output.

    Attributes:
        reporter: To be given to the session.
        quiet: Nothing but errors is said; ``as_json``: results are JSON.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._began = time.monotonic()
        self.reporter: Reporter = QuietReporter() if quiet else TerminalReporter()

    # Saying

    def close(self) -> None:
        """End the progress display."""
        if isinstance(self.reporter, TerminalReporter):
            self.reporter.close()

    def say(self, text: str) -> None:
        """A line for people."""
        self.close()
        if not self.quiet:
            with suppress(OSError):  # a result, and the exit code, count more than words that nobody reads
                click.echo(printable(text), err=True)

    def result(self, text: str) -> None:
        """A line for scripts, and people."""
        self.close()
        click.echo(printable(text))

    def document(self, tree: dict[str, Any]) -> bool:
        """The whole result as JSON, when that was asked for."""
        self.close()
        if self.as_json:
            assert "version" not in tree, "the top level's version is the format's"
            click.echo(json.dumps({"version": JSON_VERSION, **tree}, indent=2, ensure_ascii=False))
        return self.as_json

    def elapsed(self) -> str:
        """How long the command took until now, in words."""
        return seconds(round((time.monotonic() - self._began) * 1000))

    # Locks

    def checked(self, many: Many) -> int:
        """Which locks fit; the exit code."""
        from envbuild.cli.screen_many import CHECKED, many_tree, show_many

        locks = [item.locked for item in many.ended if item.locked is not None]
        error = many.error()
        if self.document({"fits": [str(item.path) for item in locks], **(many_tree(many) if error else {})}):
            return 0 if error is None else error.exit_code
        if error is not None:
            return show_many(self, many, CHECKED)
        self.say(f"{count(len(locks), 'lock')} {'fits its recipe' if len(locks) == 1 else 'fit their recipes'}")
        return 0

    def locked(self, many: Many) -> int:
        """What became of some locks; the exit code."""
        from envbuild.cli.screen_many import FEW, LOCKED, many_tree, show_many

        locks = [item.locked for item in many.ended if item.locked is not None]
        error = many.error()
        if self.document({"locks": [self._lock_tree(item) for item in locks], **many_tree(many)}):
            return 0 if error is None else error.exit_code
        told: set[Path] = set()
        for item in locks:
            if item.written or len(many.ended) <= FEW:
                self._locked(item, told)
        return show_many(self, many, LOCKED) if len(many.ended) > 1 else 0

    def _lock_tree(self, item: Locked) -> dict[str, Any]:
        return {
            "recipe": str(item.recipe),
            "lock": str(item.path),
            "written": item.written,
            "request": item.lock.request,
            "environments": {environment.platform: environment.id for environment in item.lock.platforms},
            "changes": {platform: [tree(change) for change in found] for platform, found in item.changes},
            "dropped": list(item.dropped),
        }

    def _locked(self, item: Locked, told: set[Path]) -> None:
        if item.recipe in told:  # a base of one that was named, too
            return
        told.add(item.recipe)
        for base in item.bases:
            if base.written:
                self._locked(base, told)
        name = item.recipe.stem
        totals = ", ".join(
            f"{environment.platform} {count(len(environment.names()), 'package')}"
            for environment in item.lock.platforms
        )
        if not item.written:
            self.say(f"{name} is locked already: {totals}")
            return
        self._changes(item)
        for platform in item.dropped:
            self.say(
                f"note: {platform} is not in the lock any more: its request changed; lock it with --platform {platform}"
            )
        self.say(f"Locked {name}: {totals}, {self.elapsed()}")

    def _changes(self, item: Locked) -> None:
        """Each change once, with the platforms that share it; of a new lock only the count is said."""
        seen: dict[str, list[str]] = {}
        for platform, found in item.changes:
            for change in found:
                seen.setdefault(str(change), []).append(platform)
        if all(change.startswith("added") for change in seen) and len(seen) > 12:
            return
        everywhere = len(item.lock.platforms)
        for words, platforms in seen.items():
            self.say(f"  {words}" + ("" if len(platforms) == everywhere else f" ({', '.join(platforms)})"))

    def edited(self, recipe: Path, locked: Locked | None, verb: str, words: Sequence[str]) -> None:
        """A recipe's text was changed."""
        if self.document(
            {"recipe": str(recipe), verb.lower(): list(words), "lock": self._lock_tree(locked) if locked else None}
        ):
            return
        preposition = "to" if verb == "Added" else "from"
        self.say(f"{verb} {', '.join(words)} {preposition} {recipe}")
        if locked is not None:
            self._locked(locked, set())

    # Plans and environments

    def planned(self, plans: Sequence[Planned], many: Many) -> int:
        """What would be done; the exit code.

        Raises:
            EnvbuildError: Where nothing would be done, because everything failed.
        """
        from envbuild.cli.screen_many import PLANNED, many_tree, show_many
        from envbuild.cli.screen_plan import show_plans

        if not plans:
            many.check()
        error = many.error()
        show_plans(self, plans, many_tree(many) if error else {})
        if error is None:
            return 0
        return error.exit_code if self.as_json else show_many(self, many, PLANNED)

    def realized(self, many: Many) -> int:
        """Environments that are there now: the folder of each on stdout, what it cost on stderr; the exit code."""
        from envbuild.cli.screen_many import FEW, REALIZED, many_tree, show_many

        environments = [item.realized for item in many.ended if item.realized is not None]
        error = many.error()
        if self.document({"environments": [tree(item) for item in environments], **many_tree(many)}):
            return 0 if error is None else error.exit_code
        for item in environments:
            self.result(str(item.prefix))
        for item in environments:
            if item.present and len(many.ended) > FEW:
                continue
            cost = (
                "already there"
                if item.present
                else f"{item.hits} from store, "
                + (
                    f"{item.pulled} of them from shared stores ({size_text(item.pulled_bytes)}), "
                    if item.pulled
                    else ""
                )
                + f"{item.fetched} fetched ({size_text(item.fetched_bytes)}), "
                + (f"{item.transmuted} transmuted, " if item.transmuted else "")
                + f"{item.built} built"
                + (f" ({size_text(item.build_bytes)} for it)" if item.build_bytes else "")
            )
            self.say(
                f"Realized {item.name} ({item.platform}): {count(item.packages, 'package')}, {cost}, {self.elapsed()}"
            )
        return show_many(self, many, REALIZED) if len(many.ended) > 1 else 0

    # Looking

    def shown(self, item: Shown) -> None:
        """One locked environment."""
        from envbuild.cli.packages import TITLES, package_rows, package_words, packages_of
        from envbuild.projects.recipe_files import shown_path

        environment = item.environment
        present = [str(prefix) for prefix in item.prefixes]
        packages = packages_of(environment)
        if self.document(
            {
                "name": item.name,
                "recipe": None if item.recipe is None else str(item.recipe),
                "request": item.lock.request,
                "environment": environment.id,
                "platform": environment.platform,
                "python": environment.python,
                "interpreter": environment.interpreter,
                "bytecode": environment.bytecode,
                "system": dict(environment.system),
                "variables": dict(environment.variables),
                "fits": item.fits,
                "present": present,
                "closure": item.closure,
                "startup": list(item.startup),
                "packages": [{**package_words(package), **tree(package)} for package in packages],
                "build": tree(environment.build),
                "build-sources": tree(environment.build_sources),
            }
        ):
            return
        self.result(f"request      {item.lock.request}")
        self.result(f"environment  {environment.id}")
        self.result(
            f"platform     {environment.platform}, Python {environment.python or 'none'} ({environment.interpreter})"
        )
        self.result(f"system       {', '.join(f'{name} {version}' for name, version in environment.system)}")
        if environment.bytecode:
            self.result("bytecode     compiled ahead")
        self.result(f"present      {present[0] if present else 'no'}")
        if item.closure is not None:
            self.result(f"closure      {item.closure}")
        if item.startup:
            self.result(f"at start     {', '.join(item.startup)}")
        if item.recipe is not None and not item.fits:
            self.result(f"lock         does not fit the recipe: envbuild lock {shown_path(item.recipe)}")
        self.table(TITLES, package_rows(environment))
        self.say(f"{count(len(packages), 'package')}; * asked for by the recipe")

    def tree(self, branches: Sequence[Branch]) -> None:
        """A dependency tree."""
        if self.document(
            {"branches": [{"depth": item.depth, "repeated": item.repeated, **tree(item.node)} for item in branches]}
        ):
            return
        for item in branches:
            stems = "".join("    " if last else "│   " for last in item.last[1:-1])
            stem = "" if item.depth == 0 else stems + ("└── " if item.last[-1] else "├── ")
            again = " (shown above)" if item.repeated else ""
            self.result(f"{stem}{item.node.name} {item.node.version}{again}")

    def why(self, answer: Why) -> None:
        """The chains that lead to a package, and what it counts as on PyPI."""
        package, chains = answer.package, answer.chains
        document = {"package": package, "chains": [[tree(node) for node in chain] for chain in chains]}
        if self.document({**document, "counts-as": [tree(item) for item in answer.counts]}):
            return
        for chain in chains:
            self.result(" -> ".join(f"{node.name} {node.version}" for node in chain))
        asked = sum(len(chain) == 1 for chain in chains)
        others = len(chains) - asked
        reasons = ["the recipe asks for it"] if asked else []
        if others:
            reasons.append(f"{count(others, 'asked-for package')} {'needs' if others == 1 else 'need'} it")
        if not chains:  # a lock has no edges from conda packages to wheels
            reasons = ["an extra of a conda package brings it" if answer.behind_extra else "nothing asks for it"]
        self.say(f"{package}: {' and '.join(reasons)}")
        for item in answer.counts:
            self.say(str(item))

    # Upkeep

    def verified(self, report: Verified) -> None:
        """What was checked and found."""
        if self.document(tree(report)):
            return
        for finding in report.findings:
            self.result(str(finding))
        for text in report.unchecked:
            self.say(f"note: not checked: {text}")
        repaired = ", all repaired" if report.repaired and report.findings else ""
        self.say(
            f"Verified {count(report.blobs, 'blob')} ({size_text(report.bytes)}) and "
            f"{count(report.prefixes, 'prefix', 'prefixes')}: "
            f"{count(len(report.findings), 'finding')}{repaired}, {self.elapsed()}"
        )

    def collected(self, report: Garbage, *, dry_run: bool) -> None:
        """What was removed, or would be."""
        if self.document({"dry-run": dry_run, **tree(report)}):
            return
        for path in report.paths if dry_run else ():
            self.result(str(path))
        verb = "Would remove" if dry_run else "Removed"
        self.say(
            f"{verb} {count(len(report.prefixes), 'environment')} and {count(len(report.blobs), 'blob')}, "
            f"{size_text(report.size)}; {count(report.kept_prefixes, 'environment')} and "
            f"{count(report.kept_blobs, 'blob')} stay"
        )

    # Configuration

    def configured(self, entries: Sequence[tuple[str, str, str]], *, origins: bool) -> None:
        """Settings with their values and, when asked, where each came from."""
        if self.document({"settings": {key: {"value": value, "origin": origin} for key, value, origin in entries}}):
            return
        rows = [(key, value, origin) if origins else (key, value) for key, value, origin in entries]
        self.table(("setting", "value", "origin") if origins else ("setting", "value"), rows)

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their content: rich would cut them to the terminal, and scripts read them."""
        self.close()
        table = [titles, *rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
        for row in table:
            cells = (printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())
