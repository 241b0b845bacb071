"""``conda-lock.yml``, version 1: conda and pip packages of several platforms, by category.

Theory: the file lists every package of every platform with the address of its file. It knows the names of its
dependencies, and neither build numbers nor whether a package is ``noarch``: those are fetched by who imports. The
category ``main`` is the environment; others (``dev``) are chosen like groups.

Rules of the file: text to value.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import InvalidInput, UsageError
from envbuild.formats import Document
from envbuild.formats.checked import Checked, bare_address, yaml_tree
from envbuild.formats.files import foreign_file, git_source, known_platform, split_conda
from envbuild.formats.foreign_lock import (
    ForeignConda,
    ForeignEnvironment,
    ForeignLock,
    ForeignPypi,
    Wanted,
    check_choices,
    chosen_platforms,
    left_out,
)
from envbuild.formats.targets import TargetPython, environment_of_both
from envbuild.package import Platform

_MAIN = "main"


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages of a ``conda-lock.yml`` for each wanted platform.

    Raises:
        InvalidInput: When it is malformed, or of another version.
        UsageError: When it does not hold what is wanted.
    """
    check_choices(wanted, document, environments=False, extras=False, groups=True)
    tree = yaml_tree(document)
    version = tree.text("version")
    if version != "1":
        raise InvalidInput(
            f"the file is of version {version[:20]} of its format, and version 1 is known here",
            reference="foreign-version",
            where=tree.where,
            hint="conda-lock render, or make it again with conda-lock 1.0 or newer",
        )
    metadata = tree.at("metadata")
    named = [known_platform(name) for name in metadata.texts("platforms")]
    notes: list[str] = []
    packages: dict[Platform, list[Checked]] = {platform: [] for platform in named if platform is not None}
    left: set[str] = set()
    categories = {_MAIN}
    for item in tree.items("package"):
        platform = known_platform(item.text("platform"))
        category = item.optional_text("category") or _MAIN
        categories.add(category)
        if category not in (_MAIN, *wanted.groups):
            left.add(category)
        elif platform is not None:
            packages.setdefault(platform, []).append(item)
    unknown = sorted(set(wanted.groups) - categories)
    if unknown:
        raise UsageError(
            f"the file has no category {unknown[0]!r}, but {', '.join(sorted(categories))}",
            reference="unknown-group",
            where=tree.where,
        )
    if left:
        notes.append(left_out("category", "categories", sorted(left), "--group"))
    platforms = chosen_platforms(tuple(sorted(packages)), wanted, document)
    return ForeignLock(
        format="conda-lock",
        environments=tuple(_environment(platform, packages[platform], wanted, tree) for platform in platforms),
        channels=_channels(metadata),
        notes=tuple(notes),
    )


def _channels(metadata: Checked) -> tuple[str, ...]:
    """Names or addresses; the variables that conda-lock put into them for credentials are left out."""
    found = []
    for item in metadata.items("channels"):
        text = item.own_text() if isinstance(item.value, str) else item.text("url")
        found.append(bare_address(text, item) if "://" in text else text)
    return tuple(dict.fromkeys(found))


def _environment(platform: Platform, items: list[Checked], wanted: Wanted, tree: Checked) -> ForeignEnvironment:
    conda: list[Checked] = []
    pip: list[Checked] = []
    for item in items:
        manager = item.text("manager")
        if manager not in {"conda", "pip"}:
            raise item.at("manager").wrong("conda or pip is expected")
        (conda if manager == "conda" else pip).append(item)
    packages = [_conda(item) for item in conda]
    return environment_of_both(platform, packages, pip, _pip, wanted, tree.where, "the file has pip packages")


def _conda(item: Checked) -> ForeignConda:
    url = bare_address(item.text("url"), item.at("url"))
    _, subdir, file, name, version, build = split_conda(url, item.at("url"))
    if item.text("name").lower() != name:
        raise item.at("name").wrong(f"the name in its address, {name}, is expected")
    hashes = item.at("hash")
    return ForeignConda(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        file=file,
        url=url,
        sha256=hashes.sha256() if hashes.has("sha256") else None,
        md5=hashes.md5() if hashes.has("md5") else None,
        depends=tuple(_spec(key, value) for key, value in item.entries("dependencies")),
        where=item.where,
    )


def _spec(name: str, value: Checked) -> str:
    constraint = value.own_text().strip() if value.value is not None else ""
    return f"{name} {constraint}".strip()


def _pip(item: Checked, target: TargetPython) -> ForeignPypi:
    name, version = item.pypi_name(), item.version()
    hashes = item.at("hash")
    sha256 = hashes.sha256() if hashes.has("sha256") else None
    common: dict[str, Any] = {"name": name, "version": version, "where": item.where}
    url = item.text("url")
    if url.startswith("git+"):
        return ForeignPypi(**common, **git_source(url, item))
    archive = foreign_file(item, sha256=sha256)
    if archive.file.endswith(".whl") and not target.fits(archive.file):
        raise item.at("url").wrong(f"a wheel for {target.target.platform} is expected", "no-wheel")
    direct = item.has("source")
    requires = tuple(sorted(key for key, _ in item.entries("dependencies")))
    return ForeignPypi(**common, archive=archive, direct=direct, requires=requires)
