"""Conda packages into a prefix, by py-rattler, offline, from verified blobs.

rattler takes records whose addresses are files, and wants a package's suffix there, so each blob gets a symbolic link
``<sha256>.conda`` in the engine's cache folder: a place that stays the same, for rattler's cache knows a package by
its address too. rattler does not check the digest of a local file: ``context.blob`` has. What it *can* be told wrongly
is which package those bytes are, so that afterwards each package's own ``info/index.json`` must say what the lock
says.

Scripts of packages are never run: one with a ``pre-link`` script is refused, of the others the user is told. Rules of
the file: the engine runs in a child process (``rattler_process``); ``conda-meta`` is finished by ``conda_meta``.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import BuildError, NoSpaceError
from envbuild.linkers import rattler_process
from envbuild.linkers.clobber import APART, CondaFiles, settle_conda
from envbuild.linkers.conda_meta import record_name, write_history
from envbuild.linkers.finishing import Finishing
from envbuild.linkers.placing import engine_ways
from envbuild.linkers.special_bits import SPECIAL, lost_bits
from envbuild.package import CondaPackage, Platform
from envbuild.pinned import engine_record

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.linkers.conda_contents import Listing

_SCRIPTS = tuple(f"-{moment}.sh" for moment in ("post-link", "pre-unlink"))
_CHECKS = 2
"""Raised when packages that passed must be looked at again."""

CondaInputs = Sequence[tuple[Path, CondaPackage]]
"""Verified package files with what the lock says about each."""


def link_conda(packages: CondaInputs, prefix: Path, final: Path, platform: Platform, context: Context) -> CondaFiles:
    """Link packages into a prefix that is not yet at its place.

    Args:
        packages: At least one; files are verified already.
        prefix: The folder to fill; it may not exist yet.
        final: The path that is written into the files.
        platform: The prefix's platform.
        context: For the engine's cache, processes and notes.

    Returns:
        Each package's paths in the prefix.

    Raises:
        IntegrityError: ``wrong-package`` when a file is another package than the lock says, ``bad-package`` when it is
            not what it says of itself, ``clobber`` when two bring a file with different contents.
        BuildError: ``link-failed`` with rattler's words.
        NoSpaceError: The disk is full.
    """
    prefix.mkdir(exist_ok=True)
    marks = _marks(context)
    unseen = {package.sha256: _look_at(path, package) for path, package in packages if _is_new(package, marks)}
    records = record_documents(packages, context)
    meta, locked = prefix / "conda-meta", [package for _, package in packages]

    def check(package: CondaPackage, extracted: str) -> bool:
        if package.sha256 not in unseen:
            return False
        return _check_once(Path(extracted), package, context, unseen[package.sha256])

    finishing = Finishing(meta, locked, rattler_process.alias, lambda: context.begin_writeback(prefix), check)
    try:
        with finishing:
            run_rattler(records, prefix, final, platform, context)
    except BuildError:
        from envbuild.linkers.conda_archive import explain

        for path, package in packages:  # rattler names neither the package nor what is wrong with it
            explain(path, package)
        raise
    context.begin_writeback(prefix)
    files = []
    for package, found, cleared in zip(locked, *finishing.write(moved=(prefix / APART).is_dir()), strict=True):
        files.append((package, found.files))
        if cleared:
            _clear_bits(prefix, found.files)
        _tell_scripts(found.files, package, context)

    def again(without: Collection[str], folder: Path) -> None:
        run_rattler([record for record in records if record["name"] not in without], folder, final, platform, context)

    settle_conda(prefix, files, again, context)
    write_history(prefix, locked, rattler_process.alias())
    return files


def _is_new(package: CondaPackage, marks: str) -> bool:
    """Whether a package is still to be looked at; those that were prepared are not."""
    return not os.path.exists(_mark(package, marks))  # noqa: PTH110  of each package, each time


def _look_at(path: Path, package: CondaPackage) -> Listing | None:
    """Check what can be checked before anything is unpacked; the list of files that was read."""
    from envbuild.linkers.conda_archive import check_listing, check_structure

    check_structure(path, package)
    return check_listing(path, package)


def record_documents(packages: CondaInputs, context: Context) -> list[dict[str, Any]]:
    """What rattler's child must know of packages, each blob reachable under a name with the right suffix."""
    folder = context.engine_cache("rattler") / "by-digest"
    folder.mkdir(parents=True, exist_ok=True)
    channel, place = folder.as_uri(), str(folder)
    return [
        engine_record(package, f"{channel}/{_named(str(blob), package, place)}", channel) for blob, package in packages
    ]


