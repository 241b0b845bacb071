"""Where advisories are asked for: OSV's service, or its database as a file for machines that reach no service.

A service is told names and versions of packages on PyPI, nothing else. A file is what OSV offers for download: a zip
of one JSON document for each advisory, or a folder of them.

Rules of the file: asks and reads; what is found is judged again by the advisory's own ranges.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from envbuild.errors import InvalidInput, UnreachableError, Where
from envbuild.review.advisories import ECOSYSTEM, Advisory, read_advisory

SERVICE = "https://api.osv.dev"
BATCH = 1000
"""Packages that one question may hold, by the service's own limit."""
PARALLEL = 12
LARGEST = 16 << 20
"""Bytes of one answer or document, at most."""
MOST_PAGES = 100
"""Pages of one package's advisories, at most."""

Asked = tuple[str, str]
"""A normalized project and a version."""


class Read(Protocol):
    """How a service is asked: ``Downloader.read``."""

    def __call__(self, urls: Sequence[str], *, limit: int, accept: str, data: bytes | None) -> bytes | None: ...  # noqa: D102  the class says it


def from_service(address: str, asked: Sequence[Asked], read: Read) -> list[Advisory]:
    """What a service knows of packages.

    Raises:
        UnreachableError: When it does not answer; ``bad-answer`` when it answers something else.
    """
    base = address.rstrip("/")
    ids: dict[str, None] = {}
    queries = [{"package": {"name": name, "ecosystem": ECOSYSTEM}, "version": version} for name, version in asked]
    for start in range(0, len(queries), BATCH):
        for one in _batch(base, queries[start : start + BATCH], read):
            ids[one] = None

    def details(identity: str) -> Advisory | None:
        url = f"{base}/v1/vulns/{identity}"
        data = read((url,), limit=LARGEST, accept="application/json", data=None)
        return None if data is None else read_advisory(_parsed(data, url), url)

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        return [item for item in pool.map(details, ids) if item is not None]


def _batch(base: str, queries: list[dict[str, Any]], read: Read) -> Iterator[str]:
    url = f"{base}/v1/querybatch"
    for _ in range(MOST_PAGES):
        data = read((url,), limit=LARGEST, accept="application/json", data=json.dumps({"queries": queries}).encode())
        if data is None:
            raise UnreachableError(f"{url} is not there", reference="not-found", hint="--database names the service")
        further = []
        try:
            for query, result in zip(queries, _parsed(data, url)["results"], strict=True):
                yield from (_safe(item["id"]) for item in result.get("vulns") or ())
                if token := result.get("next_page_token"):
                    further.append({**query, "page_token": token})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UnreachableError(f"{url} answers something that is not OSV's", reference="bad-answer") from error
        if not further:
            return
        queries = further


def _safe(identity: Any) -> str:
    """An id that can stand in an address as it is."""
    if not isinstance(identity, str) or not identity.replace("-", "").replace(":", "").replace(".", "").isalnum():
        raise ValueError(identity)
    return identity


def from_file(path: Path, projects: Iterable[str]) -> list[Advisory]:
    """What a database in a zip, a folder or one JSON file knows of projects.

    Raises:
        InvalidInput: ``missing-file``; ``bad-advisory``; ``bad-database`` when it is no zip, or knows nothing of PyPI:
            of that nobody learns what is known.
    """
    wanted = frozenset(projects)
    found, known = [], False
    for place, read in _documents(path):
        data = read()
        if ECOSYSTEM.encode() not in data:
            continue
        known = True
        advisory = read_advisory(_parsed(data, place), place)
        if advisory is not None and any(item.project in wanted for item in advisory.affected):
            found.append(advisory)
    if not known:
        raise InvalidInput(
            f"it holds no advisory of {ECOSYSTEM}",
            reference="bad-database",
            where=Where(file=str(path)),
            hint=f"OSV offers {ECOSYSTEM}/all.zip for download",
        )
    return found


def _documents(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield str(file), file.read_bytes
    elif path.suffix == ".json" and path.is_file():
        yield str(path), path.read_bytes
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                for item in archive.infolist():
                    if not item.filename.endswith(".json"):
                        continue
                    if item.file_size > LARGEST:
                        raise InvalidInput(
                            f"{item.filename[:80]!r} in it has {item.file_size} bytes",
                            reference="bad-database",
                            where=Where(file=str(path)),
                        )
                    yield f"{path}: {item.filename}", lambda name=item: archive.read(name)  # type: ignore[misc]
        except FileNotFoundError:
            raise InvalidInput(
                "there is no such database",
                reference="missing-file",
                where=Where(file=str(path)),
                hint=f"--database takes a zip or folder of OSV's documents, or a service such as {SERVICE}",
            ) from None
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise InvalidInput(
                f"this is no zip that can be read: {error}", reference="bad-database", where=Where(file=str(path))
            ) from error


def _parsed(data: bytes, place: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("this is no JSON", reference="bad-advisory", where=Where(file=place)) from error
    if not isinstance(found, dict):
        raise InvalidInput("this is no JSON object", reference="bad-advisory", where=Where(file=place))
    return found
