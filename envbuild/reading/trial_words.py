"""What stands under ``test:`` of a recipe: modules, programs, commands, a time limit.

Rules of the file: pure; one grammar for each.
"""

from __future__ import annotations

import re
import shlex

from envbuild.errors import InvalidInput, beginning
from envbuild.pattern import pattern

LONGEST = 4096
"""Characters of a command."""

MOST_SECONDS = 24 * 3600

_PROGRAM = pattern(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", "<", ">", ">>", "2>", "2>&1"})


def module_name(text: str) -> str:
    """A module, with its packages.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if len(text) > 200 or not all(part.isidentifier() for part in text.split(".")):
        raise InvalidInput(
            f"{beginning(text)!r} is not the name of a module", reference="bad-name", hint="such as numpy or os.path"
        )
    return text


def program_name(text: str) -> str:
    """A program that a package installs, without its folder.

    Raises:
        InvalidInput: ``bad-name``.
    """
    if not _PROGRAM.fullmatch(text):
        raise InvalidInput(
            f"{beginning(text)!r} is not the name of a program",
            reference="bad-name",
            hint="such as black; what is run with arguments stands under `commands`",
        )
    return text


def command_words(text: str) -> tuple[str, ...]:
    """A command as its program and arguments, quoted as for a POSIX shell.

    Raises:
        InvalidInput: ``bad-command`` for what only a shell could read.
    """
    try:
        words, as_written = shlex.split(text), shlex.split(text, posix=False)
    except ValueError as error:
        raise InvalidInput(
            f"{beginning(text)!r} cannot be split into words: {str(error).lower()}",
            reference="bad-command",
            hint="close every quote",
        ) from None
    if not words or not words[0] or len(text) > LONGEST:
        problem = f"has more than {LONGEST} characters" if len(text) > LONGEST else "names no program"
        raise InvalidInput(
            f"{beginning(text)!r} {problem}", reference="bad-command", hint="such as: python -c 'import x'"
        )
    if found := next((word for word in as_written if word in _OPERATORS), None):
        raise InvalidInput(
            f"{beginning(text)!r} holds {found}, which only a shell knows",
            reference="bad-command",
            hint="write two commands, or name a shell: sh -c '...'",
        )
    return tuple(words)


def time_limit(text: str) -> int:
    """Seconds.

    Raises:
        InvalidInput: ``bad-value``.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 0 < int(text) <= MOST_SECONDS:
        raise InvalidInput(
            f"{beginning(text)!r} is no time limit", reference="bad-value", hint=f"seconds, 1 to {MOST_SECONDS}"
        )
    return int(text)
