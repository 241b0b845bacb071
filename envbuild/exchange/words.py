"""Foreign addresses in a recipe's words: ``conda-forge`` instead of a server, ``default`` instead of an index.

Theory: a foreign lock holds the addresses of the machine that made it. A lock of ours holds no address that only one
machine's configuration knew, so mirrors are undone, the machine's own default index becomes ``default``, and a channel
below the channel alias becomes its name. Whatever is left is an address that the recipe will write itself.

Rules of the file: decides words; the engines are asked for their own defaults, nothing else is.
"""

from __future__ import annotations

from envbuild.addresses import DEFAULT_INDEX, Addresses
from envbuild.machine.credentials import without_user_info


class Words:
    """What addresses are called in recipes.

    Args:
        addresses: What the recipe's words mean on this machine.
    """

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._defaults: frozenset[str] | None = None

    def channel(self, text: str) -> str:
        """A channel's name or address as a recipe names it."""
        if "://" not in text:
            return text
        address = self._canonical(text).rstrip("/")
        root = self._addresses.root
        if address.startswith("file://"):
            from pathlib import PurePosixPath

            inside = PurePosixPath(root).as_uri() + "/"
            return "./" + address[len(inside) :] if address.startswith(inside) else address
        from envbuild.machine.locations import engine_channel_alias

        for alias in (self._addresses.channel_alias, engine_channel_alias()):
            if alias and address.startswith(alias.rstrip("/") + "/"):
                return address[len(alias.rstrip("/")) + 1 :]
        return address

    def index(self, address: str) -> str:
        """A package index: ``default`` when this machine's settings name it, else its address."""
        bare = self._canonical(without_user_info(address)).rstrip("/")
        return DEFAULT_INDEX if bare in self._default_indices() else bare

    def _default_indices(self) -> frozenset[str]:
        if self._defaults is None:
            from envbuild.machine.locations import engine_index

            here = self._addresses
            named = [*here.extra_indices, here.index or engine_index(), engine_index()]
            self._defaults = frozenset(without_user_info(here.absolute(item)).rstrip("/") for item in named)
        return self._defaults

    def _canonical(self, address: str) -> str:
        """The address with this machine's mirrors undone."""
        for prefix, mirrors in self._addresses.mirrors:
            for mirror in mirrors:
                start = without_user_info(mirror).rstrip("/")
                if address == start or address.startswith(start + "/"):
                    return prefix.rstrip("/") + address[len(start) :]
        return address
