"""The version that a project reads from git's tags, told to its backend without git.

Sources are packed without their history, so a backend that asks git for a version would find nothing. Such backends
can be told: each has a variable for it. The version is made of ``git describe`` as setuptools-scm makes it by default:
the tag itself on a tagged commit, else the next version as a development release with the commit's name behind it.
What the recipe declares by ``build.<name>.env`` comes before it.

Rules of the file: commits and tags are fetched, no file; nothing in the user's folder is refreshed or written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.git import fetch_history
from envbuild.builders.git_program import Git, GitFailed
from envbuild.errors import BuildError
from envbuild.package import normalize_pypi_name
from envbuild.pattern import pattern

if TYPE_CHECKING:
    from packaging.version import Version

    from envbuild.derivations import Context

_VARIABLES = {
    "setuptools-scm": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "setuptools-scm-git-archive": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "vcs-versioning": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "hatch-vcs": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "scikit-build-core": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "pdm-pep517": "PDM_PEP517_SCM_VERSION",
    "pbr": "PBR_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}
_DESCRIBE = ("describe", "--tags", "--long", "--abbrev=8", "--match", "*[0-9]*")
_DESCRIBED = pattern(r"(?P<tag>.+)-(?P<distance>[0-9]+)-g(?P<commit>[0-9a-f]+)")
_TAG = pattern(r"(?:[\w-]+-)?(?P<version>[vV]?[0-9]+(?:\.[0-9]+)*[^+]*)(?:\+.*)?")


def version_variables(requires: Sequence[str]) -> tuple[str, ...]:
    """The variables by which the backends among some build requirements can be told a version, sorted.

    Args:
        requires: ``[build-system] requires``.
    """
    names = (re.match(r"\s*([A-Za-z0-9._-]+)", text) for text in requires)
    found = {_VARIABLES.get(normalize_pypi_name(name[1])) for name in names if name is not None}
    return tuple(sorted(variable for variable in found if variable is not None))


def version_of_commit(url: str, commit: str, context: Context) -> str:
    """The version of a commit by the tags of its repository.

    Args:
        url: The repository, as the recipe writes it.
        commit: The whole hexadecimal name.
        context: For the cache, its lock, and git.

    Raises:
        UnreachableError: When the repository cannot be asked. BuildError: ``no-git``.
    """
    git = Git(context, fetch_history(url, commit, context))
    try:
        return described_version(git.ask(*_DESCRIBE, commit).decode("utf-8", "replace"))
    except GitFailed:
        count = git.ask("rev-list", "--count", commit).decode().strip()
        return f"0.1.dev{count}+g{commit[:8]}"


def version_of_folder(folder: Path, context: Context) -> str | None:
    """The version of what is checked out in a folder; None without git, or without a commit.

    Args:
        folder: The project's folder.
        context: Runs git.
    """
    git, place = Git(context), ("-c", "safe.directory=*", "-C", str(folder))
    try:
        return described_version(git.ask(*place, *_DESCRIBE).decode("utf-8", "replace"))
    except GitFailed:
        pass
    except BuildError:
        return None
    try:
        count = git.ask(*place, "rev-list", "--count", "HEAD").decode().strip()
        commit = git.ask(*place, "rev-parse", "--short=8", "HEAD").decode().strip()
    except GitFailed:
        return None
    return f"0.1.dev{count}+g{commit}"


def described_version(text: str) -> str:
    """The version that ``git describe --long`` stands for; ``0.1.dev…`` when its tag holds none."""
    from packaging.version import InvalidVersion, Version

    found = _DESCRIBED.fullmatch(text.strip())
    if found is None:
        return "0.1.dev0"
    distance, commit = int(found["distance"]), found["commit"]
    tag = _TAG.fullmatch(found["tag"])
    try:
        version = Version(tag["version"] if tag is not None else "")
    except InvalidVersion:
        return f"0.1.dev{distance}+g{commit}"
    if distance == 0:
        return str(version)
    return f"{_next(version)}.dev{distance}+g{commit}"


def _next(version: Version) -> str:
    """The version that comes after a tag: the next pre-release of one, else the next of its last number."""
    epoch = f"{version.epoch}!" if version.epoch else ""
    if version.pre is not None:
        return f"{epoch}{'.'.join(map(str, version.release))}{version.pre[0]}{version.pre[1] + 1}"
    if version.dev is not None:
        return epoch + ".".join(map(str, version.release))
    *most, last = version.release
    return epoch + ".".join(map(str, (*most, last + 1)))
