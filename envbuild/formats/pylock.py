"""``pylock.toml`` (PEP 751), whoever made it: the packages that one platform and Python take of it.

Theory: the specification says step by step how an installer reads such a file: check the version, check the
environments and the Python that it is for, take the packages whose markers hold with the extras and groups that were
chosen, and of each package one source. Those steps are done here for the wanted platform. Whatever the specification
calls an error is one.

Rules of the file: text to value.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError
from envbuild.formats import Document
from envbuild.formats.checked import Checked, bare_address, toml_tree
from envbuild.formats.files import foreign_file, git_address, inner_path, safe_file
from envbuild.formats.foreign_lock import (
    ForeignEnvironment,
    ForeignFile,
    ForeignLock,
    ForeignPypi,
    Wanted,
    check_choices,
    left_out,
)
from envbuild.formats.targets import TargetPython, check_twins, choose_python, full_python
from envbuild.package import normalize_pypi_name

_KINDS = ("vcs", "directory", "archive", "wheels", "sdist")


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages of a ``pylock.toml`` for each wanted platform.

    Raises:
        InvalidInput: When it is malformed, or of another version.
        UsageError: When it is not for a wanted platform or Python.
        UnsatisfiableError: ``no-wheel``.
    """
    check_choices(wanted, document, environments=False, extras=True, groups=True)
    tree = toml_tree(document)
    version = tree.text("lock-version")
    if version.split(".")[0] != "1":
        raise InvalidInput(
            f"the file is of version {version[:20]} of its format, and version 1 is known here",
            reference="foreign-version",
            where=tree.where,
            hint="make it again with a tool that writes version 1.0: uv export --format pylock.toml -o pylock.toml",
        )
    constraint = tree.optional_text("requires-python")
    python = choose_python(constraint, wanted, tree.where)
    notes: list[str] = []
    extras, groups = _choices(tree, wanted, notes)
    environments = tuple(
        _environment(
            tree, TargetPython(platform, full_python(constraint, python), wanted.systems[platform]), extras, groups
        )
        for platform in wanted.platforms or (wanted.here,)
    )
    environments = tuple(
        ForeignEnvironment(platform=item.platform, python=python, pypi=item.pypi, system=item.system)
        for item in environments
    )
    indices = tuple(
        dict.fromkeys(package.index for item in environments for package in item.pypi if package.index is not None)
    )
    if mine := [item.pypi_name() for item in tree.items("packages") if _is_project(item)]:
        notes.append(f"left out: {', '.join(sorted(mine))} itself, the project that the file locks")
    folders = [item for item in tree.items("packages") if item.has("directory") and not _is_project(item)]
    if any(item.at("directory").flag("editable") for item in folders):
        notes.append("folders that the file installs editable are built from their content")
    return ForeignLock(
        format="pylock", environments=environments, name=_name(document), indices=indices, notes=tuple(notes)
    )


def _name(document: Document) -> str | None:
    """The middle of ``pylock.<name>.toml``."""
    parts = document.file.rpartition("/")[2].split(".")
    return parts[1] if len(parts) == 3 else None


