"""The merge driver: what git calls when two branches changed one lock (``%O %A %B %P``).

What the merged recipe asks for decides. It is found without the working tree (``parted``, ``merged_tree``), and locked
in a folder of its own, with what both sides hold as preferences (``locks.three_way``): so what one side chose stays,
and only what does not fit together is chosen anew. Nothing is solved where nothing was mixed and the lock fits.

When that cannot be done (no network, no solution, a recipe in conflict), the lock keeps both sides whole
(``locks.conflict``) and one line says what to type: ``envbuild lock RECIPE`` makes one of both, now or later.

Rules of the file: writes the one file that git wants the result in, at the end.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from envbuild.errors import EnvbuildError, InvalidInput, Where
from envbuild.lock import Lock
from envbuild.locks.conflict import conflict_text
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import parse_lock
from envbuild.locks.place import lock_path
from envbuild.locks.three_way import joined
from envbuild.projects.recipe_files import recipe_of
from envbuild.review.family import place_for, write_family
from envbuild.review.git import Repository, blob_id
from envbuild.review.merged_tree import MergedTree, merged_lines
from envbuild.review.parted import parted
from envbuild.value import dataclass

_LOCK = ".lock.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a merge.

    Attributes:
        merged: Whether there is one lock now; else there is a conflict.
        said: One line for whoever merges.
    """

    merged: bool
    said: str


Again = Callable[[Path], Lock]
"""Locks a recipe that lies in a project of its own, and gives the lock without writing it."""


def merge_files(base: Path, ours: Path, theirs: Path, path: str, environ: Mapping[str, str], again: Again) -> Outcome:
    """Merge a lock.

    Args:
        base: The bytes where both began; an empty file when there were none.
        ours: Those of one side; the result goes there.
        theirs: Those of the other.
        path: The lock, as git has it.
        environ: What git told the driver.
        again: Locks the merged recipe.
    """
    three = [file.read_bytes() for file in (base, ours, theirs)]
    repository = Repository(Path.cwd(), environ)
    if not all(b"\nrequest:" in data for data in three[1:]) or not path.endswith(_LOCK):
        data, clean = merged_lines(repository, *three)  # another tool's file of such a name
        ours.write_bytes(data)
        return Outcome(merged=clean, said=f"{path}: no lock of envbuild; merged line by line")
    recipe = recipe_of(path)
    if not Path(recipe).is_file() and Path(recipe).with_suffix(".yml").is_file():
        recipe = f"{recipe.removesuffix('.yaml')}.yml"
    try:
        lock, said = _merged(repository, path, three, environ, again)
    except EnvbuildError as error:
        command = f"envbuild lock {shlex.quote(recipe)}"
        where = f" ({error.where.file})" if error.where is not None and error.reference == "merge-conflict" else ""
        ours.write_bytes(conflict_text(three[1], three[2], command))
        return Outcome(merged=False, said=f"{path} is left in conflict: {error.message}{where}; then type: {command}")
    ours.write_bytes(lock_text(lock).encode())
    return Outcome(merged=True, said=f"merged {path}: {said}")


def _merged(
    repository: Repository, path: str, three: list[bytes], environ: Mapping[str, str], again: Again
) -> tuple[Lock, str]:
    ours, theirs = (
        parse_lock(data, f"{path} ({side})") for data, side in zip(three[1:], ("ours", "theirs"), strict=True)
    )
    both = joined(_base(three[0], path), ours, theirs)
    if both.undecided:
        raise InvalidInput(
            f"both sides took {both.undecided[0]} anew, each as another environment", reference="merge-conflict"
        )
    root = repository.needed("merge")
    with TemporaryDirectory(prefix="envbuild-merge-") as folder, repository.blobs() as blobs:
        length = len(blobs.commit("HEAD") or "") or repository.hash_length()
        ids = [blob_id(data, length) for data in three]
        commits = parted(repository, blobs, environ, path, ids[0] if three[0] else None, ids[1], ids[2])
        if commits is None:
            raise InvalidInput("git does not say which commits are merged", reference="no-revision")
        place = Path(folder).resolve()
        top = place_for(place, root, path)
        tree = MergedTree(repository, commits, blobs, top)
        try:
            for old in {recipe_of(item.path) for item in (commits.base, commits.ours, commits.theirs) if item}:
                if tree.is_torn(old):
                    said = f"one side changed {old}, and git does not find it on the other, where the lock was renamed"
                    raise InvalidInput(said, reference="merge-conflict")
            recipe = write_family(tree, path, environ)
            lock_path(recipe).write_text(lock_text(both.lock), encoding="utf-8")
            lock = again(recipe)
        except EnvbuildError as error:  # a folder that is gone is no place for anybody
            file = error.where.file.replace(f"{top}/", "") if error.where is not None else path
            message = error.message.replace(f"{top}/", "")
            raise InvalidInput(message, reference=error.reference, where=Where(file=file)) from error
    return lock, _said(lock, ours, theirs, solved=lock != both.lock or not both.whole)


def _base(data: bytes, path: str) -> Lock | None:
    """The lock where both began, when it can be read: it may be a merge with conflicts of git's own."""
    try:
        return parse_lock(data, path) if data else None
    except EnvbuildError:
        return None


def _said(lock: Lock, ours: Lock, theirs: Lock, *, solved: bool) -> str:
    if not solved:
        return "both sides fit together, nothing was solved"
    known = {item for side in (ours, theirs) for item in _packages(side)}
    new = sorted({item[1] for item in _packages(lock) if item not in known})
    if not new:
        return "solved again; every package is as one side had it"
    shown = ", ".join(new[:5])
    return f"solved again; {len(new)} packages are as neither side had them: {shown}{' …' if len(new) > 5 else ''}"


def _packages(lock: Lock) -> set[tuple[str, str, str]]:
    return {
        (environment.platform, package.name, package.sha256)
        for environment in lock.platforms
        for packages in (environment.conda, environment.wheels, environment.sources)
        for package in packages
    }
