"""Explicit files: one address a line with its sha256, as conda, mamba, micromamba and pixi take it.

Packages stand in the order in which they can be installed: what another needs comes before it.
"""

from __future__ import annotations

from envbuild.formats.writing import Exporting, Written, common_losses
from envbuild.lock import LockedEnvironment
from envbuild.locks.dependencies import dependency_table
from envbuild.package import CondaPackage


def write(exporting: Exporting) -> Written:
    """The file's text."""
    (environment,) = exporting.environments
    losses = common_losses(exporting, conda=True, wheels=False, variables=False)
    if environment.python is not None and not any(item.name == "python" for item in environment.conda):
        losses.append(f"Python {environment.python}, which comes from the machine")
    lines = [
        f"# {exporting.name}, exported by envbuild",
        "# $ conda create --name <env> --file <this file>",
        f"# platform: {environment.platform}",
        "@EXPLICIT",
    ]
    lines += [f"{exporting.addresses[item.sha256]}#sha256:{item.sha256}" for item in in_order(environment)]
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def in_order(environment: LockedEnvironment) -> list[CondaPackage]:
    """The conda packages, each after those that it needs; circles are broken by name."""
    table = dependency_table(environment)
    packages = {item.name: item for item in environment.conda}
    found: dict[str, CondaPackage] = {}
    for start in sorted(packages):
        stack: list[tuple[str, bool]] = [(start, False)]
        entered: set[str] = set()
        while stack:
            name, ready = stack.pop()
            if ready:
                found.setdefault(name, packages[name])
            elif name not in found and name not in entered:
                entered.add(name)
                stack.append((name, True))
                stack += [(item, False) for item in reversed(table[name].requires) if item in packages]
    return list(found.values())
