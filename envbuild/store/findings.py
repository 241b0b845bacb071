"""What a verification of a shared store tells: each thing that is wrong, and what was looked at.

Rules of the file: values alone.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.digest import Digest
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: The object.
        problem: A kebab-case name: ``wrong-bytes``, ``bad-record``, ``wrong-size``, ``missing-output``,
            ``bad-closure``, ``bad-generation``, ``missing-generation``, ``absent-environment``, ``absent-package``,
            ``bad-signature``, ``bad-outputs``, ``misplaced``, ``link``, ``unreadable``.
        message: What is wrong with it, as the rest of a sentence that begins with the name.
        todo: What to do, to be typed or done.
        digest: The blob that it is about: the wrong one, or the one that is missing.
        done: What was done about it: ``mended``, ``removed``, ``nothing``; None when nothing was to be.
    """

    name: str
    problem: str
    message: str
    todo: str = ""
    digest: Digest | None = None
    done: str | None = None


Tell = Callable[[Finding], Finding]
"""Takes a finding; gives it back with what was done about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What a verification found.

    Attributes:
        blobs: How many were hashed, ``size`` their bytes; ``skipped`` were not, for a sample was wanted; ``before``
            were found right by the verification that this one goes on with.
        results: Records that were read; so ``environments``, ``names`` and ``signatures``.
        strangers: What is not ours, by the first part of its name.
        forgotten: Environments that names meant once, and that are not there any more: a collection may take them.
    """

    blobs: int
    size: int
    skipped: int
    before: int
    results: int
    environments: int
    names: int
    signatures: int
    strangers: tuple[tuple[str, int], ...]
    forgotten: int
    findings: tuple[Finding, ...]
