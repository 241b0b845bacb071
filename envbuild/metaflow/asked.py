"""What decorators say, as values: of one decorator (``Declared``), and of a step when all are merged (``Asked``).

Rules of the file: values only; who said a thing never counts in comparisons, so that two steps that ask for the same
are equal.
"""

from __future__ import annotations

from dataclasses import field

from envbuild.errors import Where
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """The decorator that said something.

    Attributes:
        decorator: Its name, without ``@``.
        step: The step that it stands on; None for the flow.
        dynamic: Whether it came by ``--with`` and stands in no file.
        where: Its place in the flow's file, when that could be found.
    """

    decorator: str
    step: str | None = None
    dynamic: bool = False
    where: Where | None = field(default=None, compare=False)

    def __str__(self) -> str:
        name = f"--with {self.decorator}" if self.dynamic else f"@{self.decorator}"
        return f"{name} of {f'step {self.step}' if self.step is not None else 'the flow'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package that a decorator names.

    Attributes:
        key: As a recipe writes it: with its channel (``conda-forge::numpy``) or extras (``requests[socks]``).
        name: What it is called in its ecosystem, normalized: two packages of one name are one.
        version: As written; empty for any.
        source: Keys of a source in a recipe (``git``, ``rev``, ``url``, ``path``), when it comes from no index. A path
            is absolute.
    """

    key: str
    name: str
    version: str = ""
    source: tuple[tuple[str, str], ...] = ()
    by: By | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text, and who said it."""

    text: str
    by: By | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an environment stands on.

    Attributes:
        kind: ``name`` for a named environment, ``recipe`` for the file of a recipe (absolute), ``pathspec`` for the
            environment of a step of a past run.
        late: Whether it is looked up when a task starts; its text may hold variables then.
    """

    kind: str
    text: str
    late: bool = False
    by: By | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a step asks for. Nothing in it is a default: what nobody said is None or empty.

    Attributes:
        python: Versions of Python, as written.
        conda: By name, sorted; so is ``pypi``.
        channels: In the order in which they are asked; so are ``indices``. Folders are absolute.
        bytecode: ``true`` or ``false``: whether modules are compiled ahead.
    """

    python: Text | None = None
    conda: tuple[Package, ...] = ()
    channels: tuple[Text, ...] = ()
    pypi: tuple[Package, ...] = ()
    indices: tuple[Text, ...] = ()
    base: Base | None = None
    bytecode: Text | None = None

    @property
    def late(self) -> bool:
        """Whether the environment is known only when a task starts."""
        return self.base is not None and self.base.late


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one decorator says.

    Attributes:
        disabled: Three-valued: None when it says nothing of it.
        notes: Old spellings, one line each.
    """

    by: By
    asked: Asked = Asked()
    disabled: bool | None = None
    notes: tuple[str, ...] = ()

    @property
    def stays(self) -> bool | None:
        """Whether a step with this decorator runs outside: giving content says that it does not."""
        if self.disabled is None and self.asked != Asked():
            return False
        return self.disabled
