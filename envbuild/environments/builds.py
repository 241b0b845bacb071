"""Builds of this machine by the name of what was built, or by their key: what they were, and what they printed.

A build that succeeded is a record in the store with its log; which package it was says the closure of an environment
that has it. A build that failed left its log in the home, whose first line names it.

Rules of the file: reads only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from envbuild.compile import build_graph
from envbuild.derivations.build_wheel import BuildWheel
from envbuild.derivations.transmute import FORMATS
from envbuild.digest import Digest
from envbuild.errors import UsageError
from envbuild.graph import Graph
from envbuild.lock import Lock
from envbuild.package import Platform, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.store import Result
from envbuild.store.environments import closures
from envbuild.store.folder import FolderStore
from envbuild.value import dataclass

_KEY = pattern(r"[0-9a-f]{7,64}")
_FAILED = pattern(r"# (.+) (\S+): failed, (\S+)\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLog:
    """What a build printed.

    Attributes:
        state: ``failed`` tells of the last try of a build, or of a test, that never succeeded; ``passed`` of a test.
        when: RFC 3339 UTC.
        milliseconds: How long it took; None for one that failed.
        record: What the build told of itself: file, tags, compiler and so on; empty for one that failed.
        text: All that it printed, as it was printed.
    """

    name: str
    version: str
    key: Digest
    state: Literal["built", "failed", "passed"]
    when: str
    milliseconds: int | None
    record: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A build that was recorded, in the graph that has all its inputs."""

    build: BuildWheel
    graph: Graph
    result: Result


def known_builds(store: FolderStore, wanted: str, platform: Platform, lock: Lock | None = None) -> tuple[Known, ...]:
    """The builds of a package that were recorded, the newest first.

    Args:
        store: Of this machine.
        wanted: A package's name, or 7 digits or more of a build's key.
        platform: Whose environments count.
        lock: Only builds of this one; None for every environment that the store tells of.
    """
    found: dict[Digest, Known] = {}
    for build, graph in _builds(store, platform, lock):
        if build.key not in found and _is_meant(wanted, build.package.name, build.key):
            result = store.results.get(build.kind, build.key)
            if result is not None:
                found[build.key] = Known(build=build, graph=graph, result=result)
    return tuple(sorted(found.values(), key=lambda item: item.result.created, reverse=True))


def _builds(store: FolderStore, platform: Platform, lock: Lock | None) -> Iterator[tuple[BuildWheel, Graph]]:
    """Every build that locks tell of, in whichever format conda packages were linked."""
    for each in (lock,) if lock is not None else (lock for _, lock in closures(store.path)):
        for environment in each.platforms:
            if environment.platform == platform and environment.sources:
                for conda_format in ("keep", *FORMATS):
                    graph = build_graph(each, environment, conda_format=conda_format)
                    yield from ((item, graph) for item in graph if isinstance(item, BuildWheel))


def _is_meant(wanted: str, name: str, key: str) -> bool:
    return normalize_pypi_name(wanted) == name or bool(_KEY.fullmatch(wanted) and key.startswith(wanted))


def build_log(store: FolderStore, logs: Path, wanted: str, platform: Platform, lock: Lock | None) -> BuildLog:
    """The log of the newest build of a package.

    Args:
        store: Of this machine.
        logs: The folder with logs of builds that failed.
        wanted: A package's name, or 7 digits or more of a build's key.
        platform: Whose environments count.
        lock: Only builds of this one; None for every one.

    Raises:
        UsageError: ``no-log`` when nothing of that name was built here, or its log is gone.
    """
    found = [
        log
        for known in known_builds(store, wanted, platform, lock)[:1]
        if (log := _of_record(store, known)) is not None
    ]
    found += _passed(store, wanted) if lock is None else []
    keys = None if lock is None else {build.key for build, _ in _builds(store, platform, lock)}
    found += [log for log in _failed(logs, wanted) if keys is None or log.key in keys]
    if not found:
        raise UsageError(
            f"there is no log of a build of {wanted} on this machine" + ("" if lock is None else " for that lock"),
            reference="no-log",
            hint="envbuild realize builds what a lock has as a source; `envbuild show` tells what that is"
            if lock is None
            else f"without the recipe it is the newest of all: envbuild log {wanted}",
        )
    return max(found, key=lambda log: log.when)


def _of_record(store: FolderStore, known: Known) -> BuildLog | None:
    outputs = dict(known.result.outputs)
    texts = {}
    for name in ("log", "record"):
        path = store.blobs.path(outputs[name].sha256) if name in outputs else None
        if path is None:
            return None
        texts[name] = path.read_text("utf-8", "replace")
    record: dict[str, Any] = {}
    with suppress(ValueError):
        record = json.loads(texts["record"])
    return BuildLog(
        name=known.build.package.name,
        version=known.build.package.version,
        key=known.build.key,
        state="built",
        when=known.result.created,
        milliseconds=known.result.milliseconds,
        record=record,
        text=texts["log"],
    )


def _passed(store: FolderStore, wanted: str) -> Iterator[BuildLog]:
    """Tests that passed, by their keys: which environment it was, no record tells."""
    for key in store.results.list("test") if _KEY.fullmatch(wanted) else ():
        result = store.results.get("test", key) if key.startswith(wanted) else None
        path = store.blobs.path(dict(result.outputs)["log"].sha256) if result is not None else None
        if result is not None and path is not None:
            yield BuildLog(
                name="test",
                version=f"({result.platform})",
                key=key,
                state="passed",
                when=result.created,
                milliseconds=result.milliseconds,
                record={},
                text=path.read_text("utf-8", "replace"),
            )


def _failed(logs: Path, wanted: str) -> Iterator[BuildLog]:
    for path in sorted(logs.glob("*.log")):
        with suppress(OSError), path.open(encoding="utf-8", errors="replace", newline="\n") as stream:
            title = _FAILED.fullmatch(stream.readline(1000))
            if title and _is_meant(wanted, title[1], path.stem):
                yield BuildLog(
                    name=title[1],
                    version=title[2],
                    key=Digest(path.stem),
                    state="failed",
                    when=title[3],
                    milliseconds=None,
                    record={},
                    text=stream.read(),
                )


def one_build(store: FolderStore, wanted: str, platform: Platform) -> Known:
    """The newest build of a package that was recorded.

    Raises:
        UsageError: ``no-build`` when there is none.
    """
    found = known_builds(store, wanted, platform)
    if not found:
        raise UsageError(
            f"nothing that is called {wanted} was built from source on this machine",
            reference="no-build",
            hint="`envbuild show RECIPE` tells which packages are built from source",
        )
    return found[0]
