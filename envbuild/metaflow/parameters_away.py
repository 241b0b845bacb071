"""The parameters of a flow on a node, before the environment is there that a task starts in.

Metaflow keeps them in its datastore, and only the words of a task say where: the paths of its inputs. The first step of
a deployment finds them in variables, which its scheduler fills, and writes them into the datastore itself; what it does
so is one of the task's words, too. So a node waits with such a step's environment until the task starts (``waiting``).

Rules of the file: on nodes only, and only where a name has parameters in it; Metaflow is that of the code package.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from envbuild.errors import InvalidInput, UnreachableError
from envbuild.metaflow.late_away import WORDS


def waiting(step: str, node: str) -> str:
    """A program that stands where a step's own will: it has that made, and becomes it.

    Args:
        step: ``Flow/step``.
        node: The folder of what was brought to the node.
    """
    enter = shlex.join([f"{node}/bin/envbuild-node", "enter", step])
    return (
        "#!/bin/sh\n"
        f'{WORDS}=$(printf "%s\\n" "$@")\n'
        f'program=$({WORDS}="${WORDS}" {enter}) || exit\n'
        'exec "$program" "$@"\n'
    )


def of_task(wanted: Mapping[str, Sequence[str]], environ: Mapping[str, str], flow: str) -> dict[str, str]:
    """The values of parameters, by the variables that stand for them.

    Args:
        wanted: By variable: the attribute of the flow, the variable that a scheduler fills, its type.
        environ: The node's variables, with the words of the task where these are known.
        flow: The name of the flow.

    Raises:
        InvalidInput: ``unknown-variable`` for one that nothing says. UnreachableError: ``no-parameters``.
    """
    words = environ.get(WORDS, "").split("\n")
    paths = option(words, "--input-paths")
    file = option(words, "--input-paths-filename")
    if not paths and file:
        paths = Path(file).read_text(encoding="utf-8").strip(" \n\"'")
    if paths:
        kind, root = option(words, "--datastore"), option(words, "--datastore-root")
        found = _read(flow, kind, root, paths, [attribute for attribute, _, _ in wanted.values()])
        return {variable: found[attribute] for variable, (attribute, _, _) in wanted.items()}
    return {variable: _as(kind, environ[filled]) for variable, (_, filled, kind) in wanted.items() if filled in environ}


def option(words: Iterable[str], name: str) -> str | None:
    """What stands behind an option, in the same word or in the next; the last time that it does."""
    found, before = None, ""
    for word in words:
        if before == name:
            found = word
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
        before = word
    return found


def _as(kind: str, text: str) -> str:
    """What a parameter of a type would be as text that was given as text: 1 is 1.0 there."""
    with contextlib.suppress(ValueError):
        if kind in {"int", "integer"}:
            return str(int(text))
        if kind == "float":
            return str(float(text))
    return text


def _read(flow: str, kind: str | None, root: str | None, paths: str, attributes: Sequence[str]) -> dict[str, str]:
    """Parameters that a task before has in Metaflow's datastore."""
    with metaflow_of_package():
        from metaflow.datastore import FlowDataStore
        from metaflow.plugins import DATASTORES
        from metaflow.util import decompress_list

        parent = decompress_list(paths)[0]
        try:
            (storage,) = [item for item in DATASTORES if kind == item.TYPE]
            task = FlowDataStore(flow, storage_impl=storage, ds_root=root).get_task_datastore(*parent.split("/"))
            return {attribute: str(task[attribute]) for attribute in attributes}
        except KeyError as error:
            raise InvalidInput(f"{flow}/{parent} has no parameter {error}", reference="unknown-variable") from None
        except Exception as error:  # whatever the library of a cloud says
            why = " ".join(str(error).split())[:300] or type(error).__name__
            said = f"the parameters of {flow}/{parent} could not be read from Metaflow's datastore: {why}"
            raise UnreachableError(said, reference="no-parameters") from None


@contextlib.contextmanager
def metaflow_of_package() -> Iterator[None]:
    """Metaflow can be imported, as it lies in the code package; what it prints is no result."""
    code = str(Path.cwd() / ".mf_code")
    if code not in sys.path:
        sys.path.append(code)
    with contextlib.redirect_stdout(sys.stderr):
        yield
