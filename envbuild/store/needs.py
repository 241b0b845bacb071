"""What an environment needs of a shared store: every file and every record that its build graph can ask for.

Which format conda packages are linked in is a setting of each machine, so the graphs of all of them count. What records
name (the bytes of what was transmuted and built, logs) stands in the records alone: whoever wants it reads them.

Rules of the file: pure; no store is asked.
"""

from __future__ import annotations

from functools import lru_cache

from envbuild.compile import build_graph
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.transmute import FORMATS, Transmute, name_in
from envbuild.digest import Digest
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import UrlOrigin
from envbuild.store.object_names import blob_name, result_name
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an environment needs.

    Attributes:
        blobs: Files, as the lock knows them; results: records, by kind and key.
    """

    blobs: frozenset[Digest]
    results: frozenset[tuple[str, Digest]]

    def names(self) -> list[str]:
        """The objects."""
        return [*map(blob_name, self.blobs), *(result_name(*item) for item in self.results)]


def needs_of(lock: Lock, environment: LockedEnvironment) -> Needs:
    """What an environment needs, whatever the settings of whoever realizes it.

    Args:
        lock: Its lock.
        environment: One platform of it.

    Raises:
        InvalidInput: As ``build_graph``.
    """
    blobs: set[Digest] = set()
    results: set[tuple[str, Digest]] = set()
    if environment.sources or environment.bytecode:  # what a build reads is in its key
        for conda_format in (*FORMATS, "keep"):
            for item in build_graph(lock, environment, conda_format=conda_format):
                if isinstance(item, Fetch):
                    blobs.add(item.sha256)
                elif item.kind != "link":  # a view, made on each machine
                    results.add((item.kind, item.key))
        return Needs(blobs=frozenset(blobs), results=frozenset(results))
    for package in environment.conda:
        blobs.add(package.sha256)
        results.update(("transmute", key) for key in _transmutes(package.sha256, package.file))
    blobs.update(wheel.sha256 for wheel in environment.wheels)
    if environment.archive is not None:
        blobs.add(environment.archive.sha256)
    return Needs(blobs=frozenset(blobs), results=frozenset(results))


@lru_cache(maxsize=1 << 16)
def _transmutes(sha256: Digest, file: str) -> tuple[Digest, ...]:
    """The keys of a conda package in its other formats; environments share most of their packages."""
    fetch = Fetch(sha256=sha256, file=file, origin=UrlOrigin(url="https://nowhere.invalid/", file=file))
    found = []
    for conda_format, level in FORMATS.items():
        name = name_in(file, conda_format)
        if name is not None:
            found.append(Transmute(input=fetch.key, file=name, level=level).key)
    return tuple(found)
