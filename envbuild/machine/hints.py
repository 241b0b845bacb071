"""Hints: addresses found while solving, kept so that a fetch need not read an index page.

One small file for each sha256 under ``cache/hints``; may vanish at any time, may be wrong (the bytes are checked), and
never holds user info, tokens or queries. Writing one is best effort: a hint that cannot be kept costs a page read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from envbuild.digest import Digest

_MOST = 8
"""Addresses kept for one file, the newest."""


class Hints:
    """Addresses by sha256.

    Args:
        folder: ``cache/hints`` of the home.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, sha256: Digest) -> tuple[str, ...]:
        """The addresses kept for a file, the newest first."""
        try:
            text = self._name(sha256).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return ()
        return tuple(line for line in text.splitlines() if line.split("://", 1)[0] in {"https", "http", "file"})

    def add(self, sha256: Digest, url: str) -> None:
        """Keep an address."""
        from envbuild.machine.credentials import without_user_info

        bare = without_user_info(url)
        known = self.of(sha256)
        if known[:1] == (bare,):
            return
        lines = (bare, *(line for line in known if line != bare))[:_MOST]
        path = self._name(sha256)
        temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_text("\n".join(lines) + "\n", "utf-8")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def _name(self, sha256: Digest) -> Path:
        return self._folder / sha256[:2] / sha256
