"""``ENVBUILD_HOME``: where everything of this user is kept, and the checks before it is trusted.

::

    store/       the store: blobs and results, always asked first
    cache/       engines' caches and address hints; may be deleted at any time
    prefixes/    realized environments
    roots/       one file for each registered out-link
    locks/       kernel locks
    stamps/      what a no-op realize reads; when a prefix was used last
    names/       what was last seen of named environments
    taken/       what was taken from shared stores, by day
    sent/        which environments shared stores were seen to have, by store
    logs/        what builds printed that failed
    runs/        what the last runs did when
    tmp/         scratch, on the same file system as all of the above

Rules of the file: paths and checks; nothing is stored or removed here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from envbuild.errors import InvalidInput, UsageError
from envbuild.machine.disk import writing
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folders of one user. ``path`` is absolute."""

    path: Path

    @property
    def store(self) -> Path:
        """Blobs and results."""
        return self.path / "store"

    @property
    def cache(self) -> Path:
        """What may be deleted at any time."""
        return self.path / "cache"

    @property
    def prefixes(self) -> Path:
        """Realized environments."""
        return self.path / "prefixes"

    @property
    def roots(self) -> Path:
        """One file for each registered out-link."""
        return self.path / "roots"

    @property
    def locks(self) -> Path:
        """Kernel locks."""
        return self.path / "locks"

    @property
    def stamps(self) -> Path:
        """What a no-op realize reads, and when prefixes were used."""
        return self.path / "stamps"

    @property
    def names(self) -> Path:
        """What was last seen of names, by store."""
        return self.path / "names"

    @property
    def taken(self) -> Path:
        """What was taken from shared stores in the last days."""
        return self.path / "taken"

    @property
    def sent(self) -> Path:
        """Which environments shared stores were seen to have, in the last days."""
        return self.path / "sent"

    @property
    def runs(self) -> Path:
        """What the last runs did when."""
        return self.path / "runs"

    @property
    def scratch(self) -> Path:
        """Folders of running jobs."""
        return self.path / "tmp"

    @property
    def lock(self) -> Path:
        """The lock that users of the home hold shared, and ``gc`` exclusively."""
        return self.locks / "home"


def find_home(environ: Mapping[str, str]) -> Path:
    """The home's path: ``ENVBUILD_HOME``, else ``envbuild`` under ``XDG_DATA_HOME``, else under ``~/.local/share``.

    Raises:
        UsageError: ``no-home`` when none of ``ENVBUILD_HOME``, ``XDG_DATA_HOME`` and ``HOME`` is set; ``folder-name``.
    """
    if environ.get("ENVBUILD_HOME"):
        # Prefixes hold their own path: there must be one.
        return check_name(Path(os.path.realpath(environ["ENVBUILD_HOME"])))
    data = environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):  # the XDG specification ignores relative ones
        return check_name(Path(os.path.realpath(data), "envbuild"))
    if environ.get("HOME"):
        return check_name(Path(os.path.realpath(environ["HOME"]), ".local", "share", "envbuild"))
    raise UsageError(
        "there is no place to keep environments: HOME is not set",
        reference="no-home",
        hint="export ENVBUILD_HOME=/path/to/a/folder",
    )


def check_name(folder: Path) -> Path:
    """Refuse the path of a folder for prefixes that could not stand in ``PATH``, where another Python would be found.

    Returns:
        The folder.

    Raises:
        UsageError: ``folder-name``.
    """
    text = os.fspath(folder)
    try:
        text.encode()
        odd = os.pathsep in text or "\n" in text
    except UnicodeEncodeError:
        odd = True
    if odd:
        raise UsageError(
            f"no environment works in {text}: the path holds {os.pathsep!r}, a line break or bytes that are not UTF-8",
            reference="folder-name",
            hint="choose another folder; ENVBUILD_HOME says where environments are kept",
        )
    return folder


def open_home(path: Path) -> Home:
    """The home at a path, created (0700) when missing.

    Raises:
        InvalidInput: ``unsafe-folder`` when it, or its store, is open to everybody or belongs to somebody else.
        NoSpaceError: When it cannot be made or written.
    """
    home = Home(path=path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        for folder in (home.store, home.cache, home.prefixes, home.roots, home.locks, home.stamps, home.scratch):
            folder.mkdir(mode=0o700, exist_ok=True)
    for folder in (path, home.store, home.cache, home.prefixes):
        check_private(folder)
    return home


def check_private(folder: Path) -> None:
    """Refuse a folder in which somebody else could put bytes that this user then runs.

    Raises:
        InvalidInput: ``unsafe-folder`` with the command that mends it.
    """
    state = folder.stat()
    if hasattr(os, "geteuid") and state.st_uid != os.geteuid():
        raise InvalidInput(
            f"{folder} belongs to user {state.st_uid}, not to you ({os.geteuid()})",
            reference="unsafe-folder",
            hint="set ENVBUILD_HOME to a folder of your own",
        )
    if state.st_mode & stat.S_IWOTH:
        raise InvalidInput(f"everybody may write into {folder}", reference="unsafe-folder", hint=f"chmod go-w {folder}")
