"""Whether what a backend built is what the lock says, and fits the system that the lock assumes.

Name, version and requirements must be the lock's: the environment was solved with what the source said then. The tags
of the file's name must fit Python, ABI and platform. Compiled files must be for the machine, need no symbol of a glibc
that is newer than the lock's floor (the linker takes the newest that the building machine has), and look for
libraries nowhere in the build's own folder, which is gone then and somebody else's tomorrow. What they need of
libstdc++ is recorded, for the environment that links the wheel decides whether it is there. Files of a Mac must load on
the oldest macOS that the lock assumes.

The backend's bytes are kept as they are.

Rules of the file: reads the wheel; every finding is a ``BuildError``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import IO, Any, NoReturn

from envbuild.builders.core_metadata import WheelMetadata, parse_metadata
from envbuild.builders.elf_check import ElfNeeds, elf_needs
from envbuild.builders.elf_dynamic import MAGIC
from envbuild.builders.macho_check import MAGICS, MachoNeeds, macho_needs
from envbuild.digest import Digest, digest_file
from envbuild.errors import BuildError, EnvbuildError, IntegrityError
from envbuild.linkers.system_floor import check_wheel_platform
from envbuild.linkers.wheel_check import inspect_wheel
from envbuild.package import Platform, SourcePackage, Wheel, normalize_pypi_name
from envbuild.value import dataclass

METADATA_LIMIT = 8 << 20
_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_MAC_MACHINES = {"osx-64": "x86_64", "osx-arm64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a wheel is built for.

    Attributes:
        python: The series, ``X.Y``.
        abi: Such as ``cp311``.
        floor: Version of glibc or macOS; None where nothing is promised.
        markers: PEP 508 variables of the target.
        names: Of the conda packages among the lock's requirements: what METADATA may call each.
        folder: The build's folder as the build saw it.
    """

    platform: Platform
    python: str
    abi: str
    floor: str | None
    markers: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRecord:
    """What was found out about a wheel.

    Attributes:
        file: Its name.
        tags: Of the name: ``cp311-cp311-linux_x86_64``.
        pure: Whether it fits every platform.
        glibc: The oldest glibc that it loads on, ``X.Y``; None when it asks for none.
        macos: The oldest macOS that it loads on, likewise.
        cpp: The newest symbols of libstdc++ that it needs: the version's word, the file and the symbol of each.
        libraries: Shared libraries that its compiled files load and it does not bring itself, sorted.
    """

    file: str
    sha256: Digest
    tags: tuple[str, ...]
    pure: bool
    glibc: str | None = None
    macos: str | None = None
    cpp: tuple[tuple[str, str, str], ...] = ()
    libraries: tuple[str, ...] = ()


def check_built(wheel: Path, package: SourcePackage, target: Target) -> BuiltRecord:
    """Check what a backend built.

    Args:
        wheel: The file, under the name that the backend gave it.
        package: What the lock says about the source.
        target: What the wheel is for.

    Raises:
        BuildError: ``build-output`` when it is no wheel, or that of another package; ``build-differs`` when its
            requirements are not the lock's; ``build-platform`` when it does not fit Python or machine;
            ``wrong-builder`` when only a machine of the platform can build it; ``newer-symbols``, ``newer-system``;
            ``build-run-path``.
    """
    digest = digest_file(wheel)
    said = Wheel(name=package.name, version=package.version, file=wheel.name, sha256=digest, index="default")
    try:
        inspect_wheel(wheel, said)
        metadata = parse_metadata(_metadata(wheel))
    except EnvbuildError as error:
        raise BuildError(f"what was built is not what was locked: {error.message}", reference="build-output") from None
    _check_requirements(metadata, package, target)
    tags = _check_tags(wheel.name, package, target)
    pure = all(tag.endswith("-none-any") for tag in tags)
    compiled = dict(_compiled(wheel))
    needs = {name: found for name, found in compiled.items() if isinstance(found, ElfNeeds)}
    for name, found in needs.items():
        _check_compiled(name, found, package, target)
    macs = {name: found for name, found in compiled.items() if not isinstance(found, ElfNeeds)}
    macos = [_check_mac(name, found, package, target) for name, found in macs.items()]
    glibc = max((item.glibc for item in needs.values() if item.glibc), default=None)
    own = {name.rsplit("/", 1)[-1] for name in needs}
    return BuiltRecord(
        file=wheel.name,
        sha256=digest,
        tags=tags,
        pure=pure,
        glibc=f"{glibc[0]}.{glibc[1]}" if glibc else None,
        macos=_text(max((version for version in macos if version), default=None)),
        cpp=() if "libstdc++.so.6" in own else _newest_cpp(needs),
        libraries=tuple(sorted({library for item in needs.values() for library in item.libraries} - own)),
    )


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        if archive.getinfo(name).file_size > METADATA_LIMIT:
            raise IntegrityError(f"the METADATA of {wheel.name} is too large")
        return archive.read(name)


