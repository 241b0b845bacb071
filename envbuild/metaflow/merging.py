"""What the decorators of a flow and of a step come to.

Those at one level are merged: each package, Python and base is said once, or by both alike; ranges add up. Whatever
else differs is a contradiction, which names both. Then the step overrides the flow, key by key. ``disabled`` is
three-valued: giving content says that a step does run in its environment, whatever the flow says.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from envbuild.errors import InvalidInput, Issue
from envbuild.metaflow.asked import Asked, Base, By, Declared, Package, Text
from envbuild.value import replace

_Said = TypeVar("_Said", Text, Base)

_RANGE = ("<", ">", "!", "~")
"""What a version begins with that other versions may be added to."""


def merged(flow: Sequence[Declared], step: Sequence[Declared]) -> Asked | None:
    """What a step asks for; None when it runs outside of every environment.

    Args:
        flow: What the flow's decorators say.
        step: What the step's decorators say.

    Raises:
        InvalidInput: ``contradiction``, for each thing that two decorators of one level say differently, and for what
            is added to an environment that is looked up when a task starts.
    """
    if any(item.stays for item in step if not item.by.dynamic):
        step = [item for item in step if not item.by.dynamic]  # --with is for steps that leave it open
    below, mine = _level(flow), _level(step)
    stays = mine[1] if mine[1] is not None else below[1]
    if stays:
        return None
    asked = _over(below[0], mine[0])
    _refuse_additions(asked)
    return asked


def _refuse_additions(asked: Asked) -> None:
    """Nothing is added to what is looked up when a task starts: it would have to be solved there."""
    base = asked.base
    if base is None or not base.late:
        return
    said = (asked.python, asked.bytecode, *asked.conda, *asked.channels, *asked.pypi, *asked.indices)
    more = [item for item in said if item]
    if more:
        others = ", ".join(dict.fromkeys(str(item.by) for item in more))
        message = f"{base.by} says fetch_at_exec=True, which is for an environment as it is, and {others} asks for more"
        raise InvalidInput.of((_contradiction(message, base.by, "leave fetch_at_exec=True out, or what is added"),))


def _level(said: Sequence[Declared]) -> tuple[Asked, bool | None]:
    """The decorators of one level as one, and whether a step stays outside."""
    issues: list[Issue] = []
    asked = Asked()
    for item in said:
        asked = _both(asked, item.asked, issues)
    stays = _stays(said, issues)
    if issues:
        raise InvalidInput.of(tuple(issues))
    return asked, stays


def _stays(said: Sequence[Declared], issues: list[Issue]) -> bool | None:
    known: Declared | None = None
    for item in said:
        if item.stays is None:
            continue
        if known is not None and known.stays != item.stays:
            outside, inside = (known, item) if known.stays else (item, known)
            issues.append(
                _contradiction(
                    f"{outside.by} says disabled=True, and {inside.by} asks for an environment",
                    outside.by,
                    "remove one of the two",
                )
            )
        known = item
    return known.stays if known is not None else None


def _both(one: Asked, other: Asked, issues: list[Issue]) -> Asked:
    """Two of one level."""
    return Asked(
        python=_same("python", one.python, other.python, issues),
        conda=_joined(one.conda, other.conda, lambda a, b: _agreed("conda", a, b, issues)),
        channels=_listed(one.channels, other.channels),
        pypi=_joined(one.pypi, other.pypi, lambda a, b: _agreed("PyPI", a, b, issues)),
        indices=_listed(one.indices, other.indices),
        base=_same("base", one.base, other.base, issues),
        bytecode=_same("bytecode", one.bytecode, other.bytecode, issues),
    )


def _over(below: Asked, mine: Asked) -> Asked:
    """A step over its flow."""
    return Asked(
        python=mine.python or below.python,
        conda=_joined(below.conda, mine.conda, lambda _, b: b),
        channels=_listed(mine.channels, below.channels),
        pypi=_joined(below.pypi, mine.pypi, lambda _, b: b),
        indices=_listed(mine.indices, below.indices),
        base=mine.base or below.base,
        bytecode=mine.bytecode or below.bytecode,
    )


def _joined(
    one: Iterable[Package], other: Iterable[Package], decide: Callable[[Package, Package], Package]
) -> tuple[Package, ...]:
    packages = {item.name: item for item in one}
    for item in other:
        packages[item.name] = decide(packages[item.name], item) if item.name in packages else item
    return tuple(packages[name] for name in sorted(packages))


def _listed(one: Iterable[Text], other: Iterable[Text]) -> tuple[Text, ...]:
    texts: dict[str, Text] = {}
    for item in (*one, *other):
        texts.setdefault(item.text, item)
    return tuple(texts.values())


def _same(what: str, one: _Said | None, other: _Said | None, issues: list[Issue]) -> _Said | None:
    if one is None or other is None or one == other:
        return one if one is not None else other
    issues.append(_contradiction(f"{one.by} says {what} {one.text}, and {other.by} {other.text}", other.by))
    return one


def _agreed(ecosystem: str, one: Package, other: Package, issues: list[Issue]) -> Package:
    """Two decorators of one level that name one package."""
    first, second = one.version.replace(" ", ""), other.version.replace(" ", "")
    alike = (one.key, one.source) == (other.key, other.source)
    if alike and (first == second or not second):
        return one
    if alike and not first:
        return other
    if alike and first.startswith(_RANGE) and second.startswith(_RANGE):
        return replace(one, version=f"{first},{second}")
    issues.append(
        _contradiction(f"{one.by} asks for {ecosystem}'s {_words(one)}, and {other.by} for {_words(other)}", other.by)
    )
    return one


def _words(package: Package) -> str:
    told = " ".join(value for _, value in package.source)
    return " ".join(part for part in (package.key, package.version, told) if part)


def _contradiction(message: str, by: By | None, hint: str = "say it once") -> Issue:
    return Issue(message=message, reference="contradiction", where=by.where if by else None, hint=hint)
