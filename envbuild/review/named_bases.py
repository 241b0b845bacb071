"""Bases that recipes extend by name: whether the name means something else by now, and whether it was signed.

Rules of the file: asks the store that says what names mean, once for a name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from envbuild.digest import Digest
from envbuild.environments.naming import Names
from envbuild.errors import EnvbuildError
from envbuild.lock import Lock, LockedBase
from envbuild.names import Name, parse_name
from envbuild.package import Platform
from envbuild.projects.project import Project, load_recipe, shown_path
from envbuild.review.findings import Finding, found, of_error
from envbuild.store.generation import Generation
from envbuild.store.signatures import Policy
from envbuild.store.signed_names import SignedNames
from envbuild.value import replace


class NamedBases:
    """The named bases of one project.

    Args:
        project: The project; its trust says whose signatures count.
        signed: Whether they must be signed.
        names: What names mean.
    """

    def __init__(self, project: Project, names: Names, *, signed: bool) -> None:
        self._project = project
        self._signed = signed
        self._names = names
        self._known: dict[Name, tuple[Generation, ...] | EnvbuildError] = {}

    def look(self, recipe: Path, file: str, lock: Lock) -> Iterator[Finding]:
        """What has become of the bases of one lock.

        Args:
            recipe: The recipe's file.
            file: As findings call it.
            lock: Its lock.
        """
        for base in lock.bases:
            kind, _, text = base.path.partition(":")
            if kind != "name":
                continue
            name = parse_name(text)
            history = self._history(name)
            line, column = self._place(recipe, base.path)
            if isinstance(history, EnvbuildError):
                for item in of_error(history, file):
                    yield replace(item, file=file, line=line, column=column)
                continue
            yield from (
                replace(item, line=line, column=column)
                for item in (
                    *self._moved(recipe, file, base, name, history),
                    *self._unsigned(file, base, name, history),
                )
            )

    def _history(self, name: Name) -> tuple[Generation, ...] | EnvbuildError:
        if name not in self._known:
            try:
                self._known[name] = self._names.history(name)
            except EnvbuildError as error:
                self._known[name] = error
        return self._known[name]

    def _moved(
        self, recipe: Path, file: str, base: LockedBase, name: Name, history: tuple[Generation, ...]
    ) -> Iterator[Finding]:
        now = max(history, key=lambda item: item.number, default=None)
        if now is None or _means(now, base):
            return
        if now.named.removed:
            yield found("moved-base", f"{name} was removed since this was locked; the lock holds what it meant", file)
            return
        yield found(
            "moved-base",
            f"{name} has moved since this was locked (generation {now.number} now)",
            file,
            hint=f"envbuild lock {quote(shown_path(recipe))} --upgrade-base",
        )

    def _unsigned(self, file: str, base: LockedBase, name: Name, history: tuple[Generation, ...]) -> Iterator[Finding]:
        if not self._signed:
            return
        meant = [item for item in history if _means(item, base)]
        signed = SignedNames(self._names.objects, Policy(self._project.config.trust))
        try:
            if any(signed.look(item).payload is not None for item in meant):
                return
        except EnvbuildError as error:
            yield from (replace(item, file=file) for item in of_error(error, file))
            return
        why = "no generation of it means what the lock holds" if not meant else "no signature that you trust says so"
        yield found("unsigned-base", f"the policy wants {name} signed, and {why}", file)

    def _place(self, recipe: Path, label: str) -> tuple[int | None, int | None]:
        """The recipe's line that extends a base; it may be a base's own."""
        try:
            extended = load_recipe(self._project, Path(os.path.abspath(recipe))).extends
        except EnvbuildError:
            return None, None
        where = next((item.where for item in extended if item.path == label), None)
        return (where.line, where.column) if where is not None else (None, None)


def _means(generation: Generation, base: LockedBase) -> bool:
    environments: Mapping[Platform, Digest] = dict(generation.named.environments)
    return generation.named.request == base.request and environments == dict(base.environments)
