"""The environment that a step of a past Metaflow run had, from what its tasks wrote into Metaflow's metadata.

Metaflow knows where its metadata is (``.metaflow`` here or further up, or a metadata service), so its own client reads
it; it is imported when a pathspec is looked up, and by nothing else. Namespaces hide no run: who names one means it.

A task says where it ran in one field (``envbuild.metaflow.names``). A task that `resume` cloned says which one it is a
copy of, and is followed there. Tasks of one step may have had different environments (a name that moved meanwhile):
then one of them has to be named. Of a foreach of thousands only the first is read; the rest are asked in one question
whether they say the same.

Rules of the file: reads; the metadata is input from outside, so what is not as we write it is an error, never a guess.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envbuild.digest import Digest, parse_digest, short
from envbuild.errors import EnvbuildError, InvalidInput, UnreachableError, UsageError
from envbuild.metaflow.names import FIELD
from envbuild.names import Pathspec
from envbuild.package import PLATFORMS, Platform
from envbuild.store.generation import Named
from envbuild.value import dataclass, replace

_FEW = 8
"""Tasks that are read one by one; of more, one question is asked for all."""

_MOST_SHOWN = 10
_LONGEST_CHAIN = 100
"""Runs that were resumed of each other."""

_FOREIGN = {
    "conda_env_id": "in one that metaflow-netflixext made",
    "conda_env_prefix": "in one that Metaflow's own conda or pypi made",
}
"""Fields of tasks that ran in environments of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    """Where a task ran."""

    platform: Platform
    request: Digest
    environment: Digest


def environments_of(pathspec: Pathspec, *, offline: bool = False) -> Named:
    """The environments that a step ran in, by platform.

    Args:
        pathspec: A step, or one task of it.
        offline: Ask no metadata service.

    Raises:
        UsageError: ``no-metaflow``.
        InvalidInput: ``unknown-step``, ``no-environment``, ``tasks-disagree``, ``bad-metadata``.
        UnreachableError: ``no-metadata`` when the service does not answer; ``offline``.
    """
    with _metaflow(pathspec, offline=offline) as client:
        found = _found(client, pathspec)
    platforms = {ran.platform for ran in found}
    requests = {ran.request for ran in found}
    if len(requests) > 1 or len(platforms) < len(found):
        raise _several(pathspec, found)
    (request,) = requests
    return Named(request=request, environments=tuple(sorted((ran.platform, ran.environment) for ran in found)))


