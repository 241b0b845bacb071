"""``bundle``: a locked environment as one file that installs itself where there is no network and no envbuild.

::

    a text for the shell            16 KiB, ``bundle_header``
    a program for a bare Python     ``bundle_start``
    the index                       a line with its sha256 and length, then JSON: what it is, and the parts
    the parts                       envbuild's own code, the closure, what envbuild needs, the packages

Theory: a prefix holds its own path, so none is carried along: the bundle carries what ``realize`` reads, and envbuild,
which then realizes. So the same prefix comes of it. Every part is named by its sha256, and is a file as its origin or
this home has it: nothing is packed anew, and no compressor's version stands in the bytes.

Rules of the file: wires; streams, and holds no part in memory but envbuild's own code.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.derivations.link import Link
from envbuild.derivations.prefix_names import prefix_folder
from envbuild.digest import CHUNK, Digest, digest_bytes
from envbuild.environments.own_tools import own_files
from envbuild.environments.pulling import packages_of
from envbuild.errors import IntegrityError, UnsatisfiableError
from envbuild.exchange.bundle_header import LENGTH, MACHINES, header
from envbuild.locks.lock_writing import closure_bytes
from envbuild.store.outputs import KINDS_LINKED, LINKED
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Outputs
    from envbuild.environments.realized import Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.send_verbs import WholeHere
    from envbuild.graph import Graph
    from envbuild.lock import LockedEnvironment
    from envbuild.package import Platform

FORMAT = 1
OLDEST = (3, 10)
"""The oldest Python that runs envbuild."""

USUAL = "3.12"
"""The series of a Python that is brought along where the environment's own cannot run envbuild."""

