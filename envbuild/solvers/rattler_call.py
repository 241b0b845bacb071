"""py-rattler as a child process that is asked one question: where it asks instead, its cache, and how it ends.

Rules of the file: effects through ``context``; what is asked, and what an answer means, is its callers'.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.errors import UnreachableError

if TYPE_CHECKING:
    from envbuild.derivations import Completed, Context, Relayed

RETRIES = 2
"""Tries of the engine's own requests after the first."""

_AGAIN = 75
"""The exit code of a child that wants to be asked again: see ``rattler_child``."""


def index_cache(context: Context) -> Path:
    """The folder in which the engine keeps the channels' indices."""
    return context.engine_cache("rattler") / "repodata"


def ask_rattler(
    child: str, question: dict[str, Any], channels: Iterable[str], folder: Path, context: Context
) -> dict[str, Any]:
    """The child's answer; one with ``error`` and ``text`` when it has none.

    Args:
        child: Name of a module of this package that is run as a script.
        question: What it is asked; mirrors, cache and retries are added.
        channels: Canonical addresses of what will be asked for.
        folder: A scratch folder.
        context: Runs it.

    Raises:
        UnreachableError: When a trusted host does not answer.
    """
    found = importlib.util.find_spec(f"envbuild.solvers.{child}")
    assert found is not None
    assert found.origin is not None
    mirrors = {
        prefix: list(places)
        for prefix, places in context.addresses.mirrors
        if not any(place.startswith("file:") for place in places)
    }
    asked = [*channels, *(place for places in mirrors.values() for place in places)]
    with context.relay(asked) if context.addresses.trusted_hosts else nullcontext() as relay:
        document = {
            **question,
            "mirrors": mirrors if relay is None else _through(relay, mirrors),
            "cache": str(index_cache(context)),
            "retries": RETRIES,
        }
        environment = {"RATTLER_CACHE_DIR": str(context.engine_cache("rattler"))}
        environment |= {} if relay is None else relay.variables
        path, answer = folder / "question.json", folder / "answer.json"
        argv = [sys.executable, "-I", found.origin, str(path), str(answer)]

        def ask(*, whole: bool) -> Completed:
            path.write_text(json.dumps({**document, "whole": whole}), encoding="utf-8")
            return context.run(argv, env=environment, cwd=folder)

        done = ask(whole=False)
        if done.returncode == _AGAIN:
            done = ask(whole=True)
        if not answer.exists():
            return {"error": "Panic", "text": done.tail or f"exit {done.returncode}"}
        result: dict[str, Any] = json.loads(answer.read_bytes())
        if relay is not None and "error" in result:
            _say_why(result, relay)
        return result


def _through(relay: Relayed, mirrors: dict[str, list[str]]) -> dict[str, list[str]]:
    """The mirrors with what is asked in place of trusted hosts; a host's own line is shorter than any mirror's."""
    theirs = {prefix: [relay.instead(place) for place in places] for prefix, places in mirrors.items()}
    return {**{place: [here] for place, here in relay.places.items()}, **theirs}


def _say_why(answer: dict[str, Any], relay: Relayed) -> None:
    """Name what is meant where the relay stands in the engine's text; raise what kept the relay from answering.

    Raises:
        UnreachableError: When the engine failed and the relay had no answer for it.
    """
    why = relay.failure
    if why is not None and not answer.get("unreadable") and answer["error"] != "SolverError":
        raise UnreachableError(
            f"a channel does not answer: {why.message}",
            reference=why.reference,
            hint=why.hint or "try again later, or set a mirror in your configuration",
            retryable=why.retryable,
        )
    answer["text"] = relay.told(answer["text"])
