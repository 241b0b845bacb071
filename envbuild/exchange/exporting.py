"""``export``: a lock in another tool's format, with the addresses that hold on this machine.

Theory: a lock names channels and indices in a recipe's words, other tools want addresses. A channel's follows from this
machine's configuration; a file's is the one that was found while solving, else its project's page is asked, as a fetch
would. Credentials are in none of them. What the format cannot hold is said, each time.

Rules of the file: looks up and writes; the text is ``envbuild.formats``'.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envbuild.addresses import DEFAULT_INDEX
from envbuild.digest import Digest
from envbuild.errors import NameConflictError, UnreachableError, UsageError, Where
from envbuild.exchange.own_files import refuse_own_file, refuse_special
from envbuild.exchange.work import PARALLEL, Work
from envbuild.formats.writing import (
    ONE_PLATFORM,
    WITHOUT_ADDRESSES,
    WITHOUT_CONDA,
    WITHOUT_WHEELS,
    WRITERS,
    Exporting,
    files_of,
    write,
)
from envbuild.lock import Lock, LockedEnvironment
from envbuild.machine.credentials import without_user_info
from envbuild.machine.locations import ACCEPT, engine_index, locate
from envbuild.machine.virtual import current_platform
from envbuild.machine.workspace import Workspace
from envbuild.package import ChannelOrigin, CondaPackage, Origin, Platform, SourcePackage, UrlOrigin, Wheel
from envbuild.projects.checkout import replace_file
from envbuild.projects.project import shown_path
from envbuild.request import Request
from envbuild.solvers.channels import channel_addresses, channel_words
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes:
        file: None when the text is for stdout.
        losses: What the format could not hold, one sentence each.
    """

    name: str
    format: str
    platforms: tuple[Platform, ...]
    text: str
    file: Path | None = None
    losses: tuple[str, ...] = ()


def _seen_from(folder: Path, root: Path, environment: LockedEnvironment) -> LockedEnvironment:
    """The environment with the folders of the project as the written file must call them: from its own place."""

    def seen(path: str) -> str:
        return os.path.relpath(root / path, folder).replace(os.sep, "/")

    return replace(
        environment,
        sources=tuple(
            item if item.path is None else replace(item, path=seen(item.path)) for item in environment.sources
        ),
    )


def check_format(format_name: str) -> None:
    """Refuse a format that cannot be written.

    Raises:
        UsageError: ``unknown-format``.
    """
    if format_name not in WRITERS:
        raise UsageError(
            f"{format_name[:40]!r} is no format that envbuild writes",
            reference="unknown-format",
            hint="envbuild image SOURCE -o FOLDER" if format_name == "oci" else f"one of: {', '.join(WRITERS)}",
        )


def refuse_existing(file: Path, *, force: bool) -> None:
    """Refuse to replace a file that is there, and even with ``force`` one of envbuild's own.

    Raises:
        NameConflictError: ``file-exists``, ``own-file``, ``no-file``.
    """
    refuse_special(file)
    refuse_own_file(file)
    if file.exists() and not force:
        raise NameConflictError(
            f"{shown_path(file)} is there already",
            reference="file-exists",
            where=Where(file=shown_path(file)),
            hint="replace it with --force",
        )


def export_lock(
    format_name: str,
    lock: Lock,
    request: Request | None,
    name: str,
    file: Path | None,
    workspace: Workspace,
    *,
    root: Path,
    platforms: Sequence[str] = (),
    pixi_version: int = 6,
    offline: bool = False,
) -> Exported:
    """Write a lock in another tool's format.

    Args:
        format_name: A name in ``WRITERS``.
        lock: The lock.
        request: Of its recipe; None where no recipe was named.
        name: What people call it.
        file: Where it goes; None gives the text alone, with paths from the working folder.
        workspace: This machine's.
        root: The project's folder, from which the lock's paths start.
        platforms: Those to write; by default all of the lock, or this machine's where the format holds one.
        pixi_version: 6 or 7.
        offline: Use no network.

    Raises:
        UsageError: When the format cannot hold what is asked for.
        UnreachableError: When an address is nowhere to be found.
    """
    chosen = _chosen(format_name, lock, platforms)
    _refuse_nothing(format_name, chosen)
    beside = Path.cwd() if file is None else file.parent
    chosen = tuple(_seen_from(beside, root, item) for item in chosen)
    with Work(workspace, name, offline=offline) as work:
        if format_name == "conda-lock":
            chosen = tuple(_with_md5(item, work) for item in chosen)
        exporting = Exporting(
            name=name,
            environments=chosen,
            channels=_channels(request, chosen, workspace),
            indices=_indices(lock, chosen, workspace),
            default_index=engine_index(),
            addresses={}
            if format_name in WITHOUT_ADDRESSES
            else _addresses(format_name, lock, chosen, workspace, work),
            pixi_version=pixi_version,
        )
    written = write(format_name, exporting)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, written.text.encode())
    return Exported(
        name=name,
        format=format_name,
        platforms=exporting.platforms,
        text=written.text,
        file=file,
        losses=written.losses,
    )


