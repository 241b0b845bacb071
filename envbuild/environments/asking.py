"""Which servers the work of a run would ask, and whether they answer: known before any of it starts.

A solve asks its channels and indices, a fetch the server of its file. Whoever wants to tell people first, or to end
there and then where a server cannot be reached, gives a session a ``before``: it is told what each recipe needs done
here, once the plan is made and before its first job.

A server that answers anything at all is reached, a refusal included: what it means is for the work to find out. So is
one that is slow.

Rules of the file: looks; starts no work, prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.derivations import Derivation
from envbuild.derivations.fetch import Fetch
from envbuild.derivations.solve import Solve
from envbuild.errors import EnvbuildError, UnreachableError
from envbuild.machine.http import AgainError, was_connected
from envbuild.machine.locations import engine_channel_alias, engine_index
from envbuild.package import ChannelOrigin, IndexOrigin, UrlOrigin
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace

_TRIES = 2
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one recipe needs done here."""

    recipe: Path
    derivations: tuple[Derivation, ...]


Before = Callable[[Sequence[Needs], "Workspace"], None]
"""Told what will be done; an error that it raises ends the run before that starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that is asked.

    Attributes:
        kind: What it is.
        address: What it is called; mirrors are not applied.
        candidates: The addresses that are asked for it, in order.
    """

    kind: Literal["channel", "package index", "server"]
    address: str
    candidates: tuple[str, ...]


def sources(derivations: Iterable[Derivation], workspace: Workspace) -> tuple[Source, ...]:
    """The places that some work asks, each once; folders are none.

    Args:
        derivations: Work of any kind.
        workspace: Whose addresses count.
    """
    found = dict.fromkeys(source for derivation in derivations for source in _of(derivation, workspace))
    return tuple(item for item in found if not all(address.startswith("file:") for address in item.candidates))


def unreached(asked: Sequence[Source], workspace: Workspace) -> dict[Source, EnvbuildError]:
    """Those of some places of which no address answers, and why; all are asked at once.

    Args:
        asked: From ``sources``.
        workspace: Whose connections and credentials are used.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        answers = pool.map(lambda source: _silence(source, workspace), asked)
        return {source: error for source, error in zip(asked, answers, strict=True) if error is not None}


def _of(derivation: Derivation, workspace: Workspace) -> Iterator[Source]:
    addresses = workspace.addresses
    if isinstance(derivation, Solve) and derivation.ecosystem == "conda":
        for channel in derivation.channels:
            yield Source(kind="channel", address=channel, candidates=addresses.candidates(channel))
    elif isinstance(derivation, Solve) and derivation.request.pypi:
        yield from (_index(word, addresses) for word in derivation.indices)
    elif isinstance(derivation, Fetch):
        yield from _of_fetch(derivation, workspace)


def _of_fetch(fetch: Fetch, workspace: Workspace) -> Iterator[Source]:
    """The server of a file; an index only where no address of the file is known, for then its page is read."""
    addresses, origin = workspace.addresses, fetch.origin
    if isinstance(origin, ChannelOrigin):
        own = "://" in origin.channel or origin.channel.startswith(".") or addresses.channel_alias is not None
        channel = addresses.canonical_channel(origin.channel, "" if own else engine_channel_alias())
        yield Source(kind="channel", address=channel, candidates=addresses.candidates(channel))
    elif isinstance(origin, UrlOrigin):
        yield _server(addresses.candidates(addresses.absolute(origin.url)))
    elif isinstance(origin, IndexOrigin):
        known = (*fetch.urls, *workspace.hints.of(fetch.sha256))
        yield _server(known) if known else _index(origin.index, addresses)


def _index(word: str, addresses: Addresses) -> Source:
    index = addresses.absolute((addresses.index or engine_index()) if word == DEFAULT_INDEX else word)
    return Source(kind="package index", address=index, candidates=addresses.candidates(index))


def _server(urls: Sequence[str]) -> Source:
    bases = tuple(dict.fromkeys(f"{parts.scheme}://{parts.netloc}/" for parts in map(urlsplit, urls)))
    return Source(kind="server", address=bases[0], candidates=bases)


def _silence(source: Source, workspace: Workspace) -> EnvbuildError | None:
    """Why no address of a place answers; None when one does."""
    last: EnvbuildError | None = None
    for address in source.candidates * _TRIES:
        if address.startswith("file:"):
            return None
        try:
            workspace.downloads.pass_on("HEAD", address, {}).close()
        except AgainError as error:
            if was_connected(error):
                return None
            last = error
        except UnreachableError:
            return None
        else:
            return None
    return last
