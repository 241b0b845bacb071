"""Tests of environments as a session knows and runs them: which are recorded, which can be run here, and running those.

A test that passed is a record of a derivation of the kind ``test``; it counts from wherever a build's record would.

Rules of the file: wires; ``builders.trying`` runs them, ``publishing`` decides what they are good for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envbuild.derivations.trial import Trial
    from envbuild.environments.many import Losing
    from envbuild.environments.realized import Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.graph import Graph
    from envbuild.package import Platform
    from envbuild.projects.project import Project
    from envbuild.review.publishing import Declared, Outcome, Tested

    Trials = Mapping[tuple[str, Platform], tuple[Graph, Trial]]


class TrialVerbs:
    """What ``PublishVerbs`` asks of tests."""

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _realizer(self, project: Project) -> Realizer: ...

        def _to_send(self, recipe: Path, platform: Platform) -> Wanted: ...

    def _trials(self, declared: Sequence[Declared]) -> Trials:
        """The trial of each environment that has one, with the graph that makes it, by name and platform."""
        from envbuild.compile import trial_of

        realizer = self._realizer(self.project())
        found = {}
        for item in declared:
            for part in item.lock.platforms if item.tests is not None else ():
                assert item.tests is not None
                graph = realizer.graph(self._to_send(item.recipe, part.platform))
                found[item.name, part.platform] = graph, trial_of(graph, item.tests)
        return found

    def _tested(self, declared: Sequence[Declared], trials: Trials) -> list[Tested]:
        """What is known of the tests, here and in the stores whose word counts."""
        from envbuild.review.publishing import Tested

        workspace = self._realizer(self.project()).workspace
        every = {trial.key: trial for _, trial in trials.values()}
        known = set(workspace.known(every.values()))
        if workspace.shared is not None and len(known) < len(every):
            known |= workspace.shared.layers.ask(
                (), [("test", key) for key in every if key not in known]
            ).results.keys()
        found = []
        for item in declared:
            for part in item.lock.platforms:
                trial = trials.get((item.name, part.platform))
                outcome: Outcome = "none" if trial is None else "recorded" if trial[1].key in known else "missing"
                reason = self._unable(item, part.platform) if outcome == "missing" else ""
                key = trial[1].key if trial is not None else None
                found.append(Tested(name=item.name, platform=part.platform, outcome=outcome, reason=reason, key=key))
        return found

    def _unable(self, item: Declared, platform: Platform) -> str:
        """Why an environment cannot be tested here; empty when it can."""
        from envbuild.errors import UnsatisfiableError
        from envbuild.machine.virtual import check_system, current_platform

        if platform != current_platform():
            return f"this machine is {current_platform()}"
        part = item.lock.environment(platform)
        assert part is not None
        try:
            check_system(platform, part.system)
        except UnsatisfiableError as error:
            return error.message
        return ""

    def _run_tests(
        self,
        declared: Sequence[Declared],
        trials: Trials,
        tests: Sequence[Tested],
        losing: Losing,
    ) -> list[Tested]:
        """Run what this machine can run and nobody has.

        Raises:
            BuildError: When one failed, unless the others go on.
        """
        from envbuild.compile import with_trial
        from envbuild.graph import Graph
        from envbuild.value import replace

        files = {item.name: item for item in declared}
        left = [item for item in tests if files[item.name].recipe not in losing.lost]
        todo = [item for item in left if item.outcome == "missing" and not item.reason]
        if not todo:
            return list(tests)
        parts = []
        for item in todo:
            asked = files[item.name].tests
            assert asked is not None
            parts.append((files[item.name].recipe, with_trial(trials[item.name, item.platform][0], asked)))
        realizer = self._realizer(self.project())
        if losing.keep_going:
            for (recipe, _), error in zip(parts, realizer.run_each(parts), strict=True):
                if error is not None:
                    losing.lose(recipe, error)
        else:
            realizer.run(Graph.union([graph for _, graph in parts]), parts=parts)
        realizer.workspace.settle()
        tests = [item for item in tests if files[item.name].recipe not in losing.lost]
        return [replace(item, outcome="passed") if item in todo else item for item in tests]
