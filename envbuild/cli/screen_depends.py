"""What ``why-depends`` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count

if TYPE_CHECKING:
    from envbuild.environments.why_depends import Step, WhyDepends
    from envbuild.locks.dependencies import Node

FILES_SHOWN = 5
"""References of one step that are said; JSON has all."""


def show_why_depends(screen: Screen, answer: WhyDepends, source: str) -> None:
    """The chains, each a staircase with what stands behind each step; how it is known on stderr."""
    if screen.document(_document(answer)):
        return
    package, needs = answer.package, answer.needs
    for number, chain in enumerate(answer.chains):
        if number:
            screen.result("")
        screen.result(f"{package.name} {package.version}")
        for depth, step in enumerate(chain):
            screen.result(f"{'    ' * depth}└── {step.needs.name} {step.needs.version}")
            for line in _evidence(step, looked=answer.prefix is not None):
                screen.result(f"{'    ' * (depth + 1)}{line}")
    for file in answer.unread[:FILES_SHOWN]:
        screen.say(f"note: not looked into: {file}, which is missing or damaged")
    if len(answer.unread) > FILES_SHOWN:
        screen.say(f"note: nor into {count(len(answer.unread) - FILES_SHOWN, 'more file')}")
    if answer.prefix is None:
        realize = f"; with its files: envbuild realize {source}" if source else ""
        screen.say(f"note: the environment is not on this machine: what its packages declare is all there is{realize}")
    if not answer.chains:
        known = "declares or shows" if answer.prefix is not None else "declares"
        screen.say(f"{package.name} does not need {needs.name}: nothing {known} a way from the one to the other")
        return
    more = "more than " if answer.more and len(answer.chains) > 1 else ""
    others = " (--all shows others)" if answer.more and len(answer.chains) == 1 else ""
    chains = f"{more}{count(len(answer.chains), 'chain')} of " if len(answer.chains) > 1 else ""
    screen.say(f"{package.name} needs {needs.name}: {chains}{count(len(answer.chains[0]), 'step')}{others}")


def _document(answer: WhyDepends) -> dict[str, Any]:
    def package(node: Node) -> dict[str, str]:
        return {"name": node.name, "version": node.version, "kind": node.kind}

    return {
        "package": package(answer.package),
        "needs": package(answer.needs),
        "chains": [
            [
                {
                    "package": package(step.package),
                    "needs": package(step.needs),
                    "declared": tree(step.declared),
                    "shown": tree(step.shown),
                }
                for step in chain
            ]
            for chain in answer.chains
        ],
        "more": answer.more,
        "prefix": tree(answer.prefix),
        "unread": list(answer.unread),
    }


def _evidence(step: Step, *, looked: bool) -> Sequence[str]:
    """The lines below a step: how it is declared, then what shows it."""
    lines = [f"declares {item.requirement}" + (f"  ({item.file})" if item.file else "") for item in step.declared]
    width = max((len(item.how) for item in step.shown), default=0)
    for item in step.shown[:FILES_SHOWN]:
        same = f"/{item.target}".endswith(f"/{item.said}") or item.said.endswith(f"/{item.target}")
        said = f"  ({item.said})" if item.said and not same else ""
        lines.append(f"{item.file} {item.how:<{width}} {item.target}{said}")
    if len(step.shown) > FILES_SHOWN:
        lines.append(f"and {count(len(step.shown) - FILES_SHOWN, 'more file')}")
    if looked and not step.by_files:
        lines.append("declared only: no file of the one refers to the other")
    if not step.declared:
        lines.append("not declared: its files alone say so")
    return lines