def _chosen(format_name: str, lock: Lock, platforms: Sequence[str]) -> tuple[LockedEnvironment, ...]:
    have = {item.platform: item for item in lock.platforms}
    unknown = sorted(set(platforms) - set(have))
    if unknown:
        raise UsageError(
            f"the lock is for {', '.join(have)}, not for {', '.join(unknown)}", reference="unknown-platform"
        )
    wanted = [Platform(item) for item in platforms]
    if format_name in ONE_PLATFORM:
        if not wanted:
            here = current_platform()
            wanted = [here] if here in have else list(have)
        if len(wanted) != 1:
            raise UsageError(
                f"a file of the format {format_name} is for one platform, and these are {', '.join(wanted)}",
                reference="one-platform",
                hint=f"--platform {wanted[0]}",
            )
    return tuple(have[item] for item in sorted(wanted or have))


def _refuse_nothing(format_name: str, environments: Sequence[LockedEnvironment]) -> None:
    """Refuse to write a file in which nothing would stand."""
    conda = any(item.conda for item in environments)
    pypi = any(files_of(item) for item in environments)
    if (format_name in WITHOUT_CONDA and conda and not pypi) or (format_name in WITHOUT_WHEELS and not conda):
        kind = "conda" if conda else "PyPI"
        raise UsageError(
            f"the format {format_name} cannot hold {kind} packages, and the lock has no others",
            reference="nothing-to-write",
            hint="--format conda-lock or pixi" if conda else "--format requirements or pylock",
        )


def _channels(
    request: Request | None, environments: Sequence[LockedEnvironment], workspace: Workspace
) -> Mapping[str, str]:
    """Address of each channel by the lock's word, in the recipe's order."""
    parts = request.platforms if request is not None else ()
    words = dict.fromkeys(word for part in parts for word in channel_words(part))
    used = {item.channel for one in environments for item in one.conda if item.channel is not None}
    ordered = [word for word in words if word in used] + sorted(used - set(words))
    canonical = channel_addresses(ordered, workspace.addresses)
    return {word: _public(workspace.addresses.candidates(address)[0]) for word, address in canonical.items()}


def _indices(lock: Lock, environments: Sequence[LockedEnvironment], workspace: Workspace) -> Mapping[str, str]:
    """Address of each index and find-links place by the lock's word."""
    here = workspace.addresses
    named = {index.name: index.url for index in lock.indices}
    found = {}
    for environment in environments:
        for item in files_of(environment):
            if item.index is not None:
                address = named.get(item.index, item.index)
                if item.index == DEFAULT_INDEX:
                    address = here.index or engine_index()
                found[item.index] = _public(here.candidates(here.absolute(address))[0])
            if item.find_links is not None:
                found[item.find_links] = _public(here.absolute(item.find_links))
    return found


def _public(address: str) -> str:
    return without_user_info(address) if "://" in address else address


def _addresses(
    format_name: str, lock: Lock, environments: Sequence[LockedEnvironment], workspace: Workspace, work: Work
) -> Mapping[Digest, str]:
    """The address of each file that the format names."""
    wanted: dict[Digest, Origin] = {}
    for environment in environments:
        if format_name not in WITHOUT_CONDA:
            wanted |= {item.sha256: item.origin for item in environment.conda}
        if format_name not in WITHOUT_WHEELS:
            wanted |= {item.sha256: lock.wheel_origin(item) for item in _fetched(environment)}
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        found = pool.map(lambda pair: _address(pair[0], pair[1], workspace, work), wanted.items())
        return dict(zip(wanted, found, strict=True))


def _fetched(environment: LockedEnvironment) -> Iterable[Wheel | SourcePackage]:
    yield from environment.wheels
    yield from (item for item in environment.sources if item.git is None and item.path is None)


def _address(sha256: Digest, origin: Origin, workspace: Workspace, work: Work) -> str:
    if not isinstance(origin, (ChannelOrigin, UrlOrigin)):
        hint = next((url for url in workspace.hints.of(sha256) if not url.startswith("file:")), None)
        if hint is not None:
            return _public(hint)
        work.need_network(f"the address of {origin.file}")

    def read(urls: Sequence[str], *, limit: int, accept: str = ACCEPT) -> bytes | None:
        return workspace.downloads.read(urls, limit=limit, accept=accept)

    for url in locate(origin, workspace.addresses, read, sha256):
        return _public(url)
    raise UnreachableError(
        f"no index that this machine asks has {origin.file}",
        reference="gone",
        hint="name the index that has it in uv's or pip's settings",
    )


def _with_md5(environment: LockedEnvironment, work: Work) -> LockedEnvironment:
    """The environment with the md5 of every conda package: the format wants it, and some channels do not tell it."""
    without = [item for item in environment.conda if item.md5 is None]
    if not without:
        return environment
    found = {item.sha256: _md5(item, work) for item in without}
    work.say(f"md5 of {', '.join(item.name for item in without[:5])}: computed, for the format wants it")
    conda = tuple(replace(item, md5=found.get(item.sha256, item.md5)) for item in environment.conda)
    return replace_conda(environment, conda)


def _md5(package: CondaPackage, work: Work) -> str:
    output = work.context.fetch(package.origin, sha256=package.sha256, size=package.size)
    with work.blob(output.sha256).open("rb") as stream:
        digest = hashlib.md5(usedforsecurity=False)
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def replace_conda(environment: LockedEnvironment, conda: tuple[CondaPackage, ...]) -> LockedEnvironment:
    """The environment with other words about the same conda packages."""
    return LockedEnvironment(
        platform=environment.platform,
        python=environment.python,
        interpreter=environment.interpreter,
        system=environment.system,
        conda=conda,
        wheels=environment.wheels,
        sources=environment.sources,
        build=environment.build,
        build_sources=environment.build_sources,
        archive=environment.archive,
        variables=environment.variables,
        bytecode=environment.bytecode,
    )
