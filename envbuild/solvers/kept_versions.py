"""Versions of the lock before, where several indices are one pool: what stands there stays, also where uv gives it up.

uv looks for a preferred version in the first index of the pool that has any file of it. When no file of that index
fits, as in a mirror that somebody fills by hand, it counts the whole version as one that does not fit, and takes
another, although the next index has it. As a constraint, the same version is looked for in all of them. So what uv
gives up is asked for again, each by itself, and where that has no solution uv was right.

Rules of the file: no more runs of uv than there are versions given up; none outside of a pool.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.errors import UnsatisfiableError
from envbuild.package import Wheel, normalize_pypi_name
from envbuild.recipe import PypiRequirement
from envbuild.solvers.uv_compile import PypiQuestion, Resolved
from envbuild.value import replace


def keep_versions(
    question: PypiQuestion, found: Resolved, ask: Callable[[PypiQuestion], Resolved]
) -> tuple[PypiQuestion, Resolved]:
    """An answer in which versions of the lock before stand that can stand, and the question that has it.

    Args:
        question: What uv was asked.
        found: Its answer.
        ask: Asks it another question.
    """
    for wheel in question.keep:
        if _moved(wheel, found):
            insisting = _with_constraint(question, wheel)
            try:
                found = ask(insisting)
            except UnsatisfiableError:  # also what would have to be built
                continue
            question = insisting
    return question, found


def _moved(wheel: Wheel, found: Resolved) -> bool:
    versions = {item.get("version") for item in found.packages if normalize_pypi_name(item["name"]) == wheel.name}
    return bool(versions) and wheel.version not in versions


def _with_constraint(question: PypiQuestion, wheel: Wheel) -> PypiQuestion:
    """A question that insists on a version, and no longer prefers it: uv would look for that in one index alone."""
    insisted = PypiRequirement(name=wheel.name, version=f"=={wheel.version}")
    request = replace(question.request, pypi_constraints=(*question.request.pypi_constraints, insisted))
    return replace(question, request=request, keep=tuple(item for item in question.keep if item is not wheel))
