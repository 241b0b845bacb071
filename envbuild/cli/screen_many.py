"""What became of several recipes: each failure once with its recipes, what was not begun and why, and one last line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.cli.errors import error_tree, say_error
from envbuild.cli.wording import count, first_few
from envbuild.projects.recipe_files import shown_path

if TYPE_CHECKING:
    from envbuild.cli.screen import Screen
    from envbuild.environments.many import Failed, Many, State

FEW = 10
"""So many recipes are told one by one, also where nothing was to do."""

LOCKED: Mapping[State, str] = {
    "done": "locked",
    "unchanged": "locked already",
    "failed": "failed",
    "not-begun": "not begun",
}
CHECKED: Mapping[State, str] = {"unchanged": "fit", "failed": "failed"}
PLANNED: Mapping[State, str] = {"done": "planned", "failed": "failed", "not-begun": "not begun"}
REALIZED: Mapping[State, str] = {
    "done": "realized",
    "unchanged": "already there",
    "failed": "failed",
    "not-begun": "not begun",
}


def show_many(screen: Screen, many: Many, words: Mapping[State, str]) -> int:
    """Say what failed and what was not begun, and close with the numbers.

    Args:
        screen: Of the command.
        many: What became of its recipes.
        words: What each end is called.

    Returns:
        The exit code.
    """
    show_failures(screen, many.failures())
    for base, recipes in many.not_begun():
        if base is not None:
            screen.say(f"not begun, for {shown_path(base)} failed: {_named(recipes)}")
        else:
            screen.say(f"not begun after the failure (--keep-going goes on): {_named(recipes)}")
    numbers = ((many.count(state), word) for state, word in words.items())
    told = ", ".join(f"{number} {word}" for number, word in numbers if number)
    screen.say(f"{count(len(many.ended), 'recipe')}: {told}, {screen.elapsed()}")
    error = many.error()
    return 0 if error is None else error.exit_code


def show_failures(screen: Screen, failures: Sequence[Failed]) -> None:
    """Say each failure once, with its recipes."""
    for failed in failures:
        screen.close()
        say_error(failed.error)
        if len(failed.recipes) > 1 or failed.error.where is None:
            screen.say(f"  {'recipes' if len(failed.recipes) > 1 else 'recipe'}: {_named(failed.recipes)}")


def failures_tree(failures: Sequence[Failed]) -> list[dict[str, Any]]:
    """Failures as JSON."""
    return [{**error_tree(item.error), "recipes": [str(recipe) for recipe in item.recipes]} for item in failures]


def many_tree(many: Many) -> dict[str, Any]:
    """The part of a document that says what became of each recipe."""
    recipes = [
        {
            "recipe": str(item.recipe),
            "state": item.state,
            "error": None if item.error is None else item.error.reference,
            "base": None if item.base is None else str(item.base),
        }
        for item in many.ended
    ]
    errors = failures_tree(many.failures())
    return {"recipes": recipes, **({"errors": errors} if errors else {})}


def _named(recipes: Sequence[Path]) -> str:
    """Some recipes by name, and how many more there are."""
    return first_few([shown_path(recipe) for recipe in recipes])
