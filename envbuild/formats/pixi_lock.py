"""``pixi.lock``, versions 4 to 7: conda and PyPI packages of several environments on several platforms.

Theory: each environment lists, for each platform, references to packages; a table below tells each package once.
Versions 4 and 5 write every field (``kind:``); 6 and 7 leave out what the address says; 7 names its platforms in a
table of their own, which may call them as it likes. What the address says is always taken from the address.

A package that pixi builds from source (``conda_source``, a path, a git address) is no file that could be fetched: it is
refused by name.

Rules of the file: text to value.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from envbuild.errors import InvalidInput
from envbuild.formats import Document
from envbuild.formats.checked import Checked, bare_address, yaml_tree
from envbuild.formats.files import (
    foreign_file,
    git_source,
    inner_path,
    known_platform,
    split_conda,
    usual_build_number,
    usual_noarch,
)
from envbuild.formats.foreign_lock import (
    ForeignConda,
    ForeignEnvironment,
    ForeignLock,
    ForeignPypi,
    Wanted,
    check_choices,
    chosen_environment,
    chosen_platforms,
)
from envbuild.formats.targets import TargetPython, environment_of_both
from envbuild.package import Platform

VERSIONS = ("4", "5", "6", "7")
_PROJECT = frozenset({".", "./"})
"""The workspace itself: what one works on, and no package of a lock."""


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages of one environment of a ``pixi.lock`` for each wanted platform.

    Raises:
        InvalidInput: When it is malformed, or of another version.
        UsageError: When it does not hold what is wanted.
    """
    check_choices(wanted, document, environments=True, extras=False, groups=False)
    tree = yaml_tree(document)
    version = tree.text("version")
    if version not in VERSIONS:
        raise InvalidInput(
            f"the file is of version {version[:20]} of its format, and {VERSIONS[0]} to {VERSIONS[-1]} are known here",
            reference="foreign-version",
            where=tree.where,
            hint="pixi lock, with a pixi that writes a version known here",
        )
    named = dict(tree.entries("environments"))
    name = chosen_environment(tuple(sorted(named)), wanted, document)
    environment = named[name]
    table = _table(tree)
    subdirs = _subdirs(tree)
    found = {}
    for label, _ in environment.entries("packages"):
        platform = known_platform(subdirs.get(label, label))
        if platform is not None:
            found[platform] = list(environment.at("packages").items(label))
    platforms = chosen_platforms(tuple(sorted(found)), wanted, document)
    notes = []
    others = sorted(set(named) - {name})
    if others and wanted.environment is None:
        notes.append(f"taken: the environment {name}; left out: {', '.join(others)} (--environment NAME)")
    indices = tuple(bare_address(item.own_text(), item) for item in environment.items("indexes"))
    environments = tuple(_environment(item, found[item], table, indices, wanted, tree, notes) for item in platforms)
    return ForeignLock(
        format="pixi-lock",
        environments=environments,
        name=None if name == "default" else name,
        channels=tuple(bare_or_name(item) for item in environment.items("channels")),
        indices=indices,
        notes=tuple(dict.fromkeys(notes)),
    )


def bare_or_name(item: Checked) -> str:
    """A channel as a lock names it: ``{url: …}``, or the text itself."""
    text = item.own_text() if isinstance(item.value, str) else item.text("url")
    return bare_address(text, item).rstrip("/") if "://" in text else text


def _subdirs(tree: Checked) -> dict[str, str]:
    """What version 7's own names of platforms stand for."""
    return {item.text("name"): item.optional_text("subdir") or item.text("name") for item in tree.items("platforms")}


def _table(tree: Checked) -> dict[str, Checked]:
    """The packages by their addresses; of several entries of one address the first."""
    table: dict[str, Checked] = {}
    for item in tree.items("packages", most=200_000):
        key = next((item.text(name) for name in ("conda", "pypi", "conda_source") if item.has(name)), None)
        if key is None:
            key = item.optional_text("url") or item.text("path")
        table.setdefault(key, item)
    return table


