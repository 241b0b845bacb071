"""The environments of a flow are made to exist: what is there is found by stamps, the rest is one graph.

Rules of the file: wires; says what a user must know.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.environments.stamp import read_stamp, stamp_path
from envbuild.machine.home import find_home
from envbuild.metaflow.debugging import say
from envbuild.metaflow.emitting import RecipeFile
from envbuild.metaflow.entering import Present
from envbuild.metaflow.telling import told_of_decorators
from envbuild.projects.project import shown_path

if TYPE_CHECKING:
    from envbuild.metaflow.launching import Launch

STAMP = ("metaflow",)
"""The options that a run's stamps are kept under."""


def present(launch: Launch, files: Sequence[RecipeFile]) -> list[Present]:
    """The environments of recipes, in their order, made where they are not there.

    Args:
        launch: The flow.
        files: Its recipes.

    Raises:
        EnvbuildError: When one cannot be made; it is told of decorators.
    """
    home = find_home(os.environ)
    there = [None if item.moving else _stamped(home, item) for item in files]
    for item, known in zip(files, there, strict=True):
        say(f"found: {item.needed.said}: {known.prefix if known is not None else 'nothing that fits'}")
    found = [item for item in there if item is not None]
    if len(found) == len(files) and _held(home, found):
        return found
    with told_of_decorators(files, launch.locate):
        return list(_made(launch, files, home))


def _held(home: Path, found: Iterable[Present]) -> bool:
    """Hold environments as long as this process lives: tasks start in them until then. False when one is gone."""
    from envbuild.machine.in_use import hold

    return all(hold(home, prefix) for prefix in dict.fromkeys(item.prefix for item in found))


def _stamped(home: Path, item: RecipeFile) -> Present | None:
    """The environment of a recipe, when an earlier run made it and nothing has changed since."""
    stamp = read_stamp(stamp_path(home, item.file, STAMP))
    if stamp is None:
        return None
    known = stamp.summary
    return Present(
        prefix=Path(stamp.prefix),
        name=known["name"],
        platform=known["platform"],
        environment=known["environment"],
        request=known["request"],
        variables=known["variables"],
        python=str(Path(stamp.prefix, "bin", "python")),
    )


def _made(launch: Launch, files: Sequence[RecipeFile], home: Path) -> Iterable[Present]:
    from envbuild.environments.realized import RealizeOptions
    from envbuild.locks.locking import LockOptions
    from envbuild.metaflow.reaching import Reach

    made = [item for item in files if not item.committed]
    session = launch.session({item.file.parent for item in files}, before=Reach(files, launch.echo))
    for item in files:
        if words := _words(item):
            launch.echo(f"Environment of {item.needed.said} {words}")
    bases = {item.needed.asked.base.text for item in files if item.needed.asked.base is not None}
    recipes = [base for base in sorted(bases) if base.endswith((".yaml", ".yml")) and _has_lock(Path(base))]
    session.check(*map(Path, recipes), *(item.file for item in files if item.committed))
    if made:
        locks = session.lock(*(item.file for item in made), options=LockOptions(upgrade_base=True))
        for item, lock in zip(made, locks, strict=True):
            state = "written" if lock.written else "fits as it is"
            say(f"locked: {item.needed.said}: {state}, request {lock.request.id}")
    done = session.realize(*(item.file for item in files), mode="locked", options=RealizeOptions(stamp=STAMP))
    for item, realized in zip(files, done, strict=True):
        launch.echo(_closing(item, realized))
        say(f"realized: {item.needed.said}: environment {realized.environment} in {realized.prefix}")
    found = [
        Present(
            prefix=item.prefix,
            name=item.name,
            platform=item.platform,
            environment=item.environment,
            request=item.request,
            variables=dict(item.variables),
            python=str(item.prefix / "bin" / "python"),
        )
        for item in done
    ]
    _held(home, found)  # nothing is collected before the session is closed
    session.close()  # a run may last for days, and a collection would wait for it
    return found


def _has_lock(recipe: Path) -> bool:
    from envbuild.locks.place import lock_path

    return lock_path(recipe).is_file()


def _words(item: RecipeFile) -> str:
    """What an environment stands on, in words, when it is not the code alone."""
    if item.committed:
        return f"is as {shown_path(item.file)} and its lock say"
    base = item.needed.asked.base
    if base is None:
        return ""
    return f"stands on {Path(base.text).name if base.kind == 'recipe' else base.text}"


def _closing(item: RecipeFile, realized: Any) -> str:
    from envbuild.cli.wording import count, seconds

    if realized.present:
        return f"Environment of {item.needed.said} is there: {count(realized.packages, 'package')}"
    further = "".join(
        f", {number} {what}" for number, what in ((realized.pulled, "from stores"), (realized.built, "built")) if number
    )
    return (
        f"Environment of {item.needed.said} is ready: {count(realized.packages, 'package')}, "
        f"{realized.fetched} fetched{further}, {seconds(realized.milliseconds)}"
    )