def _check_requirements(metadata: WheelMetadata, package: SourcePackage, target: Target) -> None:
    """The wheel must need what the lock says that the source needs, markers evaluated for the target."""
    from packaging.requirements import InvalidRequirement, Requirement

    needed = set()
    for text in metadata.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # the lock was made without it too
        extras = ("", *package.extras)
        if requirement.marker is None or any(
            requirement.marker.evaluate({**target.markers, "extra": extra}) for extra in extras
        ):
            needed.add(normalize_pypi_name(requirement.name))
    called = {name: {name, *target.names.get(name, ())} for name in package.requires}
    more = sorted(needed.difference(*called.values()) - {package.name})
    fewer = sorted(name for name, names in called.items() if needed.isdisjoint(names))
    if more or fewer:
        told = [f"it needs {', '.join(more)}"] if more else []
        told += [f"the lock says that it needs {', '.join(fewer)}"] if fewer else []
        raise BuildError(
            f"what was built has other requirements than were locked: {'; '.join(told)}",
            reference="build-differs",
            hint="envbuild lock --upgrade-package " + package.name,
        )


def _check_tags(file: str, package: SourcePackage, target: Target) -> tuple[str, ...]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import Version

    try:
        name, version, _, tags = parse_wheel_filename(file)
    except InvalidWheelFilename as error:
        raise BuildError(f"the build backend called the wheel {file!r}: {error}", reference="build-output") from None
    if name != package.name or version != Version(package.version):
        raise BuildError(
            f"the build backend built {file}, the lock says {package.name} {package.version}", reference="build-output"
        )
    told = tuple(sorted(map(str, tags)))
    if not any(_fits_python(tag.interpreter, tag.abi, target) for tag in tags):
        raise BuildError(f"{file} is not for Python {target.python} ({target.abi})", reference="build-platform")
    system = {} if target.floor is None else {_floor_name(target.platform): target.floor}
    said = Wheel(name=package.name, version=package.version, file=file, sha256=Digest(""), index="default")
    try:
        check_wheel_platform(said, target.platform, system)
    except EnvbuildError as error:
        raise BuildError(error.message, reference="build-platform", hint=error.hint) from None
    return told


def _fits_python(interpreter: str, abi: str, target: Target) -> bool:
    major, minor = (int(part) for part in target.python.split("."))
    found = re.fullmatch(r"(cp|py)(\d)(\d*)", interpreter)
    if found is None or int(found[2]) != major:
        return False
    exact, older = found[3] == str(minor), not found[3] or int(found[3]) <= minor
    if found[1] == "py":
        return abi == "none" and older
    return (abi == target.abi and exact) or (abi == "abi3" and older and not target.abi.endswith("t")) or abi == "none"


def _floor_name(platform: Platform) -> str:
    return "__glibc" if platform.startswith("linux") else "__osx"


