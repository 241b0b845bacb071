"""Shared stores as verbs of a session: ``store_init``, ``store_info``, ``trust``.

These name a store and want to know: what goes wrong there is an error, where a realize only says so and goes on.

Rules of the file: wires; what a store is trusted with is decided in ``stores``, what is moved in ``move_verbs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from envbuild.environments.stores import (
    ChosenStore,
    OpenStores,
    chosen_stores,
    open_store,
    policy_of,
    signer_of,
)
from envbuild.errors import EnvbuildError, StaleError, UnreachableError, UsageError
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.environments.name_stores import NameStore
    from envbuild.environments.stores import Clouds
    from envbuild.objects import Objects
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.signatures import Signer
    from envbuild.store.taken import Given


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What there is to know of one configured store.

    Attributes:
        believed: Whether its results count here, whoever wrote them; ``signed``: whether those do that are signed.
        written: Whether what is done here goes there.
        state: ``ready``, or why it cannot be used.
        blobs: How many it has, and ``size``, their bytes; None when it was not, or cannot be, listed.
        results: Records by kind.
        environments: Closures.
        names: Names of environments, also those that were removed; ``generations``: of all of them.
        sizes: Bytes by kind: ``blobs``, ``results``, ``environments``, ``refs`` (names), …; ``other`` is not ours.
        given: What this machine took from it in the last 30 days; None when it was not asked.
        unfinished: Uploads that were begun and not ended, which S3 keeps; None when they were not, or cannot be,
            listed. ``since``: when the oldest began, seconds since 1970 by the store's clock.
    """

    name: str
    address: str
    mode: str
    believed: bool
    written: bool
    state: str
    signed: bool = False
    blobs: int | None = None
    size: int | None = None
    results: tuple[tuple[str, int], ...] = ()
    environments: int | None = None
    names: int | None = None
    generations: int | None = None
    signatures: int | None = None
    sizes: tuple[tuple[str, int], ...] = ()
    given: Given | None = None
    unfinished: int | None = None
    since: float | None = None


class StoreVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _offline: bool
    _start: Path
    _stores: tuple[str, ...]
    _open_stores: dict[Path, OpenStores]
    _clouds: Clouds | None

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

    def store_init(self, url: str, *, shared: bool = False) -> tuple[str, bool]:
        """Make a store at an address, when one can be kept there.

        Args:
            url: A folder, or an address of a cloud.
            shared: Of a folder: several users of this machine may write (mode 2775).

        Returns:
            The address, and whether there was none before.

        Raises:
            UnreachableError: ``no-bucket``, ``refused``, ``overwrites``, ``unfit``: why none can be kept there.
            StaleError: ``store-format`` when there is one that we do not know.
        """
        from envbuild.objects.probe import probe
        from envbuild.store.shared import SharedStore
        from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME

        chosen = self._named(url, new=True)
        if shared:
            if chosen.address.scheme != "file":
                raise UsageError("--shared is for folders: who may write elsewhere is set there")
            from envbuild.objects.folder import make_shared
            from envbuild.store.contents import AREAS

            root = Path(chosen.address.path)
            there = (root / FORMAT_NAME).is_file()  # in a folder of something else nothing is changed
            if make_shared(root, (*AREAS, "probe", "tmp") if there else ()):
                self._reporter.note(f"all of {chosen.address.shown} is shared now: its group may write it")
        objects = open_store(chosen, self.project().config, self._environ, note=self._reporter.note, write=True)
        if objects.read(FORMAT_NAME) is not None:
            if SharedStore(chosen.name, lambda: objects).use() != "write":
                raise StaleError(
                    f"{objects.address} is a store of another version of envbuild", reference="store-format"
                )
            return objects.address, False
        probe(objects)
        return objects.address, objects.put(FORMAT_NAME, FORMAT_BYTES) == "created"

    def store_info(self, store: str | None = None) -> tuple[StoreInfo, ...]:
        """What is known of the configured stores, or of one."""
        chosen = self._chosen() if store is None else (self._named(store),)
        return tuple(self._info(item) for item in chosen)

    def _info(self, item: ChosenStore) -> StoreInfo:
        from datetime import datetime, timezone

        from envbuild.machine.home import Home, find_home
        from envbuild.store.contents import contents
        from envbuild.store.shared import SharedStore
        from envbuild.store.taken import read_taken

        info = StoreInfo(
            name=item.name,
            address=item.address.shown,
            mode=item.mode,
            believed=item.believed,
            written=item.written,
            state="ready",
            signed=item.signed,
        )
        if self._offline and not item.near:
            return replace(info, state="not asked: --offline")
        store = SharedStore(
            item.name, lambda: open_store(item, self.project().config, self._environ, note=self._reporter.note)
        )
        try:
            if (use := store.use()) != "write":
                unusable = "its format.json is another version's, or damaged: not usable"
                return replace(info, state="of a newer format: read only" if use == "read" else unusable)
        except EnvbuildError as error:
            return replace(info, state=error.message)
        taken = read_taken(Home(path=find_home(self._environ)).taken, datetime.now(timezone.utc).date())
        info = replace(info, given=taken.get(store.address or ""))
        try:
            found = contents(store)
        except EnvbuildError:
            return info
        info = _with_unfinished(info, item)
        counts = dict(found.counts)
        return replace(
            info,
            blobs=counts.get("blobs", 0),
            size=dict(found.sizes).get("blobs", 0),
            results=found.results,
            environments=counts.get("environments", 0),
            names=found.names,
            generations=found.generations,
            signatures=counts.get("signatures", 0),
            sizes=found.sizes,
        )

    def trust(self, address: str | None = None, *, remove: bool = False) -> tuple[str, ...]:
        """Trust a store (or no longer), in the user's own configuration; gives all that is trusted there.

        Args:
            address: A store's address, or the name of one that is configured; None only looks.
            remove: Take it away.

        Raises:
            UsageError: ``not-trusted`` for one that is not there to be removed.
        """
        from envbuild.projects.trusting import change_trusted, trusted_by_user

        if address is None:
            return trusted_by_user(self._environ)
        if remove and address in trusted_by_user(self._environ):
            return change_trusted(self._environ, remove=address)
        url = self._named(address).url
        return change_trusted(self._environ, **{"remove" if remove else "add": url})

    # Which stores

    def _chosen(self, project: Project | None = None) -> tuple[ChosenStore, ...]:
        project = project or self.project()
        return chosen_stores(project.config, project.root, self._stores, self._start)

    def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore:
        """A configured store by its name, or any by its address; a new one may be a folder that is not there."""
        for item in self._chosen(project):
            if word in {item.name, item.url, item.address.shown}:
                return item
        if not new and "/" not in word and ":" not in word and not (self._start / word).exists():
            known = ", ".join(item.name for item in (project or self.project()).config.stores) or "none"
            raise UsageError(
                f"there is no store {word!r}; configured are: {known}", reference="no-stores", hint="write its address"
            )
        project = project or self.project()
        return chosen_stores(project.config, project.root, (word,), self._start)[0]

    def _writable(self, word: str, project: Project | None = None) -> ChosenStore:
        """A store to be written: naming it is word enough, but not against what configuration says of it.

        Raises:
            UnreachableError: ``read-only``.
        """
        chosen = self._named(word, project)
        if chosen.mode == "read-only":
            web = chosen.address.scheme in {"http", "https"}
            why = "" if web else ": the configuration says `mode: read-only` of it"
            raise UnreachableError(
                f"{chosen.name} may only be read here{why}",
                reference="read-only",
                hint="name the bucket or folder behind it" if web else "envbuild config list --show-origin",
            )
        return chosen

    def _shared(self) -> Sequence[NameStore]:
        """The shared stores that may say what names mean, near to far: a name is somebody's word, as a result is."""
        from envbuild.environments.name_stores import NameStore

        project = self.project()
        config = project.config
        signs = config.signing_key is not None
        return [
            NameStore(
                objects=self._opened(project).store(item).objects,
                writable=item.written,
                near=item.near,
                policy=policy_of(item, config),
                signer=partial(self._signer, project) if signs else None,
            )
            for item in self._chosen(project)
            if item.believed or item.written or item.signed
        ]

    def _unbelieved(self) -> str:
        silent = [item for item in self._chosen() if not (item.believed or item.written or item.signed)]
        if not silent:
            return ""
        names, first = ", ".join(item.name for item in silent), silent[0]
        if self.project().config.trust.mode != "hash":
            return f"no name of {names} counts, for no key is trusted; envbuild trust --key NAME=PUBLIC"
        return f"nobody here said to trust {names}; envbuild trust {quote(first.url)}"

    def _having_closures(self) -> Sequence[Objects]:
        """All shared stores, near to far: a closure proves itself, so no store has to be believed for it."""
        found = []
        for item in self._chosen():
            if item.near or not self._offline:
                try:
                    found.append(self._opened(self.project()).store(item).objects)
                except EnvbuildError:
                    if item.believed or item.written or item.signed:
                        raise
        return found

    def _signer(self, project: Project) -> Signer:
        """The key that signs; only where one is configured."""
        found = signer_of(project.config, self._environ, project.root)
        assert found is not None
        return found

    def _opened(self, project: Project) -> OpenStores:
        """The open stores of a project."""
        if project.root not in self._open_stores:
            self._open_stores[project.root] = OpenStores(
                project.config, self._environ, self._reporter.note, self._clouds
            )
        return self._open_stores[project.root]

    def _ask_ahead(self) -> None:
        """Begin to ask stores what they will be asked for certain; but those that this session has asked before."""
        for opened in self._open_stores.values():
            opened.ahead()

    def _seen(self, objects: Objects, name: str, right: bool) -> None:
        for opened in self._open_stores.values():
            opened.seen(objects, name, right=right)


def _with_unfinished(info: StoreInfo, item: ChosenStore) -> StoreInfo:
    from envbuild.objects.opening import unfinished_uploads

    try:
        uploads = unfinished_uploads(item.url)
    except EnvbuildError:  # it takes a right that nothing else does
        return info
    return replace(info, unfinished=len(uploads), since=min((began for _, began in uploads), default=None))
