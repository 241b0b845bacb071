"""What a check finds: each thing with its rule, its place, and what it costs.

Theory: a finding is an error or a warning. An error has the exit code of its class in ``envbuild.errors``: 3 for what
cannot be read, 4 for what is not what somebody vouched for or what the policy forbids, 5 for what did not answer, 10
for what does not fit or is not as it would be written. The gravest decides, and a warning counts (10) only for whoever
asks for that. Every rule has words of its own, for the reports that list rules.

Rules of the file: pure; values and one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Any

from envbuild.errors import EnvbuildError, Issue
from envbuild.value import dataclass, replace

GRAVITY = (4, 3, 5, 10)
"""Exit codes, the gravest first: a lie is worse than what nobody can read, and that is worse than silence."""

WARNING = 10
"""The exit code of a warning where warnings count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of finding.

    Attributes:
        exit_code: Of an error; None where it is a warning.
        short: What it finds, as a heading; ``help``: what to do about it.
    """

    name: str
    exit_code: int | None
    short: str
    help: str

    @property
    def level(self) -> str:
        """``error`` or ``warning``."""
        return "warning" if self.exit_code is None else "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found.

    Attributes:
        rule: The name of its rule, which is the reference of an error where there is such an error.
        file: From the project's root, with ``/``; a file that is not below it whole.
        level: ``error`` or ``warning``.
        exit_code: What an error costs; 0 for a warning.
        related: Another place that it is about, such as the requirement behind a package: file, line, column.
        fixable: Whether ``--fix`` does away with it.
    """

    rule: str
    message: str
    file: str
    line: int | None = None
    column: int | None = None
    level: str = "error"
    exit_code: int = 3
    hint: str | None = None
    related: tuple[str, int | None, int | None] | None = None
    fixable: bool = False

    @property
    def place(self) -> str:
        """``file:line:column``."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check came to.

    Attributes:
        recipes: How many recipes were checked; ``remembered`` of them were known, for nothing of theirs has changed.
        findings: Sorted by place.
        asked: Packages whose origin was asked.
        fixed: Files that were written, from the project's root.
    """

    recipes: int
    remembered: int = 0
    findings: tuple[Finding, ...] = ()
    asked: int = 0
    fixed: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that are no warnings."""
        return tuple(item for item in self.findings if item.level == "error")

    def exit_code(self, *, strict: bool = False) -> int:
        """What the command ends with.

        Args:
            strict: Whether warnings count.
        """
        codes = {item.exit_code for item in self.errors}
        if strict and len(self.errors) < len(self.findings):
            codes.add(WARNING)
        return next((code for code in GRAVITY if code in codes), 0)


def found(rule: str, message: str, file: str, **more: Any) -> Finding:
    """A finding of a rule of the table, with the rule's level and exit code unless told otherwise."""
    known = RULES[rule]
    made = Finding(rule=rule, message=message, file=file, level=known.level, exit_code=known.exit_code or 0)
    return replace(made, **more) if more else made


def of_error(error: EnvbuildError, file: str) -> tuple[Finding, ...]:
    """An error as findings, one for each of its issues.

    Args:
        error: What was raised.
        file: Of issues that name no file.
    """
    return tuple(_of_issue(issue, error.exit_code, file) for issue in error.all_issues())


