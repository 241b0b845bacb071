"""A job far away: done by ``envbuild.worker`` in the worker's own home, and handed over through the shared store.

What is sent is an envelope of plain words and one pickled ``Task``: a derivation with what it may know of its inputs,
and the store's address. Where packages come from, credentials, proxies, locks and folders are the worker's own
configuration; nothing of the sender's travels. What goes back is a ``FarDone``: names, digests, sizes, times and notes.
The bytes are in the store by then, before anybody is told of them.

Rules of the file: opens what a job needs and closes it; what keeps the worker from it is one sentence.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild import worker
from envbuild.derivations import Derivation
from envbuild.errors import EnvbuildError, UnreachableError, UsageError
from envbuild.store import Result
from envbuild.value import dataclass, replace
from envbuild.version import __version__
from envbuild.worker import Done, Task

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace
    from envbuild.store.layer import Layer

Envelope = tuple[str, str, bool, bytes]
"""envbuild's version, the store's address, whether its records count, and the pickled task."""

_FIRST_COUNTS = frozenset({"build-wheel", "bytecode", "solve"})
"""Kinds of which somebody else's record that was faster is taken instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarDone:
    """What a job far away leaves behind.

    Attributes:
        done: As of any job.
        result: The record that names its outputs, which the store has; None for a fetch.
        notes: What the worker had to say about itself.
    """

    done: Done
    result: Result | None
    notes: tuple[str, ...] = ()


def envelope(task: Task, store: str, *, believed: bool) -> Envelope:
    """A task, ready to be sent.

    Args:
        task: Which.
        store: The address at which sender and worker find the same store.
        believed: Whether what is recorded there counts.
    """
    return __version__, store, believed, pickle.dumps(task)


def run_envelope(envelope: Envelope) -> FarDone:
    """Do what is in an envelope, in this process's own home.

    Raises:
        UsageError: ``other-version``; ``other-addresses`` for a solve that would be another one here.
        UnreachableError: ``no-store-here``.
        EnvbuildError: As ``envbuild.worker.run``.
    """
    version, url, believed, packed = envelope
    if version != __version__:
        raise UsageError(
            f"envbuild here is {__version__}, and who asks has {version}",
            reference="other-version",
            hint=f"install envbuild[dask]=={version} there",
        )
    task: Task = pickle.loads(packed)  # noqa: S301  whoever may send functions here needs no pickle to run code
    notes: list[str] = []
    workspace, layer = _open(url, notes, believed=believed)
    with workspace:
        if task.job.derivation.kind == "solve":
            from envbuild.environments.far_solves import at_home

            task = at_home(task, workspace.addresses)
        done = worker.run(task, workspace, workspace.store.results)
        workspace.settle()
        return _handed_over(task.job.derivation, done, workspace, layer, notes)


def _open(url: str, notes: list[str], *, believed: bool) -> tuple[Workspace, Layer]:
    """The worker's home and the store that hands over, as this machine's own configuration reaches them."""
    from envbuild.environments.opening import open_workspace
    from envbuild.environments.stores import ChosenStore, OpenStores, open_layers, read_url
    from envbuild.projects.config import load_config

    root = Path("/")  # a worker has no project: what lies in the folder that it was started in is none of its business
    environ = os.environ
    config = load_config(root, environ)
    url, address = read_url(url, root)
    chosen = ChosenStore(
        name=address.shown,
        url=url,
        address=address,
        mode="read-write",
        believed=believed,
        written=True,
        signed=not believed and bool(config.trust.keys),
    )
    opened = OpenStores(config, environ, notes.append)
    try:
        if opened.store(chosen).use() != "write":
            raise UnreachableError("it may not be written by this version", reference="store-format")
        layers = open_layers((chosen,), opened, config, environ, offline=False, note=notes.append, root=root)
    except EnvbuildError as error:
        raise _no_store(address.shown, error.message) from error
    assert layers is not None
    return open_workspace(config, root, environ, note=notes.append, shared=layers), layers.layers[0]


def _handed_over(derivation: Derivation, done: Done, workspace: Workspace, layer: Layer, notes: list[str]) -> FarDone:
    """See that the store has all of it: what the home had already was never sent."""
    result = None
    if derivation.kind != "fetch":
        result = workspace.store.results.get(derivation.kind, derivation.key)
    outputs = dict(done.outputs) if result is None else dict(result.outputs)
    if not layer.deliver(workspace.blobs.path, [item.sha256 for item in outputs.values()], result, sign=True):
        raise _no_store(layer.name, notes[-1] if notes else f"{derivation.label} could not be put there")
    if result is not None and derivation.kind in _FIRST_COUNTS:
        first = layer.winner(result)
        if dict(first.outputs).keys() == outputs.keys():
            result, outputs = first, dict(first.outputs)
    return FarDone(
        done=replace(done, outputs=tuple(sorted(outputs.items()))), result=result, notes=tuple(dict.fromkeys(notes))
    )


def _no_store(name: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"the store {name} cannot be used here: {reason}",
        reference="no-store-here",
        hint="mount it there at the same address, or give the worker what opens it (docs/scaling.md)",
        retryable=True,
    )
