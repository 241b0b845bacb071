"""What the commands about names say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envbuild.cli.as_json import tree
from envbuild.cli.screen import Screen
from envbuild.cli.wording import count
from envbuild.digest import short

if TYPE_CHECKING:
    from envbuild.environments.affected import Affected
    from envbuild.environments.source_verbs import Meant
    from envbuild.store.generation import Generation, Named, Published
    from envbuild.store.names import Moved


def generation_tree(item: Generation) -> dict[str, Any]:
    """A generation as JSON."""
    return {
        "name": str(item.name),
        "generation": item.number,
        "created": item.created,
        "movable": item.name.movable,
        "digest": item.digest,
        "previous": item.previous,
        "request": item.named.request,
        "environments": dict(item.named.environments),
        "published": tree(item.published) if item.published is not None else None,
    }


def show_moved(screen: Screen, moved: Moved) -> None:
    """What a name means now: itself on stdout, what became of it on stderr."""
    now, before = moved.now, moved.before
    if screen.document(
        {"written": moved.written, "before": generation_tree(before) if before else None, **generation_tree(now)}
    ):
        return
    screen.result(str(now.name))
    if not moved.written:
        screen.say(f"{now.name} means that already: generation {now.number}, {now.named}")
        return
    was = f"; it was {before.named}" if before else ""
    screen.say(f"{now.name} is generation {now.number} now: {now.named}{was}")


def show_meant(screen: Screen, meant: Meant) -> None:
    """What a name, an id or a prefix means, in lines that a script can read."""
    generation, named = meant.generation, meant.named
    document = {"request": named.request, "environments": dict(named.environments)}
    if generation is not None:
        document = generation_tree(generation)
    ids = {platform: f"{named.request}:{digest}" for platform, digest in named.environments}
    more = {"store": meant.store, "default-of": meant.default_of, "present": tree(meant.present)}
    more["closures"] = dict(meant.closures)
    if screen.document({**document, "ids": ids, "others": [item.request for item in meant.others], **more}):
        return
    rows = []
    if generation is not None:
        rows = [
            ("name", str(generation.name)),
            ("generation", f"{generation.number}, since {generation.created}"),
        ]
    rows.append(("default of" if meant.default_of else "request", named.request))
    rows += list(ids.items())
    rows += [("also of", item.request) for item in meant.others]
    rows += [("present", str(prefix)) for prefix in meant.present]
    rows += [("closure", digest if len(ids) == 1 else f"{digest} ({name})") for name, digest in meant.closures]
    width = max(len(title) for title, _ in rows)
    for title, text in rows:
        screen.result(f"{title:<{width}}  {text}")


def show_history(screen: Screen, name: str, past: Sequence[Generation]) -> None:
    """Every generation, the newest first."""
    if screen.document({"name": str(past[0].name), "generations": [generation_tree(item) for item in past]}):
        return
    titles: tuple[str, ...] = ("generation", "since", "request", "environments")
    rows: list[tuple[str, ...]]
    rows = [(str(item.number), item.created, short(item.named.request), _environments(item.named)) for item in past]
    if any(item.published for item in past):
        titles = (*titles, "commit", "by")
        rows = [(*row, *_publisher(item.published)) for row, item in zip(rows, past, strict=True)]
    screen.table(titles, rows)
    screen.say(f"{past[0].name}: {count(len(past), 'generation')}")


def _publisher(published: Published | None) -> tuple[str, str]:
    if published is None:
        return "by hand", ""
    return short(published.commit) + (" (dirty)" if published.dirty else ""), published.by


def show_names(screen: Screen, names: Sequence[Generation]) -> None:
    """Every name with what it means."""
    rows = [(str(item.name), str(item.number), item.created, _environments(item.named)) for item in names]
    screen.table(("name", "generation", "since", "environments"), rows)


def _environments(named: Named) -> str:
    return ", ".join(f"{platform} {short(digest)}" for platform, digest in named.environments) or "removed"


def show_affected(screen: Screen, found: Sequence[Affected]) -> None:
    """Recipes and names, one a line, with what was looked for."""
    from envbuild.projects.recipe_files import shown_path

    if screen.document({"affected": [tree(item) for item in found]}):
        return
    rows = []
    for item in found:
        held = ", ".join(
            f"{one.platform} {one.name} {one.version}" + (" (for builds)" if one.kind == "build" else "")
            for one in item.held
        )
        told = {True: "behind", False: "as it is now", None: ""}[item.behind]
        rows.append((shown_path(item.recipe) if item.recipe is not None else str(item.name), held or told))
    width = max((len(title) for title, _ in rows), default=0)
    for title, text in rows:
        screen.result(f"{title:<{width}}  {text}".rstrip())
    recipes = sum(item.recipe is not None for item in found)
    screen.say(f"{count(recipes, 'recipe')}, {count(len(found) - recipes, 'name')}")
