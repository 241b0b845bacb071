"""``publish`` as a verb of a session: names of the store become what the recipes of the checkout declare.

In this order, so that whatever ends it leaves names that mean what they should: everything is read and judged; what the
store lacks of the environments is sent; tests run; then names move, each create-only, and only over the generation that
was judged. Whoever comes between is judged anew.

Rules of the file: wires; ``publishing`` decides, ``commits`` asks git, ``environment.naming`` moves names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.environments.many import Losing
from envbuild.errors import EnvbuildError, NameConflictError, StaleError, UnreachableError, UsageError
from envbuild.review.trial_verbs import TrialVerbs

if TYPE_CHECKING:
    from envbuild.environments.closures import Closures
    from envbuild.environments.naming import Names
    from envbuild.environments.send_verbs import WholeThere
    from envbuild.environments.stores import ChosenStore
    from envbuild.locks.locking import Locked
    from envbuild.machine.home import Home
    from envbuild.names import Name
    from envbuild.package import Platform
    from envbuild.projects.project import Project
    from envbuild.recipe import Recipe
    from envbuild.reporter import Reporter
    from envbuild.review.commits import Checkout
    from envbuild.review.publishing import Declared, Drift, Publication, PublishOptions, Step, Tested
    from envbuild.store.generation import Generation

_TRIES = 20
"""How often a name is judged anew when somebody else moves it meanwhile."""


class PublishVerbs(TrialVerbs):
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool
    _keep_going: bool

    if TYPE_CHECKING:

        def recipes(self) -> tuple[Path, ...]: ...  # noqa: D102  it is the session's

        def send(self, wanted: Sequence[tuple[Path, Platform]], to: str) -> tuple[WholeThere, ...]: ...  # noqa: D102

        def _checked(self, recipe: Path) -> Locked: ...

        def _chosen(self, project: Project | None = None) -> tuple[ChosenStore, ...]: ...

        def _closures(self, home: Home) -> Closures: ...

        def _home(self) -> Home: ...

        def _names(self, home: Home, *, silent: bool = False) -> Names: ...

    def publish(self, *recipes: Path | str, options: PublishOptions | None = None) -> Publication:
        """Make the names of the store what recipes declare; see ``envbuild.review.publishing``.

        With the session's ``keep_going`` a recipe that fails keeps no other from being published.

        Args:
            recipes: Their files; all of the project when there is none. Their locks must fit.
            options: Whether to promote, to force, or only to look.

        Raises:
            StaleError: When a lock does not fit; ``dirty-checkout``.
            NameConflictError: ``newer-published``, ``diverged-name``, ``unknown-commit``, ``moved-by-hand``: nothing
                has moved then.
            BuildError: When a test failed: nothing has moved then.
            InvalidInput: ``duplicate-name``.
            UsageError: ``no-repository``, ``no-commit``, ``other-project``.
            UnreachableError: ``read-only`` for a store that may not be written.
        """
        from envbuild.review.commits import Checkout
        from envbuild.review.judging import is_unsent, judged, name_of, overtaken_names
        from envbuild.review.publishing import TAGS, Publication, PublishOptions
        from envbuild.store.parallel import in_parallel

        chosen = options or PublishOptions()
        losing = Losing(keep_going=self._keep_going)
        declared, unnamed = self._declared(recipes, losing)
        project = self.project()
        home = self._home()
        names, closures = self._names(home), self._closures(home)
        checkout = Checkout(project.root, self._environ)
        changed = self._changed(checkout, declared, chosen)
        tags = TAGS if chosen.promote else TAGS[:2]
        targets = [(item, name_of(item.name, tag)) for item in declared for tag in tags]
        looked = dict(
            in_parallel(lambda name: (name, names.look(name)), [name for _, name in targets], names.side_by_side)
        )
        overtaken = overtaken_names(targets, looked, checkout)
        wanted = judged(targets, looked, checkout, chosen, overtaken, losing)
        declared = [item for item in declared if item.recipe not in losing.lost]
        trials = self._trials(declared)
        tests = self._tested(declared, trials)
        unsent = [item for item in declared if is_unsent(name_of(item.name, "candidate"), wanted, looked)]
        if not chosen.dry_run:
            for name in [name for name, moving in wanted.items() if moving][:1]:
                names.check_writable(name)
            self._have_whole(unsent, names, closures, losing)
            tests = self._run_tests(declared, trials, tests, losing)
        steps = [
            self._step(item, name, looked[name], wanted[name], tests, names, checkout, chosen, dirty=bool(changed))
            for item, name in targets
            if item.recipe not in losing.lost
        ]
        kept = [
            f"{step.name} stays: {step.reason}" for step in steps if step.name.tag == TAGS[2] and step.state == "waits"
        ]
        return Publication(
            store=names.address,
            commit=checkout.commit,
            dirty=changed,
            dry_run=chosen.dry_run,
            steps=tuple(steps),
            tests=tuple(tests),
            unnamed=unnamed,
            kept=tuple(kept),
            failed=losing.failures(),
        )

    def drift(self, *recipes: Path | str) -> Drift:
        """How the names of the store differ from what recipes declare; nothing is changed.

        Args:
            recipes: As of ``publish``. Of all of them: also what the store has beside, and no recipe declares.

        Raises:
            StaleError: When a lock does not fit.
            InvalidInput: ``duplicate-name``.
        """
        from envbuild.projects.project import shown_path
        from envbuild.review.commits import Checkout
        from envbuild.review.drifting import differences, undeclared
        from envbuild.review.judging import name_of
        from envbuild.review.publishing import TAGS, Drift
        from envbuild.store.parallel import in_parallel

        declared, unnamed = self._declared(recipes, Losing())
        names = self._names(self._home())
        every = [name_of(item.name, tag) for item in declared for tag in TAGS]
        meant = dict(in_parallel(lambda name: (name, names.find(name)), every, names.side_by_side))
        found = differences(declared, meant, shown_path)
        if not recipes:
            checkout = Checkout(self.project().root, self._environ)
            if checkout.is_shallow:
                self._reporter.note(
                    "this clone is shallow: names that no recipe declares are told as far as it knows their commits; "
                    "git fetch --unshallow"
                )
            try:
                found += undeclared([item.name for item in declared], names.listed(), checkout.knows)
            except UnreachableError as error:
                self._reporter.note(f"names that no recipe declares are not looked for: {error.message}")
        return Drift(store=names.address, names=len(declared), differences=tuple(found), unnamed=unnamed)

    # What is declared

    def _declared(self, recipes: Sequence[Path | str], losing: Losing) -> tuple[list[Declared], tuple[Path, ...]]:
        """The recipes that declare a name, with their locks; and those that declare none.

        Raises:
            UsageError: ``other-project``.
            InvalidInput: ``duplicate-name``.
            StaleError: When a lock does not fit.
        """
        import os

        from envbuild.projects.project import load_recipe, shown_path
        from envbuild.review.publishing import Declared, refuse_twins

        project = self.project()
        files = [Path(os.path.abspath(recipe)) for recipe in recipes] or list(self.recipes())
        for file in files:
            if self.project(file).root != project.root:
                raise UsageError(
                    f"{shown_path(file)} belongs to the project in {self.project(file).root}",
                    reference="other-project",
                    hint="publish it from its own project's folder",
                )
        loaded = []
        for file in dict.fromkeys(files):
            try:
                loaded.append((file, load_recipe(project, file)))
            except EnvbuildError as error:
                losing.lose(file, error)
        refuse_twins([(shown_path(file), recipe) for file, recipe in (*loaded, *self._others(files))])
        declared = []
        for file, recipe in loaded:
            if recipe.name is None:
                continue
            try:
                lock = self._checked(file).lock
            except EnvbuildError as error:
                losing.lose(file, error)
            else:
                declared.append(
                    Declared(recipe=file, path=recipe.path, name=recipe.name, lock=lock, tests=recipe.tests)
                )
        return declared, tuple(file for file, recipe in loaded if recipe.name is None)

    def _others(self, files: Sequence[Path]) -> list[tuple[Path, Recipe]]:
        """The project's other recipes, as far as they can be read: one may declare the same name."""
        from envbuild.projects.project import load_recipe

        found = []
        try:
            every = self.recipes()
        except UsageError:  # no folder of recipes
            return []
        for file in every:
            if file not in files:
                try:
                    found.append((file, load_recipe(self.project(), file)))
                except EnvbuildError:
                    continue
        return found

    def _changed(self, checkout: Checkout, declared: Sequence[Declared], options: PublishOptions) -> tuple[str, ...]:
        """What no commit has.

        Raises:
            StaleError: ``dirty-checkout``.
        """
        from envbuild.projects.project import make_request

        project = self.project()
        files: dict[Path, None] = {}
        for item in declared:
            files.update(dict.fromkeys((*make_request(project, item.recipe)[1], *self._checked(item.recipe).files())))
        changed = checkout.changed(files)
        if changed and not (options.allow_dirty or options.dry_run):
            more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise StaleError(
                f"{changed[0]} is not as the commit {checkout.commit[:12]} has it{more}",
                reference="dirty-checkout",
                hint="commit it; or --allow-dirty, which the name's history will tell",
            )
        return changed

    # Environments

    def _have_whole(self, declared: Sequence[Declared], names: Names, closures: Closures, losing: Losing) -> None:
        """Have environments whole in the store that says what names mean."""
        for item in declared:
            closures.keep(item.lock, names.objects)
        store = self._authority()
        if store is not None:
            every = [(item.recipe, part.platform) for item in declared for part in item.lock.platforms]
            if losing.keep_going:
                self._bring_each(every, losing)
            self.send([pair for pair in every if pair[0] not in losing.lost], store.url)

    def _bring_each(self, wanted: Sequence[tuple[Path, Platform]], losing: Losing) -> None:
        """Have the packages of environments here; those whose packages cannot be had fall out."""
        from envbuild.environments.pulling import packages_of

        realizer = self._realizer(self.project())
        graphs = [packages_of(realizer.graph(self._to_send(recipe, platform))) for recipe, platform in wanted]
        parts = [(recipe, graph) for (recipe, _), graph in zip(wanted, graphs, strict=True)]
        for (recipe, _), error in zip(parts, realizer.run_each(parts), strict=True):
            if error is not None:
                losing.lose(recipe, error)

    def _authority(self) -> ChosenStore | None:
        """The shared store that says what names mean, as ``environments.naming.authority`` chooses it."""
        chosen = [item for item in self._chosen(self.project()) if item.believed or item.written or item.signed]
        return next((item for item in chosen if item.written), chosen[0] if chosen else None)

    # Names

    def _step(
        self,
        item: Declared,
        name: Name,
        looked: tuple[int, Generation | None],
        wanted: bool,
        tests: Sequence[Tested],
        names: Names,
        checkout: Checkout,
        options: PublishOptions,
        *,
        dirty: bool,
    ) -> Step:
        """Move one name, when it has to be and may."""
        from envbuild.environments.user_name import user_name
        from envbuild.review.judging import overtaken_names
        from envbuild.review.publishing import Step, moves, waiting
        from envbuild.store.generation import Published
        from envbuild.value import replace

        number, now = looked
        step = Step(
            name=name,
            wanted=item.named,
            before=now.named if now is not None else None,
            state="moves" if wanted else "same",
            generation=now.number if now is not None else 0,
        )
        if not wanted:
            return step
        reason = waiting(item.name, tests, dry_run=options.dry_run) if name.tag != "candidate" else ""
        if reason:
            return replace(step, state="waits", reason=reason)
        if options.dry_run:
            return step
        published = Published(commit=checkout.commit, by=user_name(), recipe=item.path, dirty=dirty)
        for _ in range(_TRIES):
            try:
                moved = names.move(name, item.named, expect=number, published=published, again=True)
            except NameConflictError as error:
                if error.reference != "name-moved":
                    raise
                number, now = names.look(name)  # somebody was faster: is it still right to move it?
                late = bool(overtaken_names([(item, name)], {name: (number, now)}, checkout))
                if moves(
                    name,
                    now,
                    item.named,
                    checkout.commit,
                    checkout.kinship,
                    force=options.force,
                    overtaken=late,
                    hides=checkout.hides,
                ):
                    continue
                assert now is not None
                return replace(step, state="same", before=now.named, generation=now.number)
            return replace(
                step,
                state="moved" if moved.written else "same",
                before=moved.before.named if moved.before is not None else step.before,
                generation=moved.now.number,
            )
        raise NameConflictError(f"{name} is moved by others again and again", reference="name-moved", retryable=True)