def _environment(
    platform: Platform,
    references: list[Checked],
    table: dict[str, Checked],
    indices: tuple[str, ...],
    wanted: Wanted,
    tree: Checked,
    notes: list[str],
) -> ForeignEnvironment:
    conda, pypi = [], []
    for reference in references:
        kind = next((name for name in ("conda", "pypi", "conda_source", "source") if reference.has(name)), None)
        if kind is None:
            raise reference.wrong("a conda or pypi package is expected")
        key = reference.text(kind)
        if kind in {"conda_source", "source"} or (kind == "conda" and not _is_file(key)):
            raise InvalidInput(
                f"{key[:80]} is a conda package that pixi builds from source",
                reference="needs-build",
                where=reference.where,
                hint="publish it to a channel, and lock it from there",
            )
        if key not in table:
            raise reference.wrong("an entry of `packages` is expected")
        if kind == "conda":
            conda.append(_conda(table[key], key))
        elif key in _PROJECT:
            notes.append(f"left out: {table[key].pypi_name()} itself, the project that the file locks")
        else:
            pypi.append((table[key], key, reference.texts("extras")))

    def read(item: tuple[Checked, str, tuple[str, ...]], target: TargetPython) -> ForeignPypi:
        return _pypi(*item, indices, target)

    return environment_of_both(platform, conda, pypi, read, wanted, tree.where, "the environment has PyPI packages")


def _is_file(key: str) -> bool:
    """Whether a conda package is a file that can be had, and not a source: rattler writes ``file:`` as a path."""
    return "://" in key or (key.startswith("/") and key.endswith((".conda", ".tar.bz2")))


def _conda(item: Checked, address: str) -> ForeignConda:
    """A conda package: name, version, build and subdir are those of its address; version 4 tells another subdir."""
    here = Checked(address, item.path, item.document)
    address = f"file://{quote(address)}" if address.startswith("/") else address
    channel, subdir, file, name, version, build = split_conda(bare_address(address, here), here)
    for key, value in (("name", name), ("version", version), ("build", build)):
        if item.has(key) and item.text(key).lower() != value.lower():
            raise item.at(key).wrong(f"what its address says, {value}, is expected")
    noarch = item.at("noarch").value
    number = item.integer("build_number")
    return ForeignConda(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        file=file,
        url=f"{channel}/{subdir}/{file}",
        sha256=item.sha256() if item.has("sha256") else None,
        md5=item.md5() if item.has("md5") else None,
        size=item.integer("size"),
        build_number=number if number is not None else usual_build_number(build),
        noarch=noarch if isinstance(noarch, str) else usual_noarch(subdir, build),
        depends=item.texts("depends"),
        constrains=item.texts("constrains"),
        license=item.optional_text("license"),
        timestamp=_milliseconds(item.integer("timestamp")),
        purls=item.texts("purls"),
        python_site_packages_path=item.optional_text("python_site_packages_path"),
        complete=True,
        where=item.where,
    )


def _milliseconds(timestamp: int | None) -> int | None:
    """Old records are dated in seconds."""
    return timestamp * 1000 if timestamp is not None and timestamp < 253_402_300_799 else timestamp


def _pypi(
    item: Checked, address: str, extras: tuple[str, ...], indices: tuple[str, ...], target: TargetPython
) -> ForeignPypi:
    name, version = item.pypi_name(), item.version()
    common: dict[str, Any] = {
        "name": name,
        "version": version,
        "requires": item.texts("requires_dist"),
        "extras": tuple(sorted(extras)),
        "where": item.where,
    }
    here = Checked(address, item.path, item.document)
    if address.startswith("git+"):
        return ForeignPypi(**common, **git_source(address, here))
    direct = address.startswith("direct+")
    address = address.removeprefix("direct+")
    if "://" not in address:
        if address.endswith(".whl"):
            raise here.wrong("a wheel that has an address, or a folder, is expected")
        return ForeignPypi(**common, path=inner_path(address, here))
    entry = Checked({"url": address}, item.path, item.document)
    archive = foreign_file(entry, sha256=item.sha256() if item.has("sha256") else None)
    if archive.file.endswith(".whl") and not target.fits(archive.file):
        raise here.wrong(f"a wheel for {target.target.platform} is expected", "no-wheel")
    index = None
    if item.has("index"):
        index = bare_address(item.text("index"), item)
    elif len(indices) == 1:
        index = indices[0]
    return ForeignPypi(**common, archive=archive, direct=direct, index=None if direct else index)
