"""The plan: what has to be done, in which order; a pure state machine.

The plan starts from the targets. A derivation whose outputs are known is a *hit*, and nothing that only hits read is
looked at; every other derivation that a target leads to is *needed*. What somebody else has done is *far*: it is
needed, and its one job is to pull what it gave; its inputs are not looked at either. Should that be gone by then
(``missed``), it is no longer far: it waits for its inputs, which are needed after all, and is done here.

Events go in (``started``, ``finished``, ``failed``, ``missed``), jobs come out (``ready``), those first on which the
longest remaining chain of work depends.

Some kinds can prepare an input before the others are there (unpack a package while the next one downloads): each input
is then a job of its own, offered as soon as that input is done, and the final ``realise`` waits for those that began.
What is not worth it any more (``envbuild.preparing``) is taken back before it begins. A failure blocks exactly the
derivations that lead from it to a target; without ``keep_going`` no more jobs are offered.

A plan may grow while it runs (``add``), by what is known only then. Those for whom the work is have a share each, and
are served in turns (``envbuild.turns``).

::

    waiting ──► ready ──► running ──► done
       │          far ──►    ├──────► failed
       └──► blocked          └──────► missed ──► waiting

Rules of the file: no clock, no thread, no I/O, no recursion; every event costs what its own edges cost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from envbuild.demand import demand, unmet
from envbuild.derivations import Outputs
from envbuild.digest import Digest
from envbuild.graph import Graph, Growing
from envbuild.job import LANES, TURN, Failure, Job, Lane, Summary, estimate, estimate_preparation
from envbuild.lengths import add_lengths, summarize
from envbuild.preparing import Preparing
from envbuild.turns import Turns
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What was new to a plan that grew, inputs before users: hits, and what has to be done."""

    hits: tuple[Digest, ...]
    needed: tuple[Digest, ...]


