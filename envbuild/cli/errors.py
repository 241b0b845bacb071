"""Errors as people and scripts read them: on stderr, one block per finding, or JSON on stdout with ``--json``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from envbuild.errors import EnvbuildError, Issue, NoSpaceError, UnreachableError, UsageError, Where
from envbuild.value import replace

MOST_SHOWN = 10
"""Findings of one error that are shown; JSON has them all."""


def show_error(error: EnvbuildError) -> None:
    """Say an error on stderr, and as JSON on stdout when that was asked for."""
    if _wants_json():
        _write_json(error)
    say_error(error)


def say_error(error: EnvbuildError) -> None:
    """Say an error: every finding with place and hint, then the chain of causes."""
    if error.issues and error.issues[0].message != error.message:
        _block(Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint))
        for issue in error.issues[:MOST_SHOWN]:
            sys.stderr.write(f"  - {f'{_place(issue.where)}: ' if issue.where else ''}{printable(issue.message)}\n")
    else:
        for number, issue in enumerate(error.all_issues()[:MOST_SHOWN]):
            if number == 0 or str(issue.where) not in error.message:  # an explanation names its places itself
                _block(issue)
    if len(error.issues) > MOST_SHOWN:
        sys.stderr.write(f"  and {len(error.issues) - MOST_SHOWN} more\n")
    cause, said = error.__cause__, error.message
    while cause is not None:
        text = str(cause) or type(cause).__name__
        if text not in said:  # what was asked several times is told once
            sys.stderr.write(f"  because: {printable(text)}\n")
        cause, said = cause.__cause__, text


def show_usage_error(error: click.ClickException) -> None:
    """Say what is wrong with a command line, in click's words."""
    if _wants_json():
        _write_json(UsageError(error.format_message()))
    error.show()


def show_interrupted(word: str, code: int) -> None:
    """Say that a signal ended the command: one word, and with ``--json`` the document that a script waits for."""
    if _wants_json():
        error = EnvbuildError(f"the command was {word}", reference=word)
        _write_document({**error_tree(error), "exit-code": code})
    sys.stderr.write(f"{word}\n")


def _wants_json() -> bool:
    """Whether JSON was asked for; what stands after ``--`` belongs to another program."""
    words = sys.argv[1:]
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own or os.environ.get("ENVBUILD_JSON", "").lower() in {"1", "true", "t", "yes", "y", "on"}


def _write_json(error: EnvbuildError) -> None:
    _write_document(error_tree(error))


def _write_document(error: dict[str, object]) -> None:
    tree = {"version": 1, "error": error}
    with suppress(OSError):  # the error is said on stderr all the same
        sys.stdout.write(json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


def error_tree(error: EnvbuildError) -> dict[str, object]:
    """An error as JSON."""
    return {
        "exit-code": error.exit_code,
        "reference": error.reference,
        "message": error.message,
        "issues": [issue_tree(issue) for issue in error.all_issues()],
    }


def _block(issue: Issue) -> None:
    where = issue.where
    said = where is None or (where.line is None and where.file in issue.message)
    place = "" if where is None or said else f"{_place(where)}: "
    sys.stderr.write(f"{_red('error')}[{issue.reference}]: {place}{printable(issue.message)}\n")
    if issue.hint:
        sys.stderr.write(f"  hint: {printable(issue.hint)}\n")


def _place(where: Where) -> str:
    """A place as people name it: from the working folder when it lies below."""
    try:
        inside = Path(where.file).relative_to(Path.cwd())
    except (OSError, ValueError):
        return printable(str(where))
    return printable(str(replace(where, file=str(inside))))


def issue_tree(issue: Issue) -> dict[str, object]:
    """A finding as JSON."""
    where = issue.where
    return {
        "reference": issue.reference,
        "message": issue.message,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "hint": issue.hint,
    }


def show_os_error(error: OSError) -> int:
    """Say an error of the operating system that reached the top, and choose its exit code."""
    if isinstance(error, FileNotFoundError) and not error.filename and not _has_working_folder():
        gone = UsageError("the working folder is not there any more", reference="no-folder", hint="cd to another one")
        show_error(gone)
        return gone.exit_code
    place = f"{error.filename}: " if error.filename else ""
    kind = UnreachableError if isinstance(error, ConnectionError) else NoSpaceError
    shown = kind(f"{place}{error.strerror or error}", reference="operating-system")
    show_error(shown)
    return shown.exit_code


def _has_working_folder() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def printable(text: str) -> str:
    """Text from outside without control characters, which could rewrite a terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in text
    )


def _red(text: str) -> str:
    colour = os.environ.get("FORCE_COLOR") or (sys.stderr.isatty() and not os.environ.get("NO_COLOR"))
    return f"\x1b[1;31m{text}\x1b[0m" if colour else text
