"""Progress on a terminal. The only importer of rich."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from envbuild.cli.errors import printable
from envbuild.cli.wording import size_text
from envbuild.digest import Digest, short
from envbuild.job import Job
from envbuild.reporter import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress


class QuietReporter(Reporter):
    """Says nothing."""


class TerminalReporter(Reporter):
    """Progress on a terminal; notes and failures everywhere."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._progress: Progress | None = None
        self._tasks: dict[tuple[Digest, Digest | None], Any] = {}
        self._whole: Any = None
        self._recipes = ""
        self._needed: Counter[str] = Counter()
        self._notes: set[str] = set()

    def plan_made(self, summary: Any) -> None:
        """Begin the display when there is something to do."""
        self._needed = Counter(dict(summary.needed))
        total = self._needed.total()
        if not self._moves or not total:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.close()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        self._whole = self._progress.add_task("", total=total, told="")
        self._show_whole()

    def plan_grown(self, summary: Any) -> None:
        """There is more to do."""
        if self._progress is None:
            self.plan_made(summary)
            return
        self._needed += Counter(dict(summary.needed))
        self._progress.update(self._whole, total=self._needed.total())
        self._show_whole()

    def recipe_ended(self, recipe: str, state: str, ended: int, total: int) -> None:
        """One of several recipes has ended."""
        self._recipes = f"{ended}/{total} recipes"
        self._show_whole()

    def _show_whole(self) -> None:
        """The line of the whole: what there is to do, and how much of it is done."""
        if self._progress is None:
            return
        task = next(task for task in self._progress.tasks if task.id == self._whole)
        what = ", ".join(f"{number} {kind}" for kind, number in sorted(self._needed.items()))
        done = f"{task.completed:.0f}/{task.total:.0f}"
        told = f"{done}, {self._recipes}" if self._recipes else done
        self._progress.update(self._whole, description=what, told=told)

    def started(self, job: Job) -> None:
        """Show a job."""
        if self._progress is not None:
            verb = {"prepare": "unpack", "pull": "pull", "realise": job.derivation.kind}[job.phase]
            label = short(job.input or "") if job.phase == "prepare" else job.derivation.label
            self._tasks[job.key, job.input] = self._progress.add_task(
                f"  {verb} {label}", total=job.derivation.size if job.phase == "realise" else None, told=""
            )

    def progress(self, key: Digest, done: int, total: int | None) -> None:
        """Move a job's bar."""
        if self._progress is not None and (key, None) in self._tasks:
            told = f"{size_text(done)}/{size_text(total)}" if total else size_text(done)
            self._progress.update(self._tasks[key, None], completed=done, total=total, told=told)

    def finished(self, job: Job, milliseconds: int, size: int) -> None:
        """A job is done."""
        self._gone(job)
        if self._progress is not None and job.phase != "prepare":
            self._progress.advance(self._whole)
            self._show_whole()

    def missed(self, job: Job) -> None:
        """What was to be pulled is gone; it will be done."""
        self._gone(job)

    def failed(self, job: Job, error: BaseException) -> None:
        """A job failed; the error itself is said at the end."""
        self._gone(job)

    def note(self, text: str) -> None:
        """Something that a user must know, said once."""
        if text in self._notes:
            return
        self._notes.add(text)
        line = f"note: {printable(text)}"
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            with suppress(OSError):  # the work goes on when nobody reads notes
                click.echo(line, err=True)

    def ended(self, milliseconds: int) -> None:
        """The run is over."""
        self.close()

    def close(self) -> None:
        """Take the display away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    def _gone(self, job: Job) -> None:
        if self._progress is not None and (job.key, job.input) in self._tasks:
            self._progress.remove_task(self._tasks.pop((job.key, job.input)))
