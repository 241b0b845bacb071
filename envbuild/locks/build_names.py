"""Whether ``build:`` and ``conda: provides:`` of a recipe speak of packages that there are.

A name that no platform of the lock has is a slip of the pen; and so is what it says about a build that never happens.
That a package comes as a wheel here or there is no slip: only solving can tell, and it is said in a note.

Rules of the file: pure; values in, an error out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from envbuild.errors import InvalidInput, Issue
from envbuild.lock import LockedEnvironment
from envbuild.request import Request


def check_build_names(request: Request, environments: Iterable[LockedEnvironment]) -> None:
    """Refuse build options of packages that are in no environment.

    Args:
        request: What the recipe asks for.
        environments: Every platform's, locked.

    Raises:
        InvalidInput: ``unknown-build``, with the place of each.
    """
    known = {
        name
        for environment in environments
        for name in (
            *(wheel.name for wheel in environment.wheels),
            *(source.name for source in (*environment.sources, *environment.build_sources)),
        )
    }
    issues = tuple(
        Issue(
            message=f"build: {options.name}: there is no such PyPI package in the environment",
            reference="unknown-build",
            where=options.where,
            hint=_hint(options.name, known, "pypi"),
        )
        for options in request.build
        if options.name not in known
    )
    if issues:
        raise InvalidInput.of(issues)


def check_provides(request: Request, environments: Iterable[LockedEnvironment]) -> None:
    """Refuse words on what a conda package counts as, where no environment has the package.

    What the configuration says is for many recipes, and none of them need have every package of it.

    Args:
        request: What the recipe asks for.
        environments: Every platform's, locked.

    Raises:
        InvalidInput: ``unknown-provides``, with the place of each.
    """
    said = {name.lower(): where for part in request.platforms for name, where in part.provides_where}
    if not said:
        return
    known = {item.name for environment in environments for item in environment.conda}
    issues = tuple(
        Issue(
            message=f"conda: provides: {name}: there is no such conda package in the environment",
            reference="unknown-provides",
            where=where,
            hint=_hint(name, known, "conda"),
        )
        for name, where in said.items()
        if name not in known
    )
    if issues:
        raise InvalidInput.of(issues)


def _hint(name: str, known: set[str], section: str) -> str:
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean {close[0]}?" if close else f"take it out, or ask for the package under `{section}: packages:`"
