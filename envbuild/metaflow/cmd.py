"""``metaflow environment …``: environments without a flow at hand, as a command of Metaflow's own command line.

Everything is a shell on ``envbuild.Session``: what is resolved here is what ``envbuild`` shows, names and realizes.
Metaflow prints its own title to stdout; here it goes to stderr, so that scripts read results alone.

Rules of the file: Metaflow's own copy of click; everything else is imported when a command runs, for a step may start
one with whatever Python it has.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from metaflow._vendor import click

from envbuild.metaflow.names import IMAGE, TOLD

_OF_STEPS = ("PYTHONNOUSERSITE", "VIRTUAL_ENV", "CONDA_PREFIX", "ENVBUILD_ACTIVE_PREFIX", TOLD)
"""Variables that a step's environment sets for itself."""

_FILE = click.Path(dir_okay=False)


class _Titled(click.Group):
    """What Metaflow joins to its own commands; it gets the command before it prints its title."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; from here on stdout is the screen's until the command itself begins."""
        found = super().get_command(ctx, cmd_name)
        if found is not None and isinstance(found, _Group):
            found.stdout, sys.stdout = sys.stdout, sys.stderr
            ctx.call_on_close(found.give_back)
        return found


class _Group(click.Group):
    """The commands about environments."""

    stdout: Any = None

    def give_back(self) -> None:
        """Let stdout be stdout again."""
        if self.stdout is not None:
            sys.stdout, self.stdout = self.stdout, None

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Metaflow has said its title."""
        self.give_back()
        return super().make_context(*arguments, **options)


@click.group(cls=_Titled)
def cli() -> None:
    """What Metaflow joins to its own commands."""


@cli.group(cls=_Group, help="Environments: resolve, create, show, name and list them.")
@click.option("--quiet", is_flag=True, help="Results alone, in lines that scripts read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, errors too.")
@click.option("--metadata", metavar="TYPE", help="Where past runs are looked up.")
@click.option("--datastore", metavar="TYPE", help="Whose needs a step has, and beside which one the store is.")
@click.option("--environment", metavar="TYPE", help="Accepted; environments are envbuild's.")
@click.option("--conda-root", metavar="DIR", help="Accepted; no conda is needed.")
@click.pass_context
def environment(
    ctx: Any,
    quiet: bool,
    as_json: bool,
    metadata: str | None,
    datastore: str | None,
    environment: str | None,
    conda_root: str | None,
) -> None:
    """The group of commands."""
    _leave_the_step()
    from envbuild.metaflow.shell import told

    ctx.obj = _Given(quiet, as_json, datastore)
    if metadata is not None:
        told(_look_in)(ctx.obj, metadata)


def _leave_the_step() -> None:
    """Inside of a step become the same command of the Python that launched the flow: there envbuild is whole.

    Raises:
        ClickException: On another machine, where there is none.
    """
    if sys.version_info >= (3, 10) and find_spec("rattler") is not None:
        return
    python = os.environ.get("METAFLOW_ENV_ESCAPE_PY", "") if IMAGE not in os.environ else ""
    if not os.access(python, os.X_OK) or python == sys.executable:
        raise click.ClickException(
            "envbuild is not installed in this environment: start the command from a step with disabled=True, "
            "or let the step have the package envbuild[metaflow]"
        )
    variables = {name: value for name, value in os.environ.items() if name not in _OF_STEPS}
    variables["PYTHONPATH"] = os.environ.get("METAFLOW_ENV_ESCAPE_PATHS", "")
    for name in ("LD_LIBRARY_PATH", "PYTHONHOME"):
        if variables.get(f"MF_ORIG_{name}"):
            variables[name] = variables[f"MF_ORIG_{name}"]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [python, "-m", "metaflow.cmd.main_cli", *sys.argv[1:]], variables)  # noqa: S606


def _look_in(_: Any, metadata: str) -> None:
    """Look past runs up there.

    Raises:
        UsageError: When Metaflow knows no such place.
    """
    from metaflow.plugins import METADATA_PROVIDERS

    from envbuild.errors import UsageError

    word = metadata.partition("@")[0]
    if word not in {provider.TYPE for provider in METADATA_PROVIDERS}:
        raise UsageError(f"--metadata {metadata[:40]!r}: Metaflow has no such metadata provider")
    import metaflow

    metaflow.metadata(metadata)


class _Given:
    """What the group was given."""

    def __init__(self, quiet: bool, as_json: bool, datastore: str | None) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._datastore = datastore

    @property
    def datastore(self) -> str:
        """The type of the datastore.

        Raises:
            UsageError: For one that Metaflow does not have.
        """
        from metaflow.metaflow_config import DEFAULT_DATASTORE
        from metaflow.plugins import DATASTORES

        from envbuild.errors import UsageError

        chosen = self._datastore or DEFAULT_DATASTORE
        known = [item.TYPE for item in DATASTORES if item.TYPE != "spin"]  # a place that Metaflow alone chooses
        if chosen not in known:
            raise UsageError(f"--datastore {chosen[:40]!r}: Metaflow has {', '.join(known)}")
        return str(chosen)


_quiet = click.option("--quiet", is_flag=True, help="Results alone, in lines that scripts read.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, errors too.")
_local_only = click.option("--local-only", is_flag=True, help="Ask no shared store.")
_pathspec = click.option("--pathspec", is_flag=True, help="What is named is a step of a past run: Flow/run/step.")
_archs = click.option("--arch", "archs", multiple=True, metavar="PLATFORM", help="For this platform; repeatable.")


@environment.command(help="Resolve an environment from files, or one that stands on another; print its id.")
@click.option("-r", "--requirement", "requirements", multiple=True, type=_FILE, help="A requirements.txt; repeatable.")
@click.option("-f", "--file", "files", multiple=True, type=_FILE, help="An environment.yml; repeatable.")
@click.option("--python", metavar="VERSIONS", help="Its Python [default: the X.Y that runs Metaflow].")
@_archs
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Name it so; repeatable.")
@click.option("--using", metavar="NAME", help="Stand on this environment: a name, an id or a recipe.")
@click.option("--using-pathspec", metavar="PATHSPEC", help="Stand on the environment of this step.")
@click.option("--force", is_flag=True, help="Solve it anew, whatever is locked.")
@click.option("--dry-run", is_flag=True, help="Solve it; write, fetch and name nothing.")
@click.option("--set-default", is_flag=True, help="Let it be what its request means, for others too.")
@_local_only
@_json
@_quiet
@click.pass_obj
def resolve(given: Any, **options: Any) -> None:
    """Lock what is asked for, send it to the stores, and name it."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.resolve)(given, **options)


