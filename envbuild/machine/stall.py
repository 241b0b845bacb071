"""How long to wait for what does not answer: ``ENVBUILD_STALL_TIMEOUT`` and ``ENVBUILD_DEADLINE``."""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.errors import UsageError


def stall_timeout(environ: Mapping[str, str]) -> float:
    """The seconds without a byte after which a download is asked for again; 30 when nobody says.

    Raises:
        UsageError: ``bad-setting`` for anything but a number above 0.
    """
    return _seconds(environ, "ENVBUILD_STALL_TIMEOUT", "30")


def store_deadline(environ: Mapping[str, str]) -> float | None:
    """The seconds in which a store that fails is asked again, however often; None when nobody says.

    Raises:
        UsageError: ``bad-setting`` for anything but a number above 0.
    """
    return _seconds(environ, "ENVBUILD_DEADLINE", "") if environ.get("ENVBUILD_DEADLINE") else None


def _seconds(environ: Mapping[str, str], name: str, default: str) -> float:
    text = environ.get(name, default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} is {text!r}, not a number of seconds above 0", reference="bad-setting")
    return seconds
