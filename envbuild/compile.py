"""Compile: a lock becomes the build graph.

One ``fetch`` for each conda package, wheel and interpreter archive, and one ``link`` that reads them all and is the
target. Every key is computed here, offline, from the lock alone, so the plan knows what is done before anything runs.

Rules of the file: pure; no store, no file, no address of this machine. Kinds are used as values only.
"""

from __future__ import annotations

from envbuild.derivations import PackageInput
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.link import Link
from envbuild.graph import Graph
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, InterpreterArchive, Wheel


def build_graph(lock: Lock, environment: LockedEnvironment, *, name: str = "environment") -> Graph:
    """The graph whose one target is the environment's prefix.

    Args:
        lock: The whole lock; it knows the addresses of the indices that wheels name.
        environment: One platform of it.
        name: What people call the environment; never part of a key.
    """
    packages = _packages(environment)
    fetches = tuple(_fetch(lock, package) for package in packages)
    link = Link(
        platform=environment.platform,
        python=environment.python,
        interpreter=environment.interpreter,
        packages=tuple(
            PackageInput(key=fetch.key, package=package) for fetch, package in zip(fetches, packages, strict=True)
        ),
        variables=environment.variables,
        system=environment.system,
        name=name,
    )
    return Graph((*fetches, link), (link.key,))


def _packages(environment: LockedEnvironment) -> tuple[CondaPackage | InterpreterArchive | Wheel, ...]:
    """Conda packages first, then the interpreter, then wheels: the order in which they are linked."""
    archive = () if environment.archive is None else (environment.archive,)
    return (*environment.conda, *archive, *environment.wheels)


def _fetch(lock: Lock, package: CondaPackage | InterpreterArchive | Wheel) -> Fetch:
    origin = lock.wheel_origin(package) if isinstance(package, Wheel) else package.origin
    name = package.implementation if isinstance(package, InterpreterArchive) else package.name
    return Fetch(
        sha256=package.sha256,
        file=package.file,
        size=package.size,
        origin=origin,
        title=f"{name} {package.version}",
    )
