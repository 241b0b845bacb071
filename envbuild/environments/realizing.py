"""Realizing: locked environments become prefixes, links to them, roots and stamps.

The build graphs of all environments asked for are one graph, so that equal packages are one fetch. What a plan over
that graph says is what is then done: both are the same ``Plan`` over the same answers of the store.

Rules of the file: wires plan, scheduler and workspace; prints nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envbuild import worker
from envbuild.compile import build_graph
from envbuild.demand import find_known
from envbuild.derivations import Clobber, LinkMode
from envbuild.derivations.link import Link, prefix_name
from envbuild.digest import Digest
from envbuild.environments.counting import counts
from envbuild.environments.moving import moved
from envbuild.environments.offline import refuse_fetches
from envbuild.environments.realized import Planned, Realized, RealizeOptions, Wanted
from envbuild.environments.remembering import remember
from envbuild.environments.runs import note_timeline
from envbuild.environments.sharing import closure_of, locate, send_environment
from envbuild.environments.taking import note_run
from envbuild.errors import EnvbuildError, IntegrityError
from envbuild.executors import FAR_SCHEMES, Executor, open_executor
from envbuild.graph import Graph
from envbuild.linkers import rattler_process
from envbuild.machine.home import find_home
from envbuild.machine.publish import sweep
from envbuild.machine.workspace import Workspace
from envbuild.plan import LANES, Plan
from envbuild.projects.machine_addresses import machine_addresses
from envbuild.projects.project import Project
from envbuild.reporter import Reporter, Several
from envbuild.scheduler import Outcome, Scheduler
from envbuild.store.environments import record
from envbuild.store.located import Located
from envbuild.timeline import TimelineRecorder

if TYPE_CHECKING:
    from envbuild.environments.asking import Before, Needs
    from envbuild.environments.far_choice import Far
    from envbuild.environments.pulling import Pulled
    from envbuild.environments.stores import ChosenStore, OpenStores
    from envbuild.environments.vouching import Vouched


Parts = Sequence[tuple[Path, Graph]]
"""What each of some recipes needs, as graphs that are run as one."""


class Relay:
    """Carries what jobs say to the scheduler of the moment, or straight to the reporter between runs.

    Jobs speak from their own threads; the reporter is only ever called from the thread that runs the loop.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._scheduler: Scheduler | None = None
        self._guard = threading.Lock()

    def lead(self, scheduler: Scheduler | None) -> None:
        """Lead to this scheduler from now on. What the one before was told too late is not lost."""
        with self._guard:
            before, self._scheduler = self._scheduler, scheduler
        if before is not None:
            before.hear()

    def note(self, text: str) -> None:
        """Something that a user must know."""
        with self._guard:
            (self._scheduler or self._reporter).note(text)

    def progress(self, key: Digest, done: int, total: int | None) -> None:
        """How far a job is."""
        with self._guard:
            (self._scheduler or self._reporter).progress(key, done, total)


