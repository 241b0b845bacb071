"""Verifying everything that is kept: the bytes of the store, and each prefix against the packages that it came from.

A prefix is checked by linking its packages again, with empty engine caches, and comparing both trees: nothing that the
damage could have reached is trusted. Which packages those are says the environment's closure in the store.

Rules of the file: finds and mends; says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from envbuild import worker
from envbuild.compile import build_graph
from envbuild.derivations import HostPython, Output, Outputs
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link, prefix_name
from envbuild.derivations.transmute import FORMATS, Transmute
from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, UnsatisfiableError
from envbuild.graph import Graph
from envbuild.job import Job
from envbuild.linkers.verify import verify_prefix
from envbuild.machine.virtual import current_platform
from envbuild.machine.workspace import Workspace
from envbuild.store.environments import closures
from envbuild.store.verify import drop, verify_store
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as it should be.

    Attributes:
        place: The blob, record or file.
        problem: A few words or a sentence.
        environment: The environment whose prefix it is in; None for the store's own.
    """

    place: str
    problem: str
    environment: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was checked and what was found.

    Attributes:
        blobs: How many were hashed, ``bytes`` in all.
        prefixes: How many were linked again and compared.
        unchecked: Prefixes that no record explains, or whose packages or builds could not be had; each with the reason.
        repaired: Whether everything found was mended.
    """

    blobs: int
    bytes: int
    prefixes: int
    findings: tuple[Damage, ...]
    unchecked: tuple[str, ...]
    repaired: bool

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.findings


def verify(workspace: Workspace, *, repair: bool) -> Verified:
    """Check every blob, record and prefix of a home.

    Args:
        workspace: Its workspace.
        repair: Drop what is damaged in the store and bring it again, put a good tree in the place of a damaged prefix.

    Raises:
        UnreachableError: With ``repair``, when a package cannot be brought again.
    """
    with workspace:
        report = verify_store(workspace.store)
        findings = [Damage(place=str(item.path), problem=item.message) for item in report.findings]
        damaged = {item.digest for item in report.findings if item.digest is not None}
        if repair:
            drop(workspace.store, report)
            for digest in sorted(damaged):
                workspace.bring(digest, None, digest)  # what shared stores have need not be done again
        checked = 0
        unchecked = []
        explained: set[Path] = set()
        for link, graph in _links(workspace):
            try:
                host = _host(link, workspace)
            except UnsatisfiableError:
                continue  # its prefix is named after a Python that is gone: it stays unexplained
            prefix = workspace.prefix(prefix_name(link, host))
            if prefix in explained or not prefix.is_dir():
                continue
            explained.add(prefix)
            inputs = _inputs(link, graph, workspace, repair=repair)
            if isinstance(inputs, str):
                unchecked.append(f"{prefix}: {inputs}")
                continue
            bad = damaged & {outputs["out"].sha256 for outputs in inputs.values()}
            if bad and not repair:
                unchecked.append(f"{prefix}: its packages are damaged ({', '.join(map(short, sorted(bad)))})")
                continue
            checked += 1
            findings += _prefix_findings(link, graph, inputs, prefix, host, workspace, repair=repair)
        unchecked += [
            f"{path}: no record says what it should hold"
            for path in sorted(workspace.home.prefixes.iterdir())
            if path.is_dir() and path not in explained
        ]
    return Verified(
        blobs=report.blobs,
        bytes=report.size,
        prefixes=checked,
        findings=tuple(findings),
        unchecked=tuple(unchecked),
        repaired=repair,
    )


def _links(workspace: Workspace) -> Iterator[tuple[Link, Graph]]:
    here = current_platform()
    for _, lock in closures(workspace.home.store):
        for environment in lock.platforms:
            if environment.platform == here:
                for conda_format in (*FORMATS, "keep"):  # whatever the configuration said when it was made
                    graph = build_graph(lock, environment, conda_format=conda_format)
                    link = graph[graph.targets[0]]
                    assert isinstance(link, Link)
                    yield link, graph


def _host(link: Link, workspace: Workspace) -> HostPython | None:
    return workspace.host_python(link.python) if link.interpreter == "host" and link.python else None


def _inputs(link: Link, graph: Graph, workspace: Workspace, *, repair: bool) -> dict[Digest, Outputs] | str:
    """What the link's inputs gave: of a fetch the lock tells it, of other work its record; else why it is not known.

    A repair transmutes a package anew whose bytes are gone.
    """
    found: dict[Digest, Outputs] = {}
    for key in link.inputs:
        derivation = graph[key]
        if isinstance(derivation, Fetch):
            found[key] = {"out": Output(sha256=derivation.sha256, size=derivation.size or 0)}
            continue
        known = workspace.known((derivation,))
        if key not in known and repair and isinstance(derivation, Transmute):
            known = {key: _transmuted(derivation, graph, workspace)}
        if key not in known:
            what = "built" if derivation.kind == "build-wheel" else "made"
            return f"what was {what} for {derivation.label} is not in the store any more"
        found[key] = known[key]
    return found


def _transmuted(derivation: Transmute, graph: Graph, workspace: Workspace) -> Outputs:
    fetch = graph[derivation.input]
    assert isinstance(fetch, Fetch)
    task = worker.Task(
        job=Job(key=derivation.key, derivation=derivation),
        inputs={fetch.key: {"out": Output(sha256=fetch.sha256, size=fetch.size or 0)}},
        derivations={fetch.key: fetch},
    )
    return dict(worker.run(task, workspace, workspace.store.results).outputs)


def _prefix_findings(
    link: Link,
    graph: Graph,
    inputs: dict[Digest, Outputs],
    prefix: Path,
    host: HostPython | None,
    workspace: Workspace,
    *,
    repair: bool,
) -> list[Damage]:
    context = workspace.for_job(link, inputs, {key: graph[key] for key in graph.inputs(link.key)})
    try:
        found = verify_prefix(link, prefix, host, context, repair=repair)
    except EnvbuildError as error:
        if repair:
            raise
        return [Damage(place=str(prefix), problem=f"could not be checked: {error.message}", environment=link.key)]
    return [
        Damage(place=str(prefix / item.path), problem=f"{item.problem} in its environment", environment=link.key)
        for item in found
    ]
