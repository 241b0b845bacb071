"""The environment that a build runs in: a Python, the locked build requirements, the conda libraries it may see.

It is linked into the build's own folder by the same linkers as every prefix, for the path at which the build will see
it. Nothing else can be imported: packages that merely came with the Python are taken out of it, and so are the headers
and link libraries of what the Python is made of, unless the recipe says that the build may see them (``host``). A
build could otherwise link to a library that stands in no key.

::

    FOLDER/               seen as /tmp when the build is shut off, else as itself
      environment/        Python, build requirements, host packages; not to be written to
      home/  temporary/   HOME and TMPDIR
      …                   what the caller puts there: the source, a folder for the wheel

Every build sees the same variables, whatever the user's are: one language, one time zone, one date
(``SOURCE_DATE_EPOCH``: 1980-01-01, the first day that a wheel can hold, for the key of a build holds no date and a
canonical tar has none), one seed for hashes. How many jobs may run at once is this machine's and in no key.

Rules of the file: the folder is scratch and everything stays in it; engines are called through the linkers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.host_libraries import host_variables, write_run_paths
from envbuild.builders.isolation import KEPT, Isolation, place_of, probe
from envbuild.errors import BuildError
from envbuild.linkers.placing import placer, ways
from envbuild.linkers.record import replace_bytes
from envbuild.package import CondaPackage, InterpreterArchive, Wheel
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context

CondaFiles = Sequence[tuple[Path, CondaPackage]]

DATE = 315_532_800
"""1980-01-01 as SOURCE_DATE_EPOCH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPython:
    """The Python that runs a backend: exactly one of ``host``, ``conda`` and ``archive`` is set.

    Attributes:
        series: ``X.Y``.
        host: Real path of a Python of this machine.
        conda: Verified files of the conda packages that it is made of, ``python`` among them.
        archive: The verified archive of a managed Python.
    """

    series: str
    host: str | None = None
    conda: tuple[tuple[Path, CondaPackage], ...] = ()
    archive: tuple[Path, InterpreterArchive] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEnvironment:
    """A build's folder, ready to run programs in.

    Attributes:
        folder: On this machine.
        place: Where a build sees it.
        python: Its Python, as a build sees it.
        variables: All that a build's environment holds, besides ``PATH`` and what the recipe declares.
    """

    folder: Path
    place: Path
    isolation: Isolation
    python: Path
    variables: Mapping[str, str]

    @property
    def path(self) -> tuple[str, ...]:
        """What stands first on ``PATH``."""
        return (str(self.place / KEPT / "bin"),)

    def inside(self, path: Path) -> Path:
        """A path of this machine as the build sees it.

        Raises:
            ValueError: When it is not in the build's folder; a defect of the caller.
        """
        return self.place / path.relative_to(self.folder)


def make_build_environment(
    folder: Path,
    *,
    python: BuildPython,
    wheels: Sequence[tuple[Path, Wheel]],
    conda: CondaFiles = (),
    context: Context,
) -> BuildEnvironment:
    """Fill a folder with what a build needs.

    Args:
        folder: Scratch; sources and results of the build must lie in it too, under names of their own.
        python: What runs the backend.
        wheels: The locked build requirements, verified files.
        conda: The conda packages that the build may see, verified files.
        context: For engines and processes.

    Raises:
        IntegrityError: A package is not what the lock says.
        BuildError: An engine failed; ``no-python`` when there is no Python in the packages.
        NoSpaceError: The disk is full.
    """
    isolation = probe(context)
    place = place_of(folder, isolation, python.host)
    prefix, final = folder / KEPT, place / KEPT
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    _make_python(prefix, final, python, conda, context)
    if not (prefix / "bin" / "python").exists():
        raise BuildError(f"there is no Python {python.series} to build with", reference="no-python")
    if wheels:
        _install(wheels, prefix, python.host, context)
    from envbuild.linkers.scripts import finish_scripts

    finish_scripts(prefix, final, python.host)
    _settle_configuration(prefix, final)
    variables = _variables(place)
    if conda:
        write_run_paths(prefix)
        variables |= host_variables(final)
    if isolation.apart:
        variables["PYTHONPYCACHEPREFIX"] = str(place / "temporary" / "bytecode")
    else:
        _own_files(prefix)
    return BuildEnvironment(
        folder=folder, place=place, isolation=isolation, python=final / "bin" / "python", variables=variables
    )