def _text(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _newest_cpp(needs: Mapping[str, ElfNeeds]) -> tuple[tuple[str, str, str], ...]:
    """Of each family of symbols the newest that any file needs."""
    found: dict[str, tuple[tuple[int, ...], str, str, str]] = {}
    for name, item in needs.items():
        for numbers, word, symbol in item.cpp:
            family = word.partition("_")[0]
            if family not in found or numbers > found[family][0]:
                found[family] = (numbers, word, name, symbol)
    return tuple((word, name, symbol) for _, word, name, symbol in found.values())


def _compiled(wheel: Path) -> Iterator[tuple[str, ElfNeeds | tuple[MachoNeeds, ...]]]:
    """The ELF and Mach-O files of a wheel with what they need."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.file_size < 64 or member.is_dir():
                continue
            with archive.open(member) as stream:
                magic = stream.read(4)
            if magic != MAGIC and magic not in MAGICS:
                continue
            with tempfile.TemporaryFile(dir=wheel.parent) as whole:
                with archive.open(member) as stream:
                    shutil.copyfileobj(stream, whole, 1 << 20)
                found = _needs(whole) if magic == MAGIC else macho_needs(whole)
            if found:
                yield member.filename, found


def _needs(whole: IO[Any]) -> ElfNeeds | None:
    whole.seek(0)
    return elf_needs(whole)


def _check_compiled(name: str, needs: ElfNeeds, package: SourcePackage, target: Target) -> None:
    machine = _MACHINES.get(target.platform)
    if machine is not None and needs.machine != machine:
        raise BuildError(f"{name} is for {needs.machine}, not for {target.platform}", reference="build-platform")
    if any(library.startswith("libc.musl-") for library in needs.libraries):
        raise BuildError(
            f"{name} needs musl's libc, and {target.platform} is a platform of glibc",
            reference="build-platform",
            hint="build it on a machine with glibc",
        )
    found = re.match(r"(\d+)\.(\d+)", target.floor or "")
    if found and needs.glibc is not None and needs.glibc > (int(found[1]), int(found[2])):
        _refuse_symbol(name, needs, package, target)
    inside = [path for path in needs.run_paths if target.folder and Path(path).is_relative_to(target.folder)]
    if inside:
        raise BuildError(
            f"{name} of {package.name} looks for libraries in the folder of its build ({inside[0]})",
            reference="build-run-path",
            hint="the source sets this run path itself; a patched source or `config-settings` may stop it",
        )


def _check_mac(
    name: str, needs: tuple[MachoNeeds, ...], package: SourcePackage, target: Target
) -> tuple[int, int] | None:
    """The oldest macOS that a file loads on; None for a file that is not for the target, or does not say."""
    machine = _MAC_MACHINES.get(target.platform)
    if machine is None:
        return None
    mine = [item for item in needs if item.machine == machine]
    if not mine:
        raise BuildError(
            f"{name} is for {', '.join(item.machine for item in needs)}, not for {target.platform}",
            reference="build-platform",
        )
    needed = max((item.macos for item in mine if item.macos), default=None)
    found = re.match(r"(\d+)(?:\.(\d+))?", target.floor or "")
    if found and needed is not None and needed > (int(found[1]), int(found[2] or 0)):
        raise BuildError(
            f"{name} of {package.name} needs macOS {_text(needed)}, the lock assumes {target.floor}",
            reference="newer-system",
            hint=f'write system: {{__osx: "{_text(needed)}"}} into the recipe, then: envbuild lock; or have the build '
            "heed MACOSX_DEPLOYMENT_TARGET",
        )
    return needed


def _refuse_symbol(name: str, needs: ElfNeeds, package: SourcePackage, target: Target) -> NoReturn:
    assert needs.glibc is not None
    version = f"{needs.glibc[0]}.{needs.glibc[1]}"
    raise BuildError(
        f"{name} of {package.name} needs {needs.symbol}, newer than the glibc {target.floor} of the lock",
        reference="newer-symbols",
        hint=f'write system: {{__glibc: "{version}"}} into the recipe, or build on an older system or with a toolchain '
        f"for one (build: {{{package.name}: {{host: [gcc_{target.platform}]}}}}), then: envbuild lock",
    )
