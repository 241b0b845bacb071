"""A workspace as a configuration says: the same near, where a project is, and far away, where none is.

Rules of the file: reads settings into arguments; nothing is asked and nothing is connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envbuild.derivations import Clobber, LinkMode
from envbuild.digest import Digest
from envbuild.machine.home import find_home
from envbuild.machine.workspace import Workspace
from envbuild.projects.config import Config
from envbuild.projects.machine_addresses import machine_addresses

if TYPE_CHECKING:
    from envbuild.store.layers import Layers


def open_workspace(
    config: Config,
    root: Path,
    environ: Mapping[str, str],
    *,
    note: Callable[[str], None],
    progress: Callable[[Digest, int, int | None], None] = lambda key, done, total: None,
    shared: Layers | None = None,
    origins: bool = True,
) -> Workspace:
    """A home, what packages come from, and the limits of work.

    Args:
        config: The settings.
        root: What addresses in them are relative to.
        environ: Where the home and credentials are.
        note: Told what a user must know.
        progress: Told how far a job is.
        shared: Stores behind the home's own.
        origins: Whether what no store has may be fetched from where it comes from.

    Raises:
        InvalidInput: ``unsafe-folder`` for a home that others may write. NoSpaceError: when it cannot be made.
    """
    return Workspace(
        find_home(environ),
        machine_addresses(config, root, environ),
        durability=config.durability,
        lock_timeout=config.lock_timeout,
        build_timeout=config.build_timeout,
        build_log_limit=config.build_log_limit << 20,
        clobber=cast("Clobber | None", config.clobber),
        link=cast("LinkMode", config.link),
        environ=environ,
        trusted_hosts=config.trusted_hosts,
        note=note,
        progress=progress,
        shared=shared,
        origins=origins,
    )
