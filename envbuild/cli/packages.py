"""The packages of a locked environment as ``show`` tells them: rows for people, objects for scripts.

Rules of the file: values in, values out; nothing is printed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envbuild.cli.wording import size_text
from envbuild.locks.dependencies import origin_words
from envbuild.package import CondaPackage, SourcePackage, Wheel

if TYPE_CHECKING:
    from envbuild.lock import LockedEnvironment

TITLES = ("", "package", "version", "build", "from", "size")


def packages_of(environment: LockedEnvironment) -> tuple[CondaPackage | Wheel | SourcePackage, ...]:
    """What the environment holds, in the lock's order: conda, wheels, what is built from source."""
    return (*environment.conda, *environment.wheels, *environment.sources)


def package_rows(environment: LockedEnvironment) -> list[tuple[str, ...]]:
    """One row for each package, under ``TITLES``; a star where the recipe asked for it."""
    return [
        (
            "*" if package.asked else "",
            package.name,
            package.version,
            package.build if isinstance(package, CondaPackage) else "",
            origin_words(package),
            size_text(package.size) if package.size is not None else "",
        )
        for package in packages_of(environment)
    ]


def package_words(package: CondaPackage | Wheel | SourcePackage) -> dict[str, Any]:
    """What stands before a package's own fields in JSON: its kind, and of a source its form."""
    if isinstance(package, SourcePackage):
        return {"kind": "pypi", "form": package.form}
    return {"kind": "conda" if isinstance(package, CondaPackage) else "pypi"}
