"""Before something is solved or fetched for a flow: which steps need it, from where, and whether that can be reached.

One line says it, and a place that does not answer ends the launch there and then, before anybody has waited for
retries. Where nothing is missing, nobody is asked and nothing said.

Rules of the file: words; which places those are, and who answers, is ``envbuild.environments.asking``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.environments.asking import Needs, Source, sources, unreached
from envbuild.errors import EnvbuildError, UnreachableError, several
from envbuild.machine.credentials import redact

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace
    from envbuild.metaflow.emitting import RecipeFile


class Reach:
    """Told what each recipe of a flow needs done; see ``environments.asking.Before``.

    Args:
        files: The recipes of the flow.
        echo: Says a line.
    """

    def __init__(self, files: Sequence[RecipeFile], echo: Callable[[str], Any]) -> None:
        self._files = files
        self._echo = echo
        self._answered: set[Source] = set()

    def __call__(self, needs: Sequence[Needs], workspace: Workspace) -> None:
        """Ask each place once, and say who needs it.

        Raises:
            UnreachableError: ``unreachable``, for each place that does not answer.
        """
        asked: dict[Source, dict[str, None]] = {}
        for item in needs:
            for source in sources(item.derivations, workspace):
                asked.setdefault(source, {}).update(dict.fromkeys(self._steps(item.recipe)))
        new = [source for source in asked if source not in self._answered]
        silent = unreached(new, workspace)
        self._answered |= set(new) - silent.keys()
        if said := self._line([source for source in new if source.kind != "server"], asked, silent):
            self._echo(said)
        if silent:
            raise several([_unreached(source, asked[source], error) for source, error in silent.items()])

    def _steps(self, recipe: Path) -> Iterable[str]:
        """The steps that run in the environment of a recipe, or in one that stands on it."""
        own = next((item for item in self._files if item.file == recipe), None)
        if own is not None:
            return own.needed.steps
        bases = [item for item in self._files if item.needed.asked.base and item.needed.asked.base.text == str(recipe)]
        return [step for item in bases or self._files for step in item.needed.steps]

    def _line(
        self,
        said: Sequence[Source],
        asked: dict[Source, dict[str, None]],
        silent: Collection[Source],
    ) -> str:
        groups: dict[tuple[str, ...], list[Source]] = {}
        for source in said:
            groups.setdefault(tuple(asked[source]), []).append(source)
        parts = [
            f"{_subject(steps, 'need')} {' and '.join(_place(item, silent) for item in items)}"
            for steps, items in groups.items()
        ]
        line = "; ".join(parts)
        return line[:1].upper() + line[1:]


def _place(source: Source, silent: Collection[Source]) -> str:
    return f"{source.kind} {redact(source.address)} ({'not reached' if source in silent else 'reached'})"


def _unreached(source: Source, steps: Iterable[str], error: EnvbuildError) -> EnvbuildError:
    what = f"{_subject(tuple(steps), 'need')} the {source.kind} {redact(source.address)}"
    return UnreachableError(
        f"{what}: {error.message}",
        hint="try again later, or set a mirror in your configuration",
        retryable=True,
    )


def _subject(steps: Sequence[str], verb: str) -> str:
    return f"step {steps[0]} {verb}s" if len(steps) == 1 else f"steps {', '.join(steps)} {verb}"
