"""``affected`` as a verb of a session: what holds a package, what stands on a base."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError, InvalidInput, UnreachableError, UsageError
from envbuild.locks.place import lock_path
from envbuild.names import Source
from envbuild.projects.recipe_files import recipes_below

if TYPE_CHECKING:
    from envbuild.environments.affected import Affected, Asked, Head
    from envbuild.environments.closures import Closures
    from envbuild.environments.naming import Names
    from envbuild.environments.source_verbs import Meant
    from envbuild.machine.home import Home
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.generation import Generation


class AffectedVerbs:
    """The verb; ``envbuild.session.Session`` is one of these."""

    _reporter: Reporter

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _source(self, source: Path | str) -> Source: ...

        def _meant(self, source: Source, names: Names, closures: Closures) -> Meant: ...

        def _home(self) -> Home: ...

        def _names(self, home: Home) -> Names: ...

        def _closures(self, home: Home) -> Closures: ...

    def affected(self, *, package: str | None = None, base: str | None = None) -> tuple[Affected, ...]:
        """The project's recipes, and the names, that hold a package or stand on a base.

        Args:
            package: A name, with versions as conda or PyPI write them: ``openssl<3.3``.
            base: A name, an id, or a recipe.

        Raises:
            UsageError: ``bad-package``; for neither or both.
            InvalidInput: ``unknown-name`` and the like for the base.
        """
        if (package is None) == (base is None):
            raise UsageError("--package looks for a package, --base for what stands on a base: one of the two")
        home = self._home()
        names = self._names(home)
        if package is not None:
            from envbuild.environments.affected import asked_package

            asked = asked_package(package)
            return (*self._recipes_with(asked), *self._names_with(asked, names, self._closures(home)))
        assert base is not None
        return self._on_base(self._source(base), names, self._closures(home))

    def _recipes_with(self, asked: Asked) -> Iterator[Affected]:
        from envbuild.environments.affected import Affected, in_lock

        for recipe, data in self._locks():
            try:
                held = in_lock(data, str(lock_path(recipe)), asked)
            except EnvbuildError as error:
                self._reporter.note(f"not looked into: {error.where or recipe}: {error}")
                continue
            if held:
                yield Affected(recipe=recipe, held=held)

    def _names_with(self, asked: Asked, names: Names, closures: Closures) -> Iterator[Affected]:
        from envbuild.environments.affected import Affected, in_closure

        for generation in self._listed(names):
            held = [item for data in self._closures_of(generation, closures) for item in in_closure(data, asked)]
            if held:
                yield Affected(name=str(generation.name), held=tuple(held))

    def _closures_of(self, generation: Generation, closures: Closures) -> Iterator[bytes]:
        from envbuild.environments.closures import on

        for platform, _ in generation.named.environments:
            identity = on(generation.named, platform)
            assert identity is not None
            try:
                if not closures.path(identity).is_file() and closures.find(identity) is None:
                    self._reporter.note(f"not looked into: {generation.name} -> {identity}, which no store here has")
                    continue
                yield closures.path(identity).read_bytes()
            except (OSError, EnvbuildError) as error:
                self._reporter.note(f"not looked into: {generation.name} -> {identity}: {error}")

    def _on_base(self, source: Source, names: Names, closures: Closures) -> tuple[Affected, ...]:
        from envbuild.environments.affected import Affected, standing_on

        project = self.project()
        heads = self._heads(project)
        if source.kind == "recipe":
            label = _label(project, Path(os.path.abspath(source.text)))
            if label not in heads and not (project.root / label).is_file():
                raise InvalidInput(f"there is no recipe {source.text}", reference="missing-file")
            means = None
        else:
            meant = self._meant(source, names, closures)
            means = {str(platform): str(digest) for platform, digest in meant.named.environments}
            labels = {"name": f"name:{meant.said}", "step": f"pathspec:{meant.said}"}
            label = labels.get(source.kind, f"id:{source.text}")
        found = standing_on(heads, label, means)
        requests = {heads[recipe].request for recipe in found}
        return (
            *(Affected(recipe=project.root / recipe, behind=behind) for recipe, behind in sorted(found.items())),
            *(Affected(name=str(item.name)) for item in self._listed(names) if item.named.request in requests),
        )

    def _heads(self, project: Project) -> dict[str, Head]:
        from envbuild.environments.affected import head_of

        heads = {}
        for recipe, data in self._locks():
            try:
                heads[_label(project, recipe)] = head_of(data, str(lock_path(recipe)))
            except EnvbuildError as error:
                self._reporter.note(f"not looked into: {error.where or recipe}: {error}")
        return heads

    def _locks(self) -> Iterator[tuple[Path, bytes]]:
        """Every recipe of the project that has a lock, with the lock's bytes."""
        project = self.project()
        for recipe in recipes_below(project.root / project.config.recipes):
            try:
                yield recipe, lock_path(recipe).read_bytes()
            except FileNotFoundError:
                self._reporter.note(f"not looked into: {_label(project, recipe)} has no lock")

    def _listed(self, names: Names) -> tuple[Generation, ...]:
        try:
            return names.listed()
        except UnreachableError as error:
            self._reporter.note(f"names are not looked into: {error}")
            return ()


def _label(project: Project, recipe: Path) -> str:
    """A recipe's path from the project's root, as locks write it."""
    return os.path.relpath(recipe, project.root).replace(os.sep, "/")
