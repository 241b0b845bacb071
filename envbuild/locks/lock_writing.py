"""Locks as text, written byte for byte the same; what the text is says ``envbuild.locks.lockfile``, which reads it.

Rules of the file: value to text; no file is opened here, and no secret is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from envbuild.digest import sealed
from envbuild.lock import LOCK_VERSION, Lock, LockedEnvironment
from envbuild.package import PLATFORMS
from envbuild.pinned import package_tree, refuse_secret
from envbuild.recipe import ENVIRONMENTS

HEADER = "# Written by `envbuild lock` from the recipe beside it: edit that one, then lock again.\n"


def lock_text(lock: Lock) -> str:
    """The text of a lock: the same value, the same bytes."""
    lines = [HEADER.rstrip("\n"), f"version: {LOCK_VERSION}", f"request: {_json(lock.request)}"]
    if lock.exclude_newer is not None:
        lines.append(f"exclude-newer: {_json(lock.exclude_newer)}")
    if lock.bases:
        lines.append("bases:")
        for base in lock.bases:
            kind, label = _base_kind(base.path)
            tree = {
                kind: label,
                "pin": base.pin,
                "request": base.request,
                "environments": dict(sorted(base.environments)),
            }
            lines.append(f"  - {_json(tree)}")
    if lock.indices:
        lines.append("indices:")
        for index in lock.indices:
            tree = {"name": index.name, "url": index.url}
            refuse_secret(tree, None)
            lines.append(f"  - {_json(tree)}")
    lines.append("platforms:")
    for environment in sorted(lock.platforms, key=lambda item: PLATFORMS.index(item.platform)):
        lines.append(f"  {environment.platform}:")
        lines.extend(_environment_lines(environment))
    return "\n".join(lines) + "\n"


def closure_bytes(lock: Lock, environment: LockedEnvironment) -> bytes:
    """One environment of a lock as one JSON document: all that a machine needs to link it, without the lock."""
    tree: dict[str, Any] = {"version": LOCK_VERSION, "request": lock.request}
    if lock.indices:
        tree["indices"] = [{"name": index.name, "url": index.url} for index in lock.indices]
    item: dict[str, Any] = {
        "environment": environment.id,
        "interpreter": environment.interpreter,
        "system": dict(environment.system),
        "variables": dict(environment.variables),
        "conda": [package_tree(package) for package in environment.conda],
        "wheels": [package_tree(wheel) for wheel in environment.wheels],
        "sources": [package_tree(source) for source in environment.sources],
        "build": [package_tree(wheel) for wheel in environment.build],
    }
    if environment.build_sources:
        item["build-sources"] = [package_tree(source) for source in environment.build_sources]
    if environment.bytecode:
        item["bytecode"] = True
    if environment.python is not None:
        item["python"] = environment.python
    if environment.archive is not None:
        item["archive"] = package_tree(environment.archive)
    tree["platforms"] = {environment.platform: item}
    return sealed(json.dumps(tree, ensure_ascii=False, sort_keys=True).encode())


def _environment_lines(environment: LockedEnvironment) -> Iterator[str]:
    yield f"    environment: {_json(environment.id)}"
    if environment.python is not None:
        yield f"    python: {_json(environment.python)}"
    yield f"    interpreter: {_json(environment.interpreter)}"
    yield f"    system: {_json(dict(environment.system))}"
    if environment.variables:
        yield f"    variables: {_json(dict(environment.variables))}"
    if environment.bytecode:
        yield "    bytecode: true"
    if environment.archive is not None:
        yield f"    archive: {_json(package_tree(environment.archive))}"
    for title, packages in (
        ("conda", environment.conda),
        ("wheels", environment.wheels),
        ("sources", environment.sources),
        ("build", environment.build),
        ("build-sources", environment.build_sources),
    ):
        if packages:
            yield f"    {title}:"
            for package in packages:
                yield f"      - {_json(package_tree(package))}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _base_kind(path: str) -> tuple[str, str]:
    """The key of a base, and what stands there."""
    kind, colon, label = path.partition(":")
    return (kind, label) if colon and path.startswith(ENVIRONMENTS) else ("path", path)
