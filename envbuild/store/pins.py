"""Pins of a shared store: environments that stay in it, until they are let go.

::

    collect/pins/<environment>.json

Rules of the file: names alone; who asks what they name is ``envbuild.environments.collect_verbs``.
"""

from __future__ import annotations

from envbuild.digest import Digest
from envbuild.pattern import pattern

_PIN = pattern(r"collect/pins/([0-9a-f]{64})\.json")


def pin_name(environment: Digest) -> str:
    """Where a pin is, or would be."""
    return f"collect/pins/{environment}.json"


def pinned(name: str) -> Digest | None:
    """The environment that an object pins; None for other objects."""
    found = _PIN.fullmatch(name)
    return Digest(found[1]) if found else None
