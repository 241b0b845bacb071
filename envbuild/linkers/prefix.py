"""A prefix: assembled in scratch, moved to its place by one rename.

The order is: the Python (conda packages, an unpacked archive, or a virtual environment on the host's Python), conda
packages beside a Python that is not theirs, wheels, final paths in scripts, the mark that tells pip to keep off
(PEP 668), rename. All of it under one lock per prefix, so that two processes do the work once; a prefix that is there
is never touched.

Rules of the file: engines stand behind their modules; every file system step that can fail becomes an
``EnvbuildError``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from envbuild import faults
from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.linkers.python_tags import check_wheel_python
from envbuild.linkers.system_floor import check_conda_platform, check_wheel_platform
from envbuild.machine.disk import writing
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel
from envbuild.pinned import AnyPinned

if TYPE_CHECKING:
    from envbuild.derivations import Context, HostPython
    from envbuild.derivations.link import Link
    from envbuild.linkers.checked_wheel import CheckedWheel, Rest
    from envbuild.linkers.clobber import CondaFiles
    from envbuild.linkers.wheel_check import Surroundings
    from envbuild.linkers.wheel_clobber import CheckedWheels

MARK = """[externally-managed]
Error=This environment was made by envbuild from a lock and is shared, so it is not changed in place.
 Add the package to the recipe instead, and realize it again:

     envbuild add RECIPE PACKAGE

 For an environment to experiment in, use: envbuild realize RECIPE --prefix DIR --writable
"""
"""What pip and uv say when asked to install into a prefix (PEP 668)."""

SMALL_WHEEL = 1 << 20
"""Bytes below which unzipping a wheel ahead costs more than it saves."""


def make_prefix(link: Link, final: Path, host: HostPython | None, context: Context) -> tuple[Digest, ...]:
    """Have the prefix of a link at its place.

    Args:
        link: The derivation; its packages say what each input is.
        final: The prefix's path.
        host: This machine's Python, in host mode.
        context: For blobs, scratch, locks and engines.

    Returns:
        The sha256 of each package, in the link's order.

    Raises:
        IntegrityError: A package is not what the lock says.
        UnsatisfiableError: A package needs a newer system than the lock assumes.
        BuildError: An engine failed; ``newer-symbols`` when a built wheel needs a newer libstdc++ than there is.
        NoSpaceError: The disk is full or not writable.
    """
    with context.lock(f"prefix-{final.name}"):
        if not final.is_dir():
            with context.scratch() as folder, writing(final.parent):
                prefix = folder / "prefix"
                assemble(link, prefix, final, host, context)
                faults.reach("pre-prefix-rename")
                context.publish_tree(prefix, final)
                faults.reach("post-prefix-rename-pre-root")
    return tuple(context.digest(item.key) for item in link.packages)


def assemble(link: Link, prefix: Path, final: Path, host: HostPython | None, context: Context) -> None:
    """Build a whole prefix in a folder, for another path. The folder does not exist yet; its parent is scratch."""
    with context.unpacking():
        _assemble(link, prefix, final, host, context)


def _assemble(link: Link, prefix: Path, final: Path, host: HostPython | None, context: Context) -> None:
    if link.conda():
        from envbuild.linkers import rattler_process

        rattler_process.start()
    system = dict(link.system)
    for item in link.packages:
        _check_platform(item.package, link, system)
    if link.sources() and link.platform.startswith("linux"):
        from envbuild.linkers.cpp_floor import check_cpp_symbols

        libraries = [package for _, package in link.conda()]
        glibc, own_python = system.get("__glibc"), link.interpreter == "conda"
        check_cpp_symbols(link.sources(), libraries, own_python=own_python, glibc=glibc, context=context)
    wheels, left = _checked_wheels(link, context)
    conda = _make_python(link, prefix, final, host, context)
    faults.reach("mid-link")
    if wheels:
        from envbuild.linkers.install_wheels import install_wheels

        if not (prefix / "bin" / "python").exists():
            raise BuildError("there are wheels to link, but no Python to link them to", reference="no-python")
        faults.reach("pre-wheels")
        _tell_replaced(prefix, wheels, conda, context)
        install_wheels(wheels, conda, prefix, host.path if host else None, context, _addresses(link), left)
    if wheels or host is not None:
        from envbuild.linkers.scripts import finish_scripts

        finish_scripts(prefix, final, host.path if host else None)
    if link.bytecode:
        from envbuild.linkers.bytecode import link_bytecode

        link_bytecode(link.bytecode, prefix, context)
    mark_managed(prefix)
    prefix.chmod(0o755)


def _make_python(link: Link, prefix: Path, final: Path, host: HostPython | None, context: Context) -> CondaFiles:
    """Have the Python and conda's packages; the files of these."""
    archive = link.archive()
    packages = [(context.blob(key), package) for key, package in link.conda()]
    if archive is not None:
        from envbuild.linkers.archive import link_archive

        key, interpreter = archive
        link_archive(context.blob(key), interpreter, prefix, final, context)
    elif host is not None:
        from envbuild.linkers.venv import make_venv

        make_venv(prefix, host.path, context)
    elif packages:
        from envbuild.linkers.conda import link_conda

        return link_conda(packages, prefix, final, link.platform, context)
    else:
        prefix.mkdir()
    if packages:
        from envbuild.linkers.beside import link_beside

        return link_beside(packages, prefix, final, link.platform, context)
    return ()


