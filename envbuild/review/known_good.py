"""What was found good before: recipes of which nothing has changed are not read again.

Theory: a verdict is a function of the bytes of the files that it stands on, of the settings and the policy, and of this
program. All of that is compared, so a recipe whose files hash to what they were when nothing was wrong needs no
reading. Only what was good is kept, with remarks on licences and times that nobody says: any other finding is made anew
each time, in words for the folder in which it is read. Time can only make a release older, so an age that was enough
stays so.

Rules of the file: what cannot be read, or written, is as if it were not there.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from envbuild.digest import Digest, digest_bytes
from envbuild.errors import EnvbuildError
from envbuild.machine.virtual import current_platform
from envbuild.policy import Policy
from envbuild.projects.checkout import replace_file
from envbuild.projects.config import Config
from envbuild.review.findings import Finding, found
from envbuild.version import __version__

VERSION = 1
"""To be raised when a check finds more, or less, than it did."""
LARGEST = 64 << 20

REMARKS = frozenset({"unknown-license", "unknown-age"})
"""Rules whose warnings are kept, too: they say nothing that depends on where they are read."""

Files = tuple[tuple[str, Digest], ...]
_Good = tuple[Files, tuple[Finding, ...]]


def standing(config: Config, policy: Policy) -> str:
    """A digest of everything but files that a verdict depends on."""
    words = [f"{VERSION} {__version__} {current_platform()}", repr(policy)]
    words += [f"{key}={value}" for key, value, _ in config.entries()]
    return digest_bytes("\n".join(words).encode())


class KnownGood:
    """The recipes of one project that were good.

    Args:
        folder: Where such files lie; None to remember nothing.
        root: The project's root.
        about: What ``standing`` says.
    """

    def __init__(self, folder: Path | None, root: Path, about: str) -> None:
        self._path = folder / f"{digest_bytes(os.fsencode(root))}.json" if folder is not None else None
        self._about = about
        self._before = self._load()
        self._now: dict[str, _Good] = {}

    def files(self, label: str) -> Files | None:
        """The files of a recipe as they were when it was good; None when that is not known."""
        good = self._before.get(label)
        return good[0] if good is not None else None

    def remarks(self, label: str) -> tuple[Finding, ...]:
        """What was remarked on it then."""
        return self._before[label][1]

    def keep(self, label: str, files: Files, findings: tuple[Finding, ...]) -> None:
        """Remember a recipe, if it was good."""
        if all(item.rule in REMARKS and item.level == "warning" for item in findings):
            self._now[label] = (files, findings)

    def save(self) -> None:
        """Write what is known, once; recipes that were not looked at stay as they were."""
        whole = {**self._before, **self._now}
        if self._path is None or whole == self._before:
            return
        recipes = {
            label: {"files": dict(files), "remarks": [_tree(item) for item in remarks]}
            for label, (files, remarks) in sorted(whole.items())
        }
        tree = {"about": self._about, "recipes": recipes}
        with suppress(OSError, EnvbuildError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path, json.dumps(tree).encode())

    def forget(self, label: str) -> None:
        """A recipe that is not good any more."""
        self._before.pop(label, None)

    def _load(self) -> dict[str, _Good]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as stream:
                tree = json.loads(stream.read(LARGEST))
            if tree["about"] != self._about:
                return {}
            return {
                str(label): (
                    tuple((str(name), Digest(str(digest))) for name, digest in good["files"].items()),
                    tuple(_finding(item) for item in good["remarks"]),
                )
                for label, good in tree["recipes"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}


def _tree(item: Finding) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "message": item.message,
        "file": item.file,
        "line": item.line,
        "column": item.column,
        "related": item.related,
    }


def _finding(tree: dict[str, Any]) -> Finding:
    related = tree["related"]
    return found(
        tree["rule"],
        tree["message"],
        tree["file"],
        line=tree["line"],
        column=tree["column"],
        related=tuple(related) if related is not None else None,
    )
