"""``trust: strict``: nothing is solved or built here; what nobody who counts has signed is missing, and said at once.

What the home has counts: it is this user's own. Files are fetched and conda packages transmuted as ever, for neither is
anybody's word. A solve runs engines on what servers say, and a build runs code of its source: their results come signed
from a store, or not at all.

Rules of the file: refuses twice, before anything starts and where a job begins: what was there may be gone by then.
"""

from __future__ import annotations

from collections.abc import Collection

from envbuild import worker
from envbuild.derivations import Derivation
from envbuild.digest import Digest, short
from envbuild.errors import IntegrityError, Issue
from envbuild.plan import Plan
from envbuild.store import Results
from envbuild.worker import Done, Task, Workspace

_WORK = frozenset({"solve", "build-wheel"})
_HINT = "whoever has a key locks or realizes it, or types: envbuild store sign STORE"


def refuse_work(plan: Plan, near: Collection[Digest]) -> None:
    """Refuse a plan that has to solve or build.

    Args:
        plan: Nothing of it has started.
        near: Keys whose signed results a store has.

    Raises:
        IntegrityError: ``unsigned-result``, with an issue for each.
    """
    if missing := missing_work(plan, near):
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise IntegrityError(
            f"{_described(missing[0])}{more}",
            reference="unsigned-result",
            hint=_HINT,
            issues=tuple(Issue(message=_described(item), reference="unsigned-result", hint=_HINT) for item in missing),
        )


def missing_work(plan: Plan, near: Collection[Digest]) -> list[Derivation]:
    """What of a plan is solved or built."""
    return [plan.graph[key] for key in plan.needed if key not in near and plan.graph[key].kind in _WORK]


def run(task: Task, workspace: Workspace, results: Results | None) -> Done:
    """Do one job, if it is none that is refused; see ``envbuild.worker.run``.

    Raises:
        IntegrityError: ``unsigned-result``.
    """
    if task.job.phase != "pull" and task.job.derivation.kind in _WORK:
        raise IntegrityError(_described(task.job.derivation), reference="unsigned-result", hint=_HINT)
    return worker.run(task, workspace, results)


def _described(item: Derivation) -> str:
    done = {"solve": "solved", "build-wheel": "built"}[item.kind]
    return (
        f"{item.label} ({short(item.key)}) is in no store as a signed result, and with `trust: strict` not {done} here"
    )
