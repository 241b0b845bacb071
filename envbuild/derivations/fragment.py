"""A lock fragment: what one solve gives, as canonical JSON.

Rules of the file: pure; what is read was written by another process, so it is checked like a lock.
"""

from __future__ import annotations

import json
from typing import Any

from envbuild.digest import canonical_json
from envbuild.errors import InvalidInput
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel
from envbuild.pinned import package_from_tree, package_tree
from envbuild.value import dataclass

FRAGMENT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A solve's result: its part of one platform of a lock.

    Attributes:
        python: Full version where the solve decided it (conda, managed), else the lowest that the lock may rely upon;
            None when the environment holds no Python.
        notes: What had to be said, such as what a cut-off could not judge.
    """

    python: str | None
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    sources: tuple[SourcePackage, ...] = ()
    build: tuple[Wheel, ...] = ()
    build_sources: tuple[SourcePackage, ...] = ()
    archive: InterpreterArchive | None = None
    notes: tuple[str, ...] = ()

    @property
    def series(self) -> str | None:
        """``X.Y``, as a lock has it."""
        return None if self.python is None else ".".join(self.python.split(".")[:2])


def fragment_bytes(fragment: Fragment) -> bytes:
    """The fragment as canonical JSON."""
    return canonical_json(
        {
            "fragment": FRAGMENT_VERSION,
            "python": fragment.python,
            "conda": [package_tree(item) for item in fragment.conda],
            "wheels": [package_tree(item) for item in fragment.wheels],
            "sources": [package_tree(item) for item in fragment.sources],
            "build": [package_tree(item) for item in fragment.build],
            **({"build-sources": several} if (several := [package_tree(i) for i in fragment.build_sources]) else {}),
            "archive": package_tree(fragment.archive) if fragment.archive else None,
            "notes": list(fragment.notes),
        }
    )


def fragment_from_bytes(data: bytes) -> Fragment:
    """A fragment from its JSON.

    Raises:
        InvalidInput: ``bad-fragment`` when it is not one; whatever ``package_from_tree`` raises for its packages.
    """
    try:
        tree: dict[str, Any] = json.loads(data)
        if tree["fragment"] != FRAGMENT_VERSION:
            raise InvalidInput(f"a lock fragment of version {tree['fragment']}", reference="bad-fragment")
        return Fragment(
            python=tree["python"],
            conda=tuple(package_from_tree(CondaPackage, item) for item in tree["conda"]),
            wheels=tuple(package_from_tree(Wheel, item) for item in tree["wheels"]),
            sources=tuple(package_from_tree(SourcePackage, item) for item in tree["sources"]),
            build=tuple(package_from_tree(Wheel, item) for item in tree["build"]),
            build_sources=tuple(package_from_tree(SourcePackage, item) for item in tree.get("build-sources", ())),
            archive=package_from_tree(InterpreterArchive, tree["archive"]) if tree["archive"] else None,
            notes=tuple(tree["notes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"a lock fragment cannot be read: {error}", reference="bad-fragment") from error
