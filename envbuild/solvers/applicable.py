"""Which of several requirements of one name hold on a target.

Theory: a name may stand several times, with other markers and other places: a wheel's address on Windows, an index on
Linux. uv judges markers itself, but a place holds for a name as a whole; so what does not hold here is left out before
places are told.

Rules of the file: pure.
"""

from __future__ import annotations

from collections import Counter

from envbuild.recipe import PypiRequirement
from envbuild.request import PlatformRequest
from envbuild.solvers.target import Target, marker_environment
from envbuild.value import replace


def applicable(request: PlatformRequest, target: Target) -> PlatformRequest:
    """A request without those requirements of names that stand several times whose markers do not hold on a target."""
    return replace(
        request,
        pypi=_holding(request.pypi, target),
        pypi_constraints=_holding(request.pypi_constraints, target),
        pypi_overrides=_holding(request.pypi_overrides, target),
    )


def _holding(items: tuple[PypiRequirement, ...], target: Target) -> tuple[PypiRequirement, ...]:
    count = Counter(item.name for item in items)
    if not any(item.markers is not None and count[item.name] > 1 for item in items):
        return items
    from packaging.markers import Marker

    environment = {**marker_environment(target), "extra": ""}
    return tuple(
        item
        for item in items
        if item.markers is None or count[item.name] == 1 or Marker(item.markers).evaluate(environment)
    )
