"""Conda packages beside a Python that is not conda's: they must bring none.

With ``interpreter: host`` or ``managed`` the environment's Python comes from elsewhere, and a second one in the same
prefix would shadow it. So the conda packages are solved with every ``python`` shut out: where there is another way to
satisfy the request, it is taken. Where there is none, the request is solved once more without that rule, only to find
the chain of packages that leads to Python, which is what the user must know.

Rules of the file: asks the solver; nothing else has effects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.errors import UnsatisfiableError
from envbuild.package import CondaPackage
from envbuild.pattern import pattern
from envbuild.recipe import CondaRequirement
from envbuild.solvers.conda import CondaQuestion, solve_conda
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

PYTHON = "python"
_NONE = CondaRequirement(name=PYTHON, version="<0a0")
_NAME_END = pattern(r"[\s<>=!~\[]")


def solve_beside(question: CondaQuestion, interpreter: str, context: Context) -> tuple[CondaPackage, ...]:
    """The conda packages of an environment whose Python is not conda's, sorted by name.

    Args:
        question: What is asked; its Python is the other one's, and does not count here.
        interpreter: ``host`` or ``managed``, for the error.
        context: For the solver.

    Raises:
        UnsatisfiableError: ``python-in-conda`` with the chain of packages; else as ``solve_conda``.
    """
    request = replace(question.request, python=None)
    free = replace(question, request=request, python=False)
    without = replace(request, conda_constraints=(*request.conda_constraints, _NONE))
    try:
        return solve_conda(replace(free, request=without), context)
    except UnsatisfiableError:
        packages = solve_conda(free, context)  # what cannot be satisfied at all is told by this one
        asked = [*(item.name for item in request.conda), *(item.name for item in question.pins)]
        chain = chain_to(PYTHON, packages, asked)
        if chain is None:
            raise
        raise _refusal(chain, interpreter, question) from None


def chain_to(name: str, packages: Sequence[CondaPackage], asked: Sequence[str]) -> tuple[str, ...] | None:
    """The shortest chain of dependencies from a package that is asked for down to another one.

    Args:
        name: The end of the chain.
        packages: A solution.
        asked: Names to begin with.

    Returns:
        The names, ``name`` last; None when the solution does not hold it.
    """
    needs = {item.name: {_NAME_END.split(spec.strip())[0].lower() for spec in item.depends} for item in packages}
    came_from: dict[str, str | None] = {item: None for item in asked if item in needs}
    queue = deque(came_from)
    while queue:
        current = queue.popleft()
        if current == name:
            chain: list[str] = []
            step: str | None = current
            while step is not None:
                chain.append(step)
                step = came_from[step]
            return tuple(reversed(chain))
        for needed in sorted(needs[current] & needs.keys() - came_from.keys()):
            came_from[needed] = current
            queue.append(needed)
    return None


def _refusal(chain: tuple[str, ...], interpreter: str, question: CondaQuestion) -> UnsatisfiableError:
    where = next((item.where for item in question.request.conda if item.name == chain[0]), None)
    pinned = any(item.name == chain[0] for item in question.pins)
    needs = " -> ".join(chain)
    told = f"{needs}: conda's Python" if len(chain) > 1 else "conda's Python itself is asked for"
    return UnsatisfiableError(
        f"{told} cannot stand beside the Python of `interpreter: {interpreter}`"
        + (f" ({chain[0]} is pinned by the base)" if pinned else ""),
        reference="python-in-conda",
        where=where,
        hint=f"take {chain[0]} from PyPI (`pypi: packages:`), or say `interpreter: conda`",
    )
