"""The channels' records of files that are known by name: for locks that say less than ours.

Rules of the file: effects through ``context``; nothing of the machine gets into a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from envbuild.errors import UnreachableError
from envbuild.solvers.rattler_call import ask_rattler

if TYPE_CHECKING:
    from envbuild.derivations import Context

File = tuple[str, str, str]
"""A channel's canonical address, a folder of it, and a file's name."""


def channel_records(files: Iterable[tuple[File, str]], context: Context) -> dict[File, dict[str, Any]]:
    """The records of some files; what a channel does not list is left out.

    Args:
        files: Each file with its package's name.
        context: Runs the engine.

    Raises:
        UnreachableError: ``no-channel`` when a channel does not answer.
    """
    served: dict[str, str] = {}
    channels: dict[str, dict[str, dict[str, list[str]]]] = {}
    for (channel, subdir, file), name in files:
        first = context.addresses.candidates(channel)[0]
        address = first.rstrip("/") if first.startswith("file:") else channel
        served[address] = channel
        channels.setdefault(address, {}).setdefault(subdir, {}).setdefault(name, []).append(file)
    with context.scratch() as folder:
        answer = ask_rattler("records_child", {"channels": channels}, channels, folder, context)
    if "error" in answer:
        text = "; ".join(str(answer["text"]).splitlines())[:300]
        raise UnreachableError(f"a channel does not answer: {text}", reference="no-channel", retryable=True)
    return {(served[address], subdir, file): record for address, subdir, file, record in answer["found"]}
