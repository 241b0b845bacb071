"""What the commands of ``metaflow environment`` do; ``cmd`` has their flags.

Rules of the file: wires; each function is one command, gets its flags by name, and raises what ``shell.told`` says.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import InvalidInput, UnsatisfiableError, UsageError
from envbuild.metaflow import settings
from envbuild.metaflow.making import STAMP
from envbuild.metaflow.shell import (
    Desk,
    one_alias_each,
    platforms_of,
    resolved_trees,
    screen,
    send,
    show_resolved,
    show_states,
)
from envbuild.projects.recipe_files import LINKS

if TYPE_CHECKING:
    from envbuild.environments.state_verbs import State
    from envbuild.session import Session

UNKNOWN = frozenset({"unknown-name", "removed-name", "unknown-id", "no-default", "no-lock", "no-platform"})
"""What a command that looks takes for an environment that is not resolved, and no error."""


def resolve(
    given: Any,
    requirements: Sequence[str],
    files: Sequence[str],
    python: str | None,
    archs: Sequence[str],
    aliases: Sequence[str],
    using: str | None,
    using_pathspec: str | None,
    force: bool,
    dry_run: bool,
    set_default: bool,
    local_only: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Lock what is asked for, have it in the stores, and name it; nothing is named that could not be locked."""
    from envbuild.locks.locking import LockOptions
    from envbuild.machine.virtual import current_platform
    from envbuild.metaflow.adhoc import Wish, adhoc_folder, write_adhoc
    from envbuild.metaflow.telling import told_of_flags

    one_alias_each(aliases, 1)
    if using and using_pathspec:
        raise UsageError("--using and --using-pathspec both say what it stands on: choose one")
    here = current_platform()
    with screen(given, quiet, as_json) as shown, ExitStack() as stack:
        desk = Desk(shown, local_only=local_only)
        if using_pathspec:
            using = _id_of(desk.session(), _source(using_pathspec, pathspec=True))
        wish = Wish(
            requirements=tuple(Path(os.path.abspath(file)) for file in requirements),
            files=tuple(Path(os.path.abspath(file)) for file in files),
            python=python,
            platforms=platforms_of(archs),
            using=using,
        )
        folder = adhoc_folder(desk.project)
        if dry_run:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envbuild-")))
        surroundings = settings.surroundings(desk.project, given.datastore)
        adhoc = write_adhoc(desk.project, wish, surroundings, folder, here)
        recipe = adhoc.file
        session = desk.session(folder)
        options = LockOptions(upgrade=force, upgrade_base=bool(using), set_default=set_default)
        with told_of_flags(adhoc):
            locks = session.lock(recipe, options=options, write=not dry_run)
        if not dry_run:
            session.keep(locks[0].lock)
            send(session, desk.project, [(recipe, item.platform) for item in locks[0].lock.platforms], shown)
            for name in aliases:
                moved = session.alias(recipe, name)
                shown.say(f"{moved.now.name} is generation {moved.now.number}: {moved.now.named}")
        show_resolved(shown, locks, (), dry_run=dry_run)
        shown.document({"environments": resolved_trees(locks[0], ()), "dry-run": dry_run, "names": list(aliases)})


