"""Out-links and roots: the link beside a recipe that points to its prefix, and the home's record that it does.

A root is a small JSON file in the home's ``roots/`` folder, named by the digest of the link's path. It counts as long
as the link still points to the prefix that it names: removing the link is all that a user has to do to let ``gc`` take
the prefix. The record is written before the link appears, so that no link ever points to what ``gc`` may take.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from envbuild.errors import NoSpaceError
from envbuild.machine.publish import Durability, sync_folder
from envbuild.value import dataclass, fields

ROOT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A registered out-link.

    Attributes:
        link: Absolute path of the link (or of a prefix put elsewhere by ``--prefix``).
        prefix: Absolute path of the prefix.
        name: What people call the environment.
        recipe: Absolute path of the recipe's file.
        environment: Environment id. ``request``: request id.
        created: RFC 3339 UTC.
    """

    link: str
    prefix: str
    name: str
    recipe: str
    platform: str
    environment: str
    request: str
    created: str

    @property
    def alive(self) -> bool:
        """Whether the link still points to the prefix."""
        try:
            return self.link == self.prefix or str(Path(self.link).readlink()) == self.prefix
        except OSError:
            return False


def register(folder: Path, root: Root, durability: Durability = "safe") -> None:
    """Record a root; the same link again replaces its record.

    With durability ``safe`` the record survives a loss of power: without it ``gc`` would take a prefix in use.

    Raises:
        OSError: When the home cannot be written.
    """
    path = _record(folder, root.link)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(
            json.dumps({"version": ROOT_VERSION, **{item.name: getattr(root, item.name) for item in fields(root)}})
        )
        stream.flush()
        if durability == "safe":
            os.fsync(stream.fileno())
    temporary.replace(path)
    if durability == "safe":
        sync_folder(folder)


def read_roots(folder: Path) -> Iterator[tuple[Path, Root]]:
    """Every readable record with its file, dead ones too; what is not a record is passed over."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            tree = json.loads(path.read_bytes())
            if tree.pop("version") == ROOT_VERSION:
                yield path, Root(**tree)


def point(link: Path, prefix: Path) -> None:
    """Make a link point to a prefix, in one step. A folder of links made here hides itself from Git.

    Callers hold a lock for the link, so that the name of the temporary one can stay the same: what a process that died
    left there is replaced.

    Raises:
        NoSpaceError: ``out-link`` when something that is no link stands there, or the folder cannot be written.
    """
    try:
        if _replaceable(link):
            if not link.parent.exists():
                link.parent.mkdir(parents=True)
                (link.parent / ".gitignore").write_text("*\n", encoding="utf-8")
            temporary = link.with_name(f".{link.name}.tmp")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(prefix)
            temporary.replace(link)
            return
    except OSError as error:
        raise NoSpaceError(f"{link}: {error.strerror}", reference="out-link") from None
    what = "is a link to something that is no environment" if link.is_symlink() else "is there and is no link"
    raise NoSpaceError(
        f"{link} {what}", reference="out-link", hint="move it away, or use --out-link with another place"
    )


def _replaceable(link: Path) -> bool:
    """Whether an out-link may stand here: nothing does, or a link that leads nowhere or to an environment."""
    if not link.is_symlink():
        return not link.exists()
    return not link.exists() or any((link / name).exists() for name in ("conda-meta", "pyvenv.cfg"))


def _record(folder: Path, link: str) -> Path:
    return folder / f"{hashlib.sha256(os.fsencode(link)).hexdigest()[:32]}.json"
