"""``fetch_at_exec``: an environment that is looked up when a task starts, and not before.

A task of such a step starts as this program, in the Python that runs the flow. It replaces the variables in the name,
asks what the name means now, makes that exist, and becomes the task. So the search takes no time of the flow's own
process, what goes wrong stands in the task's log, and a retry asks again. Nothing is solved: the environment is used as
it was locked, which is why it must hold what Metaflow itself needs.

A task that Metaflow runs here because its attempts on another machine have failed (``@catch``) starts so, too: it is
made here only then. Where that cannot be, the task runs outside, and it is said: it is there to save the run.

Rules of the file: what ``main`` needs is imported there; a task is waiting.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import EnvbuildError
from envbuild.metaflow import settings
from envbuild.metaflow.names import TOLD
from envbuild.metaflow.standing import SOURCES
from envbuild.metaflow.substituting import OF_PARAMETER, parameter_variable, substituted, variables
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.metaflow.away import Away
    from envbuild.metaflow.collecting import Step
    from envbuild.metaflow.launching import Launch

_PROGRAM = "import sys; sys.path[:1] = []; from envbuild.metaflow.late import main; main()"
"""The flow's folder is no place to import from: a user's ``json.py`` may lie there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """How tasks of a step start whose environment is looked up then.

    Attributes:
        source: What names it, with variables: ``name:``, ``step:`` or ``id:`` and more.
        store: The address of the one store that it comes from; None for those that are configured.
        closure: Of an id.
        last: Whether attempts elsewhere have failed before.
        said: Whose it is, for people.
        step: ``Flow/step``.
        flow: The folder of the flow.
        folder: What a step imports of Metaflow and envbuild; ``behind``: what it imports from outside.
        needs: Names of packages that Metaflow needs there.
        flags: Settings of the session that looks it up, and ``environ``: variables over the process's own.
    """

    source: str
    said: str
    step: str
    flow: Path
    folder: Path
    behind: Path
    needs: tuple[str, ...]
    flags: Mapping[str, str]
    environ: Mapping[str, str]
    store: str | None = None
    closure: str | None = None
    last: bool = False

    def command(self, cli_args: Any, datastore: Any, keep: Sequence[str]) -> list[str]:
        """The words that a task's command begins with, before those of Metaflow.

        Args:
            cli_args: Metaflow's, of the task.
            datastore: That of the run, which has the parameters.
            keep: Variables that somebody has set for this step, and that stay as they are.
        """
        wanted = {
            "source": self.source,
            "store": self.store,
            "closure": self.closure,
            "last": self.last,
            "said": self.said,
            "step": self.step,
            "flow": str(self.flow),
            "folder": str(self.folder),
            "behind": str(self.behind),
            "needs": list(self.needs),
            "flags": dict(self.flags),
            "environ": dict(self.environ),
            "keep": list(keep),
            "values": _values(self.source, cli_args, datastore),
        }
        return [sys.executable, "-c", _PROGRAM, json.dumps(wanted)]


def late(
    launch: Launch, away: Mapping[str, Away], folder: Path, behind: Path
) -> tuple[dict[str, Late], dict[str, Late]]:
    """How tasks of the steps start here whose environment is looked up then, by step; and those that failed elsewhere.

    Args:
        launch: The flow.
        away: What commands for other machines say, by step.
        folder: See ``Late``.
        behind: See ``Late``.
    """
    environ = settings.environ()

    def one(step: Step, source: str, **more: Any) -> Late:
        return Late(
            source=source,
            said=f"step {step.name}",
            step=f"{launch.flow.name}/{step.name}",
            flow=launch.flow.file.parent,
            folder=folder,
            behind=behind,
            flags=settings.flags(launch.project),
            environ={key: value for key, value in environ.items() if os.environ.get(key) != value},
            last=step.remote is not None,
            **more,
        )

    here: dict[str, Late] = {}
    back: dict[str, Late] = {}
    for step in launch.flow.steps:
        if step.asked is not None and step.asked.late and step.asked.base is not None:
            base = step.asked.base
            found = one(step, f"{SOURCES[base.kind]}:{base.text}", needs=tuple(launch.surroundings.needs))
            (here if step.remote is None else back)[step.name] = found
        elif (known := away.get(step.name)) is not None and known["id"] is not None:
            request, environment, closure = known["id"]
            back[step.name] = one(step, f"id:{request}:{environment}", needs=(), store=known["store"], closure=closure)
    return here, back


