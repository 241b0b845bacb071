"""Whether a version of a conda package is one of those that a constraint allows.

Plain release numbers are compared here; what has letters, alternatives with pre-releases or exclusions is for the
engine, which is loaded only then.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.errors import InvalidInput
from envbuild.reading.version_range import intervals


def matcher(constraint: str) -> Callable[[str], bool]:
    """A function that says whether a version is allowed.

    Args:
        constraint: As ``envbuild.solvers.conda_spec`` normalizes it; empty for any.

    Raises:
        InvalidInput: ``bad-version`` when the engine cannot read the constraint.
    """
    allowed = intervals(constraint)
    known: dict[str, bool] = {}

    def fits(version: str) -> bool:
        if version not in known:
            exact = intervals(f"=={version}")
            if allowed is None or exact is None:
                known[version] = not constraint or _engine(constraint, version)
            else:
                known[version] = any(low <= exact[0][0] and exact[0][1] <= high for low, high in allowed)
        return known[version]

    if allowed is None:
        _engine(constraint, "1")
    return fits


def _engine(constraint: str, version: str) -> bool:
    from rattler import Version, VersionSpec
    from rattler.exceptions import InvalidVersionError, InvalidVersionSpecError

    try:
        return bool(VersionSpec(constraint).matches(Version(version)))
    except InvalidVersionSpecError as error:
        raise InvalidInput(f"{constraint!r} is no constraint of conda's: {error}", reference="bad-version") from None
    except InvalidVersionError:
        return False
