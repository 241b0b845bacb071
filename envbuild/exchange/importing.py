"""``import``: a foreign lock becomes a recipe and a lock that fits it, without a solve.

Theory: the foreign file is read, what it lacks is fetched, and a recipe is written that asks for what stands in it. The
request of that recipe gives the lock its request id, so ``lock --check`` says that it fits, and a later ``lock`` keeps
every version that it holds. Recipe and lock appear together, or neither does.

Rules of the file: wires; prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from envbuild.addresses import DEFAULT_INDEX
from envbuild.errors import NameConflictError, Where
from envbuild.exchange.asking import Asked, what_is_asked
from envbuild.exchange.conda_records import complete_conda
from envbuild.exchange.files_found import FoundFile, find_files
from envbuild.exchange.own_files import refuse_special
from envbuild.exchange.recipe_text import RecipeDraft, recipe_text
from envbuild.exchange.sources import lock_sources
from envbuild.exchange.wheels import conda_projects, lock_wheels
from envbuild.exchange.words import Words
from envbuild.exchange.work import Work
from envbuild.formats.foreign_lock import ForeignEnvironment, ForeignLock, ForeignPypi
from envbuild.formats.targets import TargetPython
from envbuild.lock import Lock, LockedEnvironment
from envbuild.locks.lock_graph import named_indices
from envbuild.locks.locking import Locked, write_lock
from envbuild.locks.place import lock_path
from envbuild.machine.virtual import default_system
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.projects.checkout import replace_file
from envbuild.projects.project import Project, load_recipe, make_request, shown_path
from envbuild.value import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import wrote.

    Attributes:
        file: What was imported. ``format``: its format's name.
        recipe: The recipe that was written.
        locked: Its lock; None for a file of requirements, which is still to be locked.
        notes: What was left out or lost.
    """

    file: Path
    format: str
    recipe: Path
    locked: Locked | None = None
    notes: tuple[str, ...] = ()


def import_lock(
    foreign: ForeignLock,
    source: Path,
    recipe: Path,
    project: Project,
    work: Work,
    *,
    name: str | None = None,
    said: str | None = None,
) -> Imported:
    """Write a recipe and the lock that a foreign lock makes.

    Args:
        foreign: What the file holds.
        source: The file, or the prefix that was captured.
        recipe: The recipe to write; what stands there is replaced.
        project: The recipe's project.
        work: Fetches what is missing.
        name: The recipe's ``name``.
        said: How the comment in the recipe calls where it came from.

    Raises:
        EnvbuildError: When something cannot be had; nothing is written then.
    """
    words = Words(work.addresses)
    folder = os.path.relpath(source.parent, project.root).replace(os.sep, "/")
    conda = complete_conda([item for one in foreign.environments for item in one.conda], words, work)
    environments = [_environment(one, conda, folder, project, words, work) for one in foreign.environments]
    asked, marked = what_is_asked(environments, foreign.environments, Where(file=work.file))
    above = os.path.relpath(project.root, recipe.parent).replace(os.sep, "/")
    draft = _draft(foreign, marked, asked, words, name, (said or f"{source.name} ({foreign.format})"))
    locked = write_both(recipe, recipe_text(replace(draft, folder=above)), marked, project)
    return Imported(file=source, format=foreign.format, recipe=recipe, locked=locked, notes=foreign.notes)


def _environment(
    foreign: ForeignEnvironment,
    conda: dict[tuple[str, str], CondaPackage],
    folder: str,
    project: Project,
    words: Words,
    work: Work,
) -> LockedEnvironment:
    """One platform, complete but for the marks of what is asked for."""
    packages = tuple(sorted((conda[item.subdir, item.file] for item in foreign.conda), key=lambda item: item.name))
    system = default_system(foreign.platform, {**dict(project.config.system), **dict(foreign.system)})
    own = next((item.version for item in packages if item.name == "python"), None)
    python = own or foreign.python
    found: list[FoundFile] = []
    if foreign.pypi:
        assert python is not None
        target = TargetPython(foreign.platform, python, system)
        provided = conda_projects(packages) if own is not None else {}  # other Pythons import nothing of conda's
        wanted = _not_twice(foreign, provided, work)
        found = find_files(wanted, target, folder, words, work)
        built = lock_sources(found, packages, target.target, folder, project, work)
        wheels, sources = lock_wheels(found, built.sources, built.metadata, provided, target.target, work)
        system = target.target.system
    else:
        wheels, sources, built = (), (), None
    return LockedEnvironment(
        platform=foreign.platform,
        python=".".join(python.split(".")[:2]) if python else None,
        interpreter="conda" if foreign.conda and foreign.python is None else "host",
        system=system,
        conda=packages,
        wheels=wheels,
        sources=sources,
        build=built.build.wheels if built is not None else (),
        build_sources=built.build.sources if built is not None else (),
    )


def _not_twice(foreign: ForeignEnvironment, provided: dict[str, str], work: Work) -> list[ForeignPypi]:
    """The PyPI packages without those that conda provides: a package exists once, and conda's wins."""
    twice = sorted(item.name for item in foreign.pypi if item.name in provided)
    if twice:
        work.say(f"left out: {', '.join(twice)} of PyPI, which conda packages provide too")
    return [item for item in foreign.pypi if item.name not in provided]


