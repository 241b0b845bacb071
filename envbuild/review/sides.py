"""The two sides of a comparison, as they were typed.

::

    (nothing)                HEAD and the working tree
    main                     main and the working tree
    main..HEAD, main HEAD    two revisions; main...HEAD: from where they parted; a recipe behind the range: only that
    main:recipes/x.yaml      one recipe or lock of a revision
    recipes/x.yaml           a recipe: alone, HEAD's and the working tree's; beside a revision, that revision's
    anything else            a lock, a name, an id, a prefix, a step: as in every SOURCE (``envbuild.names``)

What is a file is a file; then what git knows as a revision is one; ``rev:``, ``name:``, ``id:`` and the other words
before a colon decide.

Rules of the file: finds out what is meant; what the two sides hold is read by ``trees`` and the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from envbuild.errors import UsageError
from envbuild.names import Source
from envbuild.review.git import Repository
from envbuild.value import dataclass, replace

REVISION = "rev:"

Kind = Literal["tree", "file", "source"]

WORKING_TREE = "the working tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side.

    Attributes:
        kind: ``tree``: all of a revision or of the working tree; ``file``: one recipe or lock of one; ``source``:
            anything else.
        said: As people call it.
        commit: Of a tree or file; None for the working tree.
        path: Of a file, as git has it.
        source: Of a source.
    """

    kind: Kind
    said: str
    commit: str | None = None
    path: str | None = None
    source: Source | None = None


def sides_of(
    words: Sequence[str],
    repository: Repository,
    source: Callable[[str], Source],
    is_there: Callable[[str], bool],
    inside: Callable[[str], str],
) -> tuple[Side, Side]:
    """What is compared with what.

    Args:
        words: Up to two.
        repository: Where revisions are looked up.
        source: What a word means that is no revision.
        is_there: Whether there is a file of that name.
        inside: A file's path as git has it.

    Raises:
        UsageError: ``no-repository``, ``no-revision``; for one word that has no counterpart; for more than two.
    """
    if len(words) > 2:
        raise UsageError("diff compares two things: a recipe, lock, revision, name, id, prefix or step each")
    if not words:
        return _tree("HEAD", repository), Side(kind="tree", said=WORKING_TREE)
    if len(words) == 1:
        return _alone(words[0], repository, source, is_there, inside)
    if _is_range(words[0], is_there):
        return _of_range(words[0], words[1], repository, source, inside)
    one, other = (_side(word, repository, source, is_there) for word in words)
    return _beside(one, other, repository, inside), _beside(other, one, repository, inside)


def _alone(
    word: str,
    repository: Repository,
    source: Callable[[str], Source],
    is_there: Callable[[str], bool],
    inside: Callable[[str], str],
) -> tuple[Side, Side]:
    if _is_range(word, is_there):
        return _range(word, repository)
    side = _side(word, repository, source, is_there)
    if side.kind == "tree":
        return side, Side(kind="tree", said=WORKING_TREE)
    if side.kind == "file":
        return side, Side(kind="file", said=WORKING_TREE, path=side.path)
    assert side.source is not None
    if side.source.kind in {"recipe", "lock"}:
        head = _tree("HEAD", repository)
        path = inside(side.source.text)
        return (
            Side(kind="file", said=head.said, commit=head.commit, path=path),
            Side(kind="file", said=WORKING_TREE, path=path),
        )
    raise UsageError(
        f"{word[:80]} is one {side.source.kind}; with what shall it be compared?",
        hint=f"envbuild diff {word[:80]} OTHER; a revision is named with rev:{word[:80]}",
    )


def _is_range(word: str, is_there: Callable[[str], bool]) -> bool:
    return ".." in word and not is_there(word) and not word.startswith((".", "/"))


def _range(word: str, repository: Repository) -> tuple[Side, Side]:
    dots = "..." if "..." in word else ".."
    first, _, second = word.removeprefix(REVISION).partition(dots)
    old, new = _tree(first or "HEAD", repository), _tree(second or "HEAD", repository)
    if dots == "...":
        assert old.commit is not None
        assert new.commit is not None
        base = repository.merge_base(old.commit, new.commit)
        if base is None:
            raise UsageError(f"{first or 'HEAD'} and {second or 'HEAD'} have no common commit", reference="no-revision")
        old = Side(kind="tree", said=f"{old.said}...", commit=base)
    return old, new


def _of_range(
    word: str,
    file: str,
    repository: Repository,
    source: Callable[[str], Source],
    inside: Callable[[str], str],
) -> tuple[Side, Side]:
    """One recipe in both revisions of a range."""
    old, new = _range(word, repository)
    meant = source(file)
    if meant.kind not in {"recipe", "lock"}:
        raise UsageError(
            f"{word[:80]} is two revisions; beside them stands at most one recipe",
            hint=f"envbuild diff {word[:80]} recipes/train.yaml",
        )
    path = inside(meant.text)
    return replace(old, kind="file", path=path), replace(new, kind="file", path=path)


def _side(word: str, repository: Repository, source: Callable[[str], Source], is_there: Callable[[str], bool]) -> Side:
    if word.startswith(REVISION):
        return _revision(word.removeprefix(REVISION), repository) or _unknown(word, repository)
    meant = source(word)
    if not (meant.said or is_there(word) or meant.kind == "prefix") and (found := _revision(word, repository)):
        return found
    if not meant.said and ":" in word and meant.kind in {"recipe", "lock"} and not is_there(word):
        return _unknown(word, repository)
    return Side(kind="source", said=meant.text, source=meant)


def _revision(word: str, repository: Repository) -> Side | None:
    """A revision, or a file of one."""
    if repository.root is None:
        return None
    commit = repository.commit(word) if ":" not in word else None
    if commit is not None:
        return Side(kind="tree", said=word, commit=commit)
    revision, colon, path = word.partition(":")
    if colon and path.endswith((".yaml", ".yml")) and (commit := repository.commit(revision)) is not None:
        return Side(kind="file", said=word, commit=commit, path=path)
    return None


def _unknown(word: str, repository: Repository) -> Side:
    root = repository.needed(word)
    raise UsageError(
        f"git knows no revision {word[:80]!r} in {root}",
        reference="no-revision",
        hint="a branch, a tag, a commit, REVISION:FILE, or a range such as main..HEAD",
    )


def _tree(word: str, repository: Repository) -> Side:
    commit = repository.commit(word)
    return Side(kind="tree", said=word, commit=commit) if commit is not None else _unknown(word, repository)


def _beside(one: Side, other: Side, repository: Repository, inside: Callable[[str], str]) -> Side:
    """A revision beside a file means that file in it."""
    if one.kind != "tree" or other.kind == "tree":
        if one.kind == "source" and other.kind == "tree" and one.source and one.source.kind in {"recipe", "lock"}:
            repository.needed(one.said)
            return Side(kind="file", said=WORKING_TREE, path=inside(one.source.text))
        return one
    path = other.path
    if path is None and other.source is not None and other.source.kind in {"recipe", "lock"}:
        path = inside(other.source.text)
    if path is None:
        raise UsageError(
            f"{one.said} is a whole revision, and {other.said} is not: which of its recipes is meant?",
            hint=f"envbuild diff {one.said}:recipes/train.yaml {other.said}",
        )
    return Side(kind="file", said=one.said, commit=one.commit, path=path)
