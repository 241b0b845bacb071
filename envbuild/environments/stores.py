"""Which shared stores a command has, near to far, and what each is trusted with.

A blob proves itself by its digest; a *result* (what a build, a transmute or a solve came to) is somebody's word, and
whoever writes a store that is believed runs code as its readers. So:

- a store that the user (or system, a variable, a flag) names, to read and write: written, and believed;
- one to read only: believed when the user's own ``trusted`` says so;
- one that only a project's file names, which came with a clone: neither written nor believed until ``trusted`` does;
  a folder outside the checkout that only this user can write needs no word;
- a result that is signed as the user's own ``trust`` wants it counts from any store; with ``trust: signed`` or
  ``strict`` no other does, whatever store it is in.

Stores are compared by their whole address, with endpoint and account: who trusts a bucket trusts no other server.

Rules of the file: decides and opens; nothing is asked of a store, and nothing that does so is imported, before it is
used.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput
from envbuild.objects.address import Address, parse_address
from envbuild.pattern import pattern
from envbuild.projects.config import Config
from envbuild.projects.config_files import PROJECT_FILE, user_file
from envbuild.projects.settings import StoreAddress
from envbuild.value import dataclass, replace

if TYPE_CHECKING:
    from envbuild.objects import Objects
    from envbuild.store.layers import Layers
    from envbuild.store.shared import SharedStore
    from envbuild.store.signatures import Policy, Signer
    from envbuild.store.signed_records import SignedRecords

    Clouds = Callable[[Address], Objects]

_MISSPELT = pattern(r"(?:s3|gs|gcs|az|abfss?|https?|file|memory):", re.IGNORECASE)
"""How an address begins that lacks a slash, and no folder's path that anybody means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStore:
    """One shared store and what it is trusted with.

    Attributes:
        name: What people call it.
        url: Its address, folders absolute.
        address: The same, read.
        mode: ``read-write`` or ``read-only``, as configured.
        believed: Whether its results count, whoever wrote them.
        signed: Whether those count that are signed.
        written: Whether what is done here goes there.
    """

    name: str
    url: str
    address: Address
    mode: str
    believed: bool
    written: bool
    signed: bool = False

    @property
    def near(self) -> bool:
        """Whether it is there without a network."""
        return self.address.scheme in {"file", "memory"}


def chosen_stores(
    config: Config, root: Path, extra: Sequence[str] = (), folder: Path | None = None
) -> tuple[ChosenStore, ...]:
    """The stores of a command: those of the command line, then the configured ones.

    Args:
        config: Whose ``stores``, ``trusted`` and ``trust`` count.
        root: The project's root: folders in its file are relative to it.
        extra: Of the command line: addresses, which are word enough; names of configured stores, to be asked first.
        folder: What those are relative to; the working folder when None.

    Raises:
        InvalidInput: ``bad-address``.
    """
    here = folder or Path.cwd()
    configured = {item.name: item for item in config.stores}
    first = [configured[word] for word in extra if word in configured]
    own = [StoreAddress(name=url, url=url) for url in extra if url not in configured]
    found: dict[tuple[object, ...], ChosenStore] = {}
    trusted = {_identity(address) for text in config.trusted if (address := _address(text)) is not None}
    vouched = {_identity(read_url(item.url, root)[1]): item.mode for item in config.own_stores}
    for item in (*own, *first, *config.stores):
        url, address = read_url(item.url, here if item in own else root)
        identity = _identity(address)
        if identity in found:
            continue
        word = identity in trusted
        stands = item in own or identity in vouched or word or _private(address, root)
        modes = {item.mode, vouched.get(identity, item.mode)}  # a project cannot make the user's store writable
        writes = modes == {"read-write"} and address.scheme not in {"http", "https"}
        believed = config.trust.mode == "hash" and (word or (writes and stands))
        found[identity] = ChosenStore(
            name=address.shown if item.name == item.url else item.name,
            url=url,
            address=address,
            mode="read-write" if writes else "read-only",
            believed=believed,
            signed=not believed and bool(config.trust.keys),
            written=writes and stands,
        )
    return tuple(found.values())


def read_url(url: str, folder: Path) -> tuple[str, Address]:
    """A store's address, read; a path without a protocol is a folder.

    Args:
        url: As configured.
        folder: What a relative path is relative to.

    Raises:
        InvalidInput: ``bad-address``.
    """
    if not url.strip():  # a variable that is not set, most likely: the folder that somebody stands in is no store
        raise InvalidInput(
            "nothing is no address of a store", reference="bad-address", hint="write its name or address"
        )
    if "://" not in url and "::" not in url and not _MISSPELT.match(url):
        url = os.path.abspath(folder / os.path.expanduser(url))  # noqa: PTH111  a path that need not exist
    return url, parse_address(url)


def open_store(
    chosen: ChosenStore,
    config: Config,
    environ: Mapping[str, str],
    *,
    note: Callable[[str], None],
    write: bool | None = None,
    clouds: Clouds | None = None,
) -> Objects:
    """What a store is made of. Nothing is asked yet.

    Args:
        chosen: Which.
        config: How to get there.
        environ: Variables for proxies and credentials.
        note: Told of files of credentials that others may read.
        write: Whether it may be written; as it is trusted when None.
        clouds: As of ``open_objects``.

    Raises:
        EnvbuildError: When its library is missing, or a folder is not safe.
    """
    from envbuild.machine.stall import stall_timeout
    from envbuild.objects.opening import open_objects

    return open_objects(
        chosen.url,
        mode="read-write" if (chosen.written if write is None else write) else "read-only",
        durability=config.durability,
        stall=stall_timeout(environ),
        environ=environ,
        trusted_hosts=config.trusted_hosts,
        note=note,
        clouds=clouds,
    )


