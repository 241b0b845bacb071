"""Compiled modules in a prefix: put beside each source that is, byte for byte, the one that they were made of.

An archive is unpacked once, into a cache, by the loop that trusts no member; its files get into prefixes as all files
do (``placing``). Python takes an unchecked file for what its source says, whatever that says by then, so each source is
hashed first: one that another package replaced, or that holds the prefix's path, goes without. ``RECORD`` and
``conda-meta`` do not tell of these files: pip removes them with their modules.

Rules of the file: what an archive says about paths is checked; a file that is there stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.digest import Digest
from envbuild.errors import IntegrityError
from envbuild.linkers.archive import unpack
from envbuild.linkers.placing import engine_ways, placer
from envbuild.linkers.wheels import site_folder
from envbuild.pattern import pattern

if TYPE_CHECKING:
    from envbuild.derivations import Context

SITE, PREFIX = "site/", "prefix/"
"""Where the paths of an archive begin: at ``site-packages``, or at the prefix."""

INDEX = "index.json"
ENGINE = "bytecode"
_TOP = "source"
_HEAD = 16
_UNCHECKED = (1).to_bytes(4, "little")
_TAG = pattern(r"[a-z]+-[0-9]+")


def pyc_of(name: str, tag: str) -> str:
    """Where Python looks for the compiled file of a module.

    Args:
        name: The source's path.
        tag: The interpreter's, ``cpython-311``.
    """
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}__pycache__/{file.removesuffix('.py')}.{tag}.pyc"


def is_unchecked(path: Path) -> bool:
    """Whether a compiled file is one that Python never holds against its source, nor writes anew (PEP 552)."""
    with path.open("rb") as stream:
        return stream.read(8)[4:] == _UNCHECKED


def unpack_bytecode(key: Digest, context: Context) -> Path:
    """The folder with a package's compiled modules, made when it is not there.

    Raises:
        IntegrityError: ``bad-archive``.
    """
    tree = context.engine_cache(ENGINE) / context.digest(key)
    if not tree.is_dir():
        with context.scratch() as folder:
            unpack(context.blob(key), "an archive of bytecode", folder)
            inner = folder / _TOP
            if not (inner / INDEX).is_file():
                raise _bad("has no index")
            context.publish_tree(inner, tree)
    return tree


def link_bytecode(keys: tuple[Digest, ...], prefix: Path, context: Context) -> int:
    """Put compiled modules into a prefix.

    Args:
        keys: Of the derivations that gave them.
        prefix: Whole but for them.
        context: For blobs, the cache and the setting.

    Returns:
        How many files.

    Raises:
        IntegrityError: ``bad-archive``.
    """
    roots = {SITE: site_folder(prefix), PREFIX: prefix}
    place = placer(engine_ways(ENGINE, prefix.parent, context))
    inside = os.path.realpath(prefix)
    folders: dict[str, bool] = {}
    count = 0
    for key in keys:
        tree = unpack_bytecode(key, context)
        for root, name, digest, tag in _index(tree):
            source = str(roots[root] / name)
            folder = os.path.dirname(source)  # noqa: PTH120  thousands of them
            if folder not in folders:
                real = os.path.realpath(folder)
                folders[folder] = real == inside or real.startswith(f"{inside}/")
            if not folders[folder] or not _is_same(source, digest):
                continue
            target = str(roots[root] / pyc_of(name, tag))
            compiled = str(tree / root / pyc_of(name, tag))
            if os.path.lexists(target) or not _is_plain(compiled):
                continue
            cache = os.path.dirname(target)  # noqa: PTH120
            if cache not in folders:
                if not os.path.lexists(cache):
                    os.mkdir(cache)  # noqa: PTH102
                    os.chmod(cache, 0o755)  # noqa: PTH101, S103
                folders[cache] = not os.path.islink(cache)  # noqa: PTH114
            if folders[cache]:
                place(compiled, target)
                count += 1
    return count


def _index(tree: Path) -> Iterator[tuple[str, str, str, str]]:
    """What an archive says of its sources: root, path, sha256, and the interpreter's tag."""
    try:
        said: Any = json.loads((tree / INDEX).read_bytes())
        tag, sources = said["tag"], said["sources"]
        if not _TAG.fullmatch(tag):
            raise _bad("names no Python")
        for name, digest in sources.items():
            root = SITE if name.startswith(SITE) else PREFIX
            path = name.removeprefix(root)
            parts = path.split("/")
            if not name.startswith(root) or not path.endswith(".py") or any(part in {"", ".", ".."} for part in parts):
                raise _bad(f"has a bad path: {name[:60]!r}")
            yield root, path, str(digest), tag
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad(f"has an index that cannot be read: {error}") from error


def _is_same(source: str, digest: str) -> bool:
    """Whether a file is there, of its own, with this sha256."""
    try:
        if not stat.S_ISREG(os.lstat(source).st_mode):
            return False
        with open(source, "rb", buffering=0) as stream:  # noqa: PTH123
            return hashlib.sha256(stream.readall()).hexdigest() == digest
    except FileNotFoundError:
        return False


def _is_plain(compiled: str) -> bool:
    try:
        with open(compiled, "rb", buffering=0) as stream:  # noqa: PTH123
            head = stream.read(_HEAD)
    except OSError:
        return False
    return len(head) == _HEAD and head[4:8] == _UNCHECKED


def _bad(what: str) -> IntegrityError:
    return IntegrityError(f"an archive of bytecode {what}", reference="bad-archive")