class Plan:
    """The state of one run over a graph.

    Attributes:
        graph: What the plan is over; once the plan has grown, it grows with it.
        failures: In the order in which they happened.
        blocked: Keys that cannot be done any more, each with the failed key that blocks it.
        stopped: True once no more jobs are offered: after ``stop``, or a failure without ``keep_going``.
    """

    def __init__(
        self,
        graph: Graph,
        known: Mapping[Digest, Outputs],
        costs: Mapping[Digest, int] = MappingProxyType({}),
        *,
        far: Collection[Digest] = frozenset(),
        prepared_kinds: Collection[str] = frozenset(),
        keep_going: bool = False,
        shares: Mapping[Digest, int] = MappingProxyType({}),
    ) -> None:
        """Find what is needed, and offer what can start.

        Args:
            graph: What is wanted.
            known: Outputs that some store already has, by key; keys outside the graph are ignored.
            costs: Milliseconds that a derivation took the last time; ``estimate`` stands in for the others.
            far: Keys whose results can be pulled from somewhere; those that are known, or not needed, are ignored.
            prepared_kinds: Kinds whose inputs can be prepared one by one.
            keep_going: Whether a failure leaves the work that does not depend on it going.
            shares: For whom each is, by number, ``turns.COMMON`` for several; without it, all is for one.
        """
        self.graph = graph
        self.failures: list[Failure] = []
        self.blocked: dict[Digest, Digest] = {}
        self.stopped = False
        self._keep_going = keep_going
        self._known = dict(known)
        self._costs = costs
        self._outputs: dict[Digest, Outputs] = {}
        self._pending: set[Job] = set()
        self._running: set[Job] = set()
        self._failed: set[Digest] = set()
        self._turns: dict[Lane, Turns[Job]] = {lane: Turns(self._pending) for lane in LANES}
        self._shares = dict(shares)
        self._prepared_kinds = prepared_kinds
        hits, needed = demand(graph, known, far)
        self._hits, self._needed = dict.fromkeys(hits), dict.fromkeys(needed)
        self._far = set(far)
        self._lengths: dict[Digest, int] = {}
        add_lengths(self._lengths, graph, needed, costs, self._far)
        self._prepared = self._to_prepare(needed)
        self._waiting: dict[Digest, int] = {}
        self._preparing = Preparing()
        self._begin(needed)
        for key in hits:
            self._complete(key, known[key])

    @property
    def hits(self) -> tuple[Digest, ...]:
        """Known keys that the plan reached, in graph order; those that a missed pull brought stand last."""
        return tuple(self._hits)

    @property
    def needed(self) -> tuple[Digest, ...]:
        """Keys that have to be done, in graph order; those that a missed pull brought stand last."""
        return tuple(self._needed)

    @property
    def hit_count(self) -> int:
        """How many ``hits`` there are."""
        return len(self._hits)

    def needs(self, key: Digest) -> bool:
        """Whether a key is one of ``needed``."""
        return key in self._needed

    @property
    def outputs(self) -> Mapping[Digest, Outputs]:
        """Outputs by key: hits, and what has been finished so far."""
        return MappingProxyType(self._outputs)

    @property
    def running(self) -> frozenset[Job]:
        """Jobs started and not yet over."""
        return frozenset(self._running)

    @property
    def over(self) -> bool:
        """Nothing runs and nothing more will be offered."""
        return not self._running and (self.stopped or not self._pending)

    @property
    def succeeded(self) -> bool:
        """Every target has its outputs."""
        return all(target in self._outputs for target in self.graph.targets)

    def inputs(self, job: Job) -> dict[Digest, Outputs]:
        """The outputs that a job may read: of all its inputs, or of the one that it prepares; none for a pull.

        Raises:
            KeyError: When one of them is not there yet: the job was not offered by ``ready``.
        """
        if job.phase == "pull":
            return {}
        keys = self.graph.inputs(job.key) if job.input is None else (job.input,)
        return {key: self._outputs[key] for key in keys}

    def summary(self, added: Added | None = None) -> Summary:
        """The plan in numbers, or those of what was added to it."""
        keys = tuple(self._needed) if added is None else added.needed
        hits = len(self._hits) if added is None else len(added.hits)
        return summarize(self.graph, hits, keys, self._lengths, self._costs, self._far)

    def ready(self, lane: Lane | None = None, limit: int | None = None) -> tuple[Job, ...]:
        """Jobs that can start now, the most urgent first; they stay ready until ``started``.

        Args:
            lane: Only jobs of this lane; None for all, lane by lane.
            limit: At most so many of each lane; None for all.
        """
        if self.stopped:
            return ()
        lanes = LANES if lane is None else (lane,)
        return tuple(job for each in lanes for job in self._turns[each].first(limit, TURN))

    def started(self, job: Job) -> None:
        """A job began.

        Raises:
            ValueError: When it was not ready.
        """
        if job not in self._pending:
            raise ValueError(f"{job} is not ready")
        self._pending.remove(job)
        self._running.add(job)
        if job.input is not None:
            self._preparing.started(job, self.graph[job.input].size)
        cost = TURN if job.phase == "prepare" else self._costs.get(job.key) or estimate(job.derivation)
        self._turns[job.lane].spend(self._shares.get(job.key, 0), cost)

    def finished(self, job: Job, outputs: Outputs) -> None:
        """A job succeeded.

        Args:
            job: One that was started.
            outputs: What it made; ignored for a preparation.

        Raises:
            ValueError: When it was not running.
        """
        self._end(job)
        if job.phase != "prepare":
            self._complete(job.key, outputs)
            return
        self._satisfied(job.key)
        self._take_back(job.key)

    def failed(self, job: Job, error: BaseException) -> None:
        """A job failed; everything that needs its derivation is blocked.

        Raises:
            ValueError: When it was not running.
        """
        self._end(job)
        self.failures.append(Failure(job=job, error=error))
        if not self._lost(job.key):
            self._failed.add(job.key)
            self._pending.difference_update(self._preparing.withdrawn(job.key))
            self._block(job.key, *self._users(job.key))
        if not self._keep_going:
            self.stop()

    def missed(self, job: Job) -> None:
        """What was to be pulled is gone: the derivation is done here, so what leads to it is needed after all.

        Args:
            job: A pull that was started.

        Raises:
            ValueError: When it was not running.
        """
        self._end(job)
        self._far.discard(job.key)
        hits, needed = self._unmet(self.graph.inputs(job.key))
        self._enter(hits, [*needed, job.key])

    def add(
        self,
        graph: Graph,
        known: Mapping[Digest, Outputs],
        *,
        far: Collection[Digest] = frozenset(),
        shares: Mapping[Digest, int] = MappingProxyType({}),
    ) -> Added:
        """Let a graph be wanted too. What the plan has of it is done once; the rest costs what it is.

        Args:
            graph: What is wanted.
            known: Outputs that some store already has of it.
            far: Of its keys those whose results can be pulled.
            shares: For whom each is; a key that has a share keeps it.
        """
        grown = self.graph if isinstance(self.graph, Growing) else Growing(self.graph)
        grown.add(graph)
        self.graph = grown
        self._known.update((key, known[key]) for key in graph.derivations.keys() & known.keys())
        self._far |= {key for key in far if key not in self._needed}
        for key, share in shares.items():
            self._shares.setdefault(key, share)
        hits, needed = self._unmet(graph.targets)
        self._prepared |= self._to_prepare(needed)
        self._enter(hits, needed)
        return Added(hits=tuple(hits), needed=tuple(needed))

    def stop(self) -> None:
        """Offer nothing more; what runs may still finish or fail."""
        self.stopped = True

    def _end(self, job: Job) -> None:
        if job not in self._running:
            raise ValueError(f"{job} is not running")
        self._running.remove(job)
        if job.input is not None:
            self._preparing.ended(job)

    def _enter(self, hits: list[Digest], needed: list[Digest]) -> None:
        """Take up what the plan had not met, or met otherwise."""
        self._hits |= dict.fromkeys(hits)
        self._needed |= dict.fromkeys(needed)
        add_lengths(self._lengths, self.graph, needed, self._costs, self._far)
        self._begin(needed)
        for key in hits:
            self._complete(key, self._known[key])
        for key in needed:  # what is pulled needs no inputs
            if key not in self._far and (lost := next(filter(self._lost, self.graph.inputs(key)), None)):
                self._block(self.blocked.get(lost, lost), key)

    def _to_prepare(self, keys: Sequence[Digest]) -> set[Digest]:
        """Those whose inputs are prepared one by one, for not all of them are there."""
        new, kinds = set(keys), self._prepared_kinds

        def missing(key: Digest) -> bool:
            return key in new or (key in self._needed and key not in self._outputs)

        chosen = (key for key in keys if self.graph[key].kind in kinds and key not in self._far)
        return {key for key in chosen if any(map(missing, self.graph.inputs(key)))}

    def _lost(self, key: Digest) -> bool:
        return key in self._failed or key in self.blocked

    def _complete(self, key: Digest, outputs: Outputs) -> None:
        """Outputs are there: offer their preparation to the users that want it, and count down the others."""
        self._outputs[key] = outputs
        for user in self.graph.users(key):
            if user not in self._waiting or self._lost(user):
                continue
            self._preparing.came(user, self.graph[key].size)
            if user in self._prepared:
                self._offer(Job(key=user, phase="prepare", input=key, derivation=self.graph[user]))
                self._take_back(user)
            else:
                self._satisfied(user)

    def _begin(self, keys: Collection[Digest]) -> None:
        """Let needed derivations wait for the inputs that are not there; offer those that need not wait."""
        for key in keys:
            derivation = self.graph[key]
            if key in self._far:
                self._offer(Job(key=key, phase="pull", derivation=derivation))
                continue
            absent = (self.graph[each].size for each in set(self.graph.inputs(key)) if each not in self._outputs)
            self._waiting[key] = self._preparing.begin(key, absent)
            if not self._waiting[key]:
                self._offer(Job(key=key, derivation=derivation))

    def _satisfied(self, key: Digest) -> None:
        """One more input of a derivation is done, and prepared where that is wanted."""
        self._waiting[key] -= 1
        if not self._waiting[key] and not self._lost(key):
            self._offer(Job(key=key, derivation=self.graph[key]))

    def _users(self, key: Digest) -> list[Digest]:
        """Who waits for a derivation."""
        return [user for user in self.graph.users(key) if user in self._waiting]

    def _block(self, failed: Digest, *keys: Digest) -> None:
        """These, and all that waits for them, cannot be done."""
        todo = list(keys)
        while todo:
            key = todo.pop()
            if not self._lost(key):
                self.blocked[key] = failed
                self._pending.difference_update(self._preparing.withdrawn(key))
                todo += self._users(key)

    def _take_back(self, key: Digest) -> None:
        """What is not begun, and not worth preparing any more, is left to ``realise``."""
        for job in self._preparing.pointless(key):
            if job in self._pending:
                self._pending.remove(job)
                self._satisfied(key)

    def _offer(self, job: Job) -> None:
        urgency = self._lengths[job.key]
        if job.input is not None:
            urgency += estimate_preparation(self.graph[job.input])
            self._preparing.offered(job, self.graph[job.input].size)
        self._pending.add(job)
        self._turns[job.lane].put(job, urgency, self._shares.get(job.key, 0))

    def _unmet(self, keys: Collection[Digest]) -> tuple[list[Digest], list[Digest]]:
        """Hits and needed keys that the plan has not met, among these and what leads to them."""
        return unmet(self.graph, keys, self._known, self._far, self._hits, self._needed)
