"""``fetch_at_exec`` on other machines: what a node needs to know to look a name up, and what it finds then.

A node asks the store that it reads for everything, so that store must be the one that says what names mean. Where
people want signatures, nobody could tell a node whose: such a name is refused before anything starts. So is what only
the launching machine knows: the runs of Metaflow, and the parameters of one.

Rules of the file: ``needed`` is for the launching machine, ``looked_up`` for nodes; nothing of Metaflow is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput, Issue
from envbuild.metaflow.substituting import OF_PARAMETER, OF_TASK, substituted, variables

if TYPE_CHECKING:
    from envbuild.metaflow.collecting import Flow
    from envbuild.metaflow.node_session import NodeSession
    from envbuild.projects.config import Config

LATE = "late"
"""Stands in the place of a request where there is none yet."""


def needed(flow: Flow, needs: tuple[str, ...], config: Config, names: str | None, store: str) -> dict[str, list[str]]:
    """What a node needs to know of each step whose environment is looked up there, by step.

    Args:
        flow: The flow.
        needs: Names of packages that Metaflow needs in a step.
        config: Whose word on signatures counts.
        names: The address of the store that says what names mean; None for this machine's own.
        store: The address of the store that nodes read.

    Raises:
        InvalidInput: ``not-available``, of each step that a node cannot look up.
    """
    found: dict[str, list[str]] = {}
    issues = []
    for step in flow.steps:
        if step.remote is None or step.asked is None or not step.asked.late or step.asked.base is None:
            continue
        base = step.asked.base
        parameters = [name for name in variables(base.text) if name.startswith(OF_PARAMETER)]
        why = hint = ""
        if base.kind != "name":
            why, hint = "past steps are not looked up", 'name what that step had: name="team/project/train:v1"'
        elif parameters:
            why, hint = f"@{{{parameters[0]}}} is not known", f"there are {', '.join(OF_TASK)} and the node's variables"
        elif config.trust.mode != "hash":
            why = f"nobody holds a name against signatures (trust: {config.trust.mode})"
            hint = "leave fetch_at_exec out: the name counts as it stands when the run starts"
        elif names != store:
            why = "names are not known: no store has them that nodes read"
            hint = "name a store under `stores:` in envbuild.yaml; names go there then"
        if why:
            message = f"@{step.remote} sends step {step.name} to another machine, where {why}"
            issues.append(Issue(message=message, reference="not-available", hint=hint))
        what = json.dumps({"name": base.text, "said": f"step {step.name}", "needs": list(needs)}, sort_keys=True)
        found[step.name] = [LATE, hashlib.sha256(what.encode()).hexdigest(), what]
    if issues:
        raise InvalidInput.of(tuple(issues))
    return found


def looked_up(session: NodeSession, what: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, str]:
    """On a node: the name with its variables replaced, and ``REQUEST:ENVIRONMENT`` as the store has it now.

    Args:
        session: Which has the store.
        what: ``name`` and ``said``.
        environ: The node's variables; Metaflow says there which task this is.

    Raises:
        InvalidInput: ``unknown-variable``, ``unknown-name``; ``unsupported-platform`` for a name of others.
    """
    from envbuild.environments.closures import on
    from envbuild.machine.virtual import current_platform

    run, step, task = (environ.get("MF_PATHSPEC", "").split("/")[1:] + [""] * 3)[:3]
    values = dict(zip(OF_TASK, (run, run, step, task), strict=True)) if run else {}
    text = substituted(what["name"], {**environ, **values})
    platform = current_platform()
    identity = on(session.get(f"name:{text}").named, platform)
    if identity is None:
        raise InvalidInput(f"{text} has no environment for {platform}", reference="unsupported-platform")
    return text, f"{identity.request}:{identity.environment}"
