"""Realizing: locked environments become prefixes, links to them, roots and stamps.

The build graphs of all environments asked for are one graph, so that equal packages are one fetch. What a plan over
that graph says is what is then done: both are the same ``Plan`` over the same answers of the store.

Rules of the file: wires plan, scheduler and workspace; prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.compile import build_graph
from envbuild.derivations.link import Link, prefix_name
from envbuild.environments.counting import counts
from envbuild.environments.moving import moved
from envbuild.environments.opening import open_workspace
from envbuild.environments.pulling import packages_of
from envbuild.environments.realized import Planned, Realized, RealizeOptions, Wanted
from envbuild.environments.relay import Relay
from envbuild.environments.remembering import remember
from envbuild.environments.running import Runner
from envbuild.environments.sharing import send_environment
from envbuild.executors import FAR_SCHEMES, open_executor
from envbuild.graph import Graph
from envbuild.job import LANES
from envbuild.parts import Beside, Parted
from envbuild.projects.project import Project
from envbuild.reporter import Reporter
from envbuild.scheduler import Outcome
from envbuild.store.environments import record

if TYPE_CHECKING:
    from envbuild.environments.asking import Before
    from envbuild.environments.making import Making
    from envbuild.environments.pulling import Pulled
    from envbuild.environments.stores import ChosenStore, OpenStores
    from envbuild.environments.vouching import Vouched
    from envbuild.recipe import Tests


class Realizer(Runner):
    """Plans and realizes environments of one project."""

    @classmethod
    def open(
        cls,
        project: Project,
        reporter: Reporter,
        *,
        environ: Mapping[str, str],
        offline: bool,
        jobs: int | None,
        keep_going: bool,
        stores: Sequence[str] = (),
        opened: OpenStores | None = None,
        before: Before | None = None,
        executor: object = None,
        only_stores: bool = False,
    ) -> Realizer:
        """A realizer with the home, addresses, stores and executor that a project's configuration says.

        With ``only_stores`` all packages come from shared stores: no index and no channel is asked, nothing is built,
        a store that does not answer is an error, and none is written.

        Raises:
            InvalidInput: ``unsafe-folder`` for a home that others may write. NoSpaceError: when it cannot be made.
        """
        config = project.config
        relay = Relay(reporter)
        shared = None
        chosen: tuple[ChosenStore, ...] = ()
        if config.stores or stores:
            from envbuild.environments.stores import OpenStores, chosen_stores, open_layers

            chosen = chosen_stores(config, project.root, stores)
            opened = opened or OpenStores(config, environ, relay.note)
            shared = open_layers(
                chosen, opened, config, environ, offline=offline, note=relay.note, root=project.root, only=only_stores
            )
        workspace = open_workspace(
            config,
            project.root,
            environ,
            note=relay.note,
            progress=relay.progress,
            shared=shared,
            origins=not only_stores,
        )
        far = None
        if not offline and (executor is not None or config.executor.startswith(FAR_SCHEMES)):
            from envbuild.environments.far_choice import chosen_far

            layers = shared.layers if shared is not None else ()
            far = chosen_far(config, project.root, executor, tuple(zip(chosen, layers, strict=True)), relay.note)
        near = "local" if config.executor.startswith(FAR_SCHEMES) else config.executor
        return cls(
            workspace,
            relay,
            open_executor(near, jobs=jobs or config.jobs),
            reporter,
            offline=offline,
            keep_going=keep_going,
            conda_format=config.conda_format,
            only_signed=config.trust.mode == "strict",
            before=before,
            far=far,
            only_stores=only_stores,
        )

    def plan(self, wanted: Sequence[Wanted], *, closure: str | None = None, price: bool = True) -> Planned:
        """What ``realize`` would do now; without its ``price``, neither how long that takes nor why it is to do."""
        return self.drawn(wanted, closure=closure, price=price)[0]

    def drawn(
        self,
        wanted: Sequence[Wanted],
        *,
        closure: str | None = None,
        price: bool = True,
        tests: Tests | None = None,
    ) -> tuple[Planned, Graph]:
        """What ``realize`` would do now, and the graph of it; with what ``tests`` would try beside it."""
        from envbuild.compile import trial_of
        from envbuild.environments.planning import planned

        self._vouch(wanted, closure)
        graphs = [self.graph(item) for item in wanted]
        if tests is not None:
            tried = [(graph, trial_of(graph, tests)) for graph in graphs]
            graphs = [Graph((*graph, trial), (*graph.targets, trial.key)) for graph, trial in tried]
        graph = Graph.union(graphs)
        plan, located = self._plan(graph)
        slots = {lane: self._executor.slots(lane) for lane in LANES}
        return planned(wanted, plan, located, self.workspace, slots, self.graph, price=price), graph

    def make(self, making: Making, beside: Parted | None = None) -> None:
        """Make the environments that are wanted, and those that will be while others are being made.

        Args:
            making: Which.
            beside: Who has parts of the same run, such as locks that lead to environments.

        Raises:
            UsageError: ``not-editable`` for packages that cannot be used where they lie.
            IntegrityError: As ``environments.vouching``, with a closure's digest.
        """
        vouched = self._vouch(making.waiting(), making.options.closure)
        batch = making.batch()
        outcome = self.run_parts(batch if beside is None else Beside(beside, batch), batch.environments)
        if vouched is not None:
            vouched.compare()
        if outcome is not None:
            did = {kind for kind, _ in outcome.done if kind != "solve"} | ({"pull"} if outcome.pulled else set())
            for item, graph in batch.made if did else ():
                if not item.editables:
                    send_environment(self.workspace, item.lock, item.environment, graph, did=did)
        self.workspace.settle()

    def _vouch(self, wanted: Sequence[Wanted], closure: str | None) -> Vouched | None:
        """Believe what an environment's results are by their digest, when there is one."""
        if closure is None:
            return None
        from envbuild.environments.vouching import vouch

        return vouch(self.workspace, [(item, self.graph(item)) for item in wanted], closure)

    def pull(self, wanted: Wanted, closure: str | None = None) -> tuple[Pulled, tuple[str, ...]]:
        """Bring all packages of an environment from shared stores and link nothing; see ``environments.pulling``.

        Returns:
            What came, and what no store has, by label: nothing comes then.

        Raises:
            EnvbuildError: When a job failed.
        """
        from envbuild.environments.pulling import pulled, unavailable

        self._vouch([wanted], closure)
        graph = packages_of(self.graph(wanted))
        plan, located = self._plan(graph)
        missing = unavailable(plan, located.by_key(graph))
        if missing:
            return pulled(None), tuple(item.label for item in missing)
        outcome = self._schedule(plan, record=True)
        if error := outcome.error():
            raise error
        self.workspace.settle()
        record(self.workspace.home.store, wanted.lock, wanted.environment, self.workspace.durability)
        return pulled(outcome), ()

    def graph(self, wanted: Wanted) -> Graph:
        """The build graph of an environment; its one target is the link."""
        return build_graph(wanted.lock, wanted.environment, name=wanted.name, conda_format=self._conda_format)

    def made(self, wanted: Wanted, graph: Graph, outcome: Outcome, options: RealizeOptions) -> Realized:
        """Link to an environment whose packages are there, keep what explains it, and say what it cost.

        Raises:
            EnvbuildError: When it cannot be put where it was asked for.
        """
        link = graph[graph.targets[0]]
        assert isinstance(link, Link)
        host = self.workspace.host_python(link.python) if link.interpreter == "host" and link.python else None
        made, identity = link.key in outcome.milliseconds, wanted.environment.id
        if options.prefix is None:
            prefix = self.workspace.prefix(prefix_name(link, host))
        else:
            from envbuild.environments.editable import identity_of, install
            from envbuild.environments.elsewhere import put_elsewhere

            identity = identity_of(wanted)
            prefix = Path(os.path.abspath(options.prefix))
            made = put_elsewhere(
                graph,
                outcome.outputs,
                prefix,
                host,
                identity,
                self.workspace,
                writable=options.writable or bool(wanted.editables),
                finish=partial(install, wanted, prefix, host, offline=self._offline) if wanted.editables else None,
            )
        cost = counts(link, graph, outcome)
        realized = Realized(
            recipe=wanted.recipe,
            name=wanted.name,
            platform=wanted.environment.platform,
            environment=identity,
            request=wanted.lock.request,
            prefix=prefix,
            out_link=None,
            variables=wanted.environment.variables,
            packages=cost.packages + len(wanted.editables),
            hits=cost.hits,
            fetched=cost.fetched,
            fetched_bytes=cost.fetched_bytes,
            built=cost.built,
            build_bytes=cost.build_bytes,
            transmuted=cost.transmuted,
            pulled=cost.pulled,
            pulled_bytes=cost.pulled_bytes,
            sources=moved(graph, outcome, self.workspace),
            present=not made,
            milliseconds=outcome.elapsed,
        )
        return remember(realized, wanted, host, options, self.workspace, self._reporter.note)


def by_project(wanted: Sequence[tuple[Project, Wanted]]) -> list[tuple[Project, list[Wanted]]]:
    """Environments of one project together, so that they are one graph."""
    groups: dict[Path, tuple[Project, list[Wanted]]] = {}
    for project, item in wanted:
        groups.setdefault(project.root, (project, []))[1].append(item)
    return list(groups.values())