def _of_issue(issue: Issue, exit_code: int, file: str) -> Finding:
    where = issue.where
    return Finding(
        rule=issue.reference,
        message=issue.message,
        file=where.file if where is not None else file,
        line=where.line if where is not None else None,
        column=where.column if where is not None else None,
        exit_code=exit_code,
        hint=issue.hint,
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by place, each once."""
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda item: (item.file, item.line or 0, item.column or 0, item.rule))
    )


def seen_from(finding: Finding, folder: str) -> Finding:
    """A finding whose files are named from somewhere else.

    Args:
        finding: With files from its project's root.
        folder: What stands before them, with ``/`` at its end; empty for nothing.
    """

    def one(file: str) -> str:
        return file if file.startswith("/") else f"{folder}{file}"

    related = finding.related
    return replace(
        finding,
        file=one(finding.file),
        related=(one(related[0]), *related[1:]) if related is not None else None,
    )


def rules_of(findings: Sequence[Finding]) -> tuple[Rule, ...]:
    """The rules behind findings, by name. What has no words of its own has those of its exit code."""
    codes = {item.rule: item.exit_code for item in reversed(findings)}
    return tuple(RULES[name] if name in RULES else _unnamed(name, codes[name]) for name in sorted(codes))


def _unnamed(name: str, exit_code: int) -> Rule:
    short, advice = _CLASSES.get(exit_code, _CLASSES[3])
    return Rule(name=name, exit_code=exit_code, short=short, help=advice)


_CLASSES = {
    3: ("A file that cannot be accepted", "Correct the line that is named; the message says what is wanted there."),
    4: ("Something is not what was promised", "Restore the lock from Git, or remove it and lock again."),
    5: ("A place did not answer", "Run the check again when it does."),
    10: ("A lock does not fit", "Run `envbuild lock` and commit the lock."),
}


def _rules(*rows: tuple[str, int | None, str, str]) -> dict[str, Rule]:
    return {
        name: Rule(name=name, exit_code=exit_code, short=short, help=advice) for name, exit_code, short, advice in rows
    }


_LOCK_AGAIN = "Restore the lock from Git, or remove it and lock again."

RULES = _rules(
    ("stale", 10, "A lock does not fit its recipe", "Run `envbuild lock` and commit the lock."),
    ("no-lock", 10, "A recipe has no lock", "Run `envbuild lock` and commit the lock beside the recipe."),
    (
        "lock-format",
        10,
        "A lock is not written as envbuild writes it",
        "Run `envbuild check --fix`: the same packages, byte for byte as `envbuild lock` would write them.",
    ),
    ("orphan-lock", 10, "A lock has no recipe", "Remove it with `git rm`, or restore the recipe that it belongs to."),
    (
        "lock-edited",
        4,
        "The packages of a lock are not those of its environment id",
        "A lock was edited by hand, or two branches were merged as text. Run `envbuild lock`, or restore it from Git.",
    ),
    ("identity", 4, "A file is another package than the lock says", _LOCK_AGAIN),
    (
        "leaves-project",
        3,
        "A recipe or lock leads out of the project",
        "Replace the symbolic link by the file that is meant. What it leads to was not read.",
    ),
    (
        "unknown-place",
        4,
        "A package comes from a place that its recipe does not name",
        "No lock that `envbuild lock` makes holds such a line. Restore the lock, or name the place in the recipe.",
    ),
    (
        "base-differs",
        4,
        "A lock holds another package than the base that it is pinned to",
        "Restore the lock from Git, or run `envbuild lock`.",
    ),
    (
        "not-as-asked",
        4,
        "A lock holds another version than its recipe asks for, or lacks a package",
        "No solve gives such a lock. Restore it from Git, or remove it and lock again.",
    ),
    (
        "origin-differs",
        4,
        "An index or channel says something else of a file than the lock",
        "The file behind this name has another digest, size or time. Do not merge this before you know why.",
    ),
    (
        "origin-unknown",
        4,
        "An index or channel does not list a file of the lock",
        "The file was removed there, or never was there. Lock again, or find out where the line comes from.",
    ),
    (
        "origin-untold",
        None,
        "Nobody says what a file of the lock should be",
        "It comes from an address, a repository or a folder, or its index states no sha256: look at it yourself.",
    ),
    ("forbidden-channel", 4, "A channel is not allowed", "`policy: channels:` says which are."),
    ("forbidden-index", 4, "A package index is not allowed", "`policy: indices:` says which are."),
    ("forbidden-license", 4, "A licence is not allowed", "`policy: licenses:` says which are, and what may differ."),
    (
        "unknown-license",
        None,
        "A licence is not known",
        "Nobody says one, or not in SPDX's words. A wording that will do can stand in `policy: licenses: allow:`.",
    ),
    ("forbidden-package", 4, "A package is forbidden", "`policy: forbidden:` says which versions may not be locked."),
    ("too-big", 4, "An environment is too big", "`policy: max-size:` says what its packages may weigh together."),
    ("too-young", 4, "A release is too young", "Wait, or lock with `exclude-newer`; `policy: min-age:` says the age."),
    ("unknown-age", None, "Nobody says when a package was released", "Its channel or index states no time."),
    ("source-build", 4, "A package would be built from source", "`policy: source-builds:` says which may be."),
    ("unsigned-base", 4, "A base is not signed", "`policy: signed-base:` wants a signature of a key that you trust."),
    ("unchecked-base", None, "Whether a base is signed was not asked", "Run `envbuild check --online`."),
    ("moved-base", None, "The name of a base has moved", "Run `envbuild lock RECIPE --upgrade-base` if you want that."),
    ("likely-secret", None, "A variable may be a secret", "What a recipe says stands in Git and in the lock."),
    ("included-file", None, "An included file says something that has no meaning here", "See the message."),
)
"""The rules of a check. Errors of reading have their references as rules too."""
