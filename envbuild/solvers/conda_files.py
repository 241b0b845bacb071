"""Conda packages that a recipe names by address: fetched, looked into, and solved together with the rest.

What the solver must know of a package stands in the package itself (``info/index.json``). So each is fetched into the
store, with the recipe's sha256 or to compute one, and what it says of itself becomes the one record of a channel that
exists for the length of a solve. The solver then chooses among everything at once, and a contradiction is found here.

Rules of the file: effects through ``context``; writes only into the folder that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.digest import Digest
from envbuild.errors import IntegrityError, InvalidInput, UnsatisfiableError
from envbuild.package import CondaPackage, Platform, UrlOrigin
from envbuild.pinned import package_from_tree
from envbuild.recipe import CondaRequirement
from envbuild.urls import file_name
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context

_SUFFIXES = (".conda", ".tar.bz2")


def packages_by_address(
    asked: Sequence[CondaRequirement], platform: Platform, known: Sequence[CondaPackage], context: Context
) -> dict[str, CondaPackage]:
    """What the files that a recipe names by address say of themselves, by name.

    Args:
        asked: What the recipe asks for; only what has an address counts.
        platform: What is solved for.
        known: Packages of bases, whose files are known by digest.
        context: Fetches.

    Raises:
        IntegrityError: Other bytes than the recipe says, no sound package, or one of another name.
        UnsatisfiableError: ``wrong-platform``.
        UnreachableError: When a file cannot be had.
    """
    digests = {item.url: item.sha256 for item in known if item.url is not None}
    return {item.name: _package(item, platform, digests, context) for item in asked if item.url is not None}


def _package(
    item: CondaRequirement, platform: Platform, digests: Mapping[str, Digest], context: Context
) -> CondaPackage:
    from envbuild.linkers.conda_archive import check_structure, package_index

    assert item.url is not None
    url = item.url.split("#", 1)[0]
    file = file_name(url)
    digest = item.sha256 or digests.get(url)
    fetched = context.fetch(UrlOrigin(url=url, file=file), sha256=digest, size=None)
    if digest is None:
        context.note(f"{item.name} has no sha256 in the recipe: {file} was fetched, and has {fetched.sha256}")
    path = context.fetched(fetched.sha256)
    record = package_index(path, file)
    if not isinstance(record, dict):
        raise IntegrityError(f"{file} does not say which package it is", reference="wrong-package", where=item.where)
    package = _pinned(record, url, next((end for end in _SUFFIXES if file.endswith(end)), ""), item)
    if package.name != item.name:
        raise IntegrityError(
            f"{file} says that it is {package.name}, and the recipe asks for {item.name}",
            reference="wrong-package",
            where=item.where,
        )
    if package.subdir not in {platform, "noarch"}:
        raise UnsatisfiableError(
            f"{file} is for {package.subdir}, not for {platform}",
            reference="wrong-platform",
            where=item.where,
            hint=f"say it under `targets: {package.subdir}:`, and another file for {platform}",
        )
    package = replace(package, sha256=fetched.sha256, size=fetched.size)
    check_structure(path, package)
    return package


def _pinned(record: Mapping[str, Any], url: str, suffix: str, item: CondaRequirement) -> CondaPackage:
    """A package's own words as a lock would have them: every type checked."""
    name, version, build = (record.get(word) for word in ("name", "version", "build"))
    tree: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": build,
        "build-number": record.get("build_number", 0),
        "subdir": record.get("subdir", "noarch"),
        "file": f"{name}-{version}-{build}{suffix}",
        "sha256": "0" * 64,
        "url": url,
        "license": record.get("license"),
        "timestamp": record.get("timestamp"),
        "noarch": record.get("noarch"),
        "python-site-packages-path": record.get("python_site_packages_path"),
        "depends": record.get("depends") or [],
        "constrains": record.get("constrains") or [],
        "purls": sorted(record.get("purls") or []),
    }
    try:
        return package_from_tree(CondaPackage, {key: value for key, value in tree.items() if value is not None})
    except (InvalidInput, TypeError) as error:
        raise IntegrityError(
            f"what {url.rsplit('/', 1)[-1]} says of itself cannot be believed: {error}",
            reference="wrong-package",
            where=item.where,
        ) from None


def write_channel(packages: Mapping[str, CondaPackage], folder: Path) -> None:
    """A channel of just these packages, for the solver to read.

    Their dates are long ago: a cut-off is for what a channel may offer, not for a file that the recipe names.
    """
    for subdir in {"noarch", *(package.subdir for package in packages.values())}:
        records = {
            package.file: {
                "name": package.name,
                "version": package.version,
                "build": package.build,
                "build_number": package.build_number,
                "subdir": package.subdir,
                "depends": list(package.depends),
                "constrains": list(package.constrains),
                "sha256": package.sha256,
                "timestamp": 1,
                **({"noarch": package.noarch} if package.noarch else {}),
            }
            for package in packages.values()
            if package.subdir == subdir
        }
        place = folder / subdir
        place.mkdir(parents=True)
        document = {
            "info": {"subdir": subdir},
            "packages": {name: item for name, item in records.items() if not name.endswith(".conda")},
            "packages.conda": {name: item for name, item in records.items() if name.endswith(".conda")},
        }
        (place / "repodata.json").write_text(json.dumps(document), encoding="utf-8")
