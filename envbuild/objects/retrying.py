"""The only place of ``envbuild.objects`` that asks again; the libraries below are told not to.

What is ``retryable`` is asked again after a pause with full jitter, doubled each time, or after what the server asked
for; until ``deadline`` seconds have passed since the call first failed. Everything that is asked is safe to ask twice:
a create-only put whose answer was lost is told ``exists`` the second time, and its bytes are its own or equal ones.
While a store fails, fewer questions are in flight (``window``).

Rules of the file: knows the protocol and nothing of any server.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from envbuild.errors import UnreachableError
from envbuild.objects import SMALL, Listed, Objects, Odd, Put, Writer, unheard
from envbuild.objects.failures import PassingError, SomeSizesError
from envbuild.objects.window import Window
from envbuild.value import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to ask again.

    Attributes:
        deadline: Seconds after the first failure of a call in which it is asked again.
        attempts: How often it is asked at most.
        pause: Seconds that the first pause takes at most; doubled each time, up to ``longest``.
        longest: Seconds that any pause takes at most, whatever the server asks for.
    """

    deadline: float = 60.0
    attempts: int = 6
    pause: float = 0.2
    longest: float = 20.0


class Retrying:
    """Objects that are asked again where that may help; implements ``envbuild.objects.Objects``.

    Args:
        inner: The objects.
        patience: How long.
        window: How many at once; ``inner`` may tell it when an answer comes late.
    """

    def __init__(self, inner: Objects, patience: Patience | None = None, window: Window | None = None) -> None:
        self._inner = inner
        self._patience = patience or Patience()
        self._window = window or Window()

    @property
    def address(self) -> str:
        """The address as people may see it."""
        return self._inner.address

    def read(self, name: str, limit: int = SMALL) -> bytes | None:
        """A small object; see ``Objects.read``."""
        return self._again(lambda: self._inner.read(name, limit))

    def fetch(self, name: str, into: Writer, size: int | None = None) -> bool:
        """Stream an object; each attempt begins with ``into.restart()`` but the first."""
        tries = 0

        def attempt() -> bool:
            nonlocal tries
            if tries:
                into.restart()
            tries += 1
            return self._inner.fetch(name, into, size)

        return self._again(attempt)

    def put(self, name: str, source: Path | bytes) -> Put:
        """Create an object; see ``Objects.put``."""
        return self._again(lambda: self._inner.put(name, source))

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """Sizes; only those that are still open are asked for again."""
        found: dict[str, int] = {}
        waiting = tuple(dict.fromkeys(names))

        def attempt() -> None:
            nonlocal waiting
            try:
                found.update(self._inner.sizes(waiting))
            except SomeSizesError as error:
                found.update(error.found)
                waiting = error.open
                raise error.first from error.first.__cause__

        self._again(attempt)
        return found

    def list(self, prefix: str, odd: Odd = unheard) -> Iterator[Listed]:
        """A listing; begun anew when it fails before its first object, for who has half of one must know."""
        listing, first = self._again(lambda: _begun(self._inner.list(prefix, odd)))
        if first is not None:
            yield first
            yield from listing

    def delete(self, name: str) -> None:
        """Forget an object."""
        self._again(lambda: self._inner.delete(name))

    def _again(self, ask: Callable[[], T]) -> T:
        end = None
        tried = 0
        while True:
            try:
                with self._window.one():
                    return ask()
            except UnreachableError as error:
                tried += 1
                now = time.monotonic()
                end = now + self._patience.deadline if end is None else end
                pause = random.uniform(0, self._patience.pause * 2 ** min(tried, 16))  # noqa: S311  not a secret
                pause = max(pause, error.after if isinstance(error, PassingError) else 0.0)
                pause = min(pause, self._patience.longest)
                if not error.retryable or tried >= self._patience.attempts or now + pause > end:
                    if error.retryable and tried > 1:
                        raise UnreachableError(f"{error.message} (asked {tried} times)", retryable=True) from error
                    raise
            time.sleep(pause)


def _begun(listing: Iterator[Listed]) -> tuple[Iterator[Listed], Listed | None]:
    return listing, next(listing, None)
