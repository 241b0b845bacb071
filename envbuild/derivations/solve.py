"""The kind ``solve``: requirements become pinned packages for one platform and one ecosystem.

A conda solve goes first; a PyPI solve of the same environment names its key in ``after`` and takes what it found: the
Python, and the packages that conda already provides. The result ``out`` is a lock fragment: canonical JSON with the
series of the Python, the packages, the interpreter's archive and what had to be said.

In the key: everything that decides the answer, with channels and indices as canonical addresses (mirrors undone). Not
in the key: places in files, credentials, proxies. The key holds no state of the channels: so the
answer is the same tomorrow only with a cut-off, and only then the kind is ``pure``.

Rules of the file: no engine is imported before ``realise``.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any, ClassVar, Literal

from envbuild.derivations import Context, Outputs, Purity
from envbuild.derivations.fragment import Fragment as Fragment
from envbuild.derivations.fragment import fragment_bytes as fragment_bytes
from envbuild.derivations.fragment import fragment_from_bytes as fragment_from_bytes
from envbuild.digest import Digest, Json, key
from envbuild.errors import InvalidInput, UnsatisfiableError
from envbuild.faults import reach
from envbuild.package import CondaPackage, InterpreterArchive, SourcePackage, Wheel
from envbuild.pinned import package_tree
from envbuild.recipe import BuildOptions, GitSource, PathSource, PypiRequirement, UrlSource
from envbuild.request import PlatformRequest, to_document
from envbuild.value import dataclass, replace

Ecosystem = Literal["conda", "pypi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve:
    """One solve.

    Attributes:
        interpreter: ``conda``, ``host`` or ``managed``.
        cut_off: RFC 3339, UTC; None for whatever is there now.
        channels: Canonical addresses of ``request.channels`` and of channels that single packages name, in order.
        indices: Canonical addresses of the places for wheels, in order; an unset machine default is ``default``.
        one_pool: Whether the best version of all indices is taken, and not the first index's that has the name.
        pins_conda: Records of bases that stay; ``pins_wheels``, ``pins_sources`` and what these are built with,
            ``pins_build`` and ``pins_build_sources``, likewise.
        keep_conda: Records of the lock before, preferred; ``keep_wheels`` and the others likewise.
        build: How sources are built.
        after: Key of the platform's conda solve, for a PyPI solve.
    """

    kind: ClassVar[str] = "solve"
    version: ClassVar[int] = 1

    ecosystem: Ecosystem
    request: PlatformRequest
    interpreter: str
    cut_off: str | None = None
    channels: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    one_pool: bool = False
    pins_conda: tuple[CondaPackage, ...] = ()
    pins_wheels: tuple[Wheel, ...] = ()
    keep_conda: tuple[CondaPackage, ...] = ()
    keep_wheels: tuple[Wheel, ...] = ()
    pins_sources: tuple[SourcePackage, ...] = ()
    pins_build: tuple[Wheel, ...] = ()
    pins_build_sources: tuple[SourcePackage, ...] = ()
    keep_sources: tuple[SourcePackage, ...] = ()
    keep_build: tuple[Wheel, ...] = ()
    keep_build_sources: tuple[SourcePackage, ...] = ()
    build: tuple[BuildOptions, ...] = ()
    after: Digest | None = None
    key: Digest = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """``pure`` when the answer is the same tomorrow.

        That is with a cut-off, not by a Python that only is here, and not of what can be another thing tomorrow under
        the same name: a folder, a branch, a file at an address.
        """
        settled = self.cut_off is not None and not self._asks_machine() and not self._asks_elsewhere()
        return "pure" if settled else "impure"

    def _asks_elsewhere(self) -> bool:
        """Whether a source is named by what may change under its name."""
        if self.ecosystem == "conda":
            return False
        pinned = {item.name for item in self.pins_sources} | {item.name for item in self.pins_wheels}
        return any(_may_change(item) for item in self.request.pypi if item.name not in pinned)

    def _asks_machine(self) -> bool:
        """Whether the series of the Python depends on what this machine, or this uv, has."""
        if self.ecosystem == "conda" or self.interpreter == "conda":
            return False
        from envbuild.solvers.python_choice import series_of

        return self.interpreter == "managed" or len(series_of(self.request.python)) > 1

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """The conda solve that must be done before."""
        return () if self.after is None else (self.after,)

    @property
    def label(self) -> str:
        """What people see."""
        return f"solve {self.ecosystem} {self.request.platform}"

    @property
    def size(self) -> int | None:
        """Unknown: indices are of any size."""
        return None

    def document(self) -> Json:
        """The key document: requirements of this ecosystem only, so that a changed wheel solves no conda again."""
        request = self.request
        common: dict[str, Json] = {
            "ecosystem": self.ecosystem,
            "platform": request.platform,
            "python": request.python,
            "interpreter": self.interpreter,
            "system": dict(request.system),
            "cut-off": self.cut_off,
            "strategy": "highest",
            "after": self.after,
        }
        if self.ecosystem == "conda":
            return {
                **common,
                "channels": list(self.channels),
                "packages": to_document(request.conda),
                "constraints": to_document(request.conda_constraints),
                "needs-python": self.needs_python,
                "pins": [package_tree(item) for item in self.pins_conda],
                "keep": [package_tree(item) for item in self.keep_conda],
            }
        return {
            **common,
            "indices": list(self.indices),
            **({"one-pool": True} if self.one_pool else {}),
            "names": [item.name for item in request.extra_indices] + ([request.index.name] if request.index else []),
            **({"explicit": explicit} if (explicit := [i.name for i in request.extra_indices if i.explicit]) else {}),
            "no-index": request.no_index,
            "find-links": list(request.find_links),
            "prereleases": to_document(request.prereleases),
            "no-build": to_document(request.no_build),
            "packages": to_document(request.pypi),
            "constraints": to_document(request.pypi_constraints),
            "overrides": to_document(request.pypi_overrides),
            **({"provides": to_document(request.provides)} if request.provides else {}),
            "pins": [package_tree(item) for item in self.pins_wheels],
            "keep": [package_tree(item) for item in self.keep_wheels],
            **self._sources_document(),
        }

    def _sources_document(self) -> dict[str, Json]:
        """What only solves with sources have: the keys of others are what they were before there were any."""
        several: dict[str, tuple[SourcePackage, ...] | tuple[Wheel, ...]] = {
            "pins-sources": self.pins_sources,
            "pins-build": self.pins_build,
            "pins-build-sources": self.pins_build_sources,
            "keep-sources": self.keep_sources,
            "keep-build": self.keep_build,
            "keep-build-sources": self.keep_build_sources,
        }
        found: dict[str, Json] = {
            word: [package_tree(item) for item in packages] for word, packages in several.items() if packages
        }
        return {**found, "build": to_document(self.build)} if self.build else found

    @property
    def needs_python(self) -> bool:
        """Whether a conda solve must bring a Python although no conda package asks for it."""
        request = self.request
        return request.python is not None or bool(request.pypi) or bool(self.pins_wheels or self.pins_sources)


def _may_change(item: PypiRequirement) -> bool:
    """Whether a requirement's source may be another one tomorrow."""
    match item.source:
        case GitSource(rev=rev):
            return rev is None or re.fullmatch("[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", rev) is None
        case UrlSource(sha256=sha256):
            return sha256 is None
        case PathSource():
            return True
        case None:
            return False


