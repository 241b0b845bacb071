"""Running: graphs of one project are planned and run to their end, several parts as one.

What may not be done (without the network, or with ``trust: strict``) is refused before anything of it starts. A run of
parts grows while it goes on: who has more to run once a part is done is asked for it (``envbuild.parts``).

Rules of the file: wires plan, scheduler and workspace; knows no lock and no prefix; prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild import worker
from envbuild.demand import find_known
from envbuild.derivations import Derivation, Outputs
from envbuild.derivations.link import Link
from envbuild.digest import Digest
from envbuild.environments.offline import missing_here, refuse_fetches
from envbuild.environments.pulling import not_in_stores, unavailable
from envbuild.environments.relay import Relay
from envbuild.environments.runs import note_timeline
from envbuild.environments.sharing import closure_of, locate
from envbuild.environments.taking import note_run
from envbuild.errors import EnvbuildError
from envbuild.executors import Executor
from envbuild.graph import Graph
from envbuild.job import LANES
from envbuild.linkers import rattler_process
from envbuild.machine.temporary import sweep
from envbuild.machine.workspace import Workspace
from envbuild.parts import NOT_BEGUN, End, Once, Parted, Parts, Watch, end_of, holding, whose
from envbuild.plan import Plan
from envbuild.reporter import Reporter, Several
from envbuild.scheduler import Outcome, Scheduler
from envbuild.store.located import Located
from envbuild.timeline import TimelineRecorder
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.asking import Before, Needs
    from envbuild.environments.far_choice import Far
    from envbuild.environments.realized import Wanted

    Between = Callable[[Scheduler, Callable[[], Outcome]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What of some parts will be done.

    Attributes:
        parts: Those that will be, by number.
        plan: Fresh.
        known: What the home has of its graph. ``located``: what shared stores have.
        shares: For whom each derivation is.
    """

    parts: Mapping[int, Graph]
    plan: Plan
    known: Mapping[Digest, Outputs]
    located: Located
    shares: Mapping[Digest, int]


