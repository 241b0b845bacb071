"""Dask as a far executor: a running scheduler by its address, builders reached over SSH, or a client that is given.

**Where a job goes.** A worker may be marked with the platform that it builds for (``linux-aarch64``, also written
``platform=linux-aarch64``) and with anything else (``gpu``): these are Dask's own resources, so a worker with
``linux-aarch64=1`` does one such job at a time. A worker that is marked with no platform is of the one that it runs on.
Dask chooses among those that fit; what none fits is said before it is sent.

**What is lost.** A worker that dies loses what it was doing; Dask gives that to another one, and gives up after its own
``allowed-failures``. A scheduler that dies loses what was sent. A job that no worker is left for is given up after
``patience``. All of it is an error that can be tried again: what was done is in the store.

TLS, certificates and timeouts are Dask's own configuration (``distributed.comm``); nothing of it passes through here.

Rules of the file: the only importer of ``distributed``, where it is used.
"""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from envbuild.errors import EnvbuildError, UnreachableError, UsageError
from envbuild.executors import Given, Returned
from envbuild.executors.dask_asking import platforms_of
from envbuild.executors.dask_places import Worker, place
from envbuild.executors.far import FarExecutor, call, follow, lost
from envbuild.job import Lane

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 300.0
"""Seconds that the first worker, or the last that fits, is waited for."""

_FRESH = 1.0
"""Seconds that what is known of the workers counts."""

_SILENCE = 30.0
"""Seconds after which a worker that did not say what it is, as one that stands still, is asked again."""


