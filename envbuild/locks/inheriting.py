"""What a recipe takes from environments that it extends by name or id.

Such a base has no recipe here, so it has no lines to merge: what it is stands in its lock. Its packages are pinned as
those of any base; what else is inherited is read from it: the interpreter, the series of Python, the virtual packages
that it assumed, its variables, the indices and channels that its packages came from, and which packages were asked for.
What the recipe says is nearer and wins, but for the Python and the interpreter, which pinned packages could not follow.

The request id is made before, of what the recipe itself says: so a lock is held against its recipe without the base,
and a name that moves makes no lock stale.

Rules of the file: pure; values in, a request out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from envbuild.digest import Digest
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import Platform, SourcePackage, Wheel
from envbuild.reading.version_range import both, contradict
from envbuild.recipe import ENVIRONMENTS, CondaRequirement, Index, PypiRequirement
from envbuild.request import INHERITED, PlatformRequest, Request
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBase:
    """A base that is an environment: what its name or id means.

    Attributes:
        environments: On every platform that it has, also those that the recipe is not for.
        lock: Those that the recipe is for.
    """

    request: Digest
    environments: tuple[tuple[Platform, Digest], ...]
    lock: Lock


def inherit(request: Request, bases: Mapping[str, Lock]) -> Request:
    """A request as it is solved: with what its named bases bring.

    Args:
        request: As the recipe says it.
        bases: The locks of its bases by label.

    Raises:
        UnsatisfiableError: ``no-platform`` for a platform that a base lacks; ``bases-disagree``.
        InvalidInput: ``python-contradiction``; ``bases-disagree`` for another interpreter.
    """
    if not request.inherits:
        return request
    parts = tuple(_part(request, part, bases) for part in request.platforms)
    environments = [item for lock in bases.values() for item in lock.platforms]
    return replace(
        request,
        interpreter=_interpreter(request, bases),
        platforms=parts,
        variables=_over([item.variables for item in environments], request.variables, "variables", ()),
        bytecode=request.bytecode or any(item.bytecode for item in environments),
    )


def _part(request: Request, part: PlatformRequest, bases: Mapping[str, Lock]) -> PlatformRequest:
    found: list[tuple[str, Lock, LockedEnvironment]] = []
    for base in request.bases:
        environment = bases[base.path].environment(part.platform)
        if environment is not None:
            found.append((base.path, bases[base.path], environment))
        elif base.request is None:
            raise UnsatisfiableError(
                f"the base {base.path} has no environment for {part.platform}",
                reference="no-platform",
                hint="take the platform out of the recipe, or name an environment that has it",
            )
    environments = [environment for _, _, environment in found]
    return replace(
        part,
        python=_python(part, [(label, environment) for label, _, environment in found]),
        system=_over([item.system for item in environments], part.system, "system", _defaults(part)),
        channels=part.channels or _channels(environments),
        conda=(*part.conda, *_asked_conda(part, environments)),
        extra_indices=(*part.extra_indices, *_indices(part, [(lock, item) for _, lock, item in found])),
        pypi=(*part.pypi, *_asked_pypi(part, environments)),
    )


def _interpreter(request: Request, bases: Mapping[str, Lock]) -> str:
    said: dict[str, str] = {}
    for label, lock in bases.items():
        for environment in lock.platforms:
            said.setdefault(environment.interpreter, label)
    mine = request.interpreter if request.interpreter != INHERITED else next(iter(said), "conda")
    for interpreter, label in said.items():
        if interpreter != mine:
            raise InvalidInput(
                f"`interpreter` is {mine} in {request.recipe}, and {interpreter} in its base {label}",
                reference="bases-disagree",
                hint=f"say `interpreter: {interpreter}`" if len(said) == 1 else "extend bases of one interpreter",
            )
    return mine


def _python(part: PlatformRequest, bases: Sequence[tuple[str, LockedEnvironment]]) -> str | None:
    python = part.python
    for label, environment in bases:
        series = environment.python and f"{environment.python}.*"
        if python is not None and series and contradict(python, series):
            raise InvalidInput(
                f"python {python!r} is not what the base {label} has: {environment.python}",
                reference="python-contradiction",
                where=part.python_where,
                hint="narrow the base's Python, or extend another one",
            )
        python = both(python, series) if python and series else python or series
    return python


def _defaults(part: PlatformRequest) -> tuple[str, ...]:
    """The virtual packages that nobody said: a base's own come before them."""
    return tuple(name for name, _ in part.system if name not in part.system_said)


