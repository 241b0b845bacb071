"""The channels' records of files that are known by name: for locks that say less than ours.

Rules of the file: effects through ``context``; nothing of the machine gets into a record.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from envbuild.errors import UnreachableError
from envbuild.solvers.conda import RETRIES

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
    document: dict[str, Any] = {
        "channels": channels,
        "mirrors": {
            prefix: list(places)
            for prefix, places in context.addresses.mirrors
            if not any(place.startswith("file:") for place in places)
        },
        "cache": str(context.engine_cache("rattler") / "repodata"),
        "retries": RETRIES,
    }
    answer = _run(document, context)
    if "error" in answer:
        text = "; ".join(str(answer["text"]).splitlines())[:300]
        raise UnreachableError(f"a channel does not answer: {text}", reference="no-channel", retryable=True)
    return {(served[address], subdir, file): record for address, subdir, file, record in answer["found"]}


def _run(document: dict[str, Any], context: Context) -> dict[str, Any]:
    found = importlib.util.find_spec("envbuild.solvers.records_child")
    assert found is not None
    assert found.origin is not None
    with context.scratch() as folder:
        question, answer = folder / "question.json", folder / "answer.json"
        question.write_text(json.dumps(document), encoding="utf-8")
        environment = {"RATTLER_CACHE_DIR": str(context.engine_cache("rattler"))}
        argv = [sys.executable, "-I", found.origin, str(question), str(answer)]
        done = context.run(argv, env=environment, cwd=folder)
        if not answer.exists():
            return {"error": "Panic", "text": done.tail or f"exit {done.returncode}"}
        result: dict[str, Any] = json.loads(answer.read_bytes())
        return result
