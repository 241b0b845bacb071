"""How it stands with a shared store in this command: whether it answers, whether it is written, what was said of it.

Trouble costs time, never correctness. A store that does not answer is said once and left alone for the rest of the
command. One that refuses a write, or overwrites, is not written any more, and still read. Where whoever asks wants to
know (``strict``), each of these is an error instead.

Rules of the file: knows no object and no layout; safe to call from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from envbuild.errors import EnvbuildError, UnreachableError

Returned = TypeVar("Returned")

FIRST_ALONE = 2.0
"""Seconds that other writes wait at most for the first: a refusal comes soon, a large file may take long."""


class Standing:
    """See the module's docstring.

    Args:
        name: What people call the store.
        written: Whether what is done here goes there.
        note: Told what a user must know.
        strict: Raise what goes wrong.

    Attributes:
        gone: It did not answer, or is no store of ours: it is left alone.
    """

    def __init__(self, name: str, *, written: bool, note: Callable[[str], None], strict: bool) -> None:
        self.gone = False
        self.strict = strict
        self.say = note
        self._name = name
        self._written = written
        self._guard = threading.Lock()
        self._first = threading.Lock()
        self._accepted = False

    @property
    def written(self) -> bool:
        """Whether what is done here goes there, as far as is known by now."""
        return self._written and not self.gone

    def end_writing(self, reason: str = "") -> None:
        """Write it no more, and say why, once."""
        with self._guard:
            told, self._written = not self._written, False
        if reason and not told:
            self.say(reason)

    def write(self, put: Callable[[], object]) -> bool:
        """Try to write. A refusal ends the writing, no answer ends everything; both are said once.

        The first write goes alone, so that a store that takes none is asked once and not by everybody who waits.

        Returns:
            Whether it was written.

        Raises:
            EnvbuildError: Where strict.
        """
        alone = not self._accepted and self._first.acquire(timeout=FIRST_ALONE)
        if alone and self._accepted:
            self._first.release()
            alone = False
        try:
            if not self.written:
                return False
            put()
            self._accepted = True
        except EnvbuildError as error:
            if self.strict:
                self.end_writing()
                raise
            if error.reference == "being-collected":
                self.say(f"the store {self._name} is being collected: what needs what goes there is not sent now")
            elif isinstance(error, UnreachableError) and error.reference not in {"refused", "overwrites"}:
                self.leave(error)
            else:
                self.end_writing(f"the store {self._name} cannot be written: {error.message}; what is done stays here")
            return False
        except OSError:  # our own file is gone or cannot be read
            return False
        finally:
            if alone:
                self._first.release()
        return True

    def attempt(self, ask: Callable[[], Returned], otherwise: Returned) -> Returned:
        """An answer of the store, or something else when it gives none."""
        try:
            return ask()
        except EnvbuildError as error:
            self.leave(error)
            return otherwise

    def abandon(self, error: Exception) -> None:
        """What nobody foresaw went wrong there: leave it alone."""
        self.leave(EnvbuildError(f"{type(error).__name__}: {error}"))

    def leave(self, error: EnvbuildError) -> None:
        """Leave it alone from now on; said once.

        Raises:
            EnvbuildError: Where strict: this one.
        """
        if self.strict:
            raise error
        with self._guard:
            told, self.gone = self.gone, True
        if not told:
            hint = f"; {error.hint}" if error.hint else ""
            self.say(f"the store {self._name} is left alone for now: {error.message}{hint}")
