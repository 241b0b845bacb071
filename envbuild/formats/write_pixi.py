"""``pixi.lock``, versions 6 and 7: our own writer, for py-rattler writes version 7 alone and no digest of a wheel.

What an address says (name, version, build, folder, the kind of noarch that is usual) is left out, as pixi leaves it
out. The environment is called ``default``.
"""

from __future__ import annotations

import json
from typing import Any

from envbuild.formats.files import usual_build_number, usual_noarch
from envbuild.formats.writing import Exporting, Packaged, Written, common_losses, files_of, needed_projects
from envbuild.lock import LockedEnvironment
from envbuild.package import CondaPackage, SourcePackage


def write(exporting: Exporting) -> Written:
    """The file's text."""
    losses = common_losses(exporting, conda=True, wheels=True, variables=False)
    losses.append("sizes of wheels, the versions with which packages need each other on PyPI, and the assumed system")
    if any(item.python and not any(one.name == "python" for one in item.conda) for item in exporting.environments):
        losses.append("Python, which comes from the machine: pixi wants it to be a conda package")
    lines = [f"version: {exporting.pixi_version}"]
    if exporting.pixi_version >= 7:
        lines += ["platforms:", *(f"- name: {platform}" for platform in exporting.platforms)]
    lines += ["environments:", "  default:"]
    lines += _listed("    channels:", [f"    - url: {json.dumps(_slash(url))}" for url in exporting.channels.values()])
    indices = dict.fromkeys(
        exporting.indices[item.index]
        for one in exporting.environments
        for item in files_of(one)
        if item.index is not None
    )
    if any(files_of(one) for one in exporting.environments):
        lines += _listed("    indexes:", [f"    - {json.dumps(url)}" for url in indices or (exporting.default_index,)])
    lines.append("    packages:")
    packages: dict[str, list[str]] = {}
    for environment in exporting.environments:
        lines += _references(environment, exporting, packages)
    lines += _listed("packages:", [line for _, entry in sorted(packages.items()) for line in entry])
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def _listed(key: str, items: list[str]) -> list[str]:
    return [key, *items] if items else [f"{key} []"]


def _slash(url: str) -> str:
    return url.rstrip("/") + "/"


def _references(environment: LockedEnvironment, exporting: Exporting, packages: dict[str, list[str]]) -> list[str]:
    """What one platform lists; the entries that it refers to are added to ``packages``."""
    references = []
    for conda in environment.conda:
        url = exporting.addresses[conda.sha256]
        references.append(f"      - conda: {json.dumps(url)}")
        packages.setdefault(f"conda {url}", _conda(conda, url))
    for item in files_of(environment):
        place = _place(item, exporting)
        references.append(f"      - pypi: {json.dumps(place)}")
        packages.setdefault(f"pypi {place}", _pypi(item, place, environment, exporting))
    return _listed(f"      {environment.platform}:", references)


def _conda(item: CondaPackage, url: str) -> list[str]:
    fields: dict[str, Any] = {"conda": url}
    if url.startswith("file:"):  # of a path rattler takes nothing but the file's name
        fields |= {"name": item.name, "version": item.version, "build": item.build, "subdir": item.subdir}
    if item.build_number != usual_build_number(item.build):
        fields["build_number"] = item.build_number
    if item.noarch is not None and item.noarch != usual_noarch(item.subdir, item.build):
        fields["noarch"] = item.noarch
    fields["sha256"] = item.sha256
    fields["md5"] = item.md5
    fields["depends"] = list(item.depends)
    fields["constrains"] = list(item.constrains)
    fields["license"] = item.license
    fields["purls"] = list(item.purls)
    fields["size"] = item.size
    fields["timestamp"] = item.timestamp
    fields["python_site_packages_path"] = item.python_site_packages_path
    return _entry(fields)


def _pypi(item: Packaged, place: str, environment: LockedEnvironment, exporting: Exporting) -> list[str]:
    fields: dict[str, Any] = {"pypi": place, "name": item.name}
    is_tree = isinstance(item, SourcePackage) and (item.git is not None or item.path is not None)
    if not is_tree or exporting.pixi_version < 7:
        fields["version"] = item.version
    if not is_tree:
        fields["sha256"] = item.sha256
    if exporting.pixi_version >= 7 and item.index is not None:
        index = exporting.indices[item.index]
        fields["index"] = index if index != exporting.default_index else None
    fields["requires_dist"] = list(needed_projects(item, environment))
    return _entry(fields)


def _place(item: Packaged, exporting: Exporting) -> str:
    if isinstance(item, SourcePackage):
        if item.git is not None:
            inside = f"?subdirectory={item.subdirectory}" if item.subdirectory else ""
            return f"git+{item.git}{inside}#{item.commit}"
        if item.path is not None:
            return item.path if item.path.startswith("../") else f"./{item.path}"
    address = exporting.addresses[item.sha256]
    return f"direct+{address}" if item.url is not None else address


def _entry(fields: dict[str, Any]) -> list[str]:
    """One package in the order of its fields, without those that say nothing."""
    lines = []
    for key, value in fields.items():
        if value is None or value == []:
            continue
        if isinstance(value, list):
            lines += [f"  {key}:", *(f"  - {json.dumps(item, ensure_ascii=False)}" for item in value)]
        else:
            lines.append(f"  {key}: {json.dumps(value, ensure_ascii=False)}")
    return ["- " + lines[0].strip(), *lines[1:]]
