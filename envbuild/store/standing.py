"""How it stands with a shared store in this command: whether it answers, whether it is written, what was said of it.

Trouble costs time, never correctness. A store that does not answer is said once and left alone for the rest of the
command. One that refuses a write, or overwrites, is not written any more, and still read. Where whoever asks wants to
know (``strict``), each of these is an error instead.

Rules of the file: knows no object and no layout; safe to call from many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from envbuild.errors import EnvbuildError, UnreachableError

Returned = TypeVar("Returned")

SLOW_START = 10.0
"""Seconds from the first write after which writes wait for no other: a refusal comes soon, a large file takes long."""


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
        self._turn = threading.Condition()
        self._since: float | None = None
        self._writing = 0
        self._accepted = 0

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

        The first write goes alone, and for each two that are accepted one more may be under way: a store that takes
        none is asked once, and one that begins to refuse is not asked by everybody who waits.

        Returns:
            Whether it was written.

        Raises:
            EnvbuildError: Where strict.
        """
        self._begin()
        accepted = False
        try:
            if not self.written:
                return False
            put()
            accepted = True
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
            with self._turn:
                self._writing -= 1
                self._accepted += accepted
                self._turn.notify_all()
        return True

    def _begin(self) -> None:
        """Wait until one more write may be under way."""
        with self._turn:
            now = time.monotonic()
            self._since = now if self._since is None else self._since
            self._turn.wait_for(
                lambda: not self.written or self._writing < 1 + self._accepted // 2,
                timeout=max(0.0, self._since + SLOW_START - now),
            )
            self._writing += 1

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
