"""Which libraries write packages, for results: another version may give other bytes of the same members."""

from __future__ import annotations

from collections.abc import Mapping


def libraries() -> Mapping[str, str]:
    """Their versions by name. libbz2 does not say its own; it comes with Python."""
    import platform

    import zstandard

    return {
        "python": platform.python_version(),
        "zstandard": zstandard.__version__,
        "libzstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
    }