class Realizer:
    """Plans and realizes environments of one project.

    Args:
        workspace: Where jobs work; made with this relay's ``note`` and ``progress``.
        relay: Carries what jobs say.
        executor: Where jobs run.
        reporter: Told everything.
        offline: Nothing may be fetched or solved anew.
        keep_going: After a failure, still do what does not need it.
        conda_format: The format of conda packages that are linked; see ``envbuild.compile``.
        only_signed: Solve and build nothing here; see ``envbuild.environments.strict``.
        before: Told what each recipe needs done, before any of it starts; see ``environments.asking``.
        far: Where work is sent; None does all of it here.
    """

    def __init__(
        self,
        workspace: Workspace,
        relay: Relay,
        executor: Executor,
        reporter: Reporter,
        *,
        offline: bool,
        keep_going: bool,
        conda_format: str = ".conda",
        only_signed: bool = False,
        before: Before | None = None,
        far: Far | None = None,
    ) -> None:
        self.workspace = workspace
        self._far = far
        self._before = before
        self._relay = relay
        self._executor = executor
        self._reporter = reporter
        self._offline = offline
        self._keep_going = keep_going
        self._conda_format = conda_format
        self._only_signed = only_signed

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
    ) -> Realizer:
        """A realizer with the home, addresses, stores and executor that a project's configuration says.

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
            shared = open_layers(chosen, opened, config, environ, offline=offline, note=relay.note, root=project.root)
        workspace = Workspace(
            find_home(environ),
            machine_addresses(config, project.root, environ),
            durability=config.durability,
            lock_timeout=config.lock_timeout,
            build_timeout=config.build_timeout,
            build_log_limit=config.build_log_limit << 20,
            clobber=cast("Clobber | None", config.clobber),
            link=cast("LinkMode", config.link),
            environ=environ,
            trusted_hosts=config.trusted_hosts,
            note=relay.note,
            progress=relay.progress,
            shared=shared,
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
        )

    def plan(self, wanted: Sequence[Wanted], *, closure: str | None = None, price: bool = True) -> Planned:
        """What ``realize`` would do now; without its ``price``, neither how long that takes nor why it is to do."""
        return self.drawn(wanted, closure=closure, price=price)[0]

    def drawn(
        self, wanted: Sequence[Wanted], *, closure: str | None = None, price: bool = True
    ) -> tuple[Planned, Graph]:
        """What ``realize`` would do now, and the graph of it."""
        from envbuild.environments.planning import planned

        self._vouch(wanted, closure)
        graph = Graph.union(map(self.graph, wanted))
        plan, located = self._plan(graph)
        slots = {lane: self._executor.slots(lane) for lane in LANES}
        return planned(wanted, plan, located, self.workspace, slots, self.graph, price=price), graph

    def realize(self, wanted: Sequence[Wanted], options: RealizeOptions) -> tuple[Realized, ...]:
        """Make the environments exist.

        Raises:
            EnvbuildError: The first failure's class, with an issue for each.
            UsageError: ``not-editable`` for packages that cannot be used where they lie.
            IntegrityError: As ``environments.vouching``, with a closure's digest.
        """
        vouched = self._vouch(wanted, options.closure)
        if options.editable:
            from envbuild.environments.editable import develop

            wanted = [develop(item, options, Path(self.workspace.addresses.root)) for item in wanted]
        graphs = [self.graph(item) for item in wanted]
        if options.prefix is None:
            outcome = self._run(Graph.union(graphs), wanted, parts=_parts(wanted, graphs))
            if error := outcome.error():
                if isinstance(error, EnvbuildError):
                    self._keep(wanted, graphs, outcome, options)
                raise error
        else:  # linked elsewhere: the packages are all that the store has to have
            work = [derivation for graph in graphs for derivation in graph if derivation.kind != "link"]
            targets = [key for graph in graphs for key in graph[graph.targets[0]].inputs]
            outcome = self.run(Graph(work, targets), wanted, parts=_parts(wanted, graphs))
        made = tuple(self._made(item, graph, outcome, options) for item, graph in zip(wanted, graphs, strict=True))
        if vouched is not None:
            vouched.compare()
        if outcome.done or outcome.pulled:
            did = {kind for kind, _ in outcome.done} | ({"pull"} if outcome.pulled else set())
            for item, graph in zip(wanted, graphs, strict=True):
                if not item.editables:
                    send_environment(self.workspace, item.lock, item.environment, graph, did=did)
        self.workspace.settle()
        return made

    def _keep(
        self, wanted: Sequence[Wanted], graphs: Sequence[Graph], outcome: Outcome, options: RealizeOptions
    ) -> None:
        """After a failure: link and record the environments that are there all the same, and say so."""
        for item, graph in zip(wanted, graphs, strict=True):
            if graph.targets[0] in outcome.outputs:
                with suppress(EnvbuildError):  # the failure that is under way says more
                    made = self._made(item, graph, outcome, options)
                    self._reporter.note(f"{item.name} is realized all the same: {made.prefix}")

    def run(self, graph: Graph, wanted: Sequence[Wanted] = (), *, parts: Parts = ()) -> Outcome:
        """Run a graph to its end.

        Args:
            graph: What is to be done.
            wanted: The environments that it is for, where it reads nothing but their packages.
            parts: What of it is whose.

        Raises:
            UnreachableError: ``offline``, naming everything that is missing, before anything starts.
            EnvbuildError: When a job failed.
        """
        outcome = self._run(graph, wanted, parts=parts)
        if error := outcome.error():
            raise error
        return outcome

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
        from envbuild.environments.pulling import packages_of, pulled, unavailable

        self._vouch([wanted], closure)
        graph = packages_of(self.graph(wanted))
        plan, located = self._plan(graph)
        missing = unavailable(plan, located)
        if missing:
            return pulled(None), missing
        outcome = self._schedule(plan, record=True)
        if error := outcome.error():
            raise error
        self.workspace.settle()
        record(self.workspace.home.store, wanted.lock, wanted.environment, self.workspace.durability)
        return pulled(outcome), ()

    def run_again(self, graph: Graph, key: Digest) -> Outcome:
        """Do one derivation of a graph again, whatever the store knows of it; what it gives is recorded nowhere.

        Raises:
            UnreachableError: As ``run``, for what it reads.
            EnvbuildError: When it, or what it needs, failed.
        """
        needed = graph.closure((key,))
        inputs = Graph((item for item in graph if item.key in needed and item.key != key), graph.inputs(key))
        self.run(inputs)
        known = self.workspace.known(tuple(inputs))
        outcome = self._schedule(Plan(Graph((*inputs, graph[key]), (key,)), known), record=False)
        if error := outcome.error():
            raise error
        return outcome

    def _run(self, graph: Graph, wanted: Sequence[Wanted] = (), *, parts: Parts = ()) -> Outcome:
        sweep(self.workspace.home.scratch, self.workspace.store.incoming)  # what killed processes held
        plan, located = self._plan(graph, () if self._offline else wanted)
        if self._offline:
            refuse_fetches(plan, located.by_key(graph))
        if self._only_signed:
            from envbuild.environments.strict import refuse_work

            refuse_work(plan, located.by_key(graph))
        if self._before is not None and plan.needed:
            here = set(plan.needed) - located.by_key(graph).keys()
            self._before([needs for recipe, part in parts if (needs := _needs(recipe, part, here))], self.workspace)
        if any(isinstance(item := plan.graph[key], Link) and item.conda() for key in plan.needed):
            rattler_process.start()  # its engine loads while the first jobs are handed out
        return self._schedule(plan, record=True)

    def _schedule(self, plan: Plan, *, record: bool) -> Outcome:
        timeline = TimelineRecorder()
        executor = self._executor
        if self._far is not None and record and not self._only_signed:
            executor = self._far.over(executor, self.workspace, plan)
        scheduler = Scheduler(executor, Several(self._reporter, timeline), cancel=self.workspace.cancel)
        self._relay.lead(scheduler)
        results = self.workspace.store.results if record else None
        run = worker.run
        if self._only_signed:
            from envbuild.environments.strict import run
        work = partial(run, workspace=self.workspace, results=results)
        try:
            outcome = scheduler.run(plan, work)
        finally:
            self._relay.lead(None)
            rattler_process.retire()
        if record:
            note_run(self.workspace, plan.graph, outcome)
            if plan.needed:
                slots: dict[str, int] = {lane: executor.slots(lane) for lane in LANES}
                note_timeline(self.workspace.home.runs, timeline.timeline(outcome.hits, slots, outcome.pulled))
        return outcome

    def solve(self, parts: Parts) -> dict[Digest, bytes]:
        """Run the lock graphs of recipes as one; each solve's fragment by key. Memoized notes are said again."""
        from envbuild.derivations.solve import fragment_from_bytes

        graph = Graph.union(part for _, part in parts)
        outcome = self.run(graph, parts=parts)
        fragments = {}
        for solve in graph:
            sha256 = outcome.outputs[solve.key]["out"].sha256
            path = self.workspace.blobs.path(sha256)
            if path is None:
                raise IntegrityError(
                    f"the result of {solve.label} was damaged; it is dropped now",
                    reference="damaged-blob",
                    retryable=True,
                    hint="run it again",
                )
            fragments[solve.key] = path.read_bytes()
            for note in fragment_from_bytes(fragments[solve.key]).notes:
                self._reporter.note(note)
        return fragments

    def graph(self, wanted: Wanted) -> Graph:
        """The build graph of an environment; its one target is the link."""
        return build_graph(wanted.lock, wanted.environment, name=wanted.name, conda_format=self._conda_format)

    def _plan(self, graph: Graph, wanted: Sequence[Wanted] = ()) -> tuple[Plan, Located]:
        """A plan, and where things are; with the environments that the graph is for, where they most likely are."""
        known = find_known(graph, self.workspace.known)
        closures = () if any(item.editables for item in wanted) else tuple(map(closure_of, wanted))
        located = locate(self.workspace, graph, known, closures)
        plan = Plan(graph, known, far=located.results.keys(), prepared_kinds={"link"}, keep_going=self._keep_going)
        return plan, located

    def _made(self, wanted: Wanted, graph: Graph, outcome: Outcome, options: RealizeOptions) -> Realized:
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


def _parts(wanted: Sequence[Wanted], graphs: Sequence[Graph]) -> Parts:
    """Whose each graph is."""
    return [(item.recipe, graph) for item, graph in zip(wanted, graphs, strict=True)]


def _needs(recipe: Path, part: Graph, keys: Collection[Digest]) -> Needs | None:
    """What a recipe needs of what will be done; None when that is nothing."""
    from envbuild.environments.asking import Needs

    found = tuple(derivation for derivation in part if derivation.key in keys)
    return Needs(recipe=recipe, derivations=found) if found else None


def by_project(wanted: Sequence[tuple[Project, Wanted]]) -> list[tuple[Project, list[Wanted]]]:
    """Environments of one project together, so that they are one graph."""
    groups: dict[Path, tuple[Project, list[Wanted]]] = {}
    for project, item in wanted:
        groups.setdefault(project.root, (project, []))[1].append(item)
    return list(groups.values())
