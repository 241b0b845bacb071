"""Solves that are sent away: which may be, and what of them is sent.

A solve goes far only when its answer is the same there: where its result may be shared at all (``Solve.purity``: with a
cut-off, and of nothing that changes under its name), and all that it asks is on servers. What a recipe's words for
channels and indices mean is never sent: a worker puts the addresses there that they have by its own configuration. Is
the key another one then, it would have answered another question, and says so.

Rules of the file: looks at values; who sends and who works are ``far_work`` and ``far_job``.
"""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.derivations.solve import Solve
from envbuild.errors import UsageError
from envbuild.locks.lock_graph import addressed
from envbuild.machine.shared_work import travels
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.recipe import GitSource, PathSource, UrlSource
from envbuild.value import replace
from envbuild.worker import Task


def may_go(solve: Solve) -> bool:
    """Whether the answer to a solve is the same on every machine that means the same addresses."""
    if not travels(solve) or not all(map(_on_a_server, _addresses(solve))):
        return False
    if solve.ecosystem == "conda":
        return True
    trees = (GitSource, PathSource)
    return not any(isinstance(item.source, trees) for item in solve.request.pypi) and not any(
        item.git or item.path for item in _packages(solve) if isinstance(item, SourcePackage)
    )


def bare(task: Task) -> Task:
    """A solve's task without what its words mean here; its job keeps the key."""
    solve = task.job.derivation
    assert isinstance(solve, Solve)
    unaddressed = replace(solve, channels=(), indices=(), one_pool=False)
    return Task(job=replace(task.job, derivation=unaddressed), inputs=task.inputs, derivations={})


def at_home(task: Task, addresses: Addresses) -> Task:
    """A bare task with what its words mean here.

    Raises:
        UsageError: ``other-addresses`` where that is not what whoever sent it means.
    """
    solve = task.job.derivation
    assert isinstance(solve, Solve)
    here = addressed(solve, addresses)
    if here.key != task.job.key:
        what = "channels" if solve.ecosystem == "conda" else "indices"
        raise UsageError(
            f"the {what} of {solve.label} have other addresses here",
            reference="other-addresses",
            hint="give worker and sender the same `channel-alias` and `index-url`",
        )
    return replace(task, job=replace(task.job, derivation=here))


def _addresses(solve: Solve) -> Iterator[str]:
    """Everything that is asked for by where it is."""
    request = solve.request
    if solve.ecosystem == "conda":
        yield from solve.channels
        yield from (item.url for item in request.conda if item.url is not None)
    else:
        yield from (item for item in solve.indices if item != DEFAULT_INDEX)
        yield from request.find_links
        yield from (item.source.url for item in request.pypi if isinstance(item.source, UrlSource))
    for package in _packages(solve):
        yield from (place for place in (package.url, _place(package)) if place is not None)


def _place(package: CondaPackage | Wheel | SourcePackage) -> str | None:
    """A folder or a page that a package was found in; names of channels and indices are no addresses."""
    if not isinstance(package, CondaPackage) and package.find_links is not None:
        return package.find_links
    named = package.channel if isinstance(package, CondaPackage) else package.index
    return named if named is not None and named.startswith((".", "/", "file:")) else None


def _packages(solve: Solve) -> Iterator[CondaPackage | Wheel | SourcePackage]:
    """What is pinned or preferred in a solve of its kind."""
    if solve.ecosystem == "conda":
        yield from (*solve.pins_conda, *solve.keep_conda)
        return
    yield from (*solve.pins_wheels, *solve.keep_wheels, *solve.pins_build, *solve.keep_build)
    yield from (*solve.pins_sources, *solve.keep_sources, *solve.pins_build_sources, *solve.keep_build_sources)


def _on_a_server(address: str) -> bool:
    return "://" in address and not address.startswith("file:")
