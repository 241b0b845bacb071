"""One recipe and its lock after the other, held against each other, against how locks are written, and the policy.

Theory: everything that can be wrong with one recipe is a finding, and keeps no other recipe from being checked. What is
read is read once: of the files below the project's root, and of nothing that a link leads to outside of it. A lock that
cannot be read is looked at no further; one that is stale is not asked where its packages come from, for its recipe
may say otherwise meanwhile.

Rules of the file: reads recipes, locks and what they name; writes nothing, asks no network.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from shlex import quote

from envbuild.digest import Digest, digest_bytes
from envbuild.errors import EnvbuildError, InvalidInput, Where
from envbuild.lock import Lock
from envbuild.locks.folders import own_digests, own_paths
from envbuild.locks.lock_writing import lock_text
from envbuild.locks.lockfile import LIMIT, parse_lock
from envbuild.locks.place import lock_path
from envbuild.locks.remarks import likely_secrets
from envbuild.locks.staleness import stale_reasons
from envbuild.package import CondaPackage
from envbuild.projects.project import Project, make_request, request_notes, shown_path
from envbuild.projects.recipe_files import SUFFIXES
from envbuild.recipe import ENVIRONMENTS
from envbuild.request import Request
from envbuild.review.asked import AskedVersions
from envbuild.review.findings import Finding, found, of_error
from envbuild.review.located import LockText
from envbuild.review.policy import Breach, PolicyBook
from envbuild.review.strange import strange_indices, strange_packages, unlike_bases
from envbuild.value import dataclass, replace

_PLACES = frozenset({"unknown-place", "forbidden-channel", "forbidden-index"})
KEPT = 32
"""Locks of bases that are kept for the next recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneChecked:
    """What checking one recipe came to.

    Attributes:
        files: Every file that the verdict stands on, from the project's root, with its sha256; None when it stands on
            more than files.
        lock: The lock, when it could be read.
        text: What ``--fix`` would write; None where nothing is to be.
    """

    findings: tuple[Finding, ...]
    files: tuple[tuple[str, Digest], ...] | None
    lock: Lock | None = None
    text: str | None = None


