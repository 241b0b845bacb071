"""A request: a recipe after bases, project defaults and platforms are applied. Its digest is the request id.

The id is over the normalized request of *all* platforms, category by category: a conda ``x`` is not a PyPI ``x``.
Places, descriptions and the pins of bases stay out of it; a pinned base counts by its own request id.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from envbuild.digest import Digest, Json, key
from envbuild.errors import Where
from envbuild.package import Platform
from envbuild.recipe import BuildOptions, CondaRequirement, Index, PypiRequirement
from envbuild.value import dataclass, fields, is_value

REQUEST_VERSION = 1

INHERITED = "base"
"""The interpreter of a request that takes it from an environment that it extends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRequest:
    """What is asked for on one platform, defaults filled in, sorted where order means nothing.

    Attributes:
        python: Version constraint, or None for the newest that solves.
        system: Virtual packages, given or the platform's defaults, complete, sorted by name.
        channels: In order of priority, as the recipe writes them; folders as ``./…`` from the project's root.
        index: None for the machine's default index.
        provides: conda names and the PyPI projects that they count as, where recipe or configuration say so; sorted.
        provides_where: Where the recipe and its bases say it.
        system_said: Which of ``system`` somebody said, and is no default.
    """

    platform: Platform
    python: str | None
    system: tuple[tuple[str, str], ...]
    channels: tuple[str, ...] = ()
    conda: tuple[CondaRequirement, ...] = ()
    conda_constraints: tuple[CondaRequirement, ...] = ()
    index: Index | None = None
    extra_indices: tuple[Index, ...] = ()
    no_index: bool = False
    find_links: tuple[str, ...] = ()
    prereleases: bool | tuple[str, ...] = False
    no_build: bool | tuple[str, ...] = False
    pypi: tuple[PypiRequirement, ...] = ()
    pypi_constraints: tuple[PypiRequirement, ...] = ()
    pypi_overrides: tuple[PypiRequirement, ...] = ()
    provides: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), metadata={"sparse": True})
    provides_where: tuple[tuple[str, Where], ...] = field(default=(), compare=False)
    python_where: Where | None = field(default=None, compare=False)
    system_said: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRequest:
    """A base as the request id sees it: the base's own request id, or the name that the recipe says.

    Attributes:
        path: The file's label, ``name:…`` or ``id:…``.
        request: None for an environment that is named: what it is stands in the lock, so that a name that moves makes
            no other request.
    """

    path: str
    request: Digest | None
    pin: bool

    def document(self) -> Json:
        """What the request id holds of it."""
        if self.request is None:
            return {"environment": self.path, "pin": self.pin}
        return {"request": self.request, "pin": self.pin}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One recipe's request, for all its platforms.

    Attributes:
        recipe: The recipe's path from the project's root; a label, not part of the id.
        interpreter: ``conda``, ``host`` or ``managed``; ``INHERITED`` where only a named base can say it.
        exclude_newer: As written: a date or an age.
        bytecode: Whether modules are compiled ahead. The document leaves it out when it is False.
        inherits: Whether it, or a recipe that it extends, extends an environment that is named.
    """

    recipe: str = field(compare=False)
    interpreter: str
    exclude_newer: str | None
    platforms: tuple[PlatformRequest, ...]
    bases: tuple[BaseRequest, ...] = ()
    build: tuple[BuildOptions, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    bytecode: bool = False
    inherits: bool = field(default=False, compare=False)

    def document(self) -> Json:
        """The canonical document that the request id is the digest of."""
        sparse: dict[str, Json] = {"bytecode": True} if self.bytecode else {}
        return sparse | {
            "interpreter": self.interpreter,
            "exclude-newer": self.exclude_newer,
            "bases": [base.document() for base in self.bases],
            "build": to_document(self.build),
            "variables": dict(self.variables),
            "platforms": {request.platform: to_document(request) for request in self.platforms},
        }

    @property
    def id(self) -> Digest:
        """The request id."""
        return key("request", REQUEST_VERSION, self.document())

    def platform(self, platform: Platform) -> PlatformRequest:
        """The part for one platform.

        Raises:
            KeyError: When the request has no such platform.
        """
        for request in self.platforms:
            if request.platform == platform:
                return request
        raise KeyError(platform)


def to_document(value: Any) -> Json:
    """A frozen value as JSON for a key document: field by field.

    Left out are fields that do not compare, and ``sparse`` ones that are empty: added to a value after its keys were
    settled, they move the key of nothing that does not use them.
    """
    if is_value(value) and not isinstance(value, type):
        return {
            item.name: to_document(found)
            for item in fields(value)
            if item.compare and ((found := getattr(value, item.name)) or "sparse" not in item.metadata)
        }
    if isinstance(value, tuple):
        return [to_document(item) for item in value]
    assert value is None or isinstance(value, (bool, int, str))
    return value
