"""The channels of a request: the recipe's words for them and their canonical addresses.

Rules of the file: part of a solve's key, so asked for by every lock: imports no solver.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.addresses import Addresses
from envbuild.request import PlatformRequest


def channel_words(request: PlatformRequest) -> tuple[str, ...]:
    """The channels of a request in order of priority; those that only a package names come last."""
    named = (item.channel for item in request.conda if item.channel)
    return tuple(dict.fromkeys((*request.channels, *named)))


def channel_addresses(words: Iterable[str], addresses: Addresses) -> dict[str, str]:
    """Canonical address of each channel, by the recipe's word for it."""
    from envbuild.machine.locations import engine_channel_alias

    answer = {}
    for word in words:
        own = "://" in word or word.startswith(".") or addresses.channel_alias is not None
        answer[word] = addresses.canonical_channel(word, "" if own else engine_channel_alias())
    return answer
