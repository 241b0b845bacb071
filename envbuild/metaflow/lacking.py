"""What Metaflow needs in an environment that is used as it was locked.

Rules of the file: imports nothing of Metaflow; nodes use it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput

if TYPE_CHECKING:
    from envbuild.environments.look_verbs import LookVerbs
    from envbuild.environments.realized import Realized


def check_needs(session: LookVerbs, text: str, realized: Realized, needs: Sequence[str]) -> None:
    """Refuse an environment in which Metaflow could not run.

    Args:
        session: Which knows the environment.
        text: What named it.
        realized: What exists.
        needs: Names of packages.

    Raises:
        InvalidInput: ``lacks-needs``.
    """
    names = session.show(f"id:{realized.request}:{realized.environment}").environment.names()
    lacking = [name for name in needs if name not in names]
    if not (realized.prefix / "bin" / "python").exists():
        lacking.insert(0, "python")
    if lacking:
        raise InvalidInput(
            f"{text} has no {', '.join(lacking)}, which Metaflow needs in a step",
            reference="lacks-needs",
            hint=f"add {' and '.join(lacking)} to its recipe, lock it and name it again",
        )
