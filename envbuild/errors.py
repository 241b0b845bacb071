"""Every error that envbuild raises on purpose.

::

    EnvbuildError                 1  a defect, when raised bare
    ├── UsageError                2  the command line or a setting is wrong
    ├── InvalidInput              3  a recipe, lock or configuration is wrong (collects issues)
    ├── IntegrityError            4  bytes are not what was promised, or nobody vouches for them
    ├── UnreachableError          5  a store, index or channel does not answer (retryable when it may yet)
    ├── NameConflictError         6  a name already means something else
    ├── LockTimeoutError          7  another process holds what is needed
    ├── NoSpaceError              8  the disk is full, or a folder cannot be written
    ├── BuildError                9  a build failed
    ├── StaleError               10  a lock does not fit its recipe; two things differ
    └── UnsatisfiableError       11  no solution, or this machine lacks what the lock assumes

An error is one sentence, with where it is (``file:line:column``), a kebab-case ``reference`` that can be
searched for, and a hint that can be typed. Errors cross process borders, so they can be pickled.
Rules of the file: no imports of envbuild but of its smallest values; no printing; no password is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envbuild.pattern import pattern
from envbuild.value import dataclass, replace

_PASSWORD = pattern(r"(?:(?<=http://)|(?<=https://))[^/\s@]+@|(?<=://)[^/\s@:]*:[^/\s@]+@")
"""What stands before the host of an address: of a web server all of it may be a token; git's own ``git@`` is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place in a file that the user can edit. Lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One thing that is wrong in a document; an error of a document holds all of them."""

    message: str
    reference: str
    where: Where | None = None
    hint: str | None = None


class EnvbuildError(Exception):
    """The root: message, reference, place, hint, and whether trying again may help.

    Args:
        message: One sentence without a full stop's worth of context: what is wrong.
        reference: Kebab-case name of this kind of problem, for searching and for scripts.
        where: The place in a file, or None.
        hint: What to do or type next.
        retryable: True when the same call may succeed later; only one place in envbuild retries.
        issues: The single findings, when one error stands for several.
    """

    exit_code = 1
    default_reference = "defect"

    def __init__(
        self,
        message: str,
        *,
        reference: str | None = None,
        where: Where | None = None,
        hint: str | None = None,
        retryable: bool = False,
        issues: tuple[Issue, ...] = (),
    ) -> None:
        message = without_passwords(message)
        super().__init__(message)
        self.message = message
        self.reference = reference or self.default_reference
        self.where = where
        self.hint = without_passwords(hint) if hint else hint
        self.retryable = retryable
        self.issues = tuple(_without_passwords(issue) for issue in issues)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {
            "reference": self.reference,
            "where": self.where,
            "hint": self.hint,
            "retryable": self.retryable,
            "issues": self.issues,
        }
        return (_rebuild, (type(self), self.message, fields, self.__cause__))

    def all_issues(self) -> tuple[Issue, ...]:
        """The findings behind this error; the error itself when it stands for one."""
        if self.issues:
            return self.issues
        return (Issue(message=self.message, reference=self.reference, where=self.where, hint=self.hint),)


def without_passwords(text: str) -> str:
    """Text without the users and passwords of addresses that somebody wrote in the wrong place."""
    return _PASSWORD.sub("***@", text) if "://" in text else text


def beginning(text: str, most: int = 60) -> str:
    """What somebody wrote, as far as a message shows it: of an address that is cut, nobody could tell the password."""
    return without_passwords(text)[:most]


def _without_passwords(issue: Issue) -> Issue:
    message, hint = without_passwords(issue.message), without_passwords(issue.hint or "") or None
    return issue if (message, hint) == (issue.message, issue.hint) else replace(issue, message=message, hint=hint)


def _rebuild(
    kind: type[EnvbuildError], message: str, fields: dict[str, Any], cause: BaseException | None
) -> EnvbuildError:
    error = kind(message, **fields)
    error.__cause__ = cause
    return error


def several(errors: Sequence[EnvbuildError]) -> EnvbuildError:
    """One error for several: the first decides class and message, all of them stand in its ``issues``."""
    first = errors[0]
    combined = type(first)(
        first.message,
        reference=first.reference,
        where=first.where,
        hint=first.hint,
        retryable=first.retryable,
        issues=tuple(dict.fromkeys(issue for error in errors for issue in error.all_issues())),
    )
    combined.__cause__ = first.__cause__
    return combined


GRAVITY = (1, 4, 8, 3, 9, 6, 11, 2, 7, 5, 10)
"""Exit codes, the gravest first: what is false, then what somebody has to mend, then what may be well the next time."""


def gravest(errors: Sequence[EnvbuildError]) -> EnvbuildError:
    """Of some errors the one that decides an exit code; the first of those that are as grave."""
    return min(errors, key=lambda error: GRAVITY.index(error.exit_code))


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived (its argument; exit 143, 129): unwind as for Ctrl-C, so that nothing is left behind."""


class UsageError(EnvbuildError):
    """The command line, an ENVBUILD_ variable or an argument is wrong."""

    exit_code = 2
    default_reference = "usage"


class InvalidInput(EnvbuildError):  # noqa: N818  the field's word: the input is invalid, envbuild is not
    """A recipe, lock or configuration is wrong; ``issues`` holds every finding of the file."""

    exit_code = 3
    default_reference = "invalid-input"

    @classmethod
    def of(cls, issues: tuple[Issue, ...]) -> InvalidInput:
        """One error for all findings of a document.

        Args:
            issues: At least one finding; the first gives the message and the place.
        """
        first = issues[0]
        return cls(first.message, reference=first.reference, where=first.where, hint=first.hint, issues=issues)


class IntegrityError(EnvbuildError):
    """Bytes are not what a lock or a store promised, or nobody trusted vouches for them."""

    exit_code = 4
    default_reference = "integrity"


class UnreachableError(EnvbuildError):
    """A store, index, channel or file server does not answer, or refuses."""

    exit_code = 5
    default_reference = "unreachable"


class NameConflictError(EnvbuildError):
    """A name already means something else."""

    exit_code = 6
    default_reference = "name-conflict"


class LockTimeoutError(EnvbuildError):
    """Another process holds a lock for longer than this one may wait."""

    exit_code = 7
    default_reference = "lock-timeout"


class NoSpaceError(EnvbuildError):
    """The disk or quota is full, or a folder that must be written cannot be."""

    exit_code = 8
    default_reference = "no-space"


class BuildError(EnvbuildError):
    """A build failed, or gave something other than what the lock says."""

    exit_code = 9
    default_reference = "build-failed"


class StaleError(EnvbuildError):
    """A lock does not fit its recipe, or two things that should agree differ."""

    exit_code = 10
    default_reference = "stale"


class UnsatisfiableError(EnvbuildError):
    """No set of packages fulfils the request, or this machine lacks what the lock assumes."""

    exit_code = 11
    default_reference = "unsatisfiable"