class DaskExecutor(FarExecutor):
    """See the module's docstring.

    Args:
        client: A connected client.
        address: Which cluster it is, for people.
        patience: Seconds that workers are waited for.
        owned: What is to be closed with it, in this order: the client, and the cluster that was started for it.
    """

    def __init__(
        self, client: Client, *, address: str, patience: float = PATIENCE, owned: tuple[Any, ...] = ()
    ) -> None:
        self._client = client
        self._address = address
        self._patience = patience
        self._owned = owned
        self._guard = threading.Lock()
        self._looked: tuple[float, tuple[Worker, ...]] = (-_FRESH, ())
        self._platforms: dict[str, str] = {}
        self._silent: dict[str, float] = {}
        self._sent: dict[Future[Any], tuple[str, tuple[str, ...]]] = {}
        self._deserted: dict[Future[Any], str] = {}
        self._closed = threading.Event()
        self._watching = False
        self._slots: int | None = None

    @property
    def address(self) -> str:
        """As it was configured."""
        return self._address

    def slots(self, lane: Lane) -> int:
        """The threads of all workers, when it was first asked: as many again wait at the scheduler.

        Raises:
            UnreachableError: ``no-workers`` when there is none in time.
        """
        if self._slots is None:
            self._wait_for_one()
            self._slots = 2 * max(1, sum(worker.threads for worker in self._workers()))
        return self._slots

    def lacks(self, platform: str, tags: Collection[str] = ()) -> str | None:
        """What no worker is, or has, of what is wanted; None when one fits."""
        self._wait_for_one()
        if place(self._workers(), platform, tags) is not None:
            return None
        wanted = [*([f"of {platform}"] if platform else []), *([f"with {', '.join(sorted(tags))}"] if tags else [])]
        return " ".join(["a worker", *wanted])

    def send(
        self,
        function: Callable[[Given], Returned],
        argument: Given,
        /,
        *,
        name: str,
        platform: str = "",
        tags: Collection[str] = (),
    ) -> Future[Returned]:
        """Run it on a worker that fits.

        Raises:
            RuntimeError: After ``close``.
            UnreachableError: ``executor-lost``, ``no-worker``.
        """
        if self._closed.is_set():
            raise RuntimeError("the executor is closed")
        self._check_connected()
        ours: Future[Returned] = Future()
        where = place(self._workers(), platform, tags) if platform or tags else {}
        if where is None:
            raise UnreachableError(
                f"{self._address} has no worker for {name} any more", reference="no-worker", retryable=True
            )
        key = f"envbuild-{re.sub(r'[^A-Za-z0-9.]+', '-', name)}-{uuid4().hex}"
        sent: Future[Any] = Future()
        theirs: Any = self._client.submit(partial(call, function, argument), key=key, pure=False, **where)
        sent.add_done_callback(partial(_call_off, theirs))
        loop: Any = self._client.loop  # there is one while the client is connected
        loop.add_callback(_pass_on, theirs, sent)
        with self._guard:
            self._sent[sent] = (platform, tuple(tags))
        sent.add_done_callback(partial(self._ended, ours=ours, name=name))
        self._watch()
        return ours

    def close(self, *, patience: float | None = None) -> bool:
        """Cancel what has not begun, wait for the rest, and let go of what was opened for this executor."""
        if self._closed.is_set():
            return True
        self._closed.set()
        with self._guard:
            sent = list(self._sent)
        for future in sent:
            future.cancel()
        over = not wait_for(sent, timeout=patience).not_done
        for item in self._owned:
            with suppress(Exception):  # it may be gone already, and nothing depends on how it ends
                item.close()
        return over

    def _ended(self, sent: Future[Any], *, ours: Future[Any], name: str) -> None:
        with self._guard:
            self._sent.pop(sent, None)
            deserted = self._deserted.pop(sent, None)
        if deserted is not None:
            if ours.set_running_or_notify_cancel():
                ours.set_exception(UnreachableError(deserted, reference="no-worker", retryable=True))
        elif self._closed.is_set() and sent.cancelled():
            ours.cancel()
            ours.set_running_or_notify_cancel()
        else:
            follow(sent, ours, name=name, address=self._address)

    def _wait_for_one(self) -> None:
        if self._workers():
            return
        try:
            self._client.wait_for_workers(1, timeout=self._patience)
        except (TimeoutError, OSError) as error:
            raise UnreachableError(
                f"{self._address} has no worker",
                reference="no-worker",
                hint="start one: dask worker tcp://HOST:8786 --nthreads 4",
                retryable=True,
            ) from error
        self._looked = (-_FRESH, ())

    def _check_connected(self) -> None:
        """Refuse to ask a scheduler that is gone: the client would keep the question for one that comes again."""
        if self._client.status != "running":
            raise lost(self._address)

    def _workers(self) -> tuple[Worker, ...]:
        """Who is there, and of which platform; asked at most once in ``_FRESH`` seconds."""
        with self._guard:
            seen, workers = self._looked
            if time.monotonic() - seen < _FRESH and workers:
                return workers
        self._check_connected()
        found = self._client.scheduler_info(n_workers=-1).get("workers")
        if found is None:  # it was lost in between
            raise lost(self._address)
        began = time.monotonic()
        if unknown := [each for each in found if each not in self._platforms and began >= self._silent.get(each, 0.0)]:
            client: Any = self._client
            told: Mapping[str, str] = client.sync(platforms_of, client, unknown)
            self._platforms.update(told)
            self._silent.update((address, time.monotonic() + _SILENCE) for address in unknown if address not in told)
        now = tuple(
            Worker(
                host=str(item["host"]),
                threads=int(item["nthreads"]),
                marks=tuple(item.get("resources") or ()),
                platform=self._platforms[address],
            )
            for address, item in found.items()
            if address in self._platforms
        )
        with self._guard:
            self._looked = (time.monotonic(), now)
        return now

    def _watch(self) -> None:
        """Begin to look after what was sent and has nobody to do it."""
        with self._guard:
            if self._watching:
                return
            self._watching = True
        threading.Thread(target=self._look_after, name="envbuild-dask", daemon=True).start()

    def _look_after(self) -> None:
        since: dict[tuple[str, tuple[str, ...]], float] = {}
        while not self._closed.wait(min(2.0, self._patience / 4)):
            with self._guard:
                sent = dict(self._sent)
            if self._client.status == "closed":  # it gave up; nobody would tell what was sent
                for future in sent:
                    future.cancel()
            if not sent:
                continue
            try:
                workers = self._workers()
            except Exception:  # noqa: S112  the scheduler is away: its client ends what was sent
                continue
            now = time.monotonic()
            lacking = {wanted for wanted in set(sent.values()) if place(workers, *wanted) is None}
            since = {wanted: since.get(wanted, now) for wanted in lacking}
            for future, wanted in sent.items():
                if now - since.get(wanted, now) >= self._patience:
                    what = " with ".join(filter(None, (wanted[0] or "any kind", ", ".join(wanted[1]))))
                    with self._guard:
                        self._deserted[future] = f"{self._address} has lost its last worker of {what}"
                    future.cancel()


