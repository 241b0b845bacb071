"""A build from its declared inputs to its outputs: unpack, make the environment, call the backend, check, publish.

Everything happens in one scratch folder; the log lies beside what the build can see, so that it cannot change it. When
anything goes wrong, the log is kept where ``envbuild log`` finds it, and the error says how it ended.

For another platform than this machine's, only what turns out to be pure Python can be built; what makes that
impossible from the start (a conda library, a compiled build requirement) is said before anything runs.

Rules of the file: the order of the steps; each step is a module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild import faults
from envbuild.builders.built_wheel import BuiltRecord, Target, check_built
from envbuild.builders.compiler import declared_toolchain, first_line
from envbuild.builders.environment import BuildEnvironment, BuildPython, make_build_environment
from envbuild.builders.hooks import build_wheel, declared
from envbuild.builders.unpack import unpack_source
from envbuild.digest import Json, canonical_json
from envbuild.errors import BuildError, EnvbuildError, UnsatisfiableError
from envbuild.linkers.provenance import built_wheel
from envbuild.machine.disk import writing
from envbuild.package import CondaPackage, InterpreterArchive, Platform, SourcePackage, Wheel
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context, Outputs
    from envbuild.derivations.build_wheel import BuildWheel

RECORD_FORMAT = 1


def build(derivation: BuildWheel, markers: Mapping[str, str], context: Context) -> Outputs:
    """Build a source's wheel and publish wheel, record and log.

    Args:
        derivation: What to build.
        markers: PEP 508 variables of what it is built for.
        context: For inputs, processes and publishing.

    Raises:
        BuildError: With the end of the log; see ``builders.hooks`` and ``builders.built_wheel``; ``wrong-builder``.
        IntegrityError: An input is not what the lock says, or not safe to unpack.
        NoSpaceError: The disk is full.
    """
    _refuse_elsewhere(derivation, context)
    began = time.monotonic()
    with context.scratch() as scratch, writing(scratch):
        log, folder = scratch / "log", scratch / "build"
        folder.mkdir()
        try:
            source = _unpack(derivation, folder, context)
            environment = _environment(derivation, folder, context)
            found, compiler = _build(derivation, source, environment, markers, log, context)
        except EnvbuildError as error:
            raise _told(error, derivation, log, context) from error.__cause__
        record = _record(derivation, found, compiler, environment, round((time.monotonic() - began) * 1000))
        faults.reach("mid-wheel-build")
        return {
            "out": context.put(folder / "wheel" / found.file, expected=found.sha256),
            "record": context.put_bytes(canonical_json(record)),
            "log": context.put(log),
        }


def _unpack(derivation: BuildWheel, folder: Path, context: Context) -> Path:
    package = derivation.package
    place = folder / "source"
    place.mkdir()
    top = unpack_source(context.blob(derivation.source), package.file, place, context.note)
    project = top / package.subdirectory if package.subdirectory else top
    if not project.is_dir() or not project.resolve().is_relative_to(top.resolve()):
        raise BuildError(f"{package.file} has no folder {package.subdirectory!r}", reference="no-project")
    return project


def _environment(derivation: BuildWheel, folder: Path, context: Context) -> BuildEnvironment:
    wheels = _requires(derivation, context)
    conda = [
        (context.blob(item.key), item.package) for item in derivation.host if isinstance(item.package, CondaPackage)
    ]
    environment = make_build_environment(
        folder, python=_python(derivation, context), wheels=wheels, conda=conda, context=context
    )
    return with_declared(environment, derivation.package, derivation.platform, derivation.floor, context)


def with_declared(
    environment: BuildEnvironment, package: SourcePackage, platform: Platform, floor: str | None, context: Context
) -> BuildEnvironment:
    """The environment with what the lock declares for a build: variables, the toolchain, the floor of a Mac.

    Raises:
        BuildError: ``no-toolchain``.
    """
    more = declared(package.variables)
    if package.toolchain:
        more = declared_toolchain(package.toolchain, environment, context) | more
    if platform.startswith("osx") and floor:
        more = {"MACOSX_DEPLOYMENT_TARGET": floor} | more
    return replace(environment, variables={**environment.variables, **more})


def _requires(derivation: BuildWheel, context: Context) -> list[tuple[Path, Wheel]]:
    """The wheels of its build requirements: those of the lock, and those that sources have become."""
    found = []
    for item in derivation.requires:
        wheel = item.package
        if isinstance(wheel, SourcePackage):
            wheel = built_wheel(item.key, wheel, context)
        if isinstance(wheel, Wheel):
            found.append((context.blob(item.key), wheel))
    _refuse_compiled([wheel.file for _, wheel in found], derivation, context)
    return found


def _python(derivation: BuildWheel, context: Context) -> BuildPython:
    series = derivation.python
    if derivation.interpreter == "host" or derivation.platform != context.platform:
        return BuildPython(series=series, host=context.host_python(series).path)
    archives = [item for item in derivation.runs_on if isinstance(item.package, InterpreterArchive)]
    for item in archives:
        assert isinstance(item.package, InterpreterArchive)
        return BuildPython(series=series, archive=(context.blob(item.key), item.package))
    conda = tuple(
        (context.blob(item.key), item.package) for item in derivation.runs_on if isinstance(item.package, CondaPackage)
    )
    return BuildPython(series=series, conda=conda)


def _build(
    derivation: BuildWheel,
    source: Path,
    environment: BuildEnvironment,
    markers: Mapping[str, str],
    log: Path,
    context: Context,
) -> tuple[BuiltRecord, str]:
    """Call the backend and look at what it built; the compiler that was there when it needed one."""
    out = environment.folder / "wheel"
    out.mkdir()
    wheel = build_wheel(source, environment, derivation.package.settings, (), out, log, context)
    target = Target(
        platform=derivation.platform,
        python=derivation.python,
        abi=derivation.abi,
        floor=derivation.floor,
        markers=markers,
        names=dict(derivation.names),
        folder=environment.place,
    )
    if derivation.platform != context.platform and not wheel.name.endswith("-none-any.whl"):
        raise _wrong_builder(derivation, f"it became {wheel.name}")
    found = check_built(wheel, derivation.package, target)
    compiler = environment.variables.get("CC", "cc").split()[0]
    return found, "" if found.pure else first_line(compiler, environment, {}, context)


def _record(
    derivation: BuildWheel, found: BuiltRecord, compiler: str, environment: BuildEnvironment, milliseconds: int
) -> Json:
    return {
        "format": RECORD_FORMAT,
        "file": found.file,
        "sha256": found.sha256,
        "tags": list(found.tags),
        "glibc": found.glibc,
        "macos": found.macos,
        "cpp": [{"version": version, "file": file, "symbol": symbol} for version, file, symbol in found.cpp],
        "libraries": list(found.libraries),
        "compiler": compiler or None,
        "python": derivation.python,
        "interpreter": derivation.interpreter,
        "isolated": environment.isolation.apart,
        "milliseconds": milliseconds,
    }


def _told(error: EnvbuildError, derivation: BuildWheel, log: Path, context: Context) -> EnvbuildError:
    """The error with the name of what was built, and the log kept where there is one; it ends with the reason."""
    kept = log.is_file() and log.stat().st_size > 0
    if kept:
        if error.reference != "hook-failed":  # the backend said nothing of it: it had come to its end
            with log.open("ab") as stream:
                stream.write(f"\nenvbuild: {error.message.splitlines()[0]}\n".encode(errors="replace"))
        context.keep_log(log)
    hint = error.hint or (f"envbuild log {derivation.package.name}" if kept else None)
    return type(error)(
        f"{derivation.label} was not built: {error.message}",
        reference=error.reference,
        where=error.where,
        hint=hint,
        retryable=error.retryable,
        issues=error.issues,
    )


def _refuse_elsewhere(derivation: BuildWheel, context: Context) -> None:
    """Say at once what this machine can never build."""
    if derivation.platform == context.platform:
        return
    if derivation.host:
        raise _wrong_builder(derivation, f"it sees conda packages of {derivation.platform}")
    _refuse_compiled([i.package.file for i in derivation.requires if isinstance(i.package, Wheel)], derivation, context)
    try:
        context.host_python(derivation.python)
    except UnsatisfiableError:
        raise _wrong_builder(derivation, f"this machine has no Python {derivation.python} of its own") from None


def _refuse_compiled(files: Sequence[str], derivation: BuildWheel, context: Context) -> None:
    compiled = [file for file in files if not file.endswith("-any.whl")]
    if compiled and derivation.platform != context.platform:
        raise _wrong_builder(derivation, f"it is built with {compiled[0]}")


def _wrong_builder(derivation: BuildWheel, why: str) -> BuildError:
    floor = f" with glibc {derivation.floor} or older" if derivation.platform.startswith("linux-") else ""
    return BuildError(
        f"{derivation.label} can only be built on {derivation.platform}: {why}",
        reference="wrong-builder",
        hint=f"build it on a machine of {derivation.platform}{floor if derivation.floor else ''}, and share the store",
    )
