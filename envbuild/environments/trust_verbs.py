"""Whom results are believed, as verbs of a session: ``trusting``, ``trust_key``, ``trust_mode``, keys, ``store_sign``.

Rules of the file: wires; what counts is decided in ``envbuild.trust`` and ``stores``, what is signed in ``signing``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envbuild.environments.stores import ChosenStore, open_store, project_of, signer_of
from envbuild.errors import InvalidInput, UsageError
from envbuild.names import parse_name
from envbuild.projects.config_files import user_file
from envbuild.trust import Mode, Trust, TrustedKey, is_label
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.digest import Digest
    from envbuild.environments.realized import Mode as LockMode
    from envbuild.environments.realized import Wanted
    from envbuild.environments.signing import Signed, Signing
    from envbuild.lock import Lock
    from envbuild.machine.signing_key import KeyFile
    from envbuild.names import Source
    from envbuild.projects.project import Project
    from envbuild.reporter import Reporter
    from envbuild.store.shared import SharedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BelievedStore:
    """One store, and what of it counts.

    Attributes:
        name: Of the store.
        counts: ``all`` its results and names, those that are ``signed``, or ``nothing``.
        written: Whether what is done here goes there.
    """

    name: str
    counts: str
    written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    """Whom this user believes here.

    Attributes:
        trusted: Addresses, in the user's own configuration.
        trust: The setting as it holds here, from all places.
        expired: Names of keys that do not count any more.
        stores: The stores of this folder.
        signing_key: Where the key is that signs; None for nowhere.
    """

    trusted: tuple[str, ...]
    trust: Trust
    expired: tuple[str, ...]
    stores: tuple[BelievedStore, ...]
    signing_key: str | None


class TrustVerbs:
    """The verbs; ``envbuild.session.Session`` is one of these."""

    _environ: Mapping[str, str]
    _reporter: Reporter
    _start: Path

    if TYPE_CHECKING:

        def project(self, recipe: Path | None = None) -> Project: ...  # noqa: D102  it is the session's

        def _chosen(self, project: Project | None = None) -> tuple[ChosenStore, ...]: ...

        def _named(self, word: str, project: Project | None = None, *, new: bool = False) -> ChosenStore: ...

        def _writable(self, word: str, project: Project | None = None) -> ChosenStore: ...

        def _source(self, source: Path | str) -> Source: ...

        def _wanted(self, source: Path | str, mode: LockMode, *, write: bool = True) -> tuple[Project, Wanted]: ...

    def trusting(self) -> Trusting:
        """Whom results and names are believed here."""
        from envbuild.projects.trusting import trusted_by_user

        config, now = self.project().config, time.time()
        return Trusting(
            trusted=trusted_by_user(self._environ),
            trust=config.trust,
            expired=tuple(key.name for key in config.trust.keys if not key.counts(now)),
            stores=tuple(
                BelievedStore(
                    name=item.name,
                    counts="all" if item.believed else "signed" if item.signed else "nothing",
                    written=item.written,
                )
                for item in self._chosen()
            ),
            signing_key=config.signing_key,
        )

    def trust_key(self, key: str, *, not_after: str | None = None, remove: bool = False) -> Trust:
        """Trust a key, or no longer, in the user's own configuration.

        Args:
            key: ``NAME=PUBLIC``; to remove it, or to change its ``not_after``, ``NAME`` alone.
            not_after: A date or time from which it does not count.
            remove: Take it away.

        Raises:
            UsageError: ``not-trusted`` for a key that is not there.
            InvalidInput: ``bad-key``, ``bad-time``.
        """
        from envbuild.projects.trust_settings import read_not_after, trusted_key
        from envbuild.projects.trusting import change_trust, trust_of_user

        before = trust_of_user(self._environ)
        name, sign, public = key.partition("=")
        known = {item.name: item for item in before.keys}
        if (remove or not sign) and name not in known:
            have = ", ".join(known) or "none"
            raise UsageError(
                f"{name} is no key of your configuration, which has {have}",
                reference="not-trusted",
                hint="write NAME=PUBLIC, with the line of `envbuild key show`",
            )
        if remove:
            del known[name]
        elif sign:
            known[name] = trusted_key(name, public, not_after)
        elif not_after is not None:
            known[name] = replace(known[name], not_after=read_not_after(not_after))
        keys: tuple[TrustedKey, ...] = tuple(known[each] for each in sorted(known))
        return change_trust(self._environ, replace(before, keys=keys))

    def trust_mode(self, mode: str) -> Trust:
        """Set the mode in the user's own configuration: ``hash``, ``signed`` or ``strict``."""
        from envbuild.projects.trusting import change_trust, trust_of_user

        return change_trust(self._environ, replace(trust_of_user(self._environ), said=cast(Mode, mode)))

    # Keys

    def keys(self) -> tuple[KeyFile, ...]:
        """The keys of this user, by name."""
        from envbuild.machine.signing_key import keys_folder, listed_keys

        return listed_keys(keys_folder(user_file(self._environ)))

    def new_key(self, name: str, output: Path | None = None) -> KeyFile:
        """A new key pair.

        Args:
            name: What it is called.
            output: The file of the private half; by default among the user's keys.

        Raises:
            UsageError: ``key-exists``, ``key-in-project``, ``missing-extra``, ``usage`` for a name that is none.
            NoSpaceError: When it cannot be written.
        """
        from envbuild.machine.signing_key import keys_folder, make_key

        if not is_label(name):
            raise UsageError(f"{name[:80]!r} is no name of a key: letters, digits, and . _ @ - inside")
        project = project_of(self.project().root)
        if output is None:
            return make_key(keys_folder(user_file(self._environ)) / f"{name}.key", self._environ, None)
        return replace(make_key(self._start / output, self._environ, project), name=name)

    def show_key(self, name: str | None = None) -> TrustedKey:
        """The public half of a key: of this user's by name, else of the one that signs.

        Raises:
            UsageError: ``no-key``.
        """
        if name is not None:
            for key in self.keys():
                if key.name == name:
                    return TrustedKey(name=name, public=key.public)
            known = ", ".join(key.name for key in self.keys()) or "none"
            raise UsageError(f"there is no key {name!r}; yours are: {known}", reference="no-key")
        project = self.project()
        signer = signer_of(project.config, self._environ, project.root)
        if signer is None:
            raise UsageError(
                "no key signs here", reference="no-key", hint="name one: envbuild key show NAME, or `signing-key`"
            )
        public = signer.public
        own = next((key.name for key in self.keys() if key.public == public), "signing-key")
        return TrustedKey(name=own, public=public)

    # Signing what is there

    def store_sign(
        self,
        store: str,
        sources: Sequence[str] = (),
        *,
        results: bool = False,
        names: bool = False,
        renew: bool = False,
        dry_run: bool = False,
    ) -> Signed:
        """Sign what a store holds; see ``envbuild.environments.signing``.

        Args:
            store: By name or address.
            sources: Names, and ids and recipes of environments; everything when there are none.
            results: Only results; ``names``: only names.
            names: See ``results``.
            renew: Only what counts already by this user's keys.
            dry_run: Put nothing.

        Raises:
            UsageError: ``no-key`` when there is none to sign with, or to renew by.
            InvalidInput: ``unknown-name``.
            UnreachableError: ``read-only``; when the store does not answer, or refuses.
        """
        from envbuild.environments.signing import Signing
        from envbuild.store.shared import SharedStore
        from envbuild.store.signatures import Policy

        project = self.project()
        config = project.config
        item = self._named(store, project) if dry_run else self._writable(store, project)
        signer = signer_of(config, self._environ, project.root)
        if signer is None:
            raise UsageError(
                "no key is configured to sign with",
                reference="no-key",
                hint="envbuild key new NAME, then name it: `signing-key` in your configuration or ENVBUILD_SIGNING_KEY",
            )
        if renew and not config.trust.keys:
            raise UsageError("no key is trusted whose signatures could be renewed", reference="no-key")
        note = self._reporter.note
        target = SharedStore(item.name, lambda: open_store(item, config, self._environ, note=note, write=not dry_run))
        target.use()
        policy = Policy(config.trust) if config.trust.keys else None
        signing = Signing(target, signer, policy, renew=renew, dry_run=dry_run)
        every = not (results or names)
        for word in sources:
            self._sign_source(signing, target, word, results=results or every, names=names or every)
        if not sources and (results or every):
            signing.results(signing.every_result())
        if not sources and (names or every):
            signing.names(signing.every_name())
        return signing.done()

    def _sign_source(self, signing: Signing, store: SharedStore, word: str, *, results: bool, names: bool) -> None:
        from envbuild.locks.lockfile import parse_closure
        from envbuild.store import names as generations

        source = self._source(word)
        if source.kind != "name":
            _, wanted = self._wanted(word, "locked", write=False)
            if results:
                signing.results(self._results_behind(wanted.lock))
            return
        name = parse_name(source.text)
        newest = generations.current(store.objects, name)
        if newest is None:
            raise InvalidInput(f"there is no {name} in {store.objects.address}", reference="unknown-name")
        for platform, environment in newest.named.environments if results else ():
            data = store.closure(platform, newest.named.request, environment)
            if data is not None:
                signing.results(self._results_behind(parse_closure(data, str(name))))
        if names:
            signing.names([name])

    def _results_behind(self, lock: Lock) -> list[tuple[str, Digest]]:
        """The results that environments are linked from."""
        from envbuild.compile import build_graph
        from envbuild.machine.shared_work import travels

        chosen = self.project().config.conda_format
        graphs = [build_graph(lock, item, name="signed", conda_format=chosen) for item in lock.platforms]
        found = {item.key: item.kind for graph in graphs for item in graph if item.kind != "fetch" and travels(item)}
        return [(kind, key) for key, kind in found.items()]
