"""What the project's own sources are now: folders and files that a recipe names by their path.

A lock holds the digest of each, so a recipe whose folder was edited needs a new lock although not a word of it changed.
A folder is known as it is fetched: by its canonical tar, which an edit changes and a touch does not. One that is not
there says nothing: who has the wheel in the store needs no source.

The state of a folder is something else: names, sizes, times. It is quick to read, and changes with everything that may
change the digest, so a stamp holds it.

Rules of the file: reads only; nothing is written into a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from envbuild.digest import Digest, digest_file
from envbuild.errors import InvalidInput, Where
from envbuild.recipe import PathSource
from envbuild.request import Request


def own_paths(request: Request) -> tuple[str, ...]:
    """The paths, from the project's root, of the sources and wheels that a recipe names by their path; sorted."""
    return tuple(sorted({path for path, _ in _paths(request)}))


def _paths(request: Request) -> Iterator[tuple[str, Where | None]]:
    for part in request.platforms:
        for item in part.pypi:
            if isinstance(item.source, PathSource):
                yield item.source.path, item.where


def own_states(root: Path, request: Request, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The state of each of these paths, by its absolute path; see ``envbuild.environments.folder_state``.

    Args:
        root: The project's root.
        request: What the recipe asks for.
        environ: This process's environment, for git.

    Raises:
        BuildError: ``git-failed``.
    """
    from envbuild.environments.folder_state import folder_state

    return {str(root / path): folder_state(root / path, _ignored(root / path, environ)) for path in own_paths(request)}


def _ignored(place: Path, environ: Mapping[str, str]) -> set[str]:
    from envbuild.builders.listing import ignored_folders
    from envbuild.machine.git_names import names_by_git

    return ignored_folders(place, names_by_git(environ)) if place.is_dir() else set()


def own_digests(root: Path, request: Request, environ: Mapping[str, str]) -> dict[str, Digest]:
    """The digest of each of these paths that is there.

    Args:
        root: The project's root.
        request: What the recipe asks for.
        environ: This process's environment, for git.

    Raises:
        InvalidInput: ``bad-source`` for what no source may hold, with the place in the recipe. BuildError:
            ``git-failed``.
    """
    found, places = {}, dict(_paths(request))
    for path in own_paths(request):
        place = root / path
        if place.is_file():
            found[path] = digest_file(place)
        elif place.is_dir():
            try:
                found[path] = _folder_digest(place, environ)
            except InvalidInput as error:
                raise InvalidInput(
                    error.message, reference=error.reference, where=error.where or places[path], hint=error.hint
                ) from error.__cause__
    return found


def _folder_digest(folder: Path, environ: Mapping[str, str]) -> Digest:
    from envbuild.builders.tree import stream_folder
    from envbuild.machine.git_names import names_by_git

    digest = hashlib.sha256()
    stream_folder(folder, digest.update, names_by_git(environ))
    return Digest(digest.hexdigest())
