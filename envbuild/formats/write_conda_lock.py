"""``conda-lock.yml``, version 1, as ``conda-lock install`` and micromamba take it.

The format wants an md5 of every conda package: whoever exports looks it up where the lock has none.
"""

from __future__ import annotations

import json
from typing import Any

from envbuild.formats.writing import Exporting, Packaged, Written, common_losses, few, files_of, needed_projects
from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage


def write(exporting: Exporting) -> Written:
    """The file's text."""
    losses = common_losses(exporting, conda=True, wheels=True, variables=False)
    losses.append("build numbers, constraints, sizes and licences of conda packages, and the assumed system")
    folders = {item.name for one in exporting.environments for item in one.sources if item.path is not None}
    if folders:
        losses.append(f"{few(folders)}: what comes from a folder has no address")
    without = [one.platform for one in exporting.environments if one.python and not _has_python(one)]
    if without:
        losses.append(f"Python, which comes from the machine on {', '.join(without)}")
    lines = [
        f"# {exporting.name}, exported by envbuild; install it: conda-lock install --name NAME <this file>",
        "version: 1",
        "metadata:",
        "  content_hash:",
        *(f"    {item.platform}: {item.id}" for item in exporting.environments),
        "  channels:",
        *(f"  - {_json({'url': address, 'used_env_vars': []})}" for address in exporting.channels.values()),
        "  platforms:",
        *(f"  - {platform}" for platform in exporting.platforms),
        "  sources: []",
        "package:",
    ]
    if not exporting.channels:
        lines[lines.index("  channels:")] = "  channels: []"
    entries = [entry for environment in exporting.environments for entry in _entries(environment, exporting)]
    lines += [f"- {_json(entry)}" for entry in entries]
    if not entries:
        lines[-1] = "package: []"
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def _has_python(environment: LockedEnvironment) -> bool:
    return any(item.name == "python" for item in environment.conda)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entries(environment: LockedEnvironment, exporting: Exporting) -> list[dict[str, Any]]:
    conda = [_conda(item, environment, exporting) for item in environment.conda]
    pip = [
        _pip(item, environment, exporting)
        for item in files_of(environment)
        if not (isinstance(item, SourcePackage) and item.path is not None)
    ]
    return [*conda, *pip]


def _conda(item: CondaPackage, environment: LockedEnvironment, exporting: Exporting) -> dict[str, Any]:
    depends: dict[str, str] = {}
    for spec in item.depends:
        name, _, constraint = spec.strip().partition(" ")
        both = [part for part in (depends.get(name), constraint.strip()) if part]
        depends[name] = ",".join(dict.fromkeys(both))
    return {
        "name": item.name,
        "version": item.version,
        "manager": "conda",
        "platform": environment.platform,
        "dependencies": depends,
        "url": exporting.addresses[item.sha256],
        "hash": {"md5": item.md5, "sha256": item.sha256},
        "category": "main",
        "optional": False,
    }


def _pip(item: Packaged, environment: LockedEnvironment, exporting: Exporting) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": item.name,
        "version": item.version,
        "manager": "pip",
        "platform": environment.platform,
        "dependencies": dict.fromkeys(needed_projects(item, environment), "*"),
    }
    if isinstance(item, SourcePackage) and item.git is not None:
        inside = f"#subdirectory={item.subdirectory}" if item.subdirectory else ""
        entry["url"] = f"git+{item.git}@{item.commit}{inside}"
        entry["source"] = {"type": "url", "url": entry["url"]}
    else:
        entry["url"] = exporting.addresses[item.sha256]
        if item.url is not None:
            entry["source"] = {"type": "url", "url": item.url}
    entry["hash"] = {"sha256": item.sha256}
    entry["category"] = "main"
    entry["optional"] = False
    return entry