def _checked_wheels(link: Link, context: Context) -> tuple[CheckedWheels, list[Rest]]:
    """Each wheel's file, record and what was found in it; what runs code at each start of Python is said.

    Also what is left to be checked of them, once uv has unpacked them.
    """
    from envbuild.linkers.checked_wheel import is_remembered
    from envbuild.linkers.wheel_check import begin_check

    memory, around = context.engine_cache("checked-wheels"), _surroundings(link, context)
    built = {source.name for _, source in link.sources()}

    def look(item: tuple[Path, Wheel]) -> tuple[CheckedWheel, Rest | None]:
        return begin_check(item[0], item[1], memory, None if item[1].name in built else around)

    wheels = [(context.blob(key), wheel) for key, wheel in _wheels(link, context)]
    fresh = [(path, wheel) for path, wheel in wheels if not is_remembered(memory, wheel.sha256)]
    looked: dict[Digest, tuple[CheckedWheel, Rest | None]] = {}
    if len(fresh) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:  # unpacking and hashing leave the interpreter to others
            looked = {wheel.sha256: found for (_, wheel), found in zip(fresh, pool.map(look, fresh), strict=True)}
    checked, left = [], []
    for path, wheel in wheels:
        found, rest = looked.get(wheel.sha256) or look((path, wheel))
        for note in found.notes:
            context.note(note)
        if found.startup:
            context.note(f"{wheel.name} {wheel.version} runs code at each start of Python: {', '.join(found.startup)}")
        checked.append((path, wheel, found))
        if rest is not None:
            left.append(rest)
    return checked, left


def _surroundings(link: Link, context: Context) -> Surroundings:
    from envbuild.linkers.wheel_check import Surroundings

    return Surroundings(
        platform=link.platform,
        python=link.python,
        packages=tuple(item.package for item in link.packages),
        believed=context.engine_cache("metadata"),
    )


def _wheels(link: Link, context: Context) -> list[tuple[Digest, Wheel]]:
    """The wheels of the lock and those that sources have become, with their input keys."""
    wheels = list(link.wheels())
    if sources := link.sources():
        from envbuild.linkers.provenance import built_wheel

        for key, source in sources:
            wheel = built_wheel(key, source, context)
            check_wheel_platform(wheel, link.platform, dict(link.system))
            wheels.append((key, wheel))
    return wheels


def _addresses(link: Link) -> dict[str, bytes]:
    """What the packages say of the addresses that they were asked for by, by name."""
    from envbuild.linkers.provenance import direct_url

    several = [item.package for item in link.packages if isinstance(item.package, (Wheel, SourcePackage))]
    told = ((package.name, direct_url(package)) for package in several)
    return {name: address for name, address in told if address is not None}