def _call_off(theirs: Any, ours: Future[Any]) -> None:
    """Tell Dask that nobody wants a result any more, unless it was Dask that said so."""
    if ours.cancelled() and not theirs.cancelled():
        with suppress(Exception):  # the scheduler may be gone, and then there is nothing to tell
            theirs.cancel()


async def _pass_on(theirs: Any, ours: Future[Any]) -> None:
    """Let a future of ours end as one of Dask's does, whatever happens on the way.

    Dask's own ``get_executor`` leaves its futures waiting for ever when a scheduler dies while a result is fetched.
    """
    try:
        value = await theirs
    except BaseException as error:  # the loop goes on, and who waits is told
        if theirs.cancelled():
            ours.cancel()
            ours.set_running_or_notify_cancel()
        elif ours.set_running_or_notify_cancel():
            ours.set_exception(error)
    else:
        if ours.set_running_or_notify_cancel():
            ours.set_result(value)


def open_dask(address: str, *, patience: float = PATIENCE) -> DaskExecutor:
    """Connect to a scheduler, or start one with workers over SSH.

    Args:
        address: ``dask://host:port``, ``dask+tls://host:port``, or ``ssh://[user@]host[:port][,…][/path/of/python]``.
        patience: Seconds that workers are waited for.

    Raises:
        UsageError: ``missing-extra``; UnreachableError: ``no-scheduler``, ``no-builder``.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            f"{address} needs Dask", reference="missing-extra", hint="pip install 'envbuild[dask]'"
        ) from error
    _be_quiet()
    cluster = None
    if address.startswith("ssh://"):
        from envbuild.executors.dask_ssh import start_cluster

        cluster = start_cluster(address)
    try:
        client = distributed.Client(  # type: ignore[no-untyped-call]
            cluster if cluster is not None else _of_dask(address), name="envbuild", set_as_default=False
        )
    except EnvbuildError:
        raise
    except Exception as error:  # Dask raises what its transports raise: OSError, TypeError of missing certificates
        if cluster is not None:
            cluster.close()  # what was started over there ends, too
        said = f"{error}".strip().splitlines()
        uncertified = "ssl_context" in f"{error}"
        raise UnreachableError(
            f"no scheduler answers at {address}: {said[0] if said else type(error).__name__}",
            reference="no-scheduler",
            hint="name the certificates in Dask's settings: distributed.comm.tls.ca-file, .client.cert and .client.key"
            if uncertified
            else "start one: dask scheduler; or `--executor local`",
            retryable=not uncertified,
        ) from _first(error)
    return DaskExecutor(
        client, address=address, patience=patience, owned=(client,) if cluster is None else (client, cluster)
    )


def _first(error: BaseException) -> BaseException:
    """What an error began with: what lies between are Dask's objects by their addresses in memory."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _of_dask(address: str) -> str:
    """The address as Dask writes it."""
    scheme, _, rest = address.partition("://")
    port = "" if re.search(r":\d+$", rest) else ":8786"
    return f"{'tls' if scheme in {'dask+tls', 'tls'} else 'tcp'}://{rest}{port}"


def _be_quiet() -> None:
    """Dask logs to stderr, and warns of versions of libraries that nothing here depends on; we say what is wrong."""
    import logging

    from distributed.versions import VersionMismatchWarning

    for name in ("distributed", "distributed.client", "distributed.core", "asyncssh"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
