"""What ``publish`` says: names on stdout, one a line; what was tested, skipped and sent on stderr."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.screen_many import failures_tree, show_failures
from envbuild.cli.wording import count
from envbuild.digest import short
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.review.publishing import Drift, Publication, Step
    from envbuild.store.generation import Named

_MOST_FILES = 3


def show_publication(screen: Screen, done: Publication) -> None:
    """What moved, or would."""
    if screen.document(_document(done)):
        return
    rows = [(str(step.name), _generation(step, dry_run=done.dry_run), _became(step, done)) for step in done.steps]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, generation, became in rows:
        screen.result(f"{name:<{widths[0]}}  {generation:<{widths[1]}}  {became}".rstrip())
    for item in done.tests:
        if item.outcome == "missing":
            told = f"is not tested for {item.platform}: {item.reason}" if item.reason else "would be tested here"
            screen.say(f"note: {item.name} {told}")
    untested = sorted({item.name for item in done.tests if item.outcome == "none"})
    if untested:
        screen.say(f"note: no `test:` holds back {', '.join(untested)}")
    _say_unnamed(screen, [str(path) for path in done.unnamed])
    if done.dirty:
        named = ", ".join(done.dirty[:_MOST_FILES]) + (" …" if len(done.dirty) > _MOST_FILES else "")
        screen.say(f"note: not as {short(done.commit)} has it: {named}")
    for text in done.kept:
        screen.say(f"note: {text}")
    show_failures(screen, done.failed)
    states = Counter(step.state for step in done.steps)
    tests = Counter(item.outcome for item in done.tests)
    moved = f"{states['moves']} would move" if done.dry_run else f"{states['moved']} moved"
    parts = [moved, f"{states['same']} already as declared"]
    parts += [f"{states['waits']} {'waits' if states['waits'] == 1 else 'wait'}"] if states["waits"] else []
    failed = sum(len(item.recipes) for item in done.failed)
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{count(tests['passed'], 'test')} passed"] if tests["passed"] else []
    parts += [f"{count(tests['recorded'], 'test')} passed before"] if tests["recorded"] else []
    names = len({step.name.path for step in done.steps})
    verb = "Would publish" if done.dry_run else "Published"
    screen.say(f"{verb} {count(names, 'name')} at {short(done.commit)}: {', '.join(parts)}, {screen.elapsed()}")


def show_drift(screen: Screen, drift: Drift) -> bool:
    """How names and Git differ; whether they do so that it has to be put right."""
    wrong = [item for item in drift.differences if item.is_drift]
    if screen.document({**tree(drift), "drift": bool(wrong)}):
        return bool(wrong)
    width = max((len(item.name) for item in drift.differences), default=0)
    for item in drift.differences:
        said = {
            "absent": f"is not there; {item.recipe} declares {item.git}",
            "removed": f"was removed; {item.recipe} declares {item.git}",
            "differs": f"is {item.store}; {item.recipe} declares {item.git}",
            "by-hand": f"was moved by hand to {item.store}; {item.recipe} declares {item.git}",
            "behind": f"is still {item.store}: envbuild publish --promote",
            "undeclared": f"is declared by no recipe ({item.store})",
        }[item.how]
        came = f", published from {short(item.commit)}" if item.commit is not None else ""
        screen.result(f"{item.name:<{width}}  {said}{came}")
    _say_unnamed(screen, [str(path) for path in drift.unnamed])
    verdict = f"{count(len(wrong), 'difference')} to Git" if wrong else "as Git declares"
    screen.say(f"{count(drift.names, 'declared name')} in {drift.store}: {verdict}")
    return bool(wrong)


def _say_unnamed(screen: Screen, paths: list[str]) -> None:
    if paths:
        from pathlib import Path

        from envbuild.projects.recipe_files import shown_path

        shown = [shown_path(Path(path)) for path in paths]
        more = f" and {len(shown) - _MOST_FILES} more" if len(shown) > _MOST_FILES else ""
        declares = "declares no `name`: it is" if len(shown) == 1 else "declare no `name`: they are"
        screen.say(f"note: {', '.join(shown[:_MOST_FILES])}{more} {declares} not published")


def _generation(step: Step, *, dry_run: bool) -> str:
    if step.state == "moves" and dry_run:
        return f"{step.generation} -> {step.generation + 1}"
    return str(step.generation) if step.generation else "-"


def _became(step: Step, done: Publication) -> str:
    if step.state == "waits":
        return f"waits: {step.reason}"
    if step.state == "same":
        return "as declared"
    if step.before == step.wanted:
        stays = "would stay" if done.dry_run else "stays"
        return f"{stays} {_short(step.wanted)}, from {short(done.commit)} now: a commit in between declared another"
    was = f", was {_short(step.before)}" if step.before is not None else ""
    return f"{'would move' if done.dry_run else 'moved'} to {_short(step.wanted)}{was}"


def _short(named: Named) -> str:
    return ", ".join(f"{platform} {short(digest)}" for platform, digest in named.environments) or "nothing"


def _document(done: Publication) -> dict[str, Any]:
    found: dict[str, Any] = {**tree(replace(done, failed=())), "failed": failures_tree(done.failed)}
    found["steps"] = [
        {
            **tree(step),
            "name": str(step.name),
            "wanted": _named(step.wanted),
            "before": _named(step.before) if step.before is not None else None,
        }
        for step in done.steps
    ]
    return found


def _named(named: Named) -> dict[str, Any]:
    return {"request": named.request, "environments": dict(named.environments)}