class _Noting:
    """A context that keeps what is noted, so that a memoized solve says it again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.notes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
        self._context.note(text)


def realise(derivation: Solve, context: Context, /) -> Outputs:
    """Solve and publish the fragment.

    Raises:
        UnsatisfiableError: With the solver's explanation and the recipe's lines.
        UnreachableError: When a channel or an index does not answer.
    """
    noting: Any = _Noting(context)
    fragment = _conda(derivation, noting) if derivation.ecosystem == "conda" else _pypi(derivation, noting)
    reach("mid-solve")
    return {"out": context.put_bytes(fragment_bytes(replace(fragment, notes=tuple(noting.notes))))}


def _conda(solve: Solve, context: Context) -> Fragment:
    from envbuild.solvers.conda import CondaQuestion, solve_conda

    question = CondaQuestion(
        request=solve.request,
        python=solve.needs_python,
        cut_off=solve.cut_off,
        pins=solve.pins_conda,
        keep=solve.keep_conda,
    )
    if solve.interpreter != "conda":
        from envbuild.solvers.no_python import solve_beside

        return Fragment(python=None, conda=solve_beside(question, solve.interpreter, context))
    packages = solve_conda(question, context)
    python = next((item.version for item in packages if item.name == "python"), None)
    return Fragment(python=python, conda=packages)


def _pypi(solve: Solve, context: Context) -> Fragment:
    from envbuild.solvers.applicable import applicable
    from envbuild.solvers.pypi import PypiQuestion, solve_pypi
    from envbuild.solvers.target import Target

    before = Fragment(python=None)
    if solve.after is not None:
        before = fragment_from_bytes(context.blob(solve.after).read_bytes())
    python, archive = _python(solve, before, context)
    target = Target(platform=solve.request.platform, python=python, system=solve.request.system)
    if not (solve.request.pypi or solve.pins_wheels or solve.pins_sources):
        return Fragment(python=python, archive=archive)
    question = PypiQuestion(
        request=applicable(solve.request, target),
        target=target,
        cut_off=solve.cut_off,
        pins=solve.pins_wheels,
        keep=solve.keep_wheels,
        conda=before.conda if solve.interpreter == "conda" else (),  # another Python imports none of conda's
        pins_sources=solve.pins_sources,
        pins_build=solve.pins_build,
        pins_build_sources=solve.pins_build_sources,
        keep_sources=solve.keep_sources,
        keep_build=solve.keep_build,
        keep_build_sources=solve.keep_build_sources,
        build=solve.build,
        host=before.conda,
        interpreter=solve.interpreter,
        archive=archive,
    )
    answer = solve_pypi(question, context)
    return Fragment(
        python=python,
        wheels=answer.wheels,
        sources=answer.sources,
        build=answer.build,
        build_sources=answer.build_sources,
        archive=archive,
    )


def _python(solve: Solve, before: Fragment, context: Context) -> tuple[str, InterpreterArchive | None]:
    """The Python that wheels are chosen for, and its archive when it is managed."""
    from envbuild.solvers.python_choice import lowest_patch, series_of

    constraint = solve.request.python
    if solve.interpreter == "conda":
        if before.python is None:
            raise UnsatisfiableError("the conda packages bring no Python for the wheels", reference="no-python")
        return before.python, None
    if solve.interpreter == "managed":
        from envbuild.machine.interpreters import managed_archive

        archive = managed_archive(constraint, solve.request.platform, context)
        return archive.version, archive
    try:
        several = series_of(constraint)
    except InvalidInput as error:
        where, hint = solve.request.python_where, "write for example `python: 3.12`, or leave it out"
        raise InvalidInput(error.message, reference=error.reference, where=where, hint=hint) from None
    chosen = several[0] if len(several) == 1 else _host_series(several, context)
    lowest = lowest_patch(constraint, chosen)
    assert lowest is not None
    return lowest, None


def _host_series(several: tuple[str, ...], context: Context) -> str:
    """The newest series of several that this machine has.

    Raises:
        UnsatisfiableError: ``no-python`` when it has none of them.
    """
    last: UnsatisfiableError | None = None
    for series in several:
        try:
            return ".".join(context.host_python(series).version.split(".")[:2])
        except UnsatisfiableError as error:
            last = error
    assert last is not None
    raise UnsatisfiableError(
        last.message.replace(f"Python {several[-1]} ", f"Python {' or '.join(several)} ", 1),
        reference="no-python",
        hint=last.hint,
    )
