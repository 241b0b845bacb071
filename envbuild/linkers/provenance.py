"""Which wheel an input of a link is, and what the prefix tells of where it came from.

A wheel of a lock is what the lock says. A wheel that was built is what the build's ``record`` says; its name and
version are the lock's, and its file is checked like any other's. ``direct_url.json`` (PEP 610) tells of an archive, a
repository or a folder that was asked for by its address; what an index served says nothing, be it wheel or sdist.

Rules of the file: reads small documents of declared inputs through the context.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from envbuild.digest import Digest
from envbuild.errors import IntegrityError
from envbuild.package import SourcePackage, Wheel

if TYPE_CHECKING:
    from envbuild.derivations import Context


def built_wheel(key: Digest, source: SourcePackage, context: Context) -> Wheel:
    """The wheel that a source has become.

    Args:
        key: The build's key.
        source: What the lock says.
        context: With the build among the declared inputs.

    Raises:
        IntegrityError: ``bad-record`` when the build's record names no file.
    """
    record = context.blob(key, "record").read_bytes()
    try:
        file = json.loads(record)["file"]
    except (ValueError, KeyError, TypeError):
        file = None
    if not isinstance(file, str):
        raise IntegrityError(
            f"the record of the build of {source.name} {source.version} names no wheel",
            reference="bad-record",
            hint="envbuild verify --repair",
        )
    return Wheel(
        name=source.name,
        version=source.version,
        file=file,
        sha256=context.digest(key),
        index=source.index,
        asked=source.asked,
    )


def direct_url(package: Wheel | SourcePackage) -> bytes | None:
    """What a package says of the address that it was asked for by (PEP 610); None where an index or page gave it.

    A folder's address is that of the project as if it lay at ``/project``: a lock gives the same prefix on every
    machine, and tools take absolute addresses only.
    """
    source = package if isinstance(package, SourcePackage) else None
    tree: dict[str, Any]
    if source is not None and source.git is not None:
        asked = {} if source.rev is None else {"requested_revision": source.rev}
        tree = {"url": source.git, "vcs_info": {"vcs": "git", "commit_id": source.commit, **asked}}
    elif source is not None and source.path is not None:
        from urllib.parse import quote  # 5 ms, and a link of wheels alone writes no folder

        below = "" if source.path == "." else f"/{quote(source.path)}"
        tree = {"url": f"file:///project{below}", "dir_info": {}}
    elif package.url is not None:
        hashes = {"hash": f"sha256={package.sha256}", "hashes": {"sha256": package.sha256}}
        tree = {"url": package.url, "archive_info": hashes}
    else:
        return None
    if source is not None and source.subdirectory is not None:
        tree["subdirectory"] = source.subdirectory
    return json.dumps(tree, sort_keys=True).encode()
