"""Which executor a command sends its work to, and what hands it over there.

An executor is believed: what it says that a build came to is what is linked. So one that only a project's file names,
which came with a clone, is not used until the user's own ``trusted`` names it; work is done here then, and that is
said. Handing over needs a shared store that is written: the first of them that other machines can have, too.

Rules of the file: decides; connecting waits until something is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from envbuild.errors import UsageError
from envbuild.executors import FAR_SCHEMES
from envbuild.projects.config import Config
from envbuild.projects.config_files import PROJECT_FILE
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.stores import ChosenStore
    from envbuild.executors.far import FarExecutor
    from envbuild.store.layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """Where work is sent.

    Attributes:
        address: For people.
        open: Connects; the same executor each time.
        store: Hands over, with its layer; None when no shared store is written that others can have.
        marks: What builders of packages must be marked with.
    """

    address: str
    open: Callable[[], FarExecutor]
    store: tuple[ChosenStore, Layer] | None
    marks: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def handing_over(self) -> tuple[ChosenStore, Layer]:
        """The store that hands over, and its layer.

        Raises:
            UsageError: ``no-shared-store``.
        """
        if self.store is None:
            raise UsageError(
                f"{self.address} hands over what it does through a shared store, and none is written here",
                reference="no-shared-store",
                hint="name one that this machine and the workers reach: --store /mnt/team, or s3://bucket/path",
            )
        return self.store


def chosen_far(
    config: Config,
    root: Path,
    given: object,
    stores: Sequence[tuple[ChosenStore, Layer]],
    note: Callable[[str], None],
) -> Far | None:
    """Where a command sends its work; None when it does all of it here.

    Args:
        config: Its settings.
        root: The project's root.
        given: A pool or a client that the caller of ``Session`` has made; None for what is configured.
        stores: The command's shared stores, near to far.
        note: Told when an executor is not used.
    """
    handing = next((pair for pair in stores if pair[1].written and pair[0].address.scheme != "memory"), None)
    if given is not None:
        from envbuild.executors.futures import far_of

        opened = far_of(given)
        return Far(address=opened.address, open=lambda: opened, store=handing, marks=dict(config.builders))
    if not config.executor.startswith(FAR_SCHEMES):
        return None
    if config.origin("executor").startswith(str(root / PROJECT_FILE)) and config.executor not in config.trusted:
        note(
            f"{config.executor} is not used: only the project names it, and nobody here said to trust it; "
            f"envbuild trust {config.executor}"
        )
        return None
    return Far(
        address=config.executor,
        open=_Once(partial(_open, config.executor, config.lock_timeout)),
        store=handing,
        marks=dict(config.builders),
    )


class _Once:
    """Connects once, however many plans ask."""

    def __init__(self, connect: Callable[[], FarExecutor]) -> None:
        self._connect = connect
        self._found: FarExecutor | None = None

    def __call__(self) -> FarExecutor:
        if self._found is None:
            self._found = self._connect()
        return self._found


def _open(address: str, patience: float) -> FarExecutor:
    from envbuild.executors.dask_engine import open_dask

    return open_dask(address, patience=patience)
