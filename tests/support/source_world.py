"""An index of one test's own with wheels and sdists, a project's folder, and PyPI solves in both, by the real uv.

::

    world.sdist("own", "1.0", requires=["leaf"])
    fragment = world.solve(need("own"))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations.solve import Fragment, Solve, fragment_from_bytes, realise
from envbuild.errors import EnvbuildError, Where
from envbuild.machine.virtual import default_system
from envbuild.machine.workspace import Workspace
from envbuild.package import Platform, SourcePackage
from envbuild.recipe import BuildOptions, PypiRequirement
from envbuild.request import PlatformRequest
from tests.support.sdists import make_own_sdist
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel

LINUX = Platform("linux-64")
HERE = Where(file="recipes/x.yaml", line=7)


@dataclass
class World:
    """See the module.

    Attributes:
        notes: What solves said.
        build_timeout: Seconds that a hook may take.
    """

    folder: Path
    home: Path
    server: Server
    index: WheelIndex
    notes: list[str] = field(default_factory=list)
    build_timeout: float = 120.0

    @property
    def files(self) -> Path:
        """The index's folder."""
        return self.index.folder

    @property
    def project(self) -> Path:
        """The project's root."""
        return self.folder / "project"

    def sdist(self, name: str, version: str, **options: Any) -> Path:
        """Put an sdist on the index; options as in ``make_own_sdist``."""
        return make_own_sdist(self.files, name, version, scratch=self.folder / "made", **options)

    def wheel(self, name: str, version: str, **options: Any) -> Path:
        """Put a wheel on the index."""
        return make_wheel(self.files, name, version, **options)

    def question(
        self,
        *packages: PypiRequirement,
        platform: str = LINUX,
        interpreter: str = "host",
        build: tuple[BuildOptions, ...] = (),
        cut_off: str | None = None,
        fields: dict[str, Any] | None = None,
        **request: Any,
    ) -> Solve:
        """The solve of a request; ``fields`` are more of ``Solve``'s, the others are of the request."""
        asked = PlatformRequest(
            platform=Platform(platform),
            python=request.pop("python", "3.11.*"),
            system=default_system(Platform(platform), None),
            pypi=packages,
            **request,
        )
        return Solve(
            ecosystem="pypi", request=asked, interpreter=interpreter, build=build, cut_off=cut_off, **(fields or {})
        )

    def solve(self, *packages: PypiRequirement, **options: Any) -> Fragment:
        """Solve; options as in ``question``."""
        solve = self.question(*packages, **options)
        place = Addresses(root=self.project.as_posix(), index=f"{self.server.url}/simple")
        with Workspace(self.home, place, note=self.notes.append, build_timeout=self.build_timeout) as workspace:
            out = realise(solve, workspace.for_job(solve, {}))["out"]
            path = workspace.store.blobs.path(out.sha256)
            assert path is not None
            return fragment_from_bytes(path.read_bytes())

    def again(self, before: Fragment, *packages: PypiRequirement, free: str = "", **options: Any) -> Fragment:
        """Solve with what was locked before preferred, but for the package ``free``."""
        fields = {
            "keep_wheels": tuple(item for item in before.wheels if item.name != free),
            "keep_sources": tuple(item for item in before.sources if item.name != free),
            "keep_build": tuple(item for item in before.build if item.name != free),
            "keep_build_sources": tuple(item for item in before.build_sources if item.name != free),
        }
        return self.solve(*packages, fields=fields, **options)

    def extended(self, base: Fragment, *packages: PypiRequirement, **options: Any) -> Fragment:
        """Solve with everything of a base pinned."""
        fields = {
            "pins_wheels": base.wheels,
            "pins_sources": base.sources,
            "pins_build": base.build,
            "pins_build_sources": base.build_sources,
        }
        return self.solve(*packages, fields=fields, **options)

    def refused(self, *packages: PypiRequirement, **options: Any) -> EnvbuildError:
        """The error of a solve that must fail."""
        with pytest.raises(EnvbuildError) as caught:
            self.solve(*packages, **options)
        return caught.value

    def downloads(self, pattern: str) -> int:
        """How many files of the index were asked for whose name fits."""
        return self.server.count(f"/files/{pattern}", method="GET")


def need(name: str, version: str = "", **fields: Any) -> PypiRequirement:
    """A requirement that stands in line 7."""
    return PypiRequirement(name=name, version=version, where=HERE, **fields)


def found(fragment: Fragment) -> dict[str, str]:
    """Versions by name."""
    return {item.name: item.version for item in fragment.wheels} | {
        item.name: item.version for item in fragment.sources
    }


def only(fragment: Fragment) -> SourcePackage:
    """The one source of a fragment."""
    (source,) = fragment.sources
    return source