def policy_of(chosen: ChosenStore, config: Config) -> Policy | None:
    """What must be signed of a store before its results and names count; None where its word is enough, or is none.

    Raises:
        UsageError: ``missing-extra``.
    """
    if not chosen.signed:
        return None
    from envbuild.store.signatures import Policy

    return Policy(config.trust)


def signer_of(config: Config, environ: Mapping[str, str], root: Path) -> Signer | None:
    """The key that signs what goes to shared stores; None when none is configured.

    Args:
        config: Whose ``signing-key`` counts.
        environ: May hold the key, or its passphrase.
        root: The project's root.

    Raises:
        InvalidInput: ``bad-key``, ``unsafe-file``.
        UsageError: ``no-key``, ``key-in-project``, ``missing-extra``.
    """
    if config.signing_key is None:
        return None
    from envbuild.machine.signing_key import keys_folder, open_signer

    user = user_file(environ)
    return open_signer(config.signing_key, environ, keys_folder(user) if user is not None else None, project_of(root))


def project_of(root: Path) -> Path | None:
    """A project's root when there is a project: a folder without its file is any folder."""
    return root if os.path.lexists(root / PROJECT_FILE) else None


class OpenStores:
    """The shared stores of one project that are open: names, closures and packages come over the same connections.

    Args:
        config: How to get there.
        environ: Variables for proxies and credentials.
        note: Told what a user must know.
        clouds: As of ``open_objects``.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        note: Callable[[str], None] = lambda _: None,
        clouds: Clouds | None = None,
    ) -> None:
        self._note = note
        self._clouds = clouds
        self._config = config
        self._environ = environ
        self._stores: dict[ChosenStore, SharedStore] = {}

    def store(self, chosen: ChosenStore) -> SharedStore:
        """One store; opened once, when it is first used."""
        from envbuild.store.shared import SharedStore

        if chosen not in self._stores:
            opening = partial(open_store, chosen, self._config, self._environ, note=self._note, clouds=self._clouds)
            self._stores[chosen] = SharedStore(chosen.name, opening, chosen.url)
        return self._stores[chosen]

    def ahead(self) -> None:
        """Begin to ask those that are open what comes first, while something else is asked of them."""
        for chosen, store in self._stores.items():
            store.ahead(write=chosen.written)

    def seen(self, objects: Objects, name: str, *, right: bool) -> None:
        """A closure was read from one of them, and is right, or none."""
        for store in self._stores.values():
            store.saw(objects, name, right=right)


def open_layers(
    chosen: Sequence[ChosenStore],
    opened: OpenStores,
    config: Config,
    environ: Mapping[str, str],
    *,
    offline: bool,
    note: Callable[[str], None],
    root: Path | None = None,
    only: bool = False,
) -> Layers | None:
    """The shared stores of a command, ready to be asked; None when there is none.

    Args:
        chosen: From ``chosen_stores``.
        opened: Opens them.
        config: What they are trusted with.
        environ: Variables for the key that signs.
        offline: Leave out what needs a network.
        note: Told what a user must know.
        root: The project's root, for the key that signs; None signs nothing.
        only: Whether packages come from nowhere else: what goes wrong there is an error, and nothing is written.

    Raises:
        EnvbuildError: When that key cannot be used.
    """
    several = [item for item in chosen if item.near or not offline]
    if not several:
        return None
    from envbuild.store.layer import Layer
    from envbuild.store.layers import Layers

    signer = signer_of(config, environ, root) if root is not None and any(item.written for item in several) else None

    def layer(item: ChosenStore) -> Layer:
        store = opened.store(item)
        return Layer(
            store,
            believed=item.believed,
            written=item.written and not only,
            near=item.near,
            note=note,
            strict=only,
            signatures=signatures_of(item, store, config, signer if item.written else None, note),
        )

    told: list[str] = []

    def unbelieved() -> None:
        if not told:
            told.append(distrust(several, config.trust.mode))
            note(told[0])

    return Layers([layer(item) for item in several], unbelieved=unbelieved)


def signatures_of(
    chosen: ChosenStore, store: SharedStore, config: Config, signer: Signer | None, note: Callable[[str], None]
) -> SignedRecords | None:
    """The signatures of a store's records, where they are read or made."""
    policy = policy_of(chosen, config)
    if policy is None and signer is None:
        return None
    from envbuild.store.signed_records import SignedRecords

    return SignedRecords(store, policy, signer, note)


def distrust(chosen: Sequence[ChosenStore], mode: str) -> str:
    """Why results of some stores do not count, in words."""
    names = ", ".join(item.name for item in chosen if not (item.believed or item.signed))
    if mode != "hash":
        return (
            f"with `trust: {mode}` no result of {names} counts, for no key is trusted; envbuild trust --key NAME=PUBLIC"
        )
    first = next(item for item in chosen if not (item.believed or item.signed))
    return (
        f"results in {names} do not count, only files: nobody here said to trust it; envbuild trust {quote(first.url)}"
    )


def _address(text: str) -> Address | None:
    """A trusted address; None for what is none, such as an executor's."""
    try:
        return read_url(text, Path("/"))[1]
    except InvalidInput:
        return None


def _identity(address: Address) -> tuple[object, ...]:
    bare = replace(address, shown="")
    return (bare.scheme, bare.bucket, bare.path, bare.url, bare.options)


def _private(address: Address, root: Path) -> bool:
    """A folder outside the checkout that nobody else can write."""
    if address.scheme != "file":
        return False
    path = Path(os.path.realpath(address.path))
    if path.is_relative_to(os.path.realpath(root)):
        return False
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_uid == os.geteuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