@environment.command(help="Make an environment exist here; print its Python.")
@click.argument("env", metavar="ENV")
@click.option("--name", metavar="NAME", help="What its link, or its kernel, is called.")
@_pathspec
@click.option("--into-dir", type=click.Path(file_okay=False), help="Put the step's code there, and how to start it.")
@click.option("--install-notebook", is_flag=True, help="Install a Jupyter kernel that runs in it; needs --name.")
@click.option("--strict", is_flag=True, help="Fail when there is no code of the step to put --into-dir.")
@click.option("--force", is_flag=True, help="Replace a kernel, or what is in the folder.")
@_local_only
@_json
@_quiet
@click.pass_obj
def create(given: Any, **options: Any) -> None:
    """Realize an environment."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.create)(given, **options)


@environment.command(help="Show environments: unresolved, resolved, cached or present, and what they derive from.")
@click.argument("envs", nargs=-1, required=True, metavar="ENV...")
@_pathspec
@_archs
@_local_only
@_json
@_quiet
@click.pass_obj
def show(given: Any, **options: Any) -> None:
    """Say what there is of environments."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.show)(given, **options)


@environment.command(help="Name an environment.")
@click.argument("env", metavar="ENV")
@click.argument("alias", metavar="NAME")
@_pathspec
@_local_only
@_json
@_quiet
@click.pass_obj
def alias(given: Any, **options: Any) -> None:
    """Let a name mean an environment."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.alias)(given, **options)


@environment.command(help="Print the ids that a name, a request or a step means.")
@click.argument("env", metavar="ENV")
@click.option("--default", is_flag=True, help="What is named is a request: its default environment.")
@_pathspec
@_archs
@_json
@_quiet
@click.pass_obj
def get(given: Any, **options: Any) -> None:
    """Say what something means."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.get)(given, **options)


@environment.command(name="list", help="List the environments of this machine.")
@_json
@_quiet
@click.pass_obj
def list_environments(given: Any, **options: Any) -> None:
    """List what is here."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.listed)(given, **options)


@environment.command(help="Remove environments that nothing keeps and nobody used lately.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@click.option(
    "--keep-days", type=click.IntRange(min=0), default=14, show_default=True, help="Keep what was used since."
)
@_json
@_quiet
@click.pass_obj
def gc(given: Any, **options: Any) -> None:
    """Collect what nothing needs."""
    from envbuild.metaflow import commanding
    from envbuild.metaflow.shell import told

    told(commanding.collect)(given, **options)