def create(
    given: Any,
    env: str,
    name: str | None,
    pathspec: bool,
    into_dir: str | None,
    install_notebook: bool,
    strict: bool,
    force: bool,
    local_only: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Realize an environment, with a link, a kernel or the step's code where that is asked for."""
    from envbuild.environments.kernels import kernel_name
    from envbuild.environments.realized import RealizeOptions
    from envbuild.machine.home import find_home
    from envbuild.metaflow.importable import importable
    from envbuild.metaflow.into_folder import LINK, check_folder, code_of, fill

    if install_notebook and not name:
        raise UsageError("a kernel has a name: --install-notebook --name NAME")
    if strict and not into_dir:
        raise UsageError("--strict is about the code of --into-dir")
    source = _source(env, pathspec=pathspec)
    with screen(given, quiet, as_json) as shown:
        desk = Desk(shown, local_only=local_only)
        session = desk.session()
        folder = Path(os.path.abspath(into_dir)) if into_dir else None
        code = None
        if folder is not None:
            check_folder(folder, force=force)
            code = code_of(source, strict=strict, say=shown.say)
        own = importable(find_home(os.environ) / "cache")
        search = (*((str(folder),) if folder is not None else ()), str(own))
        if install_notebook:
            display = f"Metaflow {name}"
            kernel, realized = session.kernel_install(source, name=name, display=display, search=search, force=force)
            shown.say(f"Installed the kernel {kernel.name} ({kernel.display})")
        else:
            link = desk.project.root / LINKS / kernel_name(name) if name else None
            options = RealizeOptions(out_link=link, link=link is not None, stamp=STAMP)
            (realized,) = session.realize(source, options=options)
        if folder is not None:
            fill(folder, realized, code, search)
            kept = RealizeOptions(out_link=folder / LINK)
            session.realize(f"id:{realized.request}:{realized.environment}", options=kept)
            shown.say(f"{folder} is ready: {folder / 'python'} starts in it")
        python = str(realized.prefix / "bin" / "python")
        document = {
            "python": python,
            "prefix": str(realized.prefix),
            "name": realized.name,
            "platform": realized.platform,
            "id": f"{realized.request}:{realized.environment}",
            "packages": realized.packages,
            "kernel": kernel_name(name) if name and install_notebook else None,
            "folder": str(folder) if folder is not None else None,
        }
        if shown.document(document):
            return
        shown.result(python)
        shown.say(f"Realized {realized.name} ({realized.platform}): {realized.packages} packages, {shown.elapsed()}")


def show(
    given: Any, envs: Sequence[str], pathspec: bool, archs: Sequence[str], local_only: bool, quiet: bool, as_json: bool
) -> None:
    """Say what there is of environments; one that nobody has resolved is no error."""
    from envbuild.metaflow.deriving import with_bases

    platforms = platforms_of(archs)
    with screen(given, quiet, as_json) as shown:
        desk = Desk(shown, local_only=local_only)
        session = desk.session()
        rows: list[tuple[str, str, State | None]] = []
        for env in envs:
            for platform in platforms or (None,):
                state = state_of(session, _source(env, pathspec=pathspec), platform)
                if state is not None:
                    state = with_bases(desk.project, state)
                rows.append((env, platform or (state.platform if state is not None else "-"), state))
        show_states(shown, rows)


def state_of(session: Session, source: str | Path, platform: str | None) -> State | None:
    """What there is of an environment; None when it is not resolved."""
    try:
        return session.state(source, platform=platform)
    except (InvalidInput, UnsatisfiableError) as error:
        if error.reference in UNKNOWN:
            return None
        raise


def alias(given: Any, env: str, alias: str, pathspec: bool, local_only: bool, quiet: bool, as_json: bool) -> None:
    """Let a name mean an environment."""
    from envbuild.cli.screen_names import show_moved

    with screen(given, quiet, as_json) as shown:
        show_moved(shown, Desk(shown, local_only=local_only).session().alias(_source(env, pathspec=pathspec), alias))


def get(given: Any, env: str, default: bool, pathspec: bool, archs: Sequence[str], quiet: bool, as_json: bool) -> None:
    """Print the whole ids that something means, as ``resolve`` does."""
    platforms = platforms_of(archs)
    with screen(given, quiet, as_json) as shown:
        meant = Desk(shown).session().get(_source(env, pathspec=pathspec))
        if default and meant.default_of is None:
            raise UsageError(f"--default is of a request, and {env} is none")
        found = [item for item in meant.named.environments if not platforms or item[0] in platforms]
        if not found:
            have = ", ".join(platform for platform, _ in meant.named.environments)
            raise UnsatisfiableError(f"{env} is for {have}, not for {', '.join(platforms)}", reference="no-platform")
        generation = meant.generation
        document = {
            "environments": [
                {"id": f"{meant.named.request}:{identity}", "platform": platform} for platform, identity in found
            ],
            "name": str(generation.name) if generation is not None else None,
            "generation": generation.number if generation is not None else None,
        }
        if shown.document(document):
            return
        for platform, identity in found:
            shown.result(f"{meant.named.request}:{identity} {platform}")
        if generation is not None:
            shown.say(f"{generation.name} is generation {generation.number}")


def listed(given: Any, quiet: bool, as_json: bool) -> None:
    """List the environments of this machine."""
    from envbuild.cli.as_json import tree

    with screen(given, quiet, as_json) as shown:
        found = Desk(shown).session().environments()
        if shown.document({"environments": tree(found)}):
            return
        if shown.quiet:
            for item in found:
                identity = f"{item.request}:{item.environment}" if item.request and item.environment else "-"
                shown.result(f"{identity} {item.platform or '-'} {item.name or '-'} {item.prefix}")
            return
        rows = [
            (
                item.name or "-",
                item.platform or "-",
                item.environment[:12] or "-",
                str(item.packages or "-"),
                str(item.prefix),
            )
            for item in found
        ]
        shown.table(("environment", "platform", "id", "packages", "prefix"), rows)


def collect(given: Any, dry_run: bool, keep_days: int, quiet: bool, as_json: bool) -> None:
    """Remove what nothing keeps and nobody used lately."""
    with screen(given, quiet, as_json) as shown:
        shown.collected(Desk(shown).session().gc(dry_run=dry_run, keep_days=keep_days), dry_run=dry_run)


def _source(text: str, *, pathspec: bool) -> str:
    """What is named, as envbuild takes it."""
    return f"step:{text.removeprefix('step:')}" if pathspec else text


def _id_of(session: Session, source: str) -> str:
    """The one environment that a step of a past run had, by its whole id."""
    named = session.get(source).named
    return f"{named.request}:{named.environments[0][1]}"
