"""Addresses: what the recipe's words for channels and indices mean on this machine.

Recipes and locks say ``conda-forge`` or ``default``; which server answers is configuration of a machine or user (a
channel alias, mirrors, uv's and pip's own index settings). This value holds that configuration; it is never hashed,
except through ``canonical_channel`` and ``canonical_index``, which undo mirrors.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from envbuild.value import dataclass

DEFAULT_INDEX = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """A machine's answers to where.

    Attributes:
        root: The project's root as an absolute POSIX path; folders in recipes are relative to it.
        channel_alias: Base address of named channels, with a slash at its end; None for the engine's own default.
        mirrors: Canonical address prefix to the addresses asked instead, in order.
        index: The machine's default index (uv's or pip's setting); None for the engine's own default.
        extra_indices: The machine's additional indices, asked before the default one.
        find_links: The machine's own find-links.
        one_pool: Whether the machine's indices are one pool from which the best version is taken, as pip has it, and
            not asked in order until one has the name, as uv has it.
        trusted_hosts: Hosts whose certificates are not checked.
    """

    root: str
    channel_alias: str | None = None
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    index: str | None = None
    extra_indices: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    one_pool: bool = False
    trusted_hosts: tuple[str, ...] = ()

    def absolute(self, location: str) -> str:
        """An address as written, folders made absolute ``file://`` URLs."""
        if "://" in location:
            return location
        path = PurePosixPath(self.root) / location
        return path.as_uri()

    def canonical_channel(self, channel: str, engine_alias: str) -> str:
        """The address that a channel name stands for, mirrors not applied, without a slash at its end.

        Args:
            channel: A name, a URL, or a folder that begins with ``.``.
            engine_alias: The solver's own default alias.
        """
        if "://" in channel or channel.startswith("."):
            return self.absolute(channel).rstrip("/")
        return (self.channel_alias or engine_alias).rstrip("/") + "/" + channel

    def candidates(self, url: str) -> tuple[str, ...]:
        """The addresses to try for a canonical one: its mirrors in order, else itself."""
        for prefix, replacements in self.mirrors:
            if url.startswith(prefix) or f"{url}/" == prefix:
                return tuple(item.rstrip("/") + "/" + url[len(prefix) :].lstrip("/") for item in replacements)
        return (url,)
