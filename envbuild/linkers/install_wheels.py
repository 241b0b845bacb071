"""Wheels that were looked into, into a prefix: who gives way to whom, uv's work, and what can be checked only then.

Rules of the file: puts the steps in order; each has a module of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.linkers.checked_wheel import not_unpacked
from envbuild.linkers.wheel_clobber import CheckedWheels, order_wheels
from envbuild.linkers.wheels import finish_wheels, link_wheels, site_folder
from envbuild.package import Wheel

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.linkers.checked_wheel import Rest
    from envbuild.linkers.clobber import CondaFiles


_LATER = 0.02
"""Seconds after which uv is under way: what is imported before that would keep it from being started."""


def _load() -> None:
    """Import what is needed once uv is done, while it works."""
    import ctypes  # noqa: F401  for the sync

    import envbuild.linkers.scripts  # noqa: F401


def install_wheels(
    wheels: CheckedWheels,
    conda: CondaFiles,
    prefix: Path,
    host: str | None,
    context: Context,
    addresses: Mapping[str, bytes],
    left: Sequence[Rest] = (),
) -> None:
    """Install wheels into a prefix that has a Python.

    Args:
        wheels: At least one, in the lock's order.
        conda: The files of conda's packages in the prefix.
        prefix: Has ``bin/python``.
        host: The Python that a virtual environment stands on; None for a Python in the prefix.
        context: For uv, the setting of clobbers, and notes.
        addresses: By name, the ``direct_url.json`` of the wheels that have one.
        left: What is still to be checked of the wheels, in what uv has unpacked.

    Raises:
        IntegrityError: ``clobber``, ``bad-wheel``, ``wrong-package``, ``damaged-cache``.
        BuildError: ``link-failed`` with uv's words.
    """
    site = site_folder(prefix)
    order = order_wheels(wheels, conda, prefix, str(site.relative_to(prefix)), context)
    rounds: list[list[tuple[Path, Wheel]]] = [[] for _ in range(max(order.rounds) + 1)]
    for (path, wheel, _), number in zip(wheels, order.rounds, strict=True):
        rounds[number].append((path, wheel))
    loading = threading.Timer(_LATER, _load)
    loading.daemon = True
    loading.start()
    try:
        link_wheels(rounds, prefix, host, context)
    except EnvbuildError:
        for rest in left:
            rest(not_unpacked)  # which says more of a wheel than uv does
        raise
    if left or any(found.large for _, _, found in wheels):
        from envbuild.linkers.wheel_unpacked import check_unpacked

        check_unpacked(wheels, left, site, prefix, context.engine_cache("checked-wheels"), order.taken)
    finish_wheels(rounds, prefix, addresses)
