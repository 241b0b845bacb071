"""What Dask's workers are, by their own word: all of them at once, and each alone where one of them stands still.

Rules of the file: runs in the client's loop; nothing of Dask's is imported.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from envbuild.executors.far import about

_ANSWER = 5.0
"""Seconds in which a worker says what it is."""


async def platforms_of(client: Any, workers: list[str]) -> dict[str, str]:
    """Of which platforms workers are, without those that do not answer; all at once, for that is one question."""

    async def asked(some: list[str]) -> dict[str, str]:
        with suppress(asyncio.TimeoutError):
            told = await asyncio.wait_for(client.run(about, workers=some, on_error="return"), _ANSWER)
            return {each: answer[1] if isinstance(answer, tuple) else "" for each, answer in told.items()}
        return {}

    told = await asked(workers)
    if told or len(workers) == 1:
        return told
    answers = await asyncio.gather(*(asked([each]) for each in workers))
    return {each: platform for answer in answers for each, platform in answer.items()}