def _choices(tree: Checked, wanted: Wanted, notes: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The extras and groups that are chosen; groups that the file takes by default are."""
    found = []
    for kind, chosen, key in (("extra", wanted.extras, "extras"), ("group", wanted.groups, "dependency-groups")):
        there = {normalize_pypi_name(name) for name in tree.texts(key)}
        unknown = sorted(set(chosen) - there)
        if unknown:
            raise UsageError(
                f"the file has no {kind} {unknown[0]!r}" + (f", but {', '.join(sorted(there))}" if there else ""),
                reference="unknown-group",
                where=tree.where,
            )
        default = {normalize_pypi_name(name) for name in tree.texts("default-groups")} if kind == "group" else set()
        taken = frozenset({*chosen, *default})
        if left := sorted(there - taken):
            notes.append(left_out(kind, f"{kind}s", left, f"--{kind}"))
        found.append(taken)
    return found[0], found[1]


def _environment(
    tree: Checked, target: TargetPython, extras: frozenset[str], groups: frozenset[str]
) -> ForeignEnvironment:
    declared = tree.texts("environments")
    if declared and not any(_holds(marker, target, tree, extras, groups) for marker in declared):
        raise UsageError(
            f"the file is not for {target.target.platform} with Python {target.target.series}",
            reference="unknown-platform",
            where=tree.where,
            hint=f"it is for: {'; '.join(declared)[:200]}",
        )
    packages = []
    for item in tree.items("packages"):
        if _is_project(item) or not _holds(item.optional_text("marker"), target, tree, extras, groups):
            continue
        problem = item.optional_text("requires-python")
        if problem is not None and not _python_fits(problem, target, item):
            raise UnsatisfiableError(
                f"{item.pypi_name()} needs Python {problem}, and the environment has {target.target.series}",
                reference="python",
                where=tree.where,
            )
        packages.append(_package(item, target))
    found = ForeignEnvironment(
        platform=target.target.platform,
        pypi=tuple(sorted(packages, key=lambda item: item.name)),
        system=tuple(sorted(target.raised.items())),
    )
    return check_twins(found, tree.where)


def _is_project(item: Checked) -> bool:
    """Whether an entry is the project that the file was made in: what one works on, and no package of a lock."""
    if not item.has("directory"):
        return False
    folder = item.at("directory")
    return folder.flag("editable") and folder.optional_text("path") in {".", "./"}


def _holds(
    marker: str | None, target: TargetPython, tree: Checked, extras: frozenset[str], groups: frozenset[str]
) -> bool:
    """PEP 751's markers: ``'x' in extras`` and ``'x' in dependency_groups`` beside PEP 508's."""
    if not marker:
        return True
    if "extras" not in marker and "dependency_groups" not in marker:
        return target.holds(marker, tree.where)
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    from envbuild.solvers.target import marker_environment

    environment: dict[str, Any] = {**marker_environment(target.target), "extras": extras, "dependency_groups": groups}
    try:
        return Marker(marker).evaluate(environment, context="lock_file")
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError, ValueError) as error:
        raise InvalidInput(
            f"{marker[:80]!r} is no marker: {str(error).splitlines()[0][:100]}",
            reference="bad-marker",
            where=tree.where,
        ) from None


def _python_fits(constraint: str, target: TargetPython, item: Checked) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(constraint).contains(target.target.full, prereleases=True)
    except InvalidSpecifier:
        raise item.at("requires-python").wrong("versions of Python are expected", "bad-version") from None


def _package(item: Checked, target: TargetPython) -> ForeignPypi:
    name, version = item.pypi_name(), item.version()
    kinds = [kind for kind in _KINDS if item.has(kind)]
    if len([kind for kind in kinds if kind not in {"wheels", "sdist"}]) > 1 or not kinds:
        raise item.wrong("one of vcs, directory, archive, or wheels and sdist is expected")
    common: dict[str, Any] = {
        "name": name,
        "version": version,
        "requires": _requires(item),
        "where": item.where,
    }
    if "vcs" in kinds:
        return _vcs(common, item.at("vcs"))
    if "directory" in kinds:
        folder = item.at("directory")
        return ForeignPypi(**common, path=inner_path(folder.text("path"), folder), subdirectory=_subdirectory(folder))
    if "archive" in kinds:
        archive = item.at("archive")
        path = None if archive.has("url") else inner_path(archive.text("path"), archive)
        return ForeignPypi(
            **common, archive=_file(archive), direct=True, path=path, subdirectory=_subdirectory(archive)
        )
    index = bare_address(item.text("index"), item.at("index")) if item.has("index") else None
    wheels = [_file(wheel) for wheel in item.items("wheels")]
    sdist = _file(item.at("sdist")) if "sdist" in kinds else None
    try:
        chosen = target.best(wheels, name, item.where) or sdist
    except UnsatisfiableError:
        if sdist is None:
            raise
        chosen = sdist
    return ForeignPypi(**common, archive=chosen, index=index)


def _requires(item: Checked) -> tuple[str, ...] | None:
    """Names in ``dependencies``; None where the file has none for any package, for then it does not tell."""
    if not item.has("dependencies"):
        return None
    return tuple(
        sorted({dependency.pypi_name() for dependency in item.items("dependencies") if dependency.has("name")})
    )


def _subdirectory(item: Checked) -> str | None:
    return inner_path(item.text("subdirectory"), item) if item.has("subdirectory") else None


def _file(item: Checked) -> ForeignFile:
    sha256 = item.at("hashes").sha256() if item.has("hashes") else None
    size, upload = item.integer("size"), item.at("upload-time").value
    moment = _moment(upload)
    name = item.optional_text("name")
    if item.has("url"):
        return foreign_file(item, name=name, sha256=sha256, size=size, upload_time=moment)
    file = name or item.text("path").replace("\\", "/").rsplit("/", 1)[-1]
    return ForeignFile(file=safe_file(file, item), sha256=sha256, size=size, upload_time=moment)


def _moment(value: Any) -> str | None:
    """TOML's date and time as RFC 3339 in UTC."""
    from datetime import datetime, timezone

    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _vcs(common: dict[str, Any], vcs: Checked) -> ForeignPypi:
    kind = vcs.text("type")
    if kind != "git":
        raise InvalidInput(
            f"{common['name']} comes from {kind[:20]}; only git is supported",
            reference="bad-vcs",
            where=vcs.where,
            hint="hg, bzr and svn have no digest of a whole tree that can be locked",
        )
    commit = vcs.text("commit-id").lower()
    if len(commit) != 40 or set(commit) - set("0123456789abcdef"):
        raise vcs.at("commit-id").wrong("the whole name of a commit is expected")
    if vcs.has("url"):
        git = git_address(vcs.text("url"), vcs)
        return ForeignPypi(**common, git=git, commit=commit, subdirectory=_subdirectory(vcs))
    raise vcs.wrong("a repository's url is expected")
