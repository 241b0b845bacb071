"""What is kept of a realize: the closure in the store, the out-link, its root, and the stamp.

The order matters to a crash: the closure first (it explains the prefix to ``verify``), then the root, then the link
that it is about, and last the stamp that lets the next realize skip all of this.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from envbuild.derivations import HostPython
from envbuild.digest import digest_bytes
from envbuild.environments.realized import Realized, RealizeOptions, Wanted
from envbuild.environments.roots import Root, point, register
from envbuild.environments.stamp import Stamp, stamp_path, write_stamp
from envbuild.errors import EnvbuildError
from envbuild.faults import reach
from envbuild.machine.workspace import Workspace
from envbuild.store.environments import record
from envbuild.value import replace


def remember(
    realized: Realized,
    wanted: Wanted,
    host: HostPython | None,
    options: RealizeOptions,
    workspace: Workspace,
    note: Callable[[str], None],
) -> Realized:
    """Keep what a realize made, and give it back with its out-link.

    A link that cannot be made is a note: the environment itself is there. One that the user named is an error.

    Raises:
        NoSpaceError: ``out-link`` for a link that the user named.
    """
    home = workspace.home
    if not wanted.editables:  # an environment of a lock
        record(home.store, wanted.lock, wanted.environment, workspace.durability)
    reach("post-prefix-rename-pre-root")
    out_link = None
    if options.prefix is not None:
        register(home.roots, _root(realized, str(realized.prefix)), workspace.durability)
    elif options.link and (link := options.out_link or wanted.link) is not None:
        out_link = Path(os.path.abspath(link))
        try:
            with workspace.lock(f"link-{digest_bytes(os.fsencode(out_link))[:32]}"):
                register(home.roots, _root(realized, str(out_link)), workspace.durability)
                point(out_link, realized.prefix)
        except (OSError, EnvbuildError) as error:
            if options.out_link is not None and isinstance(error, EnvbuildError):
                raise
            note(f"no link to the environment was made: {error}")
            out_link = None
    realized = replace(realized, out_link=out_link)
    if options.stamp is not None:
        reach("pre-stamp")
        path = stamp_path(home.path, wanted.recipe, options.stamp)
        write_stamp(path, _stamp(realized, host), wanted.files, dict(wanted.folders))
    return realized


def _root(realized: Realized, link: str) -> Root:
    return Root(
        link=link,
        prefix=str(realized.prefix),
        name=realized.name,
        recipe=str(realized.recipe),
        platform=realized.platform,
        environment=realized.environment,
        request=realized.request,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _stamp(realized: Realized, host: HostPython | None) -> Stamp:
    return Stamp(
        prefix=str(realized.prefix),
        out_link=str(realized.out_link) if realized.out_link else None,
        host_python=host.path if host else None,
        summary={
            "name": realized.name,
            "platform": realized.platform,
            "packages": realized.packages,
            "environment": realized.environment,
            "request": realized.request,
            "variables": dict(realized.variables),
        },
    )
