"""A flow, as Metaflow has it, becomes values: what each of its steps asks for, and where the step runs.

Rules of the file: looks at Metaflow's objects and changes nothing; what a decorator means is ``declared``'s.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any

from envbuild.errors import EnvbuildError, InvalidInput, Issue, Where
from envbuild.metaflow.asked import Asked, By, Declared
from envbuild.metaflow.declared import declared
from envbuild.metaflow.decorators import RequirementFlow, RequirementStep
from envbuild.metaflow.merging import merged
from envbuild.metaflow.places import places
from envbuild.metaflow.substituting import OF_TASK, known_variables, parameter_variable, unknown_in, variables
from envbuild.value import dataclass

REMOTE_PLATFORM = "linux-64"
"""What a step on another machine runs on, unless its decorator says otherwise."""

Locate = Callable[[By], By]
"""Gives a decorator its place in the flow's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step asks for.

    Attributes:
        asked: None when it runs outside of every environment.
        remote: The decorator that sends it to another machine, or None.
        platform: What it runs on there; None for this machine.
    """

    name: str
    asked: Asked | None
    remote: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What a flow asks for.

    Attributes:
        file: The file that defines it, absolute.
        steps: In the order in which they run.
        notes: Old spellings, one line each.
        parameters: By the variable that stands for one in a name: its attribute, the variable that schedulers fill,
            and its type.
    """

    name: str
    file: Path
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


def collected(flow: Any, remote: Iterable[str]) -> Flow:
    """What a flow asks for.

    Args:
        flow: Metaflow's flow, whose decorators are initialized.
        remote: Names of decorators that send a step to another machine.

    Raises:
        InvalidInput: Every finding of every decorator, with file and line.
    """
    file = Path(os.path.abspath(inspect.getfile(type(flow))))
    try:
        return _collected(flow, file, tuple(remote), lambda by: by)
    except InvalidInput:
        _collected(flow, file, tuple(remote), locator(flow, file))  # the same, and now with places
        raise


def locator(flow: Any, file: Path) -> Locate:
    """Gives decorators their places; a decorator that stands elsewhere gets the place of its step."""

    @cache
    def lines() -> Mapping[tuple[str | None, str], int]:
        try:
            return places(file.read_text(encoding="utf-8"), type(flow).__name__)
        except (OSError, ValueError):
            return {}

    def locate(by: By) -> By:
        line = None if by.dynamic else lines().get((by.step, by.decorator)) or _step_line(flow, by.step)
        return By(decorator=by.decorator, step=by.step, dynamic=by.dynamic, where=Where(file=str(file), line=line))

    return locate


def _step_line(flow: Any, step: str | None) -> int | None:
    code = getattr(getattr(type(flow), step or "", None), "__code__", None)
    return code.co_firstlineno if code is not None else None


def _collected(flow: Any, file: Path, remote: Sequence[str], locate: Locate) -> Flow:
    issues: list[Issue] = []
    notes: dict[str, None] = {}

    def read(found: Iterable[tuple[By, Any]]) -> list[Declared]:
        said = []
        for by, decorator in found:
            try:
                said.append(declared(locate(by), decorator.attributes, str(file.parent), _kind(decorator)))
            except InvalidInput as error:
                issues.extend(error.all_issues())
        issues.extend(_unknown_variables(flow, said))
        for item in said:
            notes.update(dict.fromkeys(item.notes))
        return said

    everywhere = [item for several in flow._flow_decorators.values() for item in several]
    whole = read(_of(everywhere, RequirementFlow, None))
    steps = []
    order = {name: number for number, name in enumerate(flow._graph.sorted_nodes)}
    for step in sorted(flow, key=lambda item: order.get(item.name, len(order))):
        mine = read(_of(step.decorators, RequirementStep, step.name))
        try:
            asked = merged(whole, mine)
        except EnvbuildError as error:
            issues.extend(error.all_issues())
            continue
        away = next((item for item in step.decorators if item.name in remote), None)
        steps.append(
            Step(
                name=step.name,
                asked=asked,
                remote=away.name if away is not None else None,
                platform=getattr(away, "target_platform", REMOTE_PLATFORM) if away is not None else None,
            )
        )
    if issues:
        raise InvalidInput.of(tuple(dict.fromkeys(issues)))
    return Flow(name=flow.name, file=file, steps=tuple(steps), notes=tuple(notes), parameters=dict(_parameters(flow)))


def _parameters(flow: Any) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for attribute, item in flow._get_parameters():
        kind = item.kwargs.get("type")
        named = str(getattr(kind, "__name__", None) or getattr(kind, "name", "str"))
        for name in (attribute, item.name):
            yield parameter_variable(name), (attribute, parameter_variable(item.name), named)


def _unknown_variables(flow: Any, said: Iterable[Declared]) -> Iterator[Issue]:
    """Variables in names that nobody will know when a task starts."""
    for item in said:
        base = item.asked.base
        if base is None or not variables(base.text):
            continue
        unknown = unknown_in(base.text, {*OF_TASK, *dict(_parameters(flow)), *os.environ})
        if unknown is not None:
            message = f"{item.by}: {base.kind}={unknown}"
            yield Issue(message=message, reference="unknown-variable", where=item.by.where, hint=known_variables())


def _kind(decorator: Any) -> str:
    """The name of the decorator of ours that this one is, or extends."""
    kinds: Sequence[Any] = type(decorator).__mro__
    return next(str(kind.name) for kind in kinds if kind.__module__ == RequirementStep.__module__)


def _of(decorators: Iterable[Any], kind: type[Any], step: str | None) -> list[tuple[By, Any]]:
    """The decorators of ours, each with who it is. What ``--with`` adds is left out beside one of that name."""
    mine = [item for item in decorators if isinstance(item, kind)]
    written = {item.name for item in mine if item.statically_defined or item.inserted_by}
    return [
        (By(decorator=item.name, step=step, dynamic=not (item.statically_defined or item.inserted_by)), item)
        for item in mine
        if item.statically_defined or item.inserted_by or item.name not in written
    ]
