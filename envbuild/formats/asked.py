"""What a foreign file asks for, while it is being read: requirements, settings, findings and notes as they come.

Theory: a file is read to its end whatever is wrong with it. A finding ends nothing but its own line; when everything
was read, the findings are one error, or the rest is a ``Foreign``.

Rules of the file: knows no format.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.errors import InvalidInput, Issue, Where
from envbuild.formats import Foreign
from envbuild.formats.joining import joined
from envbuild.package import Platform
from envbuild.reading.document import MOST_FINDINGS
from envbuild.recipe import BuildOptions, CondaRequirement, CondaSection, Index, PypiRequirement, PypiSection, Target

MOST_REQUIREMENTS = 20_000
"""Requirements that a file and those that it names may have together."""
MOST_NOTES = 200
"""Notes that are kept: more tell nobody anything."""

Names = bool | tuple[str, ...] | None


class Asked:
    """The state of one reading.

    Attributes:
        packages: PyPI requirements as they come; likewise ``constraints``, ``overrides`` and, for conda, ``conda``.
        channels: None until the file says one.
    """

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.notes: list[Issue] = []
        self.packages: list[PypiRequirement] = []
        self.constraints: list[PypiRequirement] = []
        self.overrides: list[PypiRequirement] = []
        self.conda: list[CondaRequirement] = []
        self.channels: list[str] | None = None
        self.index: Index | None = None
        self.extra_indices: list[Index] = []
        self.no_index: bool | None = None
        self.find_links: list[str] = []
        self.prereleases: Names = None
        self.no_build: Names = None
        self.system: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.settings: dict[str, dict[str, str]] = {}
        self.build_requires: dict[str, tuple[str, ...]] = {}
        self.count = 0

    def issue(self, where: Where | None, reference: str, message: str, hint: str | None = None) -> None:
        """Keep one finding.

        Raises:
            InvalidInput: With all of them when nobody would read on.
        """
        found = Issue(message=message, reference=reference, where=where, hint=hint)
        if found not in self.issues:
            self.issues.append(found)
        if len(self.issues) >= MOST_FINDINGS:
            raise InvalidInput.of(tuple(self.issues))

    def refused(self, error: InvalidInput, where: Where | None) -> None:
        """Keep what a grammar raised, at its place."""
        for issue in error.all_issues():
            self.issue(issue.where or where, issue.reference, issue.message, issue.hint)

    def note(self, where: Where | None, reference: str, message: str, hint: str | None = None) -> None:
        """Keep what was read and means nothing here (``no-meaning``, ``configuration``) or is lost (``lost``)."""
        found = Issue(message=message, reference=reference, where=where, hint=hint)
        if len(self.notes) < MOST_NOTES and found not in self.notes[-20:]:
            self.notes.append(found)

    def take(self, text: str, grammar: Callable[[str], str], where: Where | None) -> str | None:
        """A text in its one spelling; None after a finding."""
        try:
            return grammar(text)
        except InvalidInput as error:
            self.refused(error, where)
            return None

    def more(self, where: Where | None) -> None:
        """Count one requirement.

        Raises:
            InvalidInput: ``too-large``.
        """
        self.count += 1
        if self.count > MOST_REQUIREMENTS:
            raise InvalidInput(
                f"more than {MOST_REQUIREMENTS:,} requirements",
                reference="too-large",
                where=where,
                hint="ask for fewer",
            )

    def add_index(self, index: Index) -> None:
        """One more additional index, once."""
        if all(index.url != known.url for known in self.extra_indices):
            self.extra_indices.append(index)

    def add_names(self, before: Names, names: Names) -> Names:
        """Names, or all of them, added to what was said before."""
        if isinstance(before, tuple) and isinstance(names, tuple):
            return tuple(sorted({*before, *names}))
        return True if before is True and names is not False else names

    def foreign(
        self,
        *,
        name: str | None = None,
        python: str | None = None,
        python_where: Where | None = None,
        platforms: tuple[Platform, ...] | None = None,
        targets: tuple[Target, ...] = (),
    ) -> Foreign:
        """Everything as one value.

        Raises:
            InvalidInput: With every finding.
        """
        packages = joined(self.packages, self.issues)
        constraints, overrides = joined(self.constraints, self.issues), joined(self.overrides, self.issues)
        conda = joined(self.conda, self.issues)
        if self.issues:
            raise InvalidInput.of(tuple(sorted(self.issues, key=_place)))
        builds = sorted({*self.settings, *self.build_requires})
        return Foreign(
            name=name,
            python=python,
            python_where=python_where,
            platforms=platforms,
            system=tuple(sorted(self.system.items())),
            conda=CondaSection(
                channels=None if self.channels is None else tuple(self.channels) or None, packages=conda
            ),
            pypi=PypiSection(
                index=self.index,
                extra_indices=tuple(self.extra_indices),
                no_index=self.no_index,
                find_links=tuple(dict.fromkeys(self.find_links)),
                prereleases=self.prereleases,
                no_build=self.no_build,
                packages=packages,
                constraints=constraints,
                overrides=overrides,
            ),
            build=tuple(
                BuildOptions(
                    name=item,
                    config_settings=tuple(sorted(self.settings.get(item, {}).items())),
                    requires=self.build_requires.get(item, ()),
                )
                for item in builds
            ),
            targets=targets,
            variables=tuple(sorted(self.variables.items())),
            notes=tuple(self.notes),
        )


def _place(issue: Issue) -> tuple[str, int, int]:
    where = issue.where
    return (where.file, where.line or 0, where.column or 0) if where else ("", 0, 0)