def _named(blob: str, package: CondaPackage, folder: str) -> str:
    """The name of the link to a package's file, which is made or mended."""
    for suffix in (".conda", ".tar.bz2"):  # a transmuted package has another one than its name in the lock
        with suppress(OSError):
            if os.readlink(f"{folder}/{package.sha256}{suffix}") == blob:  # noqa: PTH115  as above
                return f"{package.sha256}{suffix}"
    from envbuild.linkers.conda_archive import format_of

    link = Path(folder, f"{package.sha256}{format_of(Path(blob))}")
    try:
        link.symlink_to(blob)
    except FileExistsError:  # it leads to where the blob was before
        fresh = Path(folder, f".{os.getpid()}-{link.name}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(blob)
        fresh.replace(link)
    return link.name


def run_rattler(
    records: Sequence[dict[str, Any]], prefix: Path, final: Path | None, platform: Platform, context: Context
) -> None:
    """Run the installer in its process; without a final path it only unpacks into its cache.

    Raises:
        BuildError: ``link-failed``. ``NoSpaceError`` when that is the cause.
    """
    cache = context.engine_cache("rattler") / "packages"
    cache.mkdir(parents=True, exist_ok=True)
    several = ("copy",) if final is None else engine_ways("rattler", prefix.parent, context)
    said = rattler_process.run_job(
        {
            "ways": several,
            "cache": str(cache),
            "prefix": str(prefix),
            "final": None if final is None else str(final),
            "platform": platform,
            "records": list(records),
        }
    )
    if problem := said.get("error"):
        if "No space left" in problem or "os error 28" in problem:
            raise NoSpaceError(f"no space while linking into {prefix.parent}", hint="envbuild gc")
        raise BuildError(f"py-rattler could not link the packages: {problem}", reference="link-failed")


def _check_once(extracted: Path, package: CondaPackage, context: Context, known: Listing | None = None) -> bool:
    """Check what a package says of itself, and remember that these very bytes say it.

    Args:
        extracted: Where the engine unpacked it.
        package: What the lock says.
        context: For the memory, and for notes.
        known: Its list of files, when that was read before.

    Returns:
        Whether bits of its files' modes were cleared, which is told.
    """
    from envbuild.linkers.conda_contents import check_unpacked

    check_identity(extracted, package)
    cleared = check_unpacked(extracted, package, known)
    if cleared:
        context.note(lost_bits(package.file, cleared))
    mark = Path(_mark(package, _marks(context)))
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    return bool(cleared)


def _clear_bits(prefix: Path, files: Sequence[str]) -> None:
    """For files that the engine copied, and not linked, before those of its cache were cleared."""
    for name in files:
        state = (prefix / name).lstat()
        if stat.S_ISREG(state.st_mode) and state.st_mode & SPECIAL:
            (prefix / name).chmod(state.st_mode & 0o775)


def check_identity(extracted: Path, package: CondaPackage) -> None:
    """The package's own words about itself, as rattler unpacked them, must be the lock's.

    Args:
        extracted: The folder of rattler's cache that the package's file was unpacked to.
        package: What the lock says.

    Raises:
        IntegrityError: ``wrong-package``.
    """
    from envbuild.linkers.conda_archive import check_said

    try:
        said = json.loads((extracted / "info" / "index.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        said = None
    check_said(said, package)


def _tell_scripts(files: Sequence[str], package: CondaPackage, context: Context) -> None:
    scripts = [name for name in files if name.startswith("bin/.") and name.endswith(_SCRIPTS)]
    if scripts:
        context.note(f"{package.name} {package.version} has scripts that envbuild does not run: {', '.join(scripts)}")


def prepare_conda(blob: Path, package: CondaPackage, platform: Platform, context: Context) -> None:
    """Unpack one package into rattler's cache and check its identity, before the others are there.

    What rattler alone finds wrong is left for the link to meet.

    Raises:
        IntegrityError: ``wrong-package``, ``bad-archive``, ``bad-package``.
    """
    from envbuild.linkers.conda_archive import check_structure, explain

    if not _is_new(package, _marks(context)):
        return
    check_structure(blob, package)
    record = record_documents([(blob, package)], context)[0] | {"noarch": None, "python_site_packages_path": None}
    with context.scratch() as folder:
        try:
            run_rattler([record], folder, None, platform, context)
        except BuildError:
            explain(blob, package)
            return
    extracted = _extracted(package, context)
    if extracted is not None:
        context.begin_writeback(extracted)
        _check_once(extracted, package, context)


def _marks(context: Context) -> str:
    """The folder of what stands for packages that were unpacked and found good."""
    return str(context.engine_cache("rattler") / "looked-at")


def _mark(package: CondaPackage, marks: str) -> str:
    return f"{marks}/{package.sha256}-{_CHECKS}-{record_name(package)}"


def _extracted(package: CondaPackage, context: Context) -> Path | None:
    """Where rattler unpacked a package: the lock beside the folder holds the digest of what is in it.

    How rattler's cache looks is its own affair, so what is not found here is checked after the link.
    """
    stem, digest = record_name(package).removesuffix(".json"), bytes.fromhex(package.sha256)
    packages = context.engine_cache("rattler") / "packages"
    for name in os.listdir(packages):  # noqa: PTH208  some thousands, each time
        if name.startswith(stem) and name.endswith(".lock") and digest in (packages / name).read_bytes():
            return packages / name.removesuffix(".lock")
    return None
