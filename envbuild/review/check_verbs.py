"""``check`` as a verb of a session: every recipe and lock of a project, in one answer.

Rules of the file: finds projects and recipes, and puts the rooms beside it together; findings are theirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.naming import Names
    from envbuild.environments.realizing import Realizer
    from envbuild.machine.home import Home
    from envbuild.policy import Policy
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.review.findings import Checked, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What is checked beside what can be told without a network.

    Attributes:
        fix: Write what is mechanical: locks as envbuild writes them.
        origin: Ask the channels and indices of changed lines what they say of these files.
        base: The revision that lines have changed since; None for where this branch left the one it goes into.
        online: Ask whether the names of bases have moved, and whether they are signed.
        now: The time at which ages are counted; that of the machine when None.
    """

    fix: bool = False
    origin: bool = False
    base: str | None = None
    online: bool = False
    now: datetime | None = None


_DEFAULT = CheckOptions()


class CheckVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102

        def _realizer(self, project: Project) -> Realizer: ...

        def _home(self) -> Home: ...

        def _names(self, home: Home, *, silent: bool = False) -> Names: ...

    def examine(self, *recipes: Path | str, options: CheckOptions = _DEFAULT) -> Checked:
        """Everything that is wrong with recipes and their locks.

        Args:
            recipes: Their files; every recipe of the project when none is named.
            options: What else is checked.

        Raises:
            UsageError: ``no-recipes``; ``no-base`` when the revision is not there.
            InvalidInput: When a configuration file is wrong.
        """
        from envbuild.review.check_run import Run
        from envbuild.review.checking import orphans
        from envbuild.review.findings import Checked, ordered, seen_from
        from envbuild.review.named_bases import NamedBases

        whole = not recipes
        paths = [Path(os.path.abspath(item)) for item in recipes or self.recipes()]
        now = options.now or datetime.now(timezone.utc)
        every: list[Finding] = []
        remembered = asked = 0
        fixed: list[str] = []
        for project, members in self._by_project(paths):
            findings: list[Finding] = []
            policy = self._policy(project)
            made = Run(project, policy, self._environ, now, self._check_cache(), fix=options.fix)
            findings += made.all(members)
            remembered += made.remembered
            if options.origin:
                number, told = made.origins(members, options.base, self._realizer(project).workspace)
                asked += number
                findings += told
            if options.online:
                names = self._names(self._home(), silent=True)
                findings += made.bases(members, NamedBases(project, names, signed=policy.signed_base))
            else:
                findings += made.unasked(members)
            if whole and project.root == self.project().root:
                findings += orphans(project.root / project.config.recipes, made.checker.label)
            seen = _seen_from(self.project().root, project.root)
            every += [seen_from(item, seen) for item in findings]
            fixed += [f"{seen}{file}" for file in made.fixed]
        return Checked(
            recipes=len(paths),
            remembered=remembered,
            findings=ordered(every),
            asked=asked,
            fixed=tuple(sorted(fixed)),
        )

    def _policy(self, project: Project) -> Policy:
        """What is held against a project's locks. One that lies in another loosens nothing of that one's policy."""
        around = self.project()
        policy = project.config.policy
        inside = project.root != around.root and project.root.is_relative_to(around.root)
        return around.config.policy.tightened(policy) if inside else policy

    def _by_project(self, paths: Sequence[Path]) -> list[tuple[Project, list[Path]]]:
        groups: dict[Path, tuple[Project, list[Path]]] = {}
        for path in paths:
            project = self.project(path)
            groups.setdefault(project.root, (project, []))[1].append(path)
        return list(groups.values())

    def _check_cache(self) -> Path | None:
        """The folder of what was found good; None where there is no home, which a check does not need."""
        from envbuild.machine.home import find_home, open_home

        try:
            return open_home(find_home(self._environ)).cache / "check"
        except (EnvbuildError, OSError):
            return None


def _seen_from(root: Path, project: Path) -> str:
    """What stands before the files of a project that is not the session's own."""
    if project == root:
        return ""
    return f"{project.relative_to(root).as_posix()}/" if project.is_relative_to(root) else f"{project.as_posix()}/"