def _draft(
    foreign: ForeignLock,
    environments: Sequence[LockedEnvironment],
    asked: Asked,
    words: Words,
    name: str | None,
    said: str,
) -> RecipeDraft:
    packages = [item for one in environments for item in one.conda]
    listed = [words.channel(item) for item in foreign.channels]
    channels = dict.fromkeys([*listed, *(item.channel for item in packages if item.channel is not None)])
    used = {item.channel for item in packages}
    files: list[Wheel | SourcePackage] = [item for one in environments for item in one.wheels]
    files += [item for one in environments for item in one.sources]
    indices = dict.fromkeys(
        [word for item in foreign.indices if (word := words.index(item)) != DEFAULT_INDEX]
        + [item.index for item in files if item.index not in (None, DEFAULT_INDEX)]
    )
    kept = tuple(item for item in indices if item is not None and any(file.index == item for file in files))
    only = len(kept) == 1 and all(item.index in (None, kept[0]) for item in files)
    pythons = sorted({one.python for one in environments if one.python is not None})
    told = any(item.asked is not None for one in foreign.environments for item in one.packages())
    comments = [
        f"Imported from {said}. The lock beside it holds exactly the packages of it; "
        + (
            "what was asked for there is asked for here."
            if told
            else "it does not say what was asked for, so here stands what nothing else in it needs."
        )
    ]
    comments += [f"- {note}" for note in foreign.notes]
    return RecipeDraft(
        asked=asked,
        platforms=tuple(sorted(one.platform for one in environments)),
        comments=tuple(comments),
        name=name,
        python=pythons[0] if len(pythons) == 1 else None,
        interpreter="host" if all(one.interpreter == "host" for one in environments) else None,
        system=_floors(foreign),
        channels=tuple(item for item in channels if item in used),
        index=kept[0] if only else None,
        indices=() if only else kept,
        find_links=tuple(sorted({item.find_links for item in files if item.find_links is not None})),
        variables=dict(foreign.variables),
    )


def _floors(foreign: ForeignLock) -> tuple[tuple[str, str], ...]:
    from envbuild.formats.targets import merged_floors

    return merged_floors(*(item.system for item in foreign.environments))


def write_both(recipe: Path, text: str, environments: Sequence[LockedEnvironment], project: Project) -> Locked:
    """Write a recipe and its lock: both, or neither.

    Raises:
        EnvbuildError: When the recipe cannot be read back; the files are what they were then.
    """
    lock_file = lock_path(recipe)
    before = {path: path.read_bytes() if path.is_file() else None for path in (recipe, lock_file)}
    recipe.parent.mkdir(parents=True, exist_ok=True)
    try:
        replace_file(recipe, text.encode())
        request, _ = make_request(_again(project), recipe)
        finished = tuple(
            _finished(item, request.platform(item.platform).system, request.variables) for item in environments
        )
        ordered = tuple(sorted(finished, key=lambda item: item.platform))
        lock = Lock(request=request.id, platforms=ordered, exclude_newer=None, indices=named_indices(request, ordered))
        write_lock(recipe, lock)
    except BaseException:
        for path, data in before.items():
            if data is None:
                path.unlink(missing_ok=True)
            else:
                replace_file(path, data)
        raise
    return Locked(recipe=recipe, path=lock_file, request=request, lock=lock, written=True)


def _again(project: Project) -> Project:
    """The project without what it has read of its recipes."""
    return Project(root=project.root, config=project.config)


def write_recipe(recipe: Path, text: str, project: Project) -> None:
    """Write a recipe alone, when it can be read back.

    Raises:
        InvalidInput: When it cannot; the file is what it was then.
    """
    before = recipe.read_bytes() if recipe.is_file() else None
    recipe.parent.mkdir(parents=True, exist_ok=True)
    replace_file(recipe, text.encode())
    try:
        load_recipe(_again(project), recipe)
    except BaseException:
        if before is None:
            recipe.unlink(missing_ok=True)
        else:
            replace_file(recipe, before)
        raise


def _finished(
    item: LockedEnvironment, system: tuple[tuple[str, str], ...], variables: tuple[tuple[str, str], ...]
) -> LockedEnvironment:
    return LockedEnvironment(
        platform=item.platform,
        python=item.python,
        interpreter=item.interpreter,
        system=system,
        conda=item.conda,
        wheels=item.wheels,
        sources=item.sources,
        build=item.build,
        archive=item.archive,
        variables=variables,
    )


def refuse_existing(recipe: Path, *, force: bool) -> None:
    """Refuse to replace a recipe or lock that is there.

    Raises:
        NameConflictError: ``file-exists``, ``no-file``.
    """
    for path in (recipe, lock_path(recipe)):
        refuse_special(path)
        if os.path.lexists(path) and not force:
            raise NameConflictError(
                f"{shown_path(path)} is there already",
                reference="file-exists",
                where=Where(file=shown_path(path)),
                hint="name another file with -o, or replace it with --force",
            )