@contextlib.contextmanager
def _metaflow(pathspec: Pathspec, *, offline: bool) -> Iterator[Any]:
    """Metaflow's client, with its failures as ours."""
    with contextlib.redirect_stdout(sys.stderr):  # what Metaflow prints is no result
        try:
            import metaflow
            from metaflow.client import core
            from metaflow.exception import MetaflowException, MetaflowNotFound
        except Exception as error:  # not installed, or its configuration is wrong
            raise UsageError(
                f"{pathspec} is a step of a Metaflow run, and Metaflow cannot be imported here: {_line(error)}",
                reference="no-metaflow",
                hint='pip install "envbuild[metaflow]" beside envbuild, or name the environment by its id',
            ) from None
        place = metaflow.get_metadata()
        kind, _, address = place.partition("@")
        if offline and kind == "service":
            raise UnreachableError(
                f"{pathspec} is known to the metadata service {address}, which may not be asked",
                reference="offline",
                hint="leave --offline out, or name the environment by its id",
            )
        try:
            yield core
        except MetaflowNotFound:
            raise InvalidInput(
                f"there is no {pathspec} in Metaflow's metadata ({place})",
                reference="unknown-step",
                hint="METAFLOW_DEFAULT_METADATA, METAFLOW_SERVICE_URL and METAFLOW_PROFILE say where Metaflow looks; "
                "metadata of this machine are in .metaflow here or further up",
            ) from None
        except EnvbuildError:
            raise
        except MetaflowException as error:
            raise UnreachableError(
                f"Metaflow's metadata ({place}) could not be read: {_line(error)}", reference="no-metadata"
            ) from None
        except OSError as error:  # also those of requests
            raise UnreachableError(
                f"Metaflow's metadata ({place}) do not answer: {_line(error)}", reference="no-metadata"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidInput(
                f"Metaflow's metadata ({place}) of {pathspec} are damaged: {_line(error)}", reference="bad-metadata"
            ) from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _found(client: Any, pathspec: Pathspec) -> dict[_Ran, list[str]]:
    """Where the tasks ran, each with their ids; of many that ran alike one is enough."""
    if pathspec.task is not None:
        fields = client.Task(str(pathspec), _namespace_check=False).metadata_dict
        return {_ran_in(client, pathspec, fields): [pathspec.task]}
    step = client.Step(str(pathspec), _namespace_check=False)
    tasks = sorted((task for task in step), key=lambda task: task.created_at)
    found: dict[_Ran, list[str]] = {}
    none: InvalidInput | None = None
    while tasks:
        task = tasks.pop(0)
        try:
            ran = _ran_in(client, replace(pathspec, task=task.id), task.metadata_dict)
        except InvalidInput as error:
            if error.reference != "no-environment":
                raise
            none = none or error  # one that failed before it began says nothing
            continue
        found.setdefault(ran, []).append(task.id)
        if len(tasks) > _FEW:
            alike = _alike(client, pathspec, ran)
            found[ran] += [item.id for item in tasks if item.id in alike]
            tasks = [item for item in tasks if item.id not in alike]
    if not found:
        raise InvalidInput(
            none.message.replace(f"{none.message.split(' ', 1)[0]} ", f"{pathspec} ", 1)
            if none is not None
            else f"no task of {pathspec} has begun",
            reference="no-environment",
            hint=none.hint if none is not None else None,
        )
    return found


def _alike(client: Any, pathspec: Pathspec, ran: _Ran) -> frozenset[str]:
    """The tasks of a step that say the same of their environment; none where the metadata cannot be asked so."""
    pattern = f'.*"platform": "{ran.platform}", "request": "{ran.request}", "environment": "{ran.environment}".*'
    provider = client.Metaflow().metadata
    try:
        found = provider.filter_tasks_by_metadata(pathspec.flow, pathspec.run, pathspec.step, FIELD, pattern)
        return frozenset(str(item).rpartition("/")[2] for item in found or ())
    except Exception:  # an older service: then each is read
        return frozenset()


def _ran_in(client: Any, pathspec: Pathspec, fields: Mapping[str, str]) -> _Ran:
    """Where a task ran, by its metadata or those of the task that it is a copy of.

    Raises:
        InvalidInput: ``no-environment``; ``bad-metadata``.
    """
    for _ in range(_LONGEST_CHAIN):
        if FIELD in fields or not {"origin-run-id", "origin-task-id"} <= fields.keys():
            break
        origin = f"{pathspec.flow}/{fields['origin-run-id']}/{pathspec.step}/{fields['origin-task-id']}"
        fields = client.Task(origin, _namespace_check=False).metadata_dict
    if FIELD in fields:
        return _read(pathspec, fields[FIELD])
    foreign = next((words for field, words in _FOREIGN.items() if field in fields), None)
    raise InvalidInput(
        f"{pathspec} ran in no environment of envbuild" + (f", but {foreign}" if foreign else ""),
        reference="no-environment",
        hint="`envbuild capture` makes a recipe of an environment that is installed somewhere" if foreign else None,
    )


def _read(pathspec: Pathspec, value: str) -> _Ran:
    try:
        told = json.loads(value)
        if told["platform"] not in PLATFORMS:
            raise ValueError(f"{told['platform']!r} is no platform")
        return _Ran(
            platform=Platform(told["platform"]),
            request=parse_digest(told["request"]),
            environment=parse_digest(told["environment"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, InvalidInput) as error:
        raise InvalidInput(
            f"{pathspec} says of its environment what envbuild does not write: {_line(error)}",
            reference="bad-metadata",
        ) from None


def _several(pathspec: Pathspec, found: Mapping[_Ran, Sequence[str]]) -> InvalidInput:
    shown = []
    for ran, tasks in found.items():
        some = ", ".join(tasks[:_MOST_SHOWN])
        more = f" and {len(tasks) - _MOST_SHOWN} more" if len(tasks) > _MOST_SHOWN else ""
        word = "task" if len(tasks) == 1 else "tasks"
        shown.append(f"{ran.platform} {short(ran.request)}:{short(ran.environment)} ({word} {some}{more})")
    first = next(iter(found.values()))[0]
    return InvalidInput(
        f"the tasks of {pathspec} ran in {len(found)} environments: {'; '.join(shown)}",
        reference="tasks-disagree",
        hint=f"name one of its tasks: {pathspec}/{first}",
    )
