"""Verifying one environment in a shared store: all that it can be made of, and whether it is whole there.

A conda package may be linked as it is or in another format, so either makes it whole; of a source it is the build's
record and its outputs. What only leads to these is verified when it is there, and not missed.

Rules of the file: asks for objects by name and lists nothing, so that a web server can be verified too.
"""

from __future__ import annotations

from envbuild.compile import build_graph
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link
from envbuild.derivations.transmute import FORMATS
from envbuild.digest import Digest
from envbuild.lock import Lock, LockedEnvironment
from envbuild.store.findings import Finding
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.parallel import in_parallel
from envbuild.store.verify_objects import THREADS, ObjectChecks


def verify_environment(check: ObjectChecks, lock: Lock, environment: LockedEnvironment) -> None:
    """Verify what a store has of an environment, and tell what it lacks.

    Args:
        check: The verification of that store, which counts and tells.
        lock: The environment's lock; ``environment`` one platform of it.
        environment: Which.

    Raises:
        UnreachableError: When the store does not answer.
    """
    check.closure(environment.platform, lock.request, environment.id)
    graphs = [build_graph(lock, environment, conda_format=conda_format) for conda_format in (*FORMATS, "keep")]
    work = {item.key: item for graph in graphs for item in graph if item.kind != "link"}
    files = {item.sha256 for item in work.values() if isinstance(item, Fetch)}
    records = {key: item.kind for key, item in work.items() if not isinstance(item, Fetch)}
    named = check.store.sizes([*map(blob_name, files), *(result_name(kind, key) for key, kind in records.items())])
    results = check.results([(kind, key) for key, kind in records.items() if result_name(kind, key) in named])
    made = {output.sha256 for result in results for _, output in result.outputs}
    wanted = made | {digest for digest in files if blob_name(digest) in named}
    right = dict(in_parallel(lambda digest: (digest, check.blob(digest)), sorted(wanted), THREADS))
    whole = {digest for digest in files if right.get(digest)}
    done = {result.key for result in results if all(right[output.sha256] for _, output in result.outputs)}
    packages: dict[int, list[Digest]] = {}
    for graph in graphs:
        link = graph[graph.targets[0]]
        assert isinstance(link, Link)
        for place, item in enumerate(link.packages):
            packages.setdefault(place, []).append(item.key)
    for keys in packages.values():
        derivations = [work[key] for key in keys]
        if any(item.sha256 in whole if isinstance(item, Fetch) else item.key in done for item in derivations):
            continue
        first = next((item for item in derivations if isinstance(item, Fetch)), derivations[0])
        if isinstance(first, Fetch) and right.get(first.sha256) is False:
            continue  # it is there, and wrong: that was said
        if isinstance(first, Fetch) and check.unreadable(blob_name(first.sha256)):
            continue
        check.found(
            Finding(
                name=closure_name(environment.platform, lock.request, environment.id),
                problem="absent-package",
                message=f"needs {first.label}, which is not there",
                todo="whoever realizes it with this store sends it, or envbuild push",
                digest=first.sha256 if isinstance(first, Fetch) else None,
            )
        )
