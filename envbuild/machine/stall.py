"""How long a download may give nothing before it is asked for again: ``ENVBUILD_STALL_TIMEOUT``."""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.errors import UsageError


def stall_timeout(environ: Mapping[str, str]) -> float:
    """The seconds without a byte after which a download is asked for again; 30 when nobody says.

    Raises:
        UsageError: ``bad-setting`` for anything but a number above 0.
    """
    text = environ.get("ENVBUILD_STALL_TIMEOUT", "30")
    try:
        stall = float(text)
    except ValueError:
        stall = 0.0
    if not 0 < stall < float("inf"):
        raise UsageError(
            f"ENVBUILD_STALL_TIMEOUT is {text!r}, not a number of seconds above 0", reference="bad-setting"
        )
    return stall