class Checker:
    """Checks the recipes of one project.

    Args:
        project: The project.
        policy: What is held against locks.
        environ: This process's environment, for git.
    """

    def __init__(self, project: Project, policy: PolicyBook, environ: Mapping[str, str]) -> None:
        self._project = project
        self._policy = policy
        self._environ = environ
        self._root = os.path.realpath(project.root)
        self._digests: dict[Path, Digest] = {}
        self._refused: dict[str, set[Digest]] = {}
        self._asked = AskedVersions()
        self._bases: OrderedDict[Path, Lock | None] = OrderedDict()

    def check(self, recipe: Path) -> OneChecked:
        """Everything that is wrong with a recipe and its lock, once ``surroundings`` found nothing.

        Args:
            recipe: Its file, absolute.
        """
        lock_file = lock_path(recipe)
        try:
            request, files = make_request(self._project, recipe)
            notes = request_notes(self._project, recipe)
            own = own_digests(self._project.root, request, self._environ)
        except EnvbuildError as error:
            return OneChecked(findings=self._placed(of_error(error, self.label(recipe)), recipe), files=None)
        findings = [found("likely-secret", text, self.label(recipe)) for text in likely_secrets(request)]
        findings += [found("included-file", text, self.label(recipe)) for text in notes]
        try:
            data = self._read(lock_file)
            if data is None:
                return self._without_lock(recipe, findings)
            lock = parse_lock(data, shown_path(lock_file))
        except EnvbuildError as error:
            findings += self._placed(of_error(error, self.label(lock_file)), recipe)
            return OneChecked(findings=tuple(findings), files=None)
        bases, base_files = self._base_locks(request)
        text = lock_text(lock)
        fix = text if text.encode() != data else None
        if fix is not None:
            findings.append(self._badly_written(lock_file, data, text))
        findings += self._of_lock(recipe, lock, request, bases, own, LockText(data))
        names = (*files, lock_file, *base_files)
        stands = None if own_paths(request) else self._hashed(names, {lock_file: digest_bytes(data)})
        return OneChecked(findings=tuple(findings), files=stands, lock=lock, text=fix)

    def surroundings(self, recipe: Path) -> Iterator[Finding]:
        """What is wrong with where a recipe lies, whatever stands in it: to be asked first, and each time."""
        for item in (recipe, lock_path(recipe)):
            if not self.is_inside(item):
                yield self._leaves(item)
        yield from self._twin(recipe)

    def refused(self, recipe: Path) -> Set[Digest]:
        """The packages of a recipe's lock whose place is not to be asked: nobody names it, or the policy forbids it."""
        return self._refused.get(self.label(lock_path(recipe)), set())

    def lock_bytes(self, recipe: Path) -> bytes | None:
        """A recipe's lock as it lies there; None when it cannot be read, which was told."""
        path = lock_path(recipe)
        try:
            return self._read(path) if self.is_inside(path) else None
        except EnvbuildError:
            return None

    def read_again(self, recipe: Path, data: bytes) -> tuple[Lock, Request] | None:
        """A recipe's lock and request, to be asked more of; None when one of them cannot be read, which was told."""
        try:
            return parse_lock(data, shown_path(lock_path(recipe))), make_request(self._project, recipe)[0]
        except EnvbuildError:
            return None

    def label(self, path: Path) -> str:
        """A file as findings name it: from the project's root."""
        relative = os.path.relpath(path, self._project.root)
        return str(path) if relative.startswith("..") else relative.replace(os.sep, "/")

    def is_inside(self, path: Path) -> bool:
        """Whether a file, or the place where it would be, is below the project's root, links followed."""
        real = os.path.realpath(path)
        return real.startswith(self._root + os.sep) or bool(self._project.config.allow_outside_paths)

    def digest(self, label: str) -> Digest | None:
        """The sha256 of a file of the project now; None when it is no file of the project."""
        path = self._project.root / label
        if path not in self._digests:
            try:
                data = self._read(path) if self.is_inside(path) else None
            except EnvbuildError:
                data = None
            if data is None:
                return None
            self._digests[path] = digest_bytes(data)
        return self._digests[path]

    def _of_lock(
        self,
        recipe: Path,
        lock: Lock,
        request: Request,
        bases: Mapping[str, Lock],
        own: Mapping[str, Digest],
        text: LockText,
    ) -> Iterator[Finding]:
        file = self.label(lock_path(recipe))
        reasons = stale_reasons(lock, request, bases, own)
        if reasons:
            yield found(
                "stale",
                f"the lock does not fit its recipe: {'; '.join(reasons)}",
                file,
                hint=f"envbuild lock {quote(shown_path(recipe))}",
            )
        else:
            for message in strange_indices(lock, request):
                yield found("unknown-place", message, file, line=1, column=1)
        places = _requirement_places(request)
        for environment in lock.platforms:
            strange = tuple(strange_packages(environment, request, bases))
            if reasons:
                self._refused.setdefault(file, set()).update(package.sha256 for package, _ in strange)
                strange = ()
            unlike = () if reasons else tuple(unlike_bases(environment, lock, bases))
            asked = () if reasons else tuple(self._asked.unlike(environment, request))
            for rule, pairs in (("unknown-place", strange), ("base-differs", unlike), ("not-as-asked", asked)):
                for package, message in pairs:
                    breach = Breach(rule=rule, message=message, platform=environment.platform, package=package)
                    yield self.told(breach, file, text, places)
        for breach in self._policy.breaches(lock):
            yield self.told(breach, file, text, places)

    def told(
        self, breach: Breach, file: str, text: LockText, places: Mapping[tuple[str, str], Where] | None = None
    ) -> Finding:
        """A breach as a finding, at its line of the lock, with the recipe's line that asks for the package."""
        package = breach.package
        if package is not None and breach.rule in _PLACES:
            self._refused.setdefault(file, set()).add(package.sha256)
        if package is None:
            line, column = text.platform(breach.platform)
        else:
            line, column = text.package(breach.platform, package)
        made = found(breach.rule, breach.message, file, line=line, column=column, hint=breach.hint)
        if breach.level is not None and breach.level != made.level:
            made = replace(made, level=breach.level, exit_code=4 if breach.level == "error" else 0)
        if package is not None and package.asked and places:
            where = places.get(("conda" if isinstance(package, CondaPackage) else "pypi", package.name))
            if where is not None:
                path = self.label(Path(os.path.abspath(where.file)))
                made = replace(made, related=(path, where.line, where.column))
        return made

    def _without_lock(self, recipe: Path, findings: list[Finding]) -> OneChecked:
        shown = shown_path(recipe)
        findings.append(
            found(
                "no-lock",
                "the recipe has no lock",
                self.label(recipe),
                line=1,
                column=1,
                hint=f"envbuild lock {quote(shown)}",
            )
        )
        return OneChecked(findings=tuple(findings), files=None)

    def _badly_written(self, file: Path, data: bytes, text: str) -> Finding:
        lines = data.decode("utf-8", "replace").split("\n")
        wanted = text.split("\n")
        number = next(
            (number for number, (one, other) in enumerate(zip(lines, wanted, strict=False), 1) if one != other),
            min(len(lines), len(wanted)),
        )
        return found(
            "lock-format",
            "this line is not written as `envbuild lock` writes it",
            self.label(file),
            line=number,
            column=1,
            hint="envbuild check --fix",
            fixable=True,
        )

    def _leaves(self, path: Path) -> Finding:
        return found(
            "leaves-project",
            f"{shown_path(path)} leads out of the project, and was not read",
            self.label(path),
            line=1,
            column=1,
            hint="replace the symbolic link by the file that is meant",
        )

    def _twin(self, recipe: Path) -> Iterator[Finding]:
        for suffix in SUFFIXES:
            twin = recipe.with_suffix(suffix)
            if twin != recipe and os.path.lexists(twin):
                error = InvalidInput(
                    f"{twin.name} beside it would have the same lock, {lock_path(recipe).name}",
                    reference="two-recipes",
                    hint="rename one of the two",
                )
                yield from of_error(error, self.label(recipe))

    def _base_locks(self, request: Request) -> tuple[dict[str, Lock], list[Path]]:
        """The locks of a request's bases, and their files; those that cannot be read are missing."""
        found_locks: dict[str, Lock] = {}
        files: list[Path] = []
        for base in request.bases:
            if base.request is None or base.path.startswith(ENVIRONMENTS):
                continue
            path = lock_path(self._project.root / base.path)
            files.append(path)
            lock = self._base_lock(path)
            if lock is not None:
                found_locks[base.path] = lock
        return found_locks, files

    def _base_lock(self, path: Path) -> Lock | None:
        if path not in self._bases:
            try:
                data = self._read(path) if self.is_inside(path) else None
                self._bases[path] = parse_lock(data, shown_path(path)) if data is not None else None
            except EnvbuildError:
                self._bases[path] = None  # told where the base itself is checked
            while len(self._bases) > KEPT:
                self._bases.popitem(last=False)
        self._bases.move_to_end(path)
        return self._bases[path]

    def _hashed(self, files: Sequence[Path], known: Mapping[Path, Digest]) -> tuple[tuple[str, Digest], ...] | None:
        """The digests of files; None when one of them is not there, or outside of the project."""
        self._digests.update(known)
        digests = [(self.label(path), self.digest(self.label(path))) for path in dict.fromkeys(files)]
        return (
            tuple((label, digest) for label, digest in digests if digest is not None)
            if all(digest is not None for _, digest in digests)
            else None
        )

    def _read(self, path: Path) -> bytes | None:
        """The bytes of a regular file; None when there is none. What is no file is not opened: it could wait for ever.

        Raises:
            InvalidInput: ``bad-path``.
        """
        where = Where(file=shown_path(path))
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise InvalidInput("this is not a file", reference="bad-path", where=where, hint="move it away")
            with path.open("rb") as stream:
                return stream.read(LIMIT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidInput(f"this cannot be read: {error.strerror}", reference="bad-path", where=where) from None

    def _placed(self, findings: Sequence[Finding], recipe: Path) -> tuple[Finding, ...]:
        """Findings of errors, whose files are as messages name them, with files from the project's root."""
        return tuple(replace(item, file=self.label(Path(os.path.abspath(item.file)))) for item in findings)


def orphans(folder: Path, label: Callable[[Path], str]) -> Iterator[Finding]:
    """Locks below a folder beside which there is no recipe.

    Args:
        folder: The project's folder of recipes.
        label: Names a file from the project's root.
    """
    for lock in sorted(folder.rglob("*.lock.yaml")):
        stem = lock.name.removesuffix(".lock.yaml")
        inside = lock.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if not any(os.path.lexists(lock.with_name(stem + suffix)) for suffix in SUFFIXES):
            yield found(
                "orphan-lock", f"there is no recipe {stem}.yaml beside this lock", label(lock), line=1, column=1
            )


def _requirement_places(request: Request) -> dict[tuple[str, str], Where]:
    places: dict[tuple[str, str], Where] = {}
    for part in request.platforms:
        for kind, requirements in (("conda", part.conda), ("pypi", part.pypi)):
            for item in requirements:
                if item.where is not None:
                    places.setdefault((kind, item.name), item.where)
    return places