_BUILD_RECORD = "record"
_GROWS = 4
"""How many times its bytes a conda package or a Python takes when it is unpacked, at most as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        file: Where it is; ``size`` and ``sha256``: of all of it.
        python: The series of the Python that runs envbuild there.
        brings_python: Whether that is in the bundle; else the machine has to have it.
        packages: Of the environment; ``tools_size``: bytes of what only installs it.
        needs: Bytes on disk while it installs, by estimate.
        notes: What it needs there, and does not do.
    """

    name: str
    platform: Platform
    environment: Digest
    file: Path
    size: int
    sha256: Digest
    python: str
    brings_python: bool
    packages: int
    tools_size: int
    needs: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The Python that runs envbuild on the other machine.

    Attributes:
        series: ``X.Y``.
        interpreter: ``host`` for the machine's own; ``managed`` brings one along.
        own: Whether that one is the environment's own archive.
    """

    series: str
    interpreter: str
    own: bool = False


def runner_for(environment: LockedEnvironment, host_python: str | None) -> Runner:
    """Which Python runs envbuild there.

    Args:
        environment: What is bundled.
        host_python: The series that the user says is there.

    Raises:
        UnsatisfiableError: ``no-bundle`` for a system without a POSIX shell, or a Python that cannot run envbuild.
    """
    if environment.platform not in MACHINES:
        raise UnsatisfiableError(
            f"a bundle is a program for sh, and there is none on {environment.platform}", reference="no-bundle"
        )
    series = ".".join((environment.python or "").split(".")[:2])
    runs = bool(series) and _numbers(series) >= OLDEST
    if host_python is not None:
        if _numbers(host_python) < OLDEST or host_python.count(".") != 1:
            raise UnsatisfiableError(
                f"envbuild runs on Python {'.'.join(map(str, OLDEST))} or newer, not on {host_python!r:.20}",
                reference="no-bundle",
                hint="--host-python 3.11, or leave it out: then the bundle brings a Python along",
            )
        return Runner(series=host_python, interpreter="host")
    if environment.interpreter == "host" and runs:
        return Runner(series=series, interpreter="host")  # which it stands on, so it is there
    archive = environment.archive
    if archive is not None and runs and archive.file.endswith(".tar.gz"):
        return Runner(series=series, interpreter="host", own=True)
    return Runner(series=series if runs else USUAL, interpreter="managed")


def write_bundle(
    realizer: Realizer,
    wanted: Wanted,
    runner: Runner,
    tools: WholeHere,
    settings: Mapping[str, str],
    write: Callable[[bytes], object],
) -> Bundle:
    """Write a bundle.

    Args:
        realizer: Brings the packages.
        wanted: The environment.
        runner: What runs envbuild there.
        tools: What envbuild needs there.
        settings: Variables that decide there what is linked.
        write: Gets the bytes, once, from the first to the last.

    Raises:
        IntegrityError: ``damaged-blob``.
        EnvbuildError: When a package cannot be had.
    """
    environment, workspace = wanted.environment, realizer.workspace
    graph = realizer.graph(wanted)
    work = packages_of(graph)
    outcome = realizer.run(work, parts=[(wanted.recipe, work)])
    workspace.settle()
    results, needed = _linked(graph, outcome.outputs)
    own, closure = _own_code(), closure_bytes(wanted.lock, environment)
    archive = tools.interpreter if not runner.own else None
    if runner.own:
        assert environment.archive is not None
        python: Digest | None = environment.archive.sha256
    else:
        python = archive[0] if archive is not None else None
    files: dict[Digest, Path | bytes] = {digest_bytes(own): own, digest_bytes(closure): closure}
    if archive is not None:
        files[archive[0]] = _checked_python(archive[1])
    files |= dict(sorted(tools.wheels.items()))
    tool_parts = [digest for digest in files if digest != digest_bytes(closure)]
    for digest in sorted(needed):
        if digest not in files:
            path = workspace.blobs.path(digest)
            if path is None:
                raise IntegrityError(
                    f"a package of {wanted.name} was damaged; it is dropped now",
                    reference="damaged-blob",
                    retryable=True,
                    hint="run it again",
                )
            files[digest] = path
    sizes = {digest: _size(file) for digest, file in files.items()}
    first = _start()
    link = graph[graph.targets[0]]
    assert isinstance(link, Link)
    index: dict[str, Any] = {
        "format": FORMAT,
        "platform": environment.platform,
        "request": wanted.lock.request,
        "environment": environment.id,
        "closure": digest_bytes(closure),
        "prefix": None if environment.interpreter == "host" else prefix_folder(link.key, None),
        "settings": dict(settings),
        "results": results,
        "packages": sorted(needed),
        "tools": {"own": digest_bytes(own), "wheels": sorted(tools.wheels), "python": python},
        "needs": sum(sizes.values()) + sum(map(_unpacked, files.values())),
        "parts": [[digest, sizes[digest]] for digest in files],
    }
    data = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
    line = f"{digest_bytes(data)} {len(data)}\n".encode()
    there = None
    if python is not None:
        before = list(files)[: list(files).index(python)]
        at = LENGTH + len(first) + len(line) + len(data) + sum(sizes[digest] for digest in before)
        there = (at, sizes[python], python)
    head = header(environment.platform, _glibc(environment), runner.series, first, there)
    state, size = hashlib.sha256(), 0
    for piece in _stream((head, first, line, data), files):
        state.update(piece)
        size += len(piece)
        write(piece)
    return Bundle(
        name=wanted.name,
        platform=environment.platform,
        environment=environment.id,
        file=Path(),
        size=size,
        sha256=Digest(state.hexdigest()),
        python=runner.series,
        brings_python=python is not None,
        packages=len(environment.names()),
        tools_size=sum(sizes[digest] for digest in tool_parts if digest not in needed),
        needs=index["needs"],
        notes=_notes(environment, runner, python is not None),
    )


def _stream(texts: Iterable[bytes], files: Mapping[Digest, Path | bytes]) -> Iterator[bytes]:
    """All bytes; each part is held against its sha256 as it passes."""
    yield from texts
    for digest, file in files.items():
        if isinstance(file, bytes):
            yield file
            continue
        state = hashlib.sha256()
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
                yield piece
        if state.hexdigest() != digest:
            raise IntegrityError(
                f"{file} has other bytes than its name says", reference="damaged-blob", hint="envbuild verify --repair"
            )


def _linked(graph: Graph, outputs: Mapping[Digest, Outputs]) -> tuple[list[Any], set[Digest]]:
    """The results that the link reads, without what tells of this machine, and all files that it reads."""
    results, needed = [], set()
    for key in graph.inputs(graph.targets[0]):
        kind = graph[key].kind
        read = {name: item for name, item in outputs[key].items() if name in {LINKED, _BUILD_RECORD}}
        needed |= {item.sha256 for item in read.values()}
        if kind in KINDS_LINKED:
            results.append([kind, key, {name: [item.sha256, item.size] for name, item in sorted(read.items())}])
    return sorted(results), needed


def _own_code() -> bytes:
    """The modules of envbuild as a zip that nobody compressed: the same bytes for the same modules."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(own_files().items()):
            if not name.startswith("envbuild/metaflow/"):
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return out.getvalue()


def _checked_python(archive: Path) -> Path:
    """Refuse an archive that a shell cannot unpack with what is on every machine."""
    with archive.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            raise UnsatisfiableError(
                "the Python to bring along is no .tar.gz, which alone every machine unpacks",
                reference="no-bundle",
                hint="--host-python X.Y, with a Python that is there",
            )
    return archive


def _start() -> bytes:
    """The program for a bare Python, as text."""
    from envbuild.exchange import bundle_header

    return Path(bundle_header.__file__).with_name("bundle_start.py").read_bytes()


def _size(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def _unpacked(file: Path | bytes) -> int:
    """Bytes that a part takes when it is unpacked."""
    if isinstance(file, bytes):
        return len(file)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        if not any(item.filename.endswith(".tar.zst") for item in members):
            return sum(item.file_size for item in members)
    return _GROWS * file.stat().st_size


def _glibc(environment: LockedEnvironment) -> str | None:
    return dict(environment.system).get("__glibc")


def _notes(environment: LockedEnvironment, runner: Runner, brings: bool) -> tuple[str, ...]:
    notes = []
    if not brings:
        notes.append(f"it needs a Python {runner.series} on PATH there")
    if environment.variables:
        names = ", ".join(name for name, _ in environment.variables)
        notes.append(f"variables of the recipe are not set there by themselves: {names}")
    return tuple(notes)


def _numbers(series: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else -1 for part in series.split("."))
