"""What publishing does to a name: values and decisions.

A recipe declares a name; its lock says what the name is to mean. Three tags of it follow, each later than the one
before it::

    candidate     what Git declares, whole in the store; its test passed on the machine that published it
    latest        its test has passed on every platform that the recipe is for
    stable        the same, and somebody said so (``--promote``)

A name only goes forward: from a commit to one that contains it. What a newer commit, another branch or a hand has made
of it stays, unless somebody forces it. What a name means already is not written again, so publishing twice is
publishing once.

Rules of the file: decides; reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from envbuild.digest import Digest, short
from envbuild.environments.many import Failed
from envbuild.errors import InvalidInput, Issue, NameConflictError
from envbuild.lock import Lock
from envbuild.names import Name
from envbuild.package import Platform
from envbuild.recipe import Recipe, Tests
from envbuild.store.generation import Generation, Named
from envbuild.value import dataclass, replace

TAGS = ("candidate", "latest", "stable")

Kinship = Literal["same", "older", "newer", "apart", "unknown", "cut"]
"""What a commit is to the one that is checked out: ``older`` when that one contains it, ``cut`` where a shallow clone
does not tell."""

State = Literal["same", "moves", "moved", "waits"]
Outcome = Literal["passed", "recorded", "missing", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """How to publish.

    Attributes:
        promote: Move ``stable`` too.
        force: Move a name also backwards, and over what was done by hand.
        allow_dirty: Publish what no commit has; the generation says so.
        dry_run: Only say what would be done.
    """

    promote: bool = False
    force: bool = False
    allow_dirty: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A recipe that declares a name.

    Attributes:
        recipe: Its file. ``path``: from the project's root, as generations tell it.
    """

    recipe: Path
    path: str
    name: str
    lock: Lock
    tests: Tests | None

    @property
    def named(self) -> Named:
        """What its name is to mean."""
        return Named(
            request=self.lock.request,
            environments=tuple(sorted((item.platform, item.id) for item in self.lock.platforms)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What is known of a recipe's test on one platform.

    Attributes:
        outcome: ``passed`` now, or ``recorded`` before, here or elsewhere; ``missing``; ``none``: there is no test.
        reason: Of one that is missing: why it is not run here.
        key: Of the test, for `envbuild log`.
    """

    name: str
    platform: Platform
    outcome: Outcome
    reason: str = ""
    key: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of a name.

    Attributes:
        wanted: What it is to mean. ``before``: what it meant, or None; ``generation``: its number now, 0 for none.
        reason: Why it waits.
    """

    name: Name
    wanted: Named
    before: Named | None
    state: State
    generation: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published, or would be.

    Attributes:
        store: The address of the store that says what names mean.
        commit: What is checked out; ``dirty``: files of the project that differ from it.
        unnamed: Recipes that declare no name.
        kept: Why ``stable`` did not move although that was asked for, by name.
        failed: What kept recipes from being published, where the others went on.
    """

    store: str
    commit: str
    dirty: tuple[str, ...]
    dry_run: bool
    steps: tuple[Step, ...]
    tests: tuple[Tested, ...]
    unnamed: tuple[Path, ...]
    kept: tuple[str, ...] = ()
    failed: tuple[Failed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A name that is not what Git declares.

    Attributes:
        name: With its tag; of names that no recipe declares without one.
        how: ``absent``, ``removed``, ``differs``, ``by-hand``, ``undeclared``; ``behind`` is a ``stable`` that nobody
            has promoted yet, which is no drift.
        store: What the store says. ``git``: what the lock says.
        commit: What it was published from.
    """

    name: str
    how: Literal["absent", "removed", "differs", "by-hand", "undeclared", "behind"]
    store: str
    git: str
    recipe: str | None
    commit: str | None = None

    @property
    def is_drift(self) -> bool:
        """Whether it has to be put right."""
        return self.how != "behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How names of a store and Git differ.

    Attributes:
        names: How many names recipes declare.
    """

    store: str
    names: int
    differences: tuple[Difference, ...]
    unnamed: tuple[Path, ...]


def refuse_twins(recipes: Iterable[tuple[str, Recipe]]) -> None:
    """Refuse two recipes that declare one name.

    Args:
        recipes: Each with its file as people see it.

    Raises:
        InvalidInput: ``duplicate-name``, with each.
    """
    first: dict[str, str] = {}
    issues = []
    for shown, recipe in recipes:
        if recipe.name is None:
            continue
        other = first.setdefault(recipe.name, shown)
        if other != shown:
            issues.append(
                Issue(
                    message=f"{other} declares the name {recipe.name} too",
                    reference="duplicate-name",
                    where=replace(recipe.name_where, file=shown) if recipe.name_where is not None else None,
                    hint="a name means one recipe: give one of them another",
                )
            )
    if issues:
        raise InvalidInput.of(tuple(issues))


def moves(
    name: Name,
    now: Generation | None,
    wanted: Named,
    commit: str,
    kinship: Callable[[str], Kinship],
    *,
    force: bool,
    overtaken: bool = False,
    hides: Callable[[str], bool] = lambda _: False,
) -> bool:
    """Whether a name has to be moved.

    Args:
        name: Which.
        now: What it means.
        wanted: What it is to mean.
        commit: What is checked out.
        kinship: Says what a commit is to it.
        force: Whatever is there.
        overtaken: A commit between the one that it came from and this one declared something else: see ``overtaken``.
        hides: Whether a shallow clone may lack a commit, so that nobody knows whether it was overtaken.

    Raises:
        NameConflictError: ``newer-published``, ``diverged-name``, ``unknown-commit``, ``moved-by-hand``.
    """
    if now is not None and now.named == wanted:
        if now.published is not None and not force and hides(now.published.commit):
            raise _refused(name, now, now.published.commit, commit, "cut")
        return overtaken and now.published is not None
    if now is None or force:
        return True
    if now.published is None:
        how = "removed" if now.named.removed else "moved"
        raise NameConflictError(
            f"{name} was {how} by hand at {now.created} (generation {now.number}: {now.named})",
            reference="moved-by-hand",
            hint=f"envbuild history {name}; --force makes it what Git declares",
        )
    kin = kinship(now.published.commit)
    if kin in {"same", "older"}:
        return True
    raise _refused(name, now, now.published.commit, commit, kin)


def _refused(name: Name, now: Generation, published: str, commit: str, kin: Kinship) -> NameConflictError:
    here = short(commit)
    told = {
        "newer": ("newer-published", f"which is newer than {here}", "git pull; --force goes back to this one"),
        "apart": ("diverged-name", f"which {here} does not contain", "merge it first; --force leaves it behind"),
        "unknown": ("unknown-commit", "which this clone does not know", "git fetch; --force moves it all the same"),
        "cut": (
            "unknown-commit",
            f"and this clone is shallow: it does not tell whether {here} is newer",
            "git fetch --unshallow; in CI check out all of the history (fetch-depth: 0)",
        ),
    }
    reference, how, hint = told[kin]
    return NameConflictError(
        f"{name} was published from {short(published)}, {how} (generation {now.number}, at {now.created})",
        reference=reference,
        hint=hint,
    )


def waiting(name: str, tests: Sequence[Tested], *, dry_run: bool = False) -> str:
    """Why a name has to wait for its test; empty when it has passed everywhere, or there is none.

    Args:
        name: Without a tag.
        tests: What is known.
        dry_run: Take what can be run here to pass.
    """
    missing = [
        item.platform
        for item in tests
        if item.name == name and item.outcome == "missing" and (item.reason or not dry_run)
    ]
    return f"its test has not passed on {', '.join(missing)}" if missing else ""
