"""What answers and failures mean: absent, refused, to be asked again. One vocabulary for every kind of server.

Texts of servers and libraries never reach a message: they repeat headers, signed addresses and keys. What is said is
the address, what was tried, the status and the kind of failure.

Rules of the file: nothing is asked here; no library of a cloud is imported.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.errors import UnreachableError
from envbuild.machine.http import AGAIN

STALL = 30.0
"""Seconds without (enough) bytes after which a transfer is cut."""

SLOWEST = 1024
"""Bytes that must come within each stall time: one byte a second is silence too."""

_RENEWED_FOR = 60.0
"""Seconds in which credentials that were just read anew do not expire again: what is refused then is refused."""


class AbsentError(Exception):
    """There is no such object. Never leaves ``envbuild.objects``."""


class PassingError(UnreachableError):
    """A failure that may pass.

    Attributes:
        after: Seconds that the server asked us to wait.
    """

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message, retryable=True)
        self.after = after

    def __reduce__(self) -> tuple[type[PassingError], tuple[str, float]]:
        return type(self), (self.message, self.after)


class SomeSizesError(UnreachableError):
    """Some of the sizes that were asked for are known, some not.

    Attributes:
        found: Those that exist.
        open: Those that are not known.
    """

    def __init__(self, first: UnreachableError, found: Mapping[str, int], unknown: tuple[str, ...]) -> None:
        super().__init__(first.message, reference=first.reference, hint=first.hint, retryable=first.retryable)
        self.first = first
        self.found = dict(found)
        self.open = unknown

    def __reduce__(self) -> tuple[type[SomeSizesError], tuple[object, ...]]:
        return type(self), (self.first, self.found, self.open)


class Pace:
    """Cuts a transfer that all but stands still.

    Args:
        what: Named in the error.
        stall: Seconds for each ``SLOWEST`` bytes.
    """

    def __init__(self, what: str, stall: float = STALL) -> None:
        self._what = what
        self._stall = stall
        self._since = time.monotonic()
        self._moved = 0

    def moved(self, count: int) -> None:
        """So many bytes came.

        Raises:
            PassingError: When too few came for too long.
        """
        self._moved += count
        now = time.monotonic()
        if now - self._since >= self._stall:
            if self._moved < SLOWEST:
                raise PassingError(f"{self._what} all but stands still")
            self._since, self._moved = now, 0


class Renewal:
    """When credentials were read anew: once, for all whose requests were under way with the old ones."""

    def __init__(self) -> None:
        self._at = -_RENEWED_FOR

    def helps(self, since: float, renew: Callable[[], object]) -> bool:
        """Whether a request that was refused is asked again.

        Args:
            since: When it began, by ``time.monotonic``.
            renew: Reads the credentials anew; called for the first of many.
        """
        now = time.monotonic()
        if since >= self._at:
            if now - self._at < _RENEWED_FOR:
                return False
            self._at = now
            renew()
        return True


def known_sizes(names: Iterable[str], answers: Iterable[int | UnreachableError | None]) -> dict[str, int]:
    """The sizes of the objects that exist, of an answer for each name.

    Raises:
        SomeSizesError: When one of them is not known.
    """
    pairs = list(zip(names, answers, strict=True))
    found = {name: answer for name, answer in pairs if isinstance(answer, int)}
    errors = [(name, answer) for name, answer in pairs if isinstance(answer, UnreachableError)]
    if errors:
        raise SomeSizesError(errors[0][1], found, tuple(name for name, _ in errors)) from errors[0][1]
    return found


def check_whole(place: str, done: int, promised: int | None) -> None:
    """A transfer that is over must have brought what was promised.

    Raises:
        PassingError: When it ended early.
    """
    if promised is not None and done < promised:
        raise PassingError(f"{place} stopped after {done} of {promised} bytes")


def refused(place: str, doing: str, status: int | str, hint: str | None = None) -> UnreachableError:
    """The other side does not let us: ``reference="refused"``.

    Args:
        place: The address as shown.
        doing: ``reading``, ``writing``, ``listing`` or ``deleting``.
        status: What it answered.
        hint: Which right is missing, where that is known.
    """
    return UnreachableError(f"{place} refuses {doing} ({status})", reference="refused", hint=hint)


def no_bucket(place: str, word: str, hint: str) -> UnreachableError:
    """There is no bucket or container of that name.

    Args:
        place: The address as shown.
        word: ``bucket`` or ``container``.
        hint: What makes one.
    """
    return UnreachableError(f"{place}: there is no such {word}", reference="no-bucket", hint=hint)


def failed(place: str, doing: str, error: BaseException) -> UnreachableError:
    """No answer, or half of one: the kind of failure alone."""
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in _chain(error)):
        return UnreachableError(
            f"{place} has a certificate that is not trusted here",
            reference="certificate",
            hint="set SSL_CERT_FILE to your organisation's certificates",
        )
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    words = {
        "ClientPayloadError": "the connection was cut",
        "ResponseStreamingError": "the connection was cut",
        "IncompleteReadError": "the connection was cut",
        "IncompleteRead": "the connection was cut",
        "ServerDisconnectedError": "the connection was cut",
        "ConnectionClosedError": "the connection was cut",
        "ReadTimeoutError": "no byte came for too long",
        "TimeoutError": "no answer came for too long",
        "SocketTimeoutError": "no byte came for too long",
        "ServerTimeoutError": "no answer came for too long",
        "EndpointConnectionError": "no connection",
        "ClientConnectorError": "no connection",
        "ClientConnectorDNSError": "no connection",
        "ServiceRequestError": "no connection",
    }
    name = type(cause).__name__
    return PassingError(f"{place} does not answer while {doing}: {words.get(name, name)}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that led to it."""
    seen = 0
    while error is not None and seen < 20:
        yield error
        inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.args[:1]
        if isinstance(inner, tuple):
            inner = inner[0] if inner and isinstance(inner[0], BaseException) else None
        error = error.__cause__ or error.__context__ or inner
        seen += 1


def answered(place: str, doing: str, status: int, after: float = 0.0) -> UnreachableError:
    """Any status that is not an answer to the question."""
    if status in AGAIN:
        return PassingError(f"{place} answers {status} while {doing}", after)
    if status in {401, 403, 407}:
        return refused(place, doing, status)
    return UnreachableError(f"{place} answers {status} while {doing}", reference="bad-answer")


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks for, at most an hour; 0 for none or a date."""
    text = (headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    return float(min(int(text), 3600)) if text.isdigit() else 0.0