def _tell_replaced(prefix: Path, wheels: CheckedWheels, conda: CondaFiles, context: Context) -> None:
    """Say which of the Python's own programs a wheel replaces. uv puts new files in their place; a test holds it to it.

    Those of conda's packages are ``wheel_clobber``'s.
    """
    known: set[str] = set().union(*(paths for _, paths in conda))
    for _, wheel, found in wheels:
        for name in found.programs:
            program = prefix / "bin" / name
            if f"bin/{name}" not in known and (program.is_symlink() or program.is_file()):
                context.note(f"{wheel.name} {wheel.version} replaces bin/{name} of the Python")


def _check_platform(package: AnyPinned, link: Link, system: dict[str, str]) -> None:
    if isinstance(package, CondaPackage):
        check_conda_platform(package, link.platform, system)
    elif isinstance(package, Wheel):
        check_wheel_platform(package, link.platform, system)
        if link.python is not None:
            check_wheel_python(package, link.python)


def mark_managed(prefix: Path) -> None:
    """Tell pip and uv that this environment is not theirs to change (PEP 668)."""
    for library in prefix.glob("lib/python3*"):
        if library.is_dir() and not library.is_symlink():
            mark = library / "EXTERNALLY-MANAGED"
            mark.unlink(missing_ok=True)
            mark.write_text(MARK, encoding="utf-8")
            mark.chmod(0o644)


def prepare_bytecode(key: Digest, context: Context) -> None:
    """Unpack an archive of compiled modules, while packages are still on their way.

    Raises:
        IntegrityError: ``bad-archive``.
    """
    from envbuild.linkers.bytecode import unpack_bytecode

    with writing(context.engine_cache("bytecode")):
        unpack_bytecode(key, context)


def prepare_input(link: Link, key: Digest, package: AnyPinned, context: Context) -> None:
    """Check one finished input and let its engine unpack it, while others are still on their way.

    Raises:
        IntegrityError: The package is not what the lock says.
        UnsatisfiableError: It needs a newer system than the lock assumes.
        NoSpaceError: The disk is full or not writable.
    """
    around = _surroundings(link, context) if isinstance(package, Wheel) else None
    if isinstance(package, SourcePackage):
        from envbuild.linkers.provenance import built_wheel

        package = built_wheel(key, package, context)
    _check_platform(package, link, dict(link.system))
    blob = context.blob(key)
    with context.unpacking(), writing(context.engine_cache("uv").parent):
        faults.reach("mid-prepare")
        _unpack(link, blob, package, around, context)


def _unpack(link: Link, blob: Path, package: AnyPinned, around: Surroundings | None, context: Context) -> None:
    if isinstance(package, CondaPackage):
        from envbuild.linkers.conda import prepare_conda

        prepare_conda(blob, package, link.platform, context)
    elif isinstance(package, Wheel):
        _unpack_wheel(link, blob, package, around, context)
    elif isinstance(package, InterpreterArchive):
        from envbuild.linkers.archive import unpack_once

        unpack_once(blob, package, context)


def _unpack_wheel(link: Link, blob: Path, wheel: Wheel, around: Surroundings | None, context: Context) -> None:
    from envbuild.linkers.checked_wheel import not_unpacked
    from envbuild.linkers.wheel_check import begin_check
    from envbuild.linkers.wheels import unzip_ahead

    memory = context.engine_cache("checked-wheels")
    found, rest = begin_check(blob, wheel, memory, around)
    for note in found.notes:
        context.note(note)

    def look(folder: Path) -> None:
        if rest is not None or found.large:
            from envbuild.linkers.wheel_unpacked import check_unpacked

            check_unpacked([(blob, wheel, found)], [rest] if rest else [], folder, folder, memory)

    seen = False
    if link.python and blob.stat().st_size >= SMALL_WHEEL:
        if link.interpreter == "host":
            from envbuild.linkers.venv import ready_venv

            ready_venv(context.host_python(link.python).path, context)
        seen = unzip_ahead(blob, wheel, link.python, context, look)
    if rest is not None and not seen:
        rest(not_unpacked)
