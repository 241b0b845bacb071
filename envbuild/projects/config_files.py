"""Where settings stand: a project's root and its file, the user's and the system's; and which of them may be read.

Theory: these files decide which code runs, so one that somebody else could have written is refused; a project's file
comes with a clone, so what only users and machines may say is refused there.

Rules of the file: reads; what the settings mean is ``config``'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping as Map
from pathlib import Path

from envbuild.errors import InvalidInput, Issue, Where
from envbuild.projects.trust_settings import refuse_keys
from envbuild.reading.document import LARGEST_FILE, Mapping, parse
from envbuild.reading.schema import check, load_schema

PROJECT_FILE = "envbuild.yaml"
SYSTEM_FILE = Path("/etc/envbuild/config.yaml")


def find_root(start: Path) -> Path:
    """The project's root: the nearest folder from ``start`` upwards that holds ``envbuild.yaml``, else ``start``."""
    folder = Path(os.path.abspath(start))
    for candidate in (folder, *folder.parents):
        if os.path.lexists(candidate / PROJECT_FILE):
            return candidate
    return folder


def user_file(environ: Map[str, str]) -> Path | None:
    """The user's configuration file; None when neither ``XDG_CONFIG_HOME`` nor ``HOME`` is set."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    if folder.startswith("/"):
        return Path(folder, "envbuild", "config.yaml")
    home = environ.get("HOME")
    return Path(home, ".config", "envbuild", "config.yaml") if home else None


def read_document(file: Path, start: Path | None) -> Mapping | None:
    """A configuration file's tree; None when there is no file, or nothing in it.

    Args:
        file: The file.
        start: For a project's file: the folder that the search began in, whose owner is trusted too.
    """
    try:
        state = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", reference="unsafe-file") from error
    _check_owner(file, state, start)
    try:
        with file.open("rb") as stream:
            document = parse(stream.read(LARGEST_FILE + 1), str(file))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", reference="unsafe-file") from error
    except InvalidInput as error:
        if error.reference == "empty-file":
            return None
        raise
    if not isinstance(document, Mapping):
        raise InvalidInput(
            "a configuration file is a mapping", reference="bad-type", where=document.where, hint="write `key: value`"
        )
    return document


def _check_owner(file: Path, state: os.stat_result, start: Path | None) -> None:
    """Refuse a file that somebody else could have written, for it decides which code runs."""
    if not stat.S_ISREG(state.st_mode):
        raise InvalidInput(f"{file} is not a file", reference="unsafe-file", hint="remove it")
    if not hasattr(os, "geteuid"):
        return
    owners = {0, os.geteuid()} | ({start.stat().st_uid} if start is not None and start.exists() else set())
    if state.st_uid not in owners:
        raise InvalidInput(
            f"{file} belongs to user {state.st_uid}, not to you",
            reference="unsafe-file",
            where=Where(file=str(file)),
            hint="copy it into a file of your own" if start is None else "work in a checkout of your own",
        )
    if state.st_mode & stat.S_IWOTH:
        raise InvalidInput(
            f"everybody may write into {file}",
            reference="unsafe-file",
            where=Where(file=str(file)),
            hint=f"chmod o-w {file}",
        )
    if start is None and file.parent.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        raise InvalidInput(
            f"everybody may write into {file.parent}",
            reference="unsafe-file",
            where=Where(file=str(file)),
            hint=f"chmod o-w {file.parent}",
        )


def check_document(document: Mapping, file: Path, *, is_project: bool, user: Path | None) -> None:
    """Hold a configuration file against its schema; a project's file may not say what only users may.

    Raises:
        InvalidInput: As ``envbuild.reading.schema.check``; ``not-for-projects``.
    """
    if not is_project:
        check(document, "config")
        return
    only_user = load_schema("config")["properties"].keys() - load_schema("project")["properties"].keys()
    issues = tuple(
        Issue(
            message=f"`{key.text}` is configuration of a machine or user, never of a project",
            reference="not-for-projects",
            where=key.where,
            hint=f"move it to {user or SYSTEM_FILE}",
        )
        for key, _ in document.entries
        if key.text in only_user
    )
    if issues:
        raise InvalidInput.of(issues)
    refuse_keys(document, f"move it to {user or SYSTEM_FILE}")
    check(document, "project")
