"""Stamps: what makes a `realize` that has nothing to do cost one small file and a few hashes.

After a realize, a stamp records the digest of every file that decided it (recipe, bases, configuration, lock; also
those that were looked for and not there), the state of the source folders that it names, the ENVBUILD_ variables, the
machine, and the prefix that came of it. The
next realize of the same recipe with the same options reads the stamp, hashes the same files, and is done when none
differs.
A stamp is a cache: deleting one costs time, never correctness; one that cannot be read is no stamp.

Rules of the file: standard library only, nothing slow to import; no YAML, no lock is parsed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envbuild.value import dataclass
from envbuild.version import __version__

STAMP_VERSION = 2

_IGNORED = frozenset(
    {
        *("ENVBUILD_FAULT", "ENVBUILD_ACTIVE_PREFIX", "ENVBUILD_JSON", "ENVBUILD_QUIET", "ENVBUILD_VERBOSE"),
        *("ENVBUILD_SIGNING_KEY", "ENVBUILD_SIGNING_PASSPHRASE"),  # of a passphrase not even a digest is kept
    }
)
"""Variables that change what is said, never what is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What an earlier realize made.

    Attributes:
        prefix: The prefix's folder.
        out_link: The link that points there, or None when none was made.
        host_python: The interpreter that a host environment runs on, or None.
        summary: What the closing line needs: name, platform, number of packages, environment and request id.
    """

    prefix: str
    out_link: str | None
    host_python: str | None
    summary: Mapping[str, Any]


def stamp_path(home: Path, recipe: Path, options: Iterable[str]) -> Path:
    """The stamp of a recipe file realized with these options."""
    text = "\n".join([str(recipe), *options])
    return home / "stamps" / f"{hashlib.sha256(os.fsencode(text)).hexdigest()[:32]}.json"


def read_stamp(path: Path) -> Stamp | None:
    """The stamp when everything it was made from is unchanged and its prefix is still there, else None."""
    try:
        tree = json.loads(path.read_bytes())
        if tree["version"] != STAMP_VERSION or tree["envbuild"] != __version__:
            return None
        if tree["machine"] != _machine() or tree["environment"] != _environment(host=tree["host"] is not None):
            return None
        if any(_file_digest(name) != digest for name, digest in tree["files"].items()):
            return None
        if tree["folders"] and not _same_folders(tree["folders"]):
            return None
        stamp = Stamp(
            prefix=tree["prefix"],
            out_link=tree["out-link"],
            host_python=tree["host"]["path"] if tree["host"] else None,
            summary=tree["summary"],
        )
        if tree["host"] is not None and tree["host"] != _host(stamp.host_python):
            return None
        if not Path(stamp.prefix).is_dir():
            return None
        if stamp.out_link is not None and str(Path(stamp.out_link).readlink()) != stamp.prefix:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # When a prefix was last used is what `gc --keep-days` goes by; a read-only home must not fail a hit.
    with contextlib.suppress(OSError):
        os.utime(path)
    return stamp


def write_stamp(path: Path, stamp: Stamp, files: Iterable[Path], folders: Mapping[str, str | None]) -> None:
    """Record a realize. A home that cannot be written only costs the next one its short cut.

    Args:
        path: From ``stamp_path``.
        stamp: What was made.
        files: What decided it.
        folders: The states of source folders and files, read before they were looked at; None for a folder whose state
            cannot be relied on: there is no stamp then.
    """
    if None in folders.values():
        return
    tree = {
        "version": STAMP_VERSION,
        "envbuild": __version__,
        "machine": _machine(),
        "environment": _environment(host=stamp.host_python is not None),
        "folders": dict(folders),
        "files": {str(name): _file_digest(str(name)) for name in sorted(set(files))},
        "prefix": stamp.prefix,
        "out-link": stamp.out_link,
        "host": _host(stamp.host_python),
        "summary": dict(stamp.summary),
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(tree), encoding="utf-8")
        temporary.replace(path)


def _same_folders(states: Mapping[str, str]) -> bool:
    from envbuild.environments.folder_state import same_state

    return all(same_state(Path(name), state) for name, state in states.items())


def _file_digest(name: str) -> str | None:
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _machine() -> str:
    """A home may be shared by machines that differ in what they can run."""
    system = os.uname()
    return f"{system.nodename} {system.release} {system.machine}"


def _environment(*, host: bool) -> str:
    """A digest of the variables that count; PATH counts when it chooses the interpreter."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith("ENVBUILD_")}
    for name in _IGNORED:
        chosen.pop(name, None)
    if host:
        chosen["PATH"] = os.environ.get("PATH", "")
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _host(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    found = Path(path).stat()
    return {"path": path, "size": found.st_size, "mtime": found.st_mtime_ns}
