"""What an examination tells: one sentence, how bad it is, and what mends it.

Rules of the file: pure.
"""

from __future__ import annotations

from typing import Literal

from envbuild.errors import EnvbuildError, Issue
from envbuild.value import dataclass

State = Literal["good", "note", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: ``home``, ``programs``, ``machine``, ``project``, ``stores`` or ``network``.
        state: ``problem`` is what makes something fail; a ``note`` costs time, or is missing until it is needed.
        text: One sentence.
        hint: What mends it; None where nothing must be.
    """

    area: str
    state: State
    text: str
    hint: str | None = None


def good(area: str, text: str) -> Finding:
    """What is as it should be."""
    return Finding(area=area, state="good", text=text)


def note(area: str, text: str, hint: str | None = None) -> Finding:
    """What is worth knowing."""
    return Finding(area=area, state="note", text=text, hint=hint)


def problem(area: str, text: str, hint: str | None = None) -> Finding:
    """What makes something fail."""
    return Finding(area=area, state="problem", text=text, hint=hint)


def of_error(area: str, error: EnvbuildError | Issue) -> Finding:
    """What could not be looked at, or is refused; with its place in a file."""
    return problem(area, f"{error.where}: {error.message}" if error.where else error.message, error.hint)
