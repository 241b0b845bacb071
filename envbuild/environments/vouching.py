"""Believing what an environment's builds came to by one sha256: ``realize ID --closure SHA256``.

The user has the digest from somebody whom he believes: it came with a job's arguments, or stands in a file that is in
Git. One object proves the rest (``envbuild.store.outputs``), so no store has to be believed: its records count where
they say what that document says, and in no store does another one count for the same work.

It is the user's word, also with ``trust: strict``, for exactly these results: what is missing in all stores is built
here, or refused where nothing may be. What the home has counts as ever; where that is something else, it is said.

Rules of the file: a digest is never looked for, only held against; with none, nothing here is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from envbuild.derivations import Outputs
from envbuild.digest import Digest, parse_digest, short
from envbuild.errors import EnvbuildError, IntegrityError, InvalidInput, UnreachableError, UsageError
from envbuild.graph import Graph
from envbuild.store.outputs import (
    LARGEST_OUTPUTS,
    EnvironmentOutputs,
    agrees,
    environment_outputs,
    linked_results,
    outputs_name,
    outputs_to_bytes,
    parse_outputs,
)

if TYPE_CHECKING:
    from envbuild.environments.realized import Wanted
    from envbuild.lock import Lock, LockedEnvironment
    from envbuild.machine.workspace import Workspace


class Vouched:
    """Results that the user has vouched for.

    Args:
        workspace: Where they are used.
        wanted: The environment; ``graph``: its build graph.
        digest: What the user said.
        results: Outputs by key.
    """

    def __init__(
        self, workspace: Workspace, wanted: Wanted, graph: Graph, digest: Digest, results: Mapping[Digest, Outputs]
    ) -> None:
        self._workspace = workspace
        self._name = wanted.name
        self._graph = graph
        self._digest = digest
        self._results = results

    def compare(self) -> None:
        """After a run: say what is used here and is something else than was vouched for."""
        here = self._workspace.known(self._graph[key] for key in linked_results(self._graph))
        others = [
            self._graph[key].label
            for key, outputs in here.items()
            if (key in self._results and not agrees(outputs, self._results[key]))
            or (key not in self._results and self._graph[key].kind == "build-wheel")
        ]
        if others:
            more = f", and {len(others) - 1} more" if len(others) > 1 else ""
            self._workspace.note(
                f"{self._name} is not what the closure {short(self._digest)} says: {min(others)} is another one "
                f"here{more}"
            )


def outputs_here(workspace: Workspace, graph: Graph, environment: LockedEnvironment) -> EnvironmentOutputs | None:
    """What the results of an environment are at home; None while one is missing."""
    known = workspace.known(graph[key] for key in linked_results(graph))
    return environment_outputs(graph, environment.platform, environment.id, known)


def outputs_object(
    graph: Graph, lock: Lock, environment: LockedEnvironment, known: Mapping[Digest, Outputs]
) -> tuple[str, bytes] | None:
    """The object that says what an environment's builds came to, and its name; None where nothing is built.

    Args:
        graph: The environment's build graph.
        lock: Its lock.
        environment: Which.
        known: Outputs by key.
    """
    document = environment_outputs(graph, environment.platform, environment.id, known)
    if document is None or not document.results:
        return None
    digest, data = outputs_to_bytes(document)
    return outputs_name(environment.platform, lock.request, environment.id, digest), data


def vouch(workspace: Workspace, wanted: Sequence[tuple[Wanted, Graph]], closure: str) -> Vouched:
    """Believe the results of an environment that have this digest, whatever store gives them.

    Args:
        workspace: Its home has them already, or its stores are asked: one object, of the nearest store that has it.
        wanted: One environment and its build graph.
        closure: The digest as the user wrote it.

    Raises:
        UsageError: ``bad-hash``; or for several environments.
        IntegrityError: ``wrong-closure`` when what a store has is something else, ``unknown-closure`` when none has it.
        UnreachableError: ``unknown-closure`` when none that answers has it.
    """
    try:
        digest = parse_digest(closure)
    except InvalidInput as error:
        raise UsageError(f"--closure: {error.message}", reference=error.reference) from None
    if len(wanted) != 1:
        raise UsageError("--closure is the digest of one environment")
    ((item, graph),) = wanted
    here = outputs_here(workspace, graph, item.environment)
    if here is None or outputs_to_bytes(here)[0] != digest:
        here = _of_stores(workspace, item, digest)
    results = {key: outputs for _, key, outputs in here.results if key in graph}
    if workspace.shared is not None:
        workspace.shared.layers.vouch(results)
    return Vouched(workspace, item, graph, digest, results)


def _of_stores(workspace: Workspace, wanted: Wanted, digest: Digest) -> EnvironmentOutputs:
    environment = wanted.environment
    name = outputs_name(environment.platform, wanted.lock.request, environment.id, digest)
    layers = workspace.shared.layers.layers if workspace.shared is not None else ()
    problem: EnvbuildError | None = None
    for layer in layers:
        data = layer.document(name, LARGEST_OUTPUTS)
        if data is None:
            continue
        try:
            return parse_outputs(data, digest, environment.platform, environment.id)
        except IntegrityError as error:
            problem = problem or IntegrityError(
                f"the closure {short(digest)} of {wanted.name} in the store {layer.name} {error.message}",
                reference=error.reference,
                hint="whoever may write there types: envbuild verify --store STORE --repair",
            )
    if problem is not None:
        raise problem
    what = f"the closure {short(digest)} of {wanted.name} ({short(environment.id)})"
    hint = "whoever realized it types `envbuild push SOURCE`: it prints the digest, and sends what it stands for"
    if not layers or any(layer.gone for layer in layers):
        raise UnreachableError(
            f"no store that answers has {what}" if layers else f"there is no store to ask for {what}",
            reference="unknown-closure",
            hint="name a store under `stores:` or with --store ADDRESS" if not layers else hint,
            retryable=bool(layers),
        )
    raise IntegrityError(f"no store here has {what}", reference="unknown-closure", hint=hint)
