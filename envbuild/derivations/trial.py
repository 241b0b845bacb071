"""``test``: an environment is tried as its recipe's ``test:`` section says.

**In the key**: the environment, by the key of its link, its platform, and the normalized section: modules and programs
sorted, commands as words in their order, the time limit, and whether the network may be used. **Not in the key**: the
recipe, its name, and where the prefix lies. Two recipes with one environment and one section share one result.
**Outputs**: ``out``, canonical JSON of what passed, and ``log``, what it printed.

Only a trial that passed has a result; one that fails is an error, is recorded nowhere, and is done again the next time.
Trials are pure by intent, as builds are: the first result of a key stands. With ``network: true`` it tells that the
environment once passed, which is all that a name that moves needs to know.

The class is no ``Test…``, and the module no ``test``, so that no test runner takes them for its own.

Rules of the file: ``envbuild.builders`` does the work; no engine is imported here.
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, Outputs, Purity
from envbuild.digest import Digest, Json, key
from envbuild.package import Platform
from envbuild.recipe import Tests
from envbuild.value import dataclass

TRIAL_FORMAT = 1
"""Raised when the same section comes to ask for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One environment to try.

    Attributes:
        environment: Key of the link that makes its prefix.
        platform: What it is for; only a machine of it can try it.
        tests: The section.
        python: Its series, or None; ``interpreter``: ``conda``, ``host`` or ``managed``; ``variables``: what its
            activation sets. All of them follow from the link.
        name: What people call it.
        key: Computed.
    """

    kind: ClassVar[str] = "test"
    version: ClassVar[int] = 1

    environment: Digest
    platform: Platform
    tests: Tests
    python: str | None = field(default=None, compare=False)
    interpreter: str = field(default="conda", compare=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    name: str = field(default="environment", compare=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """Pure by intent."""
        return "pure"

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """The environment."""
        return (self.environment,)

    @property
    def label(self) -> str:
        """What people see."""
        return f"{self.name} ({self.platform})"

    @property
    def size(self) -> int | None:
        """It moves no bytes."""
        return None

    def document(self) -> Json:
        """The environment and the section."""
        return {
            "format": TRIAL_FORMAT,
            "environment": self.environment,
            "platform": self.platform,
            "imports": list(self.tests.imports),
            "entry-points": list(self.tests.entry_points),
            "commands": [list(words) for words in self.tests.commands],
            "timeout": self.tests.timeout,
            "network": self.tests.network,
        }


def realise(derivation: Trial, context: Context) -> Outputs:
    """Try the environment in its prefix, and publish what passed with its log.

    Raises:
        BuildError: ``test-failed`` with the end of what it printed, ``too-slow``, ``too-much-output``,
            ``wrong-builder`` for an environment of another platform.
        UnsatisfiableError: This machine lacks the Python.
        NoSpaceError: The disk is full or not writable.
    """
    from envbuild.builders.trying import try_out

    return try_out(derivation, context)
