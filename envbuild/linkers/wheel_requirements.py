"""Whether a wheel needs what was believed of it: its own ``Requires-Dist`` against the index's copy, and the lock.

A lock is made from an index's copies of METADATA (PEP 658), before any wheel is there; the digest of a wheel says
nothing about its copy. Solving keeps what it believed, by the wheel's digest, in the cache folder ``metadata``. Where
that is kept, the question has an exact answer that knows of no overrides, extras, conda packages or imports: both are
the same requirements, or somebody lied and the environment was solved from the lie.

Elsewhere (the lock came from another machine) only the lock can be asked, and a lock alone convicts nobody: overrides
take requirements away and are not in it; ``conda: provides:`` gives names that are not in it; and the edges of an
imported lock are the foreign file's word, where tools let people rewrite what packages need. So what does not agree
there is a note.

Rules of the file: ``packaging`` is imported only when texts differ or a marker must be evaluated.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.conda_names import project_names
from envbuild.errors import IntegrityError
from envbuild.markers import marker_variables
from envbuild.package import CondaPackage, InterpreterArchive, Platform, Wheel, normalize_pypi_name
from envbuild.pattern import pattern

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from envbuild.linkers.wheel_check import Surroundings

REFUTED = "refuted"
"""A member of a kept document: the wheel itself says something else. Whoever solves must ask again."""

_NAME = pattern(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


def check_requirements(wheel: Wheel, own: tuple[str, ...], around: Surroundings) -> tuple[str, ...]:
    """Compare what a wheel's METADATA needs with what was believed of it, else with the lock.

    Args:
        wheel: What the lock says.
        own: ``Requires-Dist`` of the wheel itself, as written.
        around: The link.

    Returns:
        Sentences that a user must hear.

    Raises:
        IntegrityError: ``wrong-metadata`` when the lock was made from other requirements than the wheel has.
    """
    kept = around.believed / wheel.sha256
    try:
        document: dict[str, Any] = json.loads(kept.read_bytes())
        told = tuple(map(str, document["requires"]))
    except (OSError, ValueError, TypeError, KeyError):
        return _against_lock(wheel, own, around)
    own = tuple(" ".join(text.split()) for text in own)
    if told == own:
        return ()
    hidden, invented = _known(own) - _known(told), _known(told) - _known(own)
    if not hidden and not invented:
        return ()
    _refute(kept, document)
    said = [f"it needs {_few(hidden)}"] if hidden else []
    said += [f"it does not need {_few(invented)}"] if invented else []
    raise IntegrityError(
        f"the METADATA inside {wheel.file} is not what its index said when it was locked: {'; '.join(said)}",
        reference="wrong-metadata",
        hint=f"tell whoever runs that index; then: envbuild lock --upgrade-package {wheel.name}",
    )


def _known(texts: Iterable[str]) -> set[str]:
    """Requirements in one spelling; what is none was of no weight in the solve either."""
    return {str(found) for text in texts if (found := _requirement(text)) is not None}


def _requirement(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement:
        return None
    found.name = normalize_pypi_name(found.name)
    return found


def _refute(kept: Path, document: dict[str, Any]) -> None:
    """Nobody solves with it again; it stays as evidence, so that the same lock is refused again."""
    part = kept.with_name(f"{kept.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        part.write_text(json.dumps({**document, REFUTED: True}), encoding="utf-8")
        part.replace(kept)
    except OSError:
        part.unlink(missing_ok=True)


def _against_lock(wheel: Wheel, own: tuple[str, ...], around: Surroundings) -> tuple[str, ...]:
    """Notes on what lock and wheel do not agree about."""
    names = {normalize_pypi_name(found[1]) for text in own if (found := _NAME.match(text))}
    if not names and not wheel.requires:
        return ()
    conda = {item.name: project_names(item) for item in around.packages if isinstance(item, CondaPackage)}
    others = {item.name for item in around.packages if not isinstance(item, (CondaPackage, InterpreterArchive))}
    there = others.union(*conda.values())
    strange = [name for name in wheel.requires if name not in names and names.isdisjoint(conda.get(name, ()))]
    notes = []
    if more := [name for name in strange if name in others]:
        notes.append(f"the lock says that {wheel.name} {wheel.version} needs {_few(more)}, its own METADATA does not")
    elsewhere = names - there - {wheel.name}
    if around.python is not None and elsewhere and not any(name in conda for name in strange):
        missing = {name for name in elsewhere if _is_needed(name, own, wheel, around.platform, around.python)}
        if missing:
            notes.append(f"{wheel.name} {wheel.version} needs {_few(missing)}, which the lock does not have")
    return tuple(notes)


def _is_needed(name: str, own: tuple[str, ...], wheel: Wheel, platform: Platform, python: str) -> bool:
    """Whether a requirement of that name holds for the target and the extras that are asked of the wheel."""
    for text in own:
        match = _NAME.match(text)
        if match is None or normalize_pypi_name(match[1]) != name:
            continue
        if not wheel.extras and "extra ==" in text and " or " not in text:
            continue  # most are of this kind, and need no parsing
        found = _requirement(text)
        if found is None:
            continue
        variables = marker_variables(platform, python)
        if found.marker is None or any(
            found.marker.evaluate({**variables, "extra": extra}) for extra in ("", *wheel.extras)
        ):
            return True
    return False


def _few(names: Iterable[str]) -> str:
    several = sorted(names)
    return ", ".join(several[:3]) + (f" and {len(several) - 3} more" if len(several) > 3 else "")
