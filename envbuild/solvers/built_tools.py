"""Build requirements that are sources, built while locking: a hook that imports one needs its wheel.

Only hooks ask for that; what is locked is the source. The wheel is made like any other (isolated, from locked inputs,
checked), and kept by all that its build saw, in the engine cache and the store, so that the next lock builds nothing.
It is another build than that of the environment, which has a derivation of its own.

Rules of the file: effects through ``context``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.environment import BuildEnvironment
from envbuild.conda_names import names_of_needs
from envbuild.digest import Digest, Json, key
from envbuild.errors import BuildError, IntegrityError
from envbuild.linkers.python_tags import abi_tag
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.solvers.target import marker_environment
from envbuild.solvers.tools import Tools
from envbuild.solvers.uv_compile import PypiQuestion

if TYPE_CHECKING:
    from envbuild.derivations import Context

_VERSION = 1

Files = Sequence[tuple[Path, Wheel]]
Room = AbstractContextManager[tuple[BuildEnvironment, Path]]
Place = Callable[[SourcePackage, Path, Files, Sequence[CondaPackage]], Room]
"""Gives a build environment with some wheels and conda packages, and a copy of the source in it."""


class BuiltTools:
    """The wheels of what one build imports.

    Args:
        question: The solve, for this machine's platform.
        fetch: The verified file of a wheel or a source.
        place: Where builds run.
        context: For effects.
    """

    def __init__(
        self,
        question: PypiQuestion,
        fetch: Callable[[Wheel | SourcePackage], Path],
        place: Place,
        context: Context,
    ) -> None:
        self._question = question
        self._fetch = fetch
        self._place = place
        self._context = context

    def files(self, tools: Tools) -> list[tuple[Path, Wheel]]:
        """The verified wheels that a build imports, those of sources built.

        Raises:
            BuildError: When one cannot be built.
        """
        built: dict[str, tuple[Path, Wheel]] = {}
        inputs = tools.inputs
        for source in inputs.order():
            files = [(self._fetch(wheel), wheel) for wheel in inputs.wheels_of(source)]
            files += [built[item.file] for item in inputs.sources_of(source)]
            built[source.file] = self._wheel(source, files, inputs.host_of(source))
        own = [(self._fetch(wheel), wheel) for wheel in tools.wheels]
        return [*own, *(built[source.file] for source in tools.sources)]

    def _wheel(self, source: SourcePackage, files: Files, host: Sequence[CondaPackage]) -> tuple[Path, Wheel]:
        identity: dict[str, Json] = {
            "sha256": source.sha256,
            "subdirectory": source.subdirectory,
            "series": self._question.target.series,
            "platform": self._question.target.platform,
            "system": dict(self._question.target.system),
            "abi": self._abi,
            "requires": [wheel.sha256 for _, wheel in files],
            "host": [package.sha256 for package in host],
            "settings": list(source.settings),
            "variables": list(source.variables),
            "toolchain": source.toolchain,
        }
        name = key("built-tool", _VERSION, identity)
        record = self._context.engine_cache("sources") / f"{name}.json"
        with self._context.lock(f"tool-{name[:40]}", patient=True):
            known = self._known(record, source)
            return known if known is not None else self._build(source, files, host, record)

    @property
    def _abi(self) -> str:
        return abi_tag(self._question.host, self._question.target.series)

    def _known(self, record: Path, source: SourcePackage) -> tuple[Path, Wheel] | None:
        """What was built before; None when it is not there any more."""
        try:
            tree = json.loads(record.read_bytes())
            wheel = _wheel_of(source, str(tree["file"]), Digest(str(tree["sha256"])))
            return self._context.fetched(wheel.sha256), wheel
        except (OSError, ValueError, KeyError, TypeError, IntegrityError):
            return None

    def _build(
        self, source: SourcePackage, files: Files, host: Sequence[CondaPackage], record: Path
    ) -> tuple[Path, Wheel]:
        from envbuild.builders.building import with_declared
        from envbuild.builders.built_wheel import Target, check_built
        from envbuild.builders.hooks import build_wheel

        target = self._question.target
        floor = dict(target.system).get("__glibc" if target.platform.startswith("linux") else "__osx")
        try:
            with self._place(source, self._fetch(source), files, host) as (environment, folder):
                environment = with_declared(environment, source, target.platform, floor, self._context)
                out = environment.folder / "wheel"
                out.mkdir()
                wheel = build_wheel(folder, environment, source.settings, (), out, None, self._context)
                wanted = Target(
                    platform=target.platform,
                    python=target.series,
                    abi=self._abi,
                    floor=floor,
                    markers=marker_environment(target),
                    names=dict(names_of_needs(source, self._question.conda)),
                    folder=environment.place,
                )
                found = check_built(wheel, source, wanted)
                self._context.put(wheel, expected=found.sha256)
        except BuildError as error:
            raise BuildError(
                f"{source.name} {source.version}, which a build needs, was not built: {error.message}",
                reference=error.reference,
                hint=error.hint,
            ) from error.__cause__
        part = record.with_name(f"{record.name}.{os.getpid()}.part")
        with suppress(OSError):
            part.write_text(json.dumps({"file": found.file, "sha256": found.sha256}), encoding="utf-8")
            part.replace(record)
        return self._context.fetched(found.sha256), _wheel_of(source, found.file, found.sha256)


def _wheel_of(source: SourcePackage, file: str, sha256: Digest) -> Wheel:
    return Wheel(name=source.name, version=source.version, file=file, sha256=sha256, index=source.index)
