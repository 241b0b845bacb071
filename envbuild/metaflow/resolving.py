"""``python flow.py … environment resolve`` and ``show``: the environments of a flow's steps, without a run.

Resolving does what a run does before its first step, up to the locks, and has the packages in the stores; for other
platforms than a run would ask for, the recipes lie beside those of runs, so that no run has to lock anew.

Rules of the file: wires; what goes wrong is told of decorators.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import EnvbuildError, StaleError, UsageError
from envbuild.metaflow.adhoc import adhoc_folder, make_folder
from envbuild.metaflow.commanding import state_of
from envbuild.metaflow.emitting import RecipeFile, committed_folder, names_in, recipe_files, recipe_of
from envbuild.metaflow.environments import needed
from envbuild.metaflow.folders import alone
from envbuild.metaflow.shell import one_alias_each, platforms_of, resolved_trees, send, show_resolved, show_states
from envbuild.metaflow.telling import told_of_decorators
from envbuild.projects.checkout import replace_file
from envbuild.projects.project import Project, shown_path
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.state_verbs import State
    from envbuild.metaflow.environments import Needed
    from envbuild.metaflow.launching import Launch


def resolve(
    launch: Launch,
    screen: Screen,
    steps: Sequence[str],
    *,
    arch: Sequence[str],
    alias: Sequence[str],
    force: bool,
    dry_run: bool,
    set_default: bool,
    local_only: bool,
) -> None:
    """Lock the environments of steps, have them in the stores, and name the one there is.

    Raises:
        UsageError: ``unknown-step``, ``several-environments``; for committed recipes with flags that would change them.
        StaleError: ``recipe-drift``.
    """
    from envbuild.locks.locking import LockOptions

    with ExitStack() as stack:
        if dry_run:
            folder: Path | None = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envbuild-")))
        else:
            folder = _folder(launch) if arch else None
            stack.enter_context(alone(launch.project, launch.flow, os.environ, screen.say))
        files = _files(launch, steps, platforms_of(arch), folder)
        _say_outside(launch, screen, steps)
        one_alias_each(alias, len(files))
        made = [item for item in files if not item.committed]
        if force and len(made) < len(files):
            raise UsageError(
                "what is committed is what runs, and its locks are not made anew here",
                reference="committed-recipes",
                hint="envbuild lock --upgrade " + " ".join(shown_path(item.file) for item in files if item.committed),
            )
        session = launch.session({item.file.parent for item in files}, local_only=local_only)
        if dry_run and folder is not None:
            free = replace(session.project().config, allow_outside_paths=True)
            session.adopt(folder, Project(root=launch.project.root, config=free))
        with told_of_decorators(files, launch.locate):
            session.check(*(item.file for item in files if item.committed))
            options = LockOptions(upgrade=force, upgrade_base=True, set_default=set_default)
            recipes = [item.file for item in made]
            found = session.lock(*recipes, options=options, write=not dry_run) if recipes else ()
            locked = dict(zip(recipes, found, strict=True))
            locks = [locked.get(item.file) or session.lock(item.file, write=not dry_run)[0] for item in files]
            if not dry_run:
                for done in locks:
                    session.keep(done.lock)
                wanted = [(item.file, platform) for item in files for platform in item.needed.platforms]
                send(session, session.project(), wanted, screen)
                for name in alias:
                    moved = session.alias(files[0].file, name)
                    screen.say(f"{moved.now.name} is generation {moved.now.number}: {moved.now.named}")
    trees = [
        tree
        for item, done in zip(files, locks, strict=True)
        for tree in resolved_trees(done, item.needed.platforms, steps=list(item.needed.steps))
    ]
    for item, done in zip(files, locks, strict=True):
        screen.say(f"Environment of {item.needed.said}:")
        show_resolved(screen, [done], item.needed.platforms, dry_run=dry_run)
    screen.document({"environments": trees, "dry-run": dry_run, "names": list(alias)})


def show(launch: Launch, screen: Screen, steps: Sequence[str], *, arch: Sequence[str], local_only: bool) -> None:
    """Say what there is of the environments of steps.

    Raises:
        UsageError: ``unknown-step``.
    """
    platforms = platforms_of(arch)
    with alone(launch.project, launch.flow, os.environ, screen.say):
        files = _files(launch, steps, platforms, _folder(launch) if platforms else None)
    session = launch.session({item.file.parent for item in files}, local_only=local_only)
    rows: list[tuple[str, str, State | None]] = []
    for item in files:
        for platform in item.needed.platforms:
            state = None
            if _fits(session, item.file):
                state = state_of(session, item.file, platform)
            rows.append((",".join(item.needed.steps), platform, state))
    show_states(screen, rows)
    _say_outside(launch, screen, steps)


def _say_outside(launch: Launch, screen: Screen, steps: Sequence[str]) -> None:
    """Say which of some steps, or of all, have no environment that could be looked at now."""
    for step in launch.flow.steps:
        if steps and step.name not in steps:
            continue
        if step.asked is None:
            screen.say(f"step {step.name} runs outside of every environment")
        elif step.asked.late:
            screen.say(f"step {step.name} looks its environment up when its tasks start")


def _fits(session: Any, recipe: Path) -> bool:
    """Whether a recipe has a lock that fits."""
    try:
        session.check(recipe)
    except StaleError:
        return False
    except EnvbuildError as error:
        if error.reference == "no-lock":
            return False
        raise
    return True


def _files(
    launch: Launch, steps: Sequence[str], platforms: Sequence[str], folder: Path | None
) -> tuple[RecipeFile, ...]:
    """The recipes of some steps' environments: those of runs, or others in a folder, for other platforms.

    Args:
        launch: The flow.
        steps: Which; all when none is named.
        platforms: Instead of those that the steps run on.
        folder: Where recipes go that no run uses.
    """
    from envbuild.machine.virtual import current_platform

    known = [step.name for step in launch.flow.steps]
    for step in steps:
        if step not in known:
            raise UsageError(
                f"{launch.flow.name} has no step {step[:80]!r}",
                reference="unknown-step",
                hint=f"one of {', '.join(known)}",
            )
    here = current_platform()
    committed = bool(names_in(committed_folder(launch.project, launch.flow)))
    if folder is None or committed:
        files = recipe_files(launch.project, launch.flow, launch.surroundings, here, launch.locate)
        files = tuple(replace(item, needed=_for(item.needed, platforms)) for item in files)
    else:
        make_folder(launch.project, folder)
        files = tuple(_beside(launch, _for(item, platforms), folder) for item in needed(launch.flow, here))
    return tuple(item for item in files if not steps or set(steps) & set(item.needed.steps))


def _folder(launch: Launch) -> Path:
    """Where recipes of a flow for other platforms lie: two flows of one name do not share them."""
    digest = hashlib.sha256(os.fsencode(launch.flow.file)).hexdigest()[:8]
    return adhoc_folder(launch.project) / f"{launch.flow.name}-{digest}"


def _for(item: Needed, platforms: Sequence[str]) -> Needed:
    return replace(item, platforms=tuple(sorted(platforms))) if platforms else item


def _beside(launch: Launch, item: Needed, folder: Path) -> RecipeFile:
    text = recipe_of(launch.project, item, launch.surroundings, folder, launch.flow, launch.locate, emitted=False)
    file = folder / f"{item.name}.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text.text:
        replace_file(file, text.text.encode())
    return RecipeFile(file=file, needed=item, committed=False, said=text.said)
