"""Environments and shared stores: what of a graph is where, and how a whole environment gets into a store.

An environment's closure goes last, after every blob that a link reads and every record that says where it came from.
(A name may have brought the closure before, so its being there says nothing of the rest.)

Rules of the file: asks and sends through the workspace's layers; what a job did is sent by ``shared_work`` when it is
done, here only what is missing is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from envbuild.demand import demand
from envbuild.derivations import Outputs
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.graph import Graph
from envbuild.machine.shared_work import travels
from envbuild.store.located import Located
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.realized import Wanted
    from envbuild.lock import Lock, LockedEnvironment
    from envbuild.machine.workspace import Workspace
    from envbuild.store.layer import Layer

NOWHERE = Located()


def locate(
    workspace: Workspace, graph: Graph, known: Mapping[Digest, Outputs], closures: Sequence[str] = ()
) -> Located:
    """What of a graph is not at home, and is in shared stores. Where nothing has to be done, nobody is asked.

    Results and the files that a link reads are one question; files that only lead to results that nobody has are
    another.

    Args:
        workspace: Whose stores.
        graph: What is wanted.
        known: What the home has.
        closures: Names of closures that hold all files of the graph: a store that has them is taken to have all, and
            is not asked for each. Left out where the answer must be true.
    """
    if workspace.shared is None:
        return NOWHERE
    _, needed = demand(graph, known)
    results = {key for key in needed if graph[key].kind != "fetch" and travels(graph[key])}
    if not results and not any(graph[key].kind == "fetch" for key in needed):
        return NOWHERE
    layers = workspace.shared.layers
    first = _fetches(graph, demand(graph, known, results)[1])
    found = layers.ask(first.items(), [(graph[key].kind, key) for key in results], closures)
    if not results - found.results.keys():
        return found
    rest = _fetches(graph, demand(graph, known, found.results.keys())[1])
    more = layers.ask([item for item in rest.items() if item[0] not in first], ())
    return Located(blobs={**found.blobs, **more.blobs}, results=found.results)


def closure_of(wanted: Wanted) -> str:
    """The name of an environment's closure in a store."""
    from envbuild.store.object_names import closure_name

    return closure_name(wanted.environment.platform, wanted.lock.request, wanted.environment.id)


def _fetches(graph: Graph, keys: tuple[Digest, ...]) -> dict[Digest, int | None]:
    return {item.sha256: item.size for key in keys if isinstance(item := graph[key], Fetch)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a store lacked of an environment, and got.

    Attributes:
        blobs: How many it did not have; ``size``: their bytes.
        whole: Whether the environment, with its closure, is there now.
    """

    blobs: int = 0
    size: int = 0
    whole: bool = False


def send_environment(
    workspace: Workspace, lock: Lock, environment: LockedEnvironment, graph: Graph, *, did: Collection[str]
) -> None:
    """Have a realized environment, whole, in every store that is written; its closure goes last.

    Args:
        workspace: Where it was realized.
        lock: Its lock; ``environment`` one of its platforms.
        environment: Which.
        graph: Its build graph.
        did: Kinds of what was done here, and ``pull``. Where it was only linked, a store that was seen to have it
            lately is not asked. Where something had to be done although a store has the closure, that is looked at.
    """
    if workspace.shared is None or not workspace.shared.layers.written:
        return
    from envbuild.store.sent import note_sent, was_sent

    sent = workspace.home.sent
    layers = [
        layer
        for layer in workspace.shared.layers.written
        if not (set(did) == {"link"} and was_sent(sent, layer.store.url, environment.id))
    ]
    workspace.settle()
    if not layers or absent(workspace, graph):
        return
    for layer in layers:
        if workspace.cancelled.is_set():
            return
        look = not {"link", "pull"}.issuperset(did)
        if send_whole(workspace, layer, lock, environment, graph, look=look).whole:
            note_sent(sent, layer.store.url, environment.id)


def absent(workspace: Workspace, graph: Graph) -> tuple[str, ...]:
    """What of an environment's packages the home lacks, by label: it may be linked, and its packages collected."""
    keys = graph.inputs(graph.targets[0])
    known = workspace.known(graph[key] for key in keys)
    return tuple(graph[key].label for key in keys if key not in known)


def send_whole(
    workspace: Workspace,
    layer: Layer,
    lock: Lock,
    environment: LockedEnvironment,
    graph: Graph,
    *,
    renew: bool = False,
    sign: bool = False,
    look: bool = False,
) -> Sent:
    """Send to one store what it lacks of an environment that is whole here (``absent``), and then its closure.

    Args:
        workspace: Where it is whole.
        layer: The store.
        lock: Its lock; ``environment`` one of its platforms.
        environment: Which.
        graph: Its build graph.
        sign: Have its results signed, also those that are there already, where there is a key.
        renew: Where all of it is there already, keep a collection from taking what it has announced, and see whether
            its closure is right.
        look: See whether a closure that is there is right: one request.

    Raises:
        EnvbuildError: Where the layer is strict: what went wrong.
    """
    from envbuild.environments.vouching import outputs_object
    from envbuild.locks.lock_writing import closure_bytes
    from envbuild.store.object_names import blob_name, closure_name, result_name
    from envbuild.store.parallel import in_parallel

    if not layer.ready("write"):
        return Sent()
    known = workspace.known(item for item in graph if travels(item))
    blobs = {output.sha256: output.size for outputs in known.values() for output in outputs.values()}
    records = [result_name(graph[key].kind, key) for key in known if graph[key].kind != "fetch"]
    if sign:
        records += [name for key in known if (name := layer.signature_of(graph[key].kind, key)) is not None]
    closure = closure_name(environment.platform, lock.request, environment.id)
    outputs = outputs_object(graph, lock, environment, known)
    asked = [outputs[0]] if outputs is not None and renew else []  # else it goes with what is new there
    there = layer.has([*map(blob_name, blobs), *records, closure, *asked])
    missing = [size for digest, size in blobs.items() if blob_name(digest) not in there]

    def send(key: Digest) -> bool:
        derivation = graph[key]
        result = None if derivation.kind == "fetch" else workspace.store.results.get(derivation.kind, key)
        blobs = [output.sha256 for output in known[key].values()]
        return layer.deliver(workspace.blobs.path, blobs, result, sign=sign)

    whole = all(in_parallel(send, known, threads=24))
    if whole:
        new = closure not in there or layer.created(known)  # a name may have brought the closure before
        if outputs is not None and (new or (renew and outputs[0] not in there)):
            layer.put_outputs(*outputs)
        data = closure_bytes(lock, environment)
        if closure not in there:
            whole = layer.put_closure(lock, environment, data)
        else:
            if renew or look or layer.doubts(closure, len(data)):
                whole = layer.mend_closure(lock, environment, data)
            if renew:
                layer.renew(lock, environment, data)
    return Sent(blobs=len(missing), size=sum(missing), whole=whole)
