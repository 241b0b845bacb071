"""The version of a repository or folder whose backend would ask git for it.

What the lock before says of the same commit, or of the same content, stays: a tag that was set later, or a commit that
changed no file, moves no version that nobody asked to move. Otherwise git is asked, once for each commit.

Rules of the file: decides which version; ``envbuild.builders.git_version`` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.git_version import version_of_commit, version_of_folder, version_variables
from envbuild.package import FolderOrigin, GitOrigin, SourcePackage
from envbuild.recipe import BuildOptions
from envbuild.solvers.offers import Source
from envbuild.solvers.uv_compile import PypiQuestion

if TYPE_CHECKING:
    from envbuild.derivations import Context


def told_version(
    source: Source, requires: Sequence[str], declared: BuildOptions, question: PypiQuestion, context: Context
) -> tuple[tuple[str, str], ...]:
    """Variables that tell a source's backends the version that git's tags say; empty when none would ask git.

    Args:
        source: With its bytes' digest.
        requires: What its build asks for.
        declared: How the recipe says that it is built; a version declared there stands.
        question: For what the lock before says.
        context: Asks git.

    Raises:
        UnreachableError: When the repository cannot be asked. BuildError: ``no-git``.
    """
    origin = source.origin
    names = version_variables(requires)
    if not isinstance(origin, (GitOrigin, FolderOrigin)) or any(_declares(declared, name) for name in names):
        return ()
    if not names:
        return ()
    locked = (*question.pins_sources, *question.keep_sources)
    before = {item for kept in locked if _same(kept, source) for item in _variables(kept)}
    if {name for name, _ in before} >= set(names):
        return tuple(sorted(item for item in before if item[0] in names))
    if isinstance(origin, GitOrigin):
        version: str | None = version_of_commit(origin.url, origin.commit, context)
    else:
        folder = Path(context.addresses.root) / origin.path
        version = version_of_folder(folder, context)
    return () if version is None else tuple((name, version) for name in names)


def _declares(declared: BuildOptions, name: str) -> bool:
    """Whether the recipe sets a variable, or its form for one project (``…_FOR_NAME``)."""
    return any(key == name or key.startswith(f"{name}_FOR_") for key, _ in declared.env)


def _same(kept: SourcePackage, source: Source) -> bool:
    if kept.name != source.name:
        return False
    if source.commit is not None:
        return kept.commit == source.commit and source.place == ("git", kept.git)
    return kept.path is not None and source.place == ("path", kept.path) and kept.sha256 == source.sha256


def _variables(kept: SourcePackage) -> Iterator[tuple[str, str]]:
    for text in kept.variables:
        name, _, value = text.partition("=")
        yield name, value
