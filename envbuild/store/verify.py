"""Verifying a store in a folder: every blob is hashed, every record read; what is wrong is named, nothing is changed.

Rules of the file: reads only; who repairs drops a blob through ``drop`` and has it made or fetched again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envbuild.derivations import KINDS
from envbuild.digest import Digest, digest_file, short
from envbuild.pattern import pattern
from envbuild.store.folder import FolderStore
from envbuild.value import dataclass

_HEX64 = pattern(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: Where.
        problem: A kebab-case name: ``wrong-bytes``, ``symbolic-link``, ``misplaced``, ``unreadable``, ``bad-record``,
            ``missing-output``.
        message: One sentence.
        digest: The blob's name, when it is about a blob.
    """

    path: Path
    problem: str
    message: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What a verification found.

    Attributes:
        blobs: How many were hashed; so ``results`` were read.
        size: Bytes hashed.
    """

    blobs: int
    results: int
    size: int
    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[Digest, ...]:
        """Blobs that are not what their names say."""
        return tuple(finding.digest for finding in self.findings if finding.digest is not None)


def verify_store(
    store: FolderStore, *, jobs: int = 4, progress: Callable[[int, int | None], None] = lambda done, total: None
) -> StoreReport:
    """Hash every blob and read every record.

    Args:
        store: What to verify.
        jobs: Files hashed at a time.
        progress: Called with bytes hashed and bytes in all.
    """
    listed = list(store.blobs.list())
    total = sum(size for _, size, _ in listed)
    findings = list(_misplaced(store))
    done = 0
    with ThreadPoolExecutor(max_workers=jobs) as threads:
        checked = threads.map(lambda entry: _check(store.blobs.name(entry[0]), entry[0]), listed)
        for (_, size, _), finding in zip(listed, checked, strict=True):
            if finding is not None:
                findings.append(finding)
            done += size
            progress(done, total)
    results = 0
    for kind in KINDS:
        for key in store.results.list(kind):
            results += 1
            findings.extend(_check_record(store, kind, key))
    return StoreReport(blobs=len(listed), results=results, size=total, findings=tuple(findings))


def drop(store: FolderStore, report: StoreReport) -> None:
    """Take damaged blobs and unreadable records out of the store, so that they are made or fetched again.

    Raises:
        OSError: When the store cannot be written.
    """
    for finding in report.findings:
        if finding.problem in {"wrong-bytes", "symbolic-link", "unreadable", "bad-record", "missing-output"}:
            finding.path.unlink(missing_ok=True)


def _check(path: Path, digest: Digest) -> Finding | None:
    if path.is_symlink():
        return Finding(path=path, problem="symbolic-link", message=f"{path} is a symbolic link", digest=digest)
    try:
        found = digest_file(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        return Finding(path=path, problem="unreadable", message=message, digest=digest)
    if found == digest:
        return None
    message = f"blob {short(digest)} holds other bytes: expected sha256 {digest}, got {found}"
    return Finding(path=path, problem="wrong-bytes", message=message, digest=digest)


def _check_record(store: FolderStore, kind: str, key: Digest) -> Iterator[Finding]:
    path = store.results.name(kind, key)
    result = store.results.get(kind, key)
    if result is None:
        yield Finding(path=path, problem="bad-record", message=f"{path} is not a record of {kind} {short(key)}")
        return
    for name, output in result.outputs:
        if store.blobs.path(output.sha256) is None:
            message = f"{kind} {short(key)} has lost its output {name} ({short(output.sha256)})"
            yield Finding(path=path, problem="missing-output", message=message)


def _misplaced(store: FolderStore) -> Iterator[Finding]:
    root = store.path / "blobs"
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        parts = path.relative_to(root).parts
        right = parts[0] == "sha256" and (
            len(parts) == 1
            or (len(parts) == 2 and re.fullmatch(r"[0-9a-f]{2}", parts[1]) is not None)
            or (len(parts) == 3 and _HEX64.fullmatch(parts[2]) is not None and parts[2][:2] == parts[1])
        )
        if not right:
            yield Finding(path=path, problem="misplaced", message=f"{path} is no name of a blob; gc leaves it alone")