def _values(text: str, cli_args: Any, datastore: Any) -> dict[str, str]:
    """What Metaflow knows of a task, for the variables of a name; of the one that it was before when it is spun."""
    task, spun = cli_args.task, getattr(cli_args, "spin_pathspec", None)
    _, run, _, number = spun.split("/") if spun else ("", task.run_id, "", task.task_id)
    values = {
        "METAFLOW_RUN_ID": str(run),
        "METAFLOW_RUN_ID_BASE": str(run),
        "METAFLOW_STEP_NAME": task.step,
        "METAFLOW_TASK_ID": str(number),
    }
    if any(name.startswith(OF_PARAMETER) for name in variables(text)):
        parent = datastore.get_task_datastore(*task.input_paths[0].split("/")[:3])
        for attribute, parameter in task.flow._get_parameters():
            for name in {parameter_variable(parameter.name), parameter_variable(attribute)} & {*variables(text)}:
                values[name] = str(parent[attribute])
    return values


def main() -> None:
    """Look an environment up, make it exist, and become the task in it; the words of the command say which and what."""
    wanted, words = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        _become(wanted, words)
    except EnvbuildError as error:
        from envbuild.cli.errors import say_error

        error.message = f"{wanted['said']}: {error.message}"
        say_error(error)
        if not wanted["last"]:
            raise SystemExit(error.exit_code) from None
        sys.stderr.write(f"note: {wanted['said']} runs outside of its environment, for it has failed elsewhere\n")
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *words], {**os.environ, TOLD: ""})  # noqa: S606  the task


def _become(wanted: Mapping[str, Any], words: Sequence[str]) -> None:
    from envbuild.cli.render import QuietReporter
    from envbuild.environments.realized import RealizeOptions
    from envbuild.machine.home import find_home
    from envbuild.machine.in_use import hold
    from envbuild.metaflow.entering import Present, entrance
    from envbuild.metaflow.lacking import check_needs
    from envbuild.session import Session

    kind, _, named = wanted["source"].partition(":")
    text = substituted(named, {**os.environ, **wanted["values"]})
    source = f"{kind}:{text}"
    environ = {**os.environ, **wanted["environ"]}
    session = Session(
        Path(wanted["flow"]),
        reporter=QuietReporter(),
        flags=wanted["flags"],
        environ=environ,
        offline=os.environ.get("ENVBUILD_OFFLINE", "").lower() in {"1", "true", "yes", "on"},
        stores=[wanted["store"]] if wanted["store"] else [],
        only_stores=wanted["store"] is not None,
    )
    (realized,) = session.realize(source, mode="locked", options=RealizeOptions(closure=wanted["closure"]))
    check_needs(session, text, realized, wanted["needs"])
    sys.stdout.write(f"Environment of {wanted['said']}: {text} is {realized.environment}\n")
    sys.stdout.flush()
    present = Present(
        prefix=realized.prefix,
        name=realized.name,
        platform=realized.platform,
        environment=realized.environment,
        request=realized.request,
        variables=dict(realized.variables),
        python=str(realized.prefix / "bin" / "python"),
    )
    hold(find_home(environ), realized.prefix)  # as long as the task lives, which this process becomes
    enter = entrance(present, Path(wanted["folder"]), Path(wanted["behind"]), wanted["step"])
    kept = {*wanted["keep"]} - {"PATH"}  # it begins with the environment's programs, and goes on as somebody has set it
    variables = dict(os.environ) | {name: value for name, value in enter.variables if name not in kept}
    command = [*enter.before, enter.python, *words]
    os.execvpe(command[0], command, variables)  # noqa: S606  the task