class Runner:
    """Runs graphs of one project.

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
        only_stores: Refuse what would have to come from anywhere else, or be built.
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
        only_stores: bool = False,
    ) -> None:
        self.workspace = workspace
        self._far = far
        self._before = before
        self._relay = relay
        self._executor = executor
        self._reporter = reporter
        self._offline = offline
        self.keep_going = keep_going
        self._conda_format = conda_format
        self._only_signed = only_signed
        self._only_stores = only_stores

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

    def run_parts(self, work: Parted, wanted: Callable[[], Sequence[Wanted]] = tuple) -> Outcome | None:
        """Run parts as one, and what their ends bring; each is told its end, a failed one's when the run is over.

        Args:
            work: Who has the parts.
            wanted: Gives the environments that the parts given last are for, where these read nothing but their
                packages.

        Returns:
            What came of it all; None when there was nothing to run.
        """
        sweep(self.workspace.home.scratch, self.workspace.store.incoming)
        given = 0
        waiting: dict[int, Graph] = {}
        watch = Watch()

        def admit(plan: Plan | None) -> Admitted | None:
            """What more there is to do, as far as it may be done."""
            nonlocal given
            while parts := work.more():
                numbered = dict(enumerate(parts, given))
                given += len(parts)
                made = self._admitted(numbered, () if self._offline else wanted(), plan, work)
                if made is not None:
                    return made
            return None

        def wait(plan: Plan, admitted: Admitted) -> None:
            for number, graph in admitted.parts.items():
                waiting[number] = graph
                watch.wait(number, graph, plan)

        def between(scheduler: Scheduler, snapshot: Callable[[], Outcome]) -> None:
            while True:
                for number in watch.take():
                    del waiting[number]
                    work.ended(number, End(outcome=snapshot()))
                if work.stopped:
                    plan.stop()
                more = None if plan.stopped else admit(plan)
                if more is None:
                    return
                far = more.located.results.keys()
                scheduler.grow(plan, plan.add(more.plan.graph, more.known, far=far, shares=more.shares))
                wait(plan, more)

        begun = admit(None)
        if begun is None:
            return None
        plan = begun.plan
        wait(plan, begun)
        outcome = self._schedule(plan, record=True, between=between, watch=watch)
        for number, graph in waiting.items():
            work.ended(number, end_of(graph, outcome))
        return outcome

    def run_each(self, parts: Parts) -> list[BaseException | None]:
        """Run parts as one, for somebody who keeps going: why each is not there, None where it is."""
        once = Once(parts)
        self.run_parts(once)
        return [end.error for end in once.ends]

    def _admitted(
        self, numbered: dict[int, tuple[Path, Graph]], wanted: Sequence[Wanted], running: Plan | None, work: Parted
    ) -> Admitted | None:
        """What of parts may be done, beside a plan that runs; parts that may not are told so, and taken out."""
        while numbered:
            parts = tuple(numbered.values())
            shares = whose({number: graph for number, (_, graph) in numbered.items()})
            known = find_known(graph := Graph.union(part for _, part in parts), self.workspace.known)
            plan, located = self._planned(graph, known, wanted, shares)
            near = set(located.by_key(graph))
            if running is not None:
                near.update(filter(running.needs, graph.derivations))
            refusal = self._refusal(plan, near)
            if refusal is None:
                self._ask(parts, plan, near)
                graphs = {number: graph for number, (_, graph) in numbered.items()}
                return Admitted(parts=graphs, plan=plan, known=known, located=located, shares=shares)
            error, missing = refusal
            numbers = tuple(numbered)
            lost = {numbers[place] for place in holding(parts, missing)}
            for number in numbers:
                if number in lost or not self.keep_going:
                    del numbered[number]
                    work.ended(number, End(error=error) if number in lost else NOT_BEGUN)
        return None

    def _refusal(self, plan: Plan, near: Collection[Digest]) -> tuple[EnvbuildError, list[Derivation]] | None:
        """Why a plan may not be run, and what of it."""
        missing = missing_here(plan, near) if self._offline else []
        try:
            if missing:
                refuse_fetches(plan, near)
            if self._only_stores and (missing := unavailable(plan, near)):
                raise not_in_stores([item.label for item in missing])
            if self._only_signed:
                from envbuild.environments.strict import missing_work, refuse_work

                missing = missing_work(plan, near)
                refuse_work(plan, near)
        except EnvbuildError as error:
            return error, missing
        return None

    def _ask(self, parts: Parts, plan: Plan, near: Collection[Digest]) -> None:
        """Tell whoever wants to know before anything starts, and let engines get ready."""
        if self._before is not None and plan.needed:
            here = set(plan.needed) - set(near)
            self._before([needs for recipe, part in parts if (needs := _needs(recipe, part, here))], self.workspace)
        if any(isinstance(item := plan.graph[key], Link) and item.conda() for key in plan.needed):
            rattler_process.start()  # its engine loads while the first jobs are handed out

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
        near = located.by_key(graph)
        if refusal := self._refusal(plan, near):
            raise refusal[0]
        self._ask(parts, plan, near)
        return self._schedule(plan, record=True)

    def _schedule(
        self, plan: Plan, *, record: bool, between: Between | None = None, watch: Watch | None = None
    ) -> Outcome:
        timeline = TimelineRecorder()
        told = (self._reporter, timeline) if watch is None else (self._reporter, timeline, watch)
        executor = self._executor
        if self._far is not None and record and not self._only_signed:
            from envbuild.environments.far_work import FarWork

            executor = FarWork(executor, self._far, self.workspace, plan)
        scheduler = Scheduler(executor, Several(*told), cancel=self.workspace.cancel)
        self._relay.lead(scheduler)
        results = self.workspace.store.results if record else None
        run = worker.run
        if self._only_signed:
            from envbuild.environments.strict import run
        work = partial(run, workspace=self.workspace, results=results)
        try:
            with self.workspace.leavings.run():
                outcome = scheduler.run(plan, work, None if between is None else partial(between, scheduler))
        finally:
            self._relay.lead(None)
            rattler_process.retire()
        if record:
            note_run(self.workspace, plan.graph, outcome)
            if plan.needed:
                slots: dict[str, int] = {lane: executor.slots(lane) for lane in LANES}
                note_timeline(self.workspace.home.runs, timeline.timeline(outcome.hits, slots, outcome.pulled))
        return outcome

    def _plan(self, graph: Graph, wanted: Sequence[Wanted] = ()) -> tuple[Plan, Located]:
        """A plan, and where things are; with the environments that the graph is for, where they most likely are."""
        return self._planned(graph, find_known(graph, self.workspace.known), wanted, {})

    def _planned(
        self, graph: Graph, known: Mapping[Digest, Outputs], wanted: Sequence[Wanted], shares: Mapping[Digest, int]
    ) -> tuple[Plan, Located]:
        closures = () if any(item.editables for item in wanted) else tuple(map(closure_of, wanted))
        located = locate(self.workspace, graph, known, closures)
        plan = Plan(
            graph,
            known,
            far=located.results.keys(),
            prepared_kinds={"link"},
            keep_going=self.keep_going,
            shares=shares,
        )
        return plan, located


def _needs(recipe: Path, part: Graph, keys: Collection[Digest]) -> Needs | None:
    """What a recipe needs of what will be done; None when that is nothing."""
    from envbuild.environments.asking import Needs

    found = tuple(derivation for derivation in part if derivation.key in keys)
    return Needs(recipe=recipe, derivations=found) if found else None
