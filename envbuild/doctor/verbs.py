"""``doctor`` as a verb of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.doctor.finding import Finding, of_error
from envbuild.errors import EnvbuildError

if TYPE_CHECKING:
    from envbuild.environments.realizing import Realizer
    from envbuild.environments.store_verbs import StoreInfo
    from envbuild.projects.project import Project


class DoctorVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _offline: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def store_info(self, store: str | None = None) -> tuple[StoreInfo, ...]: ...  # noqa: D102  likewise

    def doctor(self) -> Iterator[Finding]:
        """Look at everything that commands of this project rely on; findings come as they are made.

        Nothing is changed. Without a network (``offline``), stores far away, the index and channels are not asked.
        """
        from envbuild.doctor import checkout, machine, reaching

        def workspace_of(look: Callable[..., Iterator[Finding]], *arguments: object) -> Iterator[Finding]:
            yield from look(*arguments, self._realizer(self.project()).workspace)

        looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
            ("home", lambda: machine.home(self._environ)),
            ("programs", lambda: machine.programs(self._environ)),
            ("machine", machine.system),
            ("machine", lambda: workspace_of(machine.kernel)),
            ("project", lambda: checkout.recipes(self.project())),
            ("project", lambda: checkout.git(self.project(), self._environ)),
            ("project", lambda: checkout.links(self.project(), self._environ)),
            ("stores", lambda: reaching.stores(self.store_info())),
        ]
        if not self._offline:
            looks.append(("network", lambda: workspace_of(reaching.origins, self.project())))
        told: set[tuple[str, str]] = set()
        for area, look in looks:
            try:
                for finding in look():
                    if (finding.state, finding.text) not in told:
                        told.add((finding.state, finding.text))
                        yield finding
            except EnvbuildError as error:
                finding = of_error(area, error)
                if (finding.state, finding.text) not in told:  # a broken envbuild.yaml ends every look alike
                    told.add((finding.state, finding.text))
                    yield finding
