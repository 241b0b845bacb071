"""``realize --prefix DIR --editable NAME[=PATH]``: a development environment, what ``pip install -e`` gives.

Everything that the lock has is linked into a folder of the user's own, but the packages named; those are installed so
that an edit of their folder counts at once (PEP 660, by the project's own build backend through uv). The tools of such
a build have the versions of the lock where the lock has them; a backend may ask for more, which then comes from the
index. It runs on the user's own folder, as the user, and may leave there what it leaves with pip.

None of this is ever part of a lock, a store or a key: such a folder is private and may be changed.

Rules of the file: refuses early and clearly; the lock is never touched.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.log_tail import log_tail
from envbuild.digest import Digest, digest_bytes
from envbuild.environments.realized import Editable, RealizeOptions, Wanted
from envbuild.errors import BuildError, UsageError
from envbuild.linkers.scripts import finish_scripts
from envbuild.lock import LockedEnvironment
from envbuild.machine.uv_program import uv_program
from envbuild.package import IndexOrigin, LinksOrigin, normalize_pypi_name
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context, HostPython


def develop(wanted: Wanted, options: RealizeOptions, root: Path) -> Wanted:
    """The environment without the packages that are used where they lie.

    Args:
        wanted: The environment of a lock.
        options: The packages, each with a folder where the user gave one.
        root: The project's root.

    Raises:
        UsageError: ``not-editable``, with the reason.
    """
    editables = tuple(_choose(name, path, wanted.environment, root) for name, path in options.editable)
    names = {item.name for item in editables}
    environment = replace(
        wanted.environment,
        wheels=tuple(item for item in wanted.environment.wheels if item.name not in names),
        sources=tuple(item for item in wanted.environment.sources if item.name not in names),
    )
    return replace(wanted, environment=environment, editables=editables)


def _choose(asked: str, path: Path | None, environment: LockedEnvironment, root: Path) -> Editable:
    name = normalize_pypi_name(asked)
    sources = {item.name: item for item in environment.sources}
    if name not in sources and name not in {wheel.name for wheel in environment.wheels}:
        conda = name in {package.name for package in environment.conda}
        raise UsageError(
            f"{name} is a conda package here, and those are not edited in place"
            if conda
            else f"{name} is not in this environment, so nothing of what it needs is",
            reference="not-editable",
            hint=f"envbuild add RECIPE {name}, or `{name}: {{path: FOLDER}}` under `pypi: packages:`",
        )
    source = sources.get(name)
    if path is None and (source is None or source.path is None):
        raise UsageError(
            f"{name} comes from elsewhere: say which folder is to be edited",
            reference="not-editable",
            hint=f"--editable {name}=FOLDER",
        )
    folder = path if path is not None else root / str(source.path if source is not None else "")
    if not any((folder / file).is_file() for file in ("pyproject.toml", "setup.py")):
        raise UsageError(
            f"{folder} is no Python project: it has neither pyproject.toml nor setup.py",
            reference="not-editable",
            hint=f"--editable {name}=FOLDER",
        )
    return Editable(name=name, folder=folder, source=source)


def identity_of(wanted: Wanted) -> Digest:
    """What an environment is recorded as: its id, or another one, which no lock has, with packages that are edited."""
    if not wanted.editables:
        return wanted.environment.id
    lines = [wanted.environment.id, *(f"{item.name}={item.folder}" for item in wanted.editables)]
    return digest_bytes("\n".join(lines).encode())


def install(
    wanted: Wanted,
    final: Path,
    host: HostPython | None,
    prefix: Path,
    context: Context,
    *,
    offline: bool,
) -> None:
    """Install packages into a prefix so that their folders are what is imported.

    Args:
        wanted: The environment and what is to be edited; the build requirements of its lock are preferred.
        final: The path that the prefix will have.
        host: The Python that it stands on, in host mode.
        prefix: The folder as it is now.
        context: For processes; they may use the network.
        offline: They may not.

    Raises:
        BuildError: ``editable-failed`` with the end of what uv and the backend said.
    """
    constraints = prefix.parent / "build-constraints.txt"
    tools = "".join(f"{item.name}=={item.version}\n" for item in wanted.environment.build_inputs.packages)
    constraints.write_text(tools, encoding="utf-8")
    at = ["--python", str(prefix / "bin" / "python")]
    if host is not None:
        at = ["--python", host.path, "--prefix", str(prefix)]
    for item in wanted.editables:
        argv = [uv_program(), "pip", "install", "--no-deps", "--break-system-packages", "--no-progress", *at]
        argv += ["--build-constraints", str(constraints), "--editable", str(item.folder)]
        argv += [*_indices(wanted, context), *(["--offline"] if offline else [])]
        done = context.run(argv, env=_variables(item, context, prefix, final), cwd=prefix.parent, network=not offline)
        if done.returncode != 0:
            raise BuildError(
                f"{item.folder} could not be installed as editable:\n{log_tail(done.tail)}",
                reference="editable-failed",
            )
        (prefix / ".lock").unlink(missing_ok=True)
    finish_scripts(prefix, final, host.path if host else None)


def _variables(item: Editable, context: Context, prefix: Path, final: Path) -> dict[str, str]:
    """What the backend sees: the lock's own settings, and the conda libraries that it may."""
    variables = {
        "UV_CACHE_DIR": str(context.engine_cache("uv")),
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    if item.source is None:
        return variables
    if item.source.host:
        variables |= {
            "PREFIX": str(prefix),
            "CPATH": str(prefix / "include"),
            "LIBRARY_PATH": str(prefix / "lib"),
            "PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig:{prefix}/share/pkgconfig",
            "CMAKE_PREFIX_PATH": str(prefix),
            "LDFLAGS": " ".join(map(shlex.quote, (f"-L{prefix}/lib", f"-Wl,-rpath,{final}/lib"))),
        }
    return variables | dict(text.partition("=")[::2] for text in item.source.variables)


def _indices(wanted: Wanted, context: Context) -> Iterator[str]:
    """The places that the lock's build requirements come from, as this machine reaches them, and its own."""
    here = context.addresses
    places: dict[str, None] = {}
    for item in wanted.environment.build_inputs.packages:
        origin = wanted.lock.wheel_origin(item)
        if isinstance(origin, IndexOrigin) and origin.index != "default":
            places[here.candidates(here.absolute(origin.index))[0]] = None
        elif isinstance(origin, LinksOrigin):
            yield from ("--find-links", here.absolute(origin.location))
    for url in (*places, *map(here.absolute, here.extra_indices)):
        yield from ("--index", url)
    for location in here.find_links:
        yield from ("--find-links", here.absolute(location))
    if here.one_pool:
        yield from ("--index-strategy", "unsafe-best-match")
    if here.index is not None:
        yield from ("--default-index", here.candidates(here.absolute(here.index))[0])
