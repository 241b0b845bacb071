"""Builds without a lock or a store: a ``BuildWheel`` made by hand, realised in a ``FolderContext``.

::

    building = Building(tmp_path / "home")
    built = building.build(sdist, "pkg", "1.0", wheels=[setuptools_wheel])
    built.record["file"], built.log, built.names()

Rules of the file: the real linkers, the real isolation, the real backends.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envbuild.derivations import PackageInput
from envbuild.derivations.build_wheel import BuildWheel, realise
from envbuild.digest import Digest, digest_file
from envbuild.package import CondaPackage, InterpreterArchive, Platform, SourcePackage
from tests.support.channel import this_platform
from tests.support.link_context import SERIES, FolderContext, fetch_key, wheel_inputs

ABI = f"cp{SERIES.replace('.', '')}"


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build published."""

    wheel: Path
    record: dict[str, Any]
    log: str

    def names(self) -> list[str]:
        """The members of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return sorted(archive.namelist())

    def read(self, name: str) -> bytes:
        """One member."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.read(name)


class Building:
    """A place to build in.

    Attributes:
        context: What the builds touch; its notes and kept logs tell more.
    """

    def __init__(self, home: Path) -> None:
        self.context = FolderContext(home, {})

    def derivation(
        self,
        source: Path,
        name: str,
        version: str,
        *,
        wheels: Sequence[Path] = (),
        conda: Sequence[tuple[CondaPackage, Path]] = (),
        runs_on: Sequence[tuple[CondaPackage, Path]] = (),
        archive: tuple[InterpreterArchive, Path] | None = None,
        requires: Sequence[str] = (),
        floor: str | None = None,
        series: str = SERIES,
        platform: str | None = None,
        **fields: Any,
    ) -> BuildWheel:
        """A build of an archive, its inputs readable in ``context``.

        Args:
            wheels: Build requirements.
            conda: Host packages.
            runs_on: The packages of the Python; the host's Python when there are none, and no ``archive``.
            requires: What the lock says that it needs.
            fields: More of the ``SourcePackage``.
        """
        package = SourcePackage(
            name=name,
            version=version,
            file=source.name,
            sha256=digest_file(source),
            index="default",
            requires=tuple(requires),
            **fields,
        )
        known = wheel_inputs(wheels)
        made_of: Sequence[tuple[Any, Path]] = [archive] if archive is not None else runs_on
        for item, path in (*known, *conda, *made_of):
            self.context.blobs[fetch_key(item.sha256)] = path
        self.context.blobs[fetch_key(package.sha256)] = source

        def inputs(items: Sequence[tuple[Any, Path]]) -> tuple[PackageInput, ...]:
            return tuple(PackageInput(key=fetch_key(item.sha256), package=item) for item, _ in items)

        return BuildWheel(
            source=fetch_key(package.sha256),
            package=package,
            python=series,
            abi=f"cp{series.replace('.', '')}",
            platform=Platform(platform or this_platform()),
            floor=floor,
            requires=inputs(known),
            host=inputs(conda),
            interpreter="managed" if archive is not None else "conda" if runs_on else "host",
            runs_on=inputs(made_of),
        )

    def build(self, source: Path, name: str, version: str, **options: Any) -> Built:
        """Build it; see ``derivation``."""
        return self.realise(self.derivation(source, name, version, **options))

    def realise(self, derivation: BuildWheel) -> Built:
        """Do the work of a build and read what it published."""
        outputs = realise(derivation, self.context.typed())
        files = {name: self.context.home / "blobs" / output.sha256 for name, output in outputs.items()}
        assert set(files) == {"out", "record", "log"}
        return Built(
            wheel=files["out"],
            record=json.loads(files["record"].read_bytes()),
            log=files["log"].read_text(errors="replace"),
        )


def blob_of(built: Built) -> Digest:
    """The digest of a built wheel."""
    return digest_file(built.wheel)