def _make_python(prefix: Path, final: Path, python: BuildPython, conda: CondaFiles, context: Context) -> None:
    if python.archive is not None:
        from envbuild.linkers.archive import link_archive

        link_archive(*python.archive, prefix, final, context)
    elif python.host is not None:
        from envbuild.linkers.venv import make_venv

        make_venv(prefix, python.host, context)
    else:
        from envbuild.linkers.conda import link_conda

        packages = {package.name: (path, package) for path, package in (*python.conda, *conda)}
        link_conda(tuple(packages.values()), prefix, final, context.platform, context)
        _take_out(prefix, {package.name for _, package in conda})
        return
    if conda:
        from envbuild.linkers.beside import link_beside

        link_beside(conda, prefix, final, context.platform, context)


def _install(wheels: Sequence[tuple[Path, Wheel]], prefix: Path, host: str | None, context: Context) -> None:
    from envbuild.linkers.install_wheels import install_wheels
    from envbuild.linkers.wheel_check import check_wheel

    memory = context.engine_cache("checked-wheels")
    checked = [(path, wheel, check_wheel(path, wheel, memory)) for path, wheel in wheels]
    install_wheels(checked, (), prefix, host, context, {})


def _take_out(prefix: Path, seen: set[str]) -> None:
    """Remove what a build may not see of the packages that a conda Python is made of, or that came with them."""
    for record in (prefix / "conda-meta").glob("*.json"):
        document = json.loads(record.read_bytes())
        if document["name"] == "python" or document["name"] in seen:
            continue
        for name in document["files"]:
            path = prefix / name
            if _is_for_building(name) or (path.is_symlink() and name.endswith(".so")):
                path.unlink(missing_ok=True)


def _is_for_building(name: str) -> bool:
    """Whether a file of a package serves to build against it, or to be imported."""
    return name.startswith(("include/", "lib/pkgconfig/", "share/pkgconfig/", "lib/cmake/")) or bool(
        name.endswith((".a", ".la", ".tbd")) or re.match(r"lib/python[\d.]+t?/site-packages/", name)
    )


def _settle_configuration(prefix: Path, final: Path) -> None:
    """What the Python tells its extensions to be built with: this machine's compiler, no run path into the build.

    A conda Python names its own ``lib`` as run path of everything that is built with it, which would be the build's
    folder; a managed one names the compiler of those who built it.
    """
    for path in prefix.glob("lib/python3*/_sysconfigdata*.py"):
        if path.is_symlink():
            continue
        data = path.read_bytes()
        told = re.sub(rb"-Wl,-rpath(-link)?,%s[^\s'\"]*" % re.escape(os.fsencode(final)), b"", data)
        told = told.replace(b"-fdebug-default-version=4", b"").replace(b"llvm-ar", b"ar")
        told = re.sub(rb"(?<=['\"\s])clang\+\+(?=[\s'\"])", b"c++", told)
        told = re.sub(rb"(?<=['\"\s])clang(?=[\s'\"])", b"cc", told)
        if told != data:
            replace_bytes(path, told)


def _variables(place: Path) -> dict[str, str]:
    jobs = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return {
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "temporary"),
        "USER": "build",
        "LOGNAME": "build",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(DATE),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "CARGO_NET_OFFLINE": "true",
        "CMAKE_BUILD_PARALLEL_LEVEL": jobs,
        "MAKEFLAGS": f"-j{jobs}",
    }


def _own_files(prefix: Path) -> None:
    """Copies in place of hard links, where a build could write into what caches and other prefixes hold."""
    place = placer(ways("reflink", prefix, prefix))
    for parent, _, names in os.walk(prefix):
        for name in names:
            path = Path(parent, name)
            state = path.lstat()
            if state.st_nlink > 1 and not path.is_symlink():
                fresh = path.with_name(f".{name}.own")
                place(str(path), str(fresh))
                fresh.replace(path)
