"""``fetch_at_exec`` on other machines: what a node needs to know to look a name up, and what it finds then.

A node asks the store that it reads for everything, so that store must be the one that says what names mean. Where
people want signatures, nobody could tell a node whose: such a name is refused before anything starts. So is a past step
where only the launching machine sees Metaflow's metadata.

Rules of the file: ``needed`` is for the launching machine, ``looked_up`` for nodes; nothing of Metaflow is imported
but where a name has parameters in it, or is a step.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from envbuild.errors import InvalidInput, Issue
from envbuild.metaflow.substituting import OF_TASK, substituted, variables

if TYPE_CHECKING:
    from envbuild.metaflow.collecting import Flow
    from envbuild.metaflow.node_session import NodeSession
    from envbuild.projects.config import Config
    from envbuild.store.generation import Named

_OF_ONE_MACHINE = ("local", "spin")
"""Metadata that other machines do not see."""

LATE = "late"
"""Stands in the place of a request where there is none yet."""

WORDS = "ENVBUILD_TASK"
"""The variable with the words of the task that starts, a line each."""


def needed(
    flow: Flow, needs: tuple[str, ...], config: Config, names: str | None, store: str, metadata: str
) -> dict[str, list[str]]:
    """What a node needs to know of each step whose environment is looked up there, by step.

    Args:
        flow: The flow.
        needs: Names of packages that Metaflow needs in a step.
        config: Whose word on signatures counts.
        names: The address of the store that says what names mean; None for this machine's own.
        store: The address of the store that nodes read.
        metadata: The type of Metaflow's metadata.

    Raises:
        InvalidInput: ``not-available``, of each step that a node cannot look up.
    """
    from envbuild.metaflow.standing import SOURCES

    found: dict[str, list[str]] = {}
    issues = []
    for step in flow.steps:
        if step.remote is None or step.asked is None or not step.asked.late or step.asked.base is None:
            continue
        base = step.asked.base
        why = hint = ""
        if config.trust.mode != "hash":
            why = f"nobody holds a name against signatures (trust: {config.trust.mode})"
            hint = "leave fetch_at_exec out: the name counts as it stands when the run starts"
        elif base.kind != "name" and metadata in _OF_ONE_MACHINE:
            why = f"past steps are not seen: Metaflow keeps them on each machine (--metadata={metadata})"
            hint = 'have a metadata service, or name what that step had: name="team/project/train:v1"'
        elif base.kind == "name" and names != store:
            why = "names are not known: no store has them that nodes read"
            hint = "name a store under `stores:` in envbuild.yaml; names go there then"
        if why:
            message = f"@{step.remote} sends step {step.name} to another machine, where {why}"
            issues.append(Issue(message=message, reference="not-available", hint=hint))
        known = {
            "source": SOURCES[base.kind],
            "name": base.text,
            "said": f"step {step.name}",
            "needs": list(needs),
            "metadata": metadata,
            "begins": step is flow.steps[0],
            "parameters": {name: flow.parameters[name] for name in variables(base.text) if name in flow.parameters},
        }
        what = json.dumps(known, sort_keys=True)
        found[step.name] = [LATE, hashlib.sha256(what.encode()).hexdigest(), what]
    if issues:
        raise InvalidInput.of(tuple(issues))
    return found


def waits(what: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """On a node: whether a step has to wait for the words of its task, which say where its parameters are.

    Args:
        what: As ``needed`` has it.
        environ: The node's variables. Some schedulers have filled those of the first step when it enters.
    """
    if not what["parameters"] or WORDS in environ:
        return False
    return not what["begins"] or any(filled not in environ for _, filled, _ in what["parameters"].values())


def looked_up(session: NodeSession, what: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, str]:
    """On a node: the name with its variables replaced, and ``REQUEST:ENVIRONMENT`` as it is known now.

    Args:
        session: Which has the store.
        what: As ``needed`` has it.
        environ: The node's variables; Metaflow says there which task this is.

    Raises:
        InvalidInput: ``unknown-variable``, ``unknown-name``, and as ``past_runs``; ``unsupported-platform`` for one of
            others.
    """
    from envbuild.environments.closures import on
    from envbuild.machine.virtual import current_platform

    flow, run, step, task = (environ.get("MF_PATHSPEC", "").split("/") + [""] * 4)[:4]
    values = dict(zip(OF_TASK, (run, run, step, task), strict=True)) if run else {}
    if what["parameters"]:
        from envbuild.metaflow.parameters_away import of_task

        values |= of_task(what["parameters"], environ, flow)
    text = substituted(what["name"], {**environ, **values})
    platform = current_platform()
    identity = on(_named(session, what, text), platform)
    if identity is None:
        raise InvalidInput(f"{text} has no environment for {platform}", reference="unsupported-platform")
    return text, f"{identity.request}:{identity.environment}"


def _named(session: NodeSession, what: Mapping[str, Any], text: str) -> Named:
    """The environments of a name, or of a past step."""
    if what["source"] == "name":
        return session.get(f"name:{text}").named
    from envbuild.metaflow.parameters_away import metaflow_of_package

    os.environ["METAFLOW_DEFAULT_METADATA"] = what["metadata"]
    with metaflow_of_package():
        return session.get(f"{what['source']}:{text}").named
