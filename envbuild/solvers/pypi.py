"""Wheels for a target platform and Python: uv resolves, the wheels' own metadata gives the edges of the lock.

A solve is: write stubs of what conda provides; run uv; where an extra of a stub is asked for, read the real wheel's
metadata and run uv again; choose the best file of each package; read what those wheels say. Where sources are named, or
uv finds no wheels, ``envbuild.solvers.source_solve`` joins in, and is not imported before.

Indices: those that the recipe names come first, then the default, then the machine's additional ones; the first that
has a name wins.
Rules of the file: effects through ``context``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import EnvbuildError, UnsatisfiableError
from envbuild.pattern import pattern
from envbuild.recipe import PypiRequirement, UrlSource
from envbuild.solvers.kept_versions import keep_versions
from envbuild.solvers.metadata_ahead import MetadataAhead
from envbuild.solvers.mixed import Stubs, make_stubs, pypi_projects
from envbuild.solvers.offers import NO_OFFERS, pinned_metadata
from envbuild.solvers.pylock import choose
from envbuild.solvers.sources import Places, check_folders, places_of
from envbuild.solvers.target import wheel_ranks
from envbuild.solvers.uv_compile import NeedsBuildError, Resolved, resolve
from envbuild.solvers.uv_compile import PypiQuestion as PypiQuestion
from envbuild.solvers.wheel_metadata import WheelMetadata, kept_metadata, load_engines, read_all
from envbuild.value import replace

if TYPE_CHECKING:
    from envbuild.derivations import Context
    from envbuild.solvers.build_requirements import Memo
    from envbuild.solvers.locked_packages import PypiAnswer
    from envbuild.solvers.source_solve import SourceSupply
    from envbuild.solvers.tools import Tools

_HEAD_START = 0.01
"""Seconds in which uv is started; modules imported meanwhile would hold the interpreter and delay it by three times as
much."""

_WARM = 0.4
"""Seconds that uv takes at most when it need not ask anybody."""

_UNDATED = pattern(r"warning: `([^`]+)` is missing an upload date")
_NO_EXTRA = pattern(r"warning: The package `([^`= ]+)(?:==| @ )[^`]*` does not have an extra named `([^`]+)`")


def solve_pypi(question: PypiQuestion, context: Context, *, memo: Memo | None = None) -> PypiAnswer:
    """The wheels and sources for one platform; what conda provides is not among them.

    Args:
        question: What is asked for.
        context: For effects.
        memo: Build requirements that were solved already, when this is a solve of some.

    Raises:
        UnsatisfiableError: With uv's explanation and the recipe's lines; ``needs-build`` for what has no wheel.
        UnreachableError: When an index does not answer.
        BuildError: When the backend of a source fails.
    """
    places = places_of(question.request, context.addresses)
    check_folders(places)
    loading = threading.Timer(_HEAD_START, _load)
    loading.daemon = True
    loading.start()
    ahead = MetadataAhead(context)
    with ahead, _expecting(places, context), context.scratch() as folder:
        pinned = _pinned(question, context)
        stubs = make_stubs(question.conda, folder / "stubs", {}, pinned, question.request.provides)

        def supply() -> SourceSupply:
            return _supply(question, places, folder, context, {} if memo is None else memo)

        ask = _Asking(question, places, folder, context, supply, ahead)
        answer = ask(stubs)
        looked: set[str] = set()
        while missing := _missing_extras(answer.said, stubs, question, looked):
            looked |= missing.keys()
            extras = _extra_metadata(question, places, stubs, missing, folder, context)
            told = ask.supply.pinned_extras(missing) if ask.supply is not None else {}
            if not extras and not told:
                break
            pinned |= told
            known = {**stubs.extras, **extras}
            stubs = make_stubs(question.conda, folder / "stubs", known, pinned, question.request.provides)
            answer = ask(stubs)
        loading.join()
        from envbuild.solvers.locked_packages import locked_packages

        _tell(answer.said, stubs, question, places, context)
        where = {item.name: item.where for item in question.request.pypi}
        chosen = choose([item for item in answer.packages if item not in stubs], wheel_ranks(question.target), where)
        return locked_packages(chosen, question, stubs, answer.origins, places, ask.supply, context, ahead)


def _load() -> None:
    """Import, while uv works, what is needed when it is done."""
    load_engines()
    import envbuild.solvers.locked_packages  # noqa: F401


def _names_sources(question: PypiQuestion) -> bool:
    """Whether sources are asked for, or were locked before."""
    named = any(item.source is not None and not _is_wheel(item) for item in question.request.pypi)
    return named or bool(question.pins_sources) or bool(question.keep_sources)


def _supply(question: PypiQuestion, places: Places, folder: Path, context: Context, memo: Memo) -> SourceSupply:
    from envbuild.build_inputs import BuildInputs
    from envbuild.solvers.source_solve import SourceSupply
    from envbuild.solvers.tools import tools_of

    def tools(inner: PypiQuestion, memo: Memo) -> Tools:
        answer = solve_pypi(inner, context, memo=memo)
        below = BuildInputs(wheels=answer.build, sources=answer.build_sources)
        return tools_of(answer.wheels, answer.sources, below, inner.host)

    return SourceSupply(question, places, tools, folder, context, memo)


class _Asking:
    """Asks uv until its answer rests on nothing that is not known; brings sources when it cannot do without."""

    def __init__(
        self,
        question: PypiQuestion,
        places: Places,
        folder: Path,
        context: Context,
        supply: Callable[[], SourceSupply],
        ahead: MetadataAhead,
    ) -> None:
        self.supply = supply() if _names_sources(question) else None
        self._make = supply
        self._question = question
        self._places = places
        self._folder = folder
        self._context = context
        self._ahead = ahead

    def __call__(self, stubs: Stubs) -> Resolved:
        while True:
            try:
                answer = self._resolve(stubs)
            except NeedsBuildError as refused:
                if self.supply is None:
                    self.supply = self._make()
                self.supply.widen(refused)
                continue
            if self.supply is None or not self.supply.refine(answer.packages):
                return answer

    def _resolve(self, stubs: Stubs) -> Resolved:
        offers = self.supply.offers if self.supply is not None else NO_OFFERS

        def ask(question: PypiQuestion) -> Resolved:
            return resolve(question, self._places, stubs, self._folder, self._context, offers, self._ahead)

        answer = ask(self._question)
        if self._places.strategy != "first-index":
            self._question, answer = keep_versions(self._question, answer, ask)
        return answer


@contextmanager
def _expecting(places: Places, context: Context) -> Iterator[None]:
    """While uv works, ready what asking its index for METADATA takes.

    Where none is kept yet this begins at once, else when uv works longer than it does with a warm cache.
    """
    done = threading.Event()
    asked = [] if places.no_index else [address or "https://" for _, address in places.indices]
    remote = next((address for address in asked if address.startswith(("http://", "https://"))), None)

    kept = context.engine_cache("metadata")
    patience = _WARM if next(kept.iterdir(), None) is not None else _HEAD_START

    def expect() -> None:
        if remote is not None and not done.wait(patience):
            with suppress(EnvbuildError):  # who asks will meet it
                context.expect(remote)

    threading.Thread(target=expect, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _pinned(question: PypiQuestion, context: Context) -> dict[str, WheelMetadata]:
    """The bases' wheels that uv need not ask about: their metadata is known, and no index is named for them.

    Of bases' sources the lock knows enough, and nobody else may be asked.
    """
    bound = {item.name for item in question.request.pypi if item.index is not None or item.source is not None}
    projects = {item.name: name for item in question.conda for name in pypi_projects(item, question.request.provides)}
    found = {source.name: pinned_metadata(source, projects) for source in question.pins_sources}
    for wheel in question.pins:
        metadata = kept_metadata(wheel.sha256, context)
        if metadata is not None and wheel.url is None and wheel.name not in bound:
            found[wheel.name] = replace(metadata, version=wheel.version)
    return found


def _is_wheel(item: PypiRequirement) -> bool:
    return isinstance(item.source, UrlSource) and item.source.url.split("#", 1)[0].split("?", 1)[0].endswith(".whl")


def _missing_extras(said: str, stubs: Stubs, question: PypiQuestion, looked: set[str]) -> dict[str, set[str]]:
    """The extras that uv missed in what conda provides, and in what bases build; not of names looked into before."""
    pins = {source.name for source in question.pins_sources}
    missing: dict[str, set[str]] = {}
    for name, extra in _NO_EXTRA.findall(said):
        if (name in stubs.packages or name in pins) and name not in looked:
            missing.setdefault(name, set()).add(extra)
    return missing


def _extra_metadata(
    question: PypiQuestion,
    places: Places,
    stubs: Stubs,
    missing: Mapping[str, set[str]],
    folder: Path,
    context: Context,
) -> dict[str, WheelMetadata]:
    """What the wheels of the same versions say of the extras that are asked of conda's packages."""
    names = sorted(missing.keys() & stubs.versions.keys())
    wanted = tuple(PypiRequirement(name=name, version=f"=={stubs.versions[name]}") for name in names)
    found: dict[str, WheelMetadata] = {}
    for item in wanted:
        request = replace(question.request, pypi=(item,), pypi_constraints=(), pypi_overrides=())
        alone = replace(question, request=request, pins=(), keep=(), conda=(), cut_off=None, alone=True)
        try:
            packages = resolve(alone, places, Stubs(), folder, context).packages
            same = [package for package in packages if package["name"] == item.name]
            found |= read_all(choose(same, wheel_ranks(question.target), {}), context)
        except UnsatisfiableError:
            known = stubs.versions[item.name]
            context.note(f"{item.name} {known} comes from conda; its extras are not known and left out")
    return found


def _tell(said: str, stubs: Stubs, question: PypiQuestion, places: Places, context: Context) -> None:
    if question.cut_off:
        hidden = sorted(set(_UNDATED.findall(said)))
        for name in sorted({file.split("-")[0] for file in hidden}):
            context.note(f"{name}: its index states no upload dates, so the cut-off {question.cut_off} hides its files")
        if places.links:
            context.note(f"files of find-links have no dates: the cut-off {question.cut_off} does not filter them")
    for name, extra in sorted(set(_NO_EXTRA.findall(said))):
        if name in stubs.packages and name not in stubs.extras:
            continue  # that its extras are not known was said
        context.note(f"{name} has no extra named {extra}")
