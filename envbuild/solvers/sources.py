"""The places that wheels may come from, in order, and the recipe's word for each.

Rules of the file: pure, but for asking uv once for its own default index where its place in the order matters, and for
looking whether folders are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.errors import InvalidInput, UnreachableError
from envbuild.pattern import pattern
from envbuild.request import PlatformRequest
from envbuild.solvers.pylock import ChosenWheel
from envbuild.urls import file_path
from envbuild.value import dataclass

_CREDENTIALS = pattern(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where uv looks.

    Attributes:
        indices: (recipe's word, address) in order of priority; an address of None is uv's own default.
        links: (recipe's word, address) of find-links; the machine's own have the word ``default``.
        no_index: True when only find-links are asked.
        strategy: uv's name for how several indices are asked: in order until one has the name, or, where the machine's
            settings are pip's and the recipe names no index, as the one pool that pip makes of them.
        explicit: Words of indices that are asked only for the packages that name them.
    """

    indices: tuple[tuple[str, str | None], ...]
    links: tuple[tuple[str, str], ...]
    no_index: bool
    strategy: str = "first-index"
    explicit: frozenset[str] = frozenset()

    @property
    def several(self) -> bool:
        """Whether wheels may come from places with different words."""
        words = {word for word, _ in self.links} | (set() if self.no_index else {word for word, _ in self.indices})
        return len(words) > 1

    def variables(self, more: Path | None = None) -> dict[str, str]:
        """Uv's environment variables for these places, and for one more folder of wheels."""
        variables = {}
        if not self.no_index:
            *first, (_, last) = self.indices
            asked = [address for word, address in first if address and word not in self.explicit]
            if asked:
                variables["UV_INDEX"] = " ".join(asked)
            if last is not None:
                variables["UV_DEFAULT_INDEX"] = last
        links = [address for _, address in self.links] + ([more.as_uri()] if more is not None else [])
        if links:
            variables["UV_FIND_LINKS"] = ",".join(address.replace(",", "%2C") for address in links)
        return variables

    def address(self, index: str) -> str:
        """The address of an index that a requirement names.

        Raises:
            InvalidInput: ``unknown-index``.
        """
        for word, address in self.indices:
            if word == index and address is not None:
                return address
        raise InvalidInput(f"the recipe names no index {index!r}", reference="unknown-index")

    def index_address(self, word: str) -> str:
        """What a fetch is told of an index: the machine's default is its own business."""
        return word if word == DEFAULT_INDEX else self.address(word)

    def words(self) -> dict[str, str]:
        """Address to the recipe's word, for explanations."""
        return {address: word for word, address in (*self.indices, *self.links) if address}

    def word(self, wheel: ChosenWheel, origins: Mapping[str, str]) -> tuple[str, str]:
        """What a lock says of a wheel's place: ``index``, ``find-links`` or ``url``, and the recipe's word for it."""
        if wheel.direct:
            return "url", wheel.url
        if not self.several:
            if self.no_index and self.links:
                return self._link(self.links[0][0])
            return "index", self.indices[-1][0] if self.indices else DEFAULT_INDEX
        origin = _bare(origins.get(wheel.name, ""))
        for word, address in self.links:
            if origin == _bare(address):
                return self._link(word)
        for word, known in self.indices:
            if known is not None and origin == _bare(known):
                return "index", word
        return "index", next((word for word, address in self.indices if address is None), DEFAULT_INDEX)

    @staticmethod
    def _link(word: str) -> tuple[str, str]:
        return ("index", word) if word == DEFAULT_INDEX else ("find-links", word)


def _bare(address: str) -> str:
    return _CREDENTIALS.sub("", address).rstrip("/")


def places_of(request: PlatformRequest, addresses: Addresses) -> Places:
    """The places of a request on this machine.

    The machine's own additional indices and find-links belong to its default index: where the recipe names another one
    instead, they are left out, so that all machines lock alike.
    """
    indices: list[tuple[str, str | None]] = [
        (item.name, addresses.candidates(addresses.absolute(item.url))[0]) for item in request.extra_indices
    ]
    links = [(word, addresses.absolute(word)) for word in request.find_links]
    if request.index is not None:
        indices.append((request.index.name, addresses.candidates(addresses.absolute(request.index.url))[0]))
    else:
        default = addresses.index
        if addresses.extra_indices and not request.no_index and default is None:
            from envbuild.machine.locations import engine_index

            default = engine_index()
        if default is not None:
            default = addresses.candidates(addresses.absolute(default))[0]
        # Additional indices first, as uv has it: nobody takes a name of theirs by registering it at the default one.
        indices += [(DEFAULT_INDEX, addresses.absolute(item)) for item in addresses.extra_indices]
        indices.append((DEFAULT_INDEX, default))
        links += [(DEFAULT_INDEX, addresses.absolute(item)) for item in addresses.find_links if not request.no_index]
    return Places(
        indices=tuple(indices),
        links=tuple(links),
        no_index=request.no_index,
        strategy="unsafe-best-match" if in_one_pool(request, addresses) else "first-index",
        explicit=frozenset(item.name for item in request.extra_indices if item.explicit),
    )


def check_folders(places: Places) -> None:
    """Refuse an index that is a folder which is not there: uv takes it for an empty one, and asks the next.

    Raises:
        UnreachableError: ``no-index``.
    """
    asked = () if places.no_index else places.indices
    for kind, known in (("index", asked), ("find-links", places.links)):
        for word, address in known:
            if address is not None and address.startswith("file:"):
                folder = file_path(address)
                if not folder.exists():  # find-links may be a page
                    raise UnreachableError(
                        f"the {kind} {word} is a folder that is not there: {folder}",
                        reference="no-index",
                        hint="check its path; paths are relative to the file that holds them",
                    )


def in_one_pool(request: PlatformRequest, addresses: Addresses) -> bool:
    """Whether the best version of all indices is taken, as pip's settings of this machine have it."""
    own = request.index is None and not request.extra_indices
    return addresses.one_pool and bool(addresses.extra_indices) and own and not request.no_index