def _over(
    bases: Sequence[tuple[tuple[str, str], ...]],
    mine: tuple[tuple[str, str], ...],
    what: str,
    defaults: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """Pairs by name: what the recipe says, then its bases, which must agree, then defaults."""
    found: dict[str, str] = {}
    said = {name: value for name, value in mine if name not in defaults}
    for base in bases:
        for name, value in base:
            if found.setdefault(name, value) != value and name not in said:
                raise UnsatisfiableError(
                    f"the bases disagree on {name}: {found[name]} and {value}",
                    reference="bases-disagree",
                    hint=f"say `{what}: {{{name}: …}}` in the recipe",
                )
    return tuple(sorted({**dict(mine), **found, **said}.items()))


def _channels(environments: Sequence[LockedEnvironment]) -> tuple[str, ...]:
    """The channels that the packages of bases came from, where the recipe names none."""
    return tuple(sorted({item.channel for one in environments for item in one.conda if item.channel is not None}))


def _asked_conda(part: PlatformRequest, environments: Sequence[LockedEnvironment]) -> tuple[CondaRequirement, ...]:
    named = {item.name for item in part.conda} | {"python"}
    found = {
        package.name: CondaRequirement(
            name=package.name, url=package.url, sha256=package.sha256 if package.url is not None else None
        )
        for environment in environments
        for package in environment.conda
        if package.asked and package.name not in named
    }
    return tuple(found[name] for name in sorted(found))


def _asked_pypi(part: PlatformRequest, environments: Sequence[LockedEnvironment]) -> tuple[PypiRequirement, ...]:
    named = {item.name for item in part.pypi}
    found: dict[str, PypiRequirement] = {}
    for environment in environments:
        packages: tuple[Wheel | SourcePackage, ...] = (*environment.wheels, *environment.sources)
        for package in packages:
            if package.asked and package.name not in named:
                found[package.name] = PypiRequirement(name=package.name, extras=package.extras)
    return tuple(found[name] for name in sorted(found))


def _indices(part: PlatformRequest, bases: Sequence[tuple[Lock, LockedEnvironment]]) -> tuple[Index, ...]:
    """The indices that the wheels of bases came from, after those that the recipe names."""
    known = {index.name: index.url for index in (*part.extra_indices, *((part.index,) if part.index else ()))}
    found: dict[str, Index] = {}
    for lock, environment in bases:
        places = {index.name: index.url for index in lock.indices}
        packages: tuple[Wheel | SourcePackage, ...] = (*environment.wheels, *environment.build)
        for package in (*packages, *environment.sources, *environment.build_sources):
            name = package.index
            if name is None or name == "default":
                continue
            url = places.get(name, name)
            if known.setdefault(name, url) != url:
                raise UnsatisfiableError(
                    f"the index {name} is {known[name]} here, and {url} in a base",
                    reference="bases-disagree",
                    hint="give one of the two another name",
                )
            if name not in {index.name for index in (*part.extra_indices, *((part.index,) if part.index else ()))}:
                found[name] = Index(name=name, url=url)
    return tuple(found.values())


def recorded(lock: Lock | None, label: str) -> tuple[Digest, tuple[tuple[Platform, Digest], ...]] | None:
    """What a lock recorded of a named base; None when it did not."""
    for base in lock.bases if lock is not None else ():
        if base.path == label and label.startswith(ENVIRONMENTS):
            return base.request, base.environments
    return None
