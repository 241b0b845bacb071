"""Records of known files from conda channels, in a process of its own: a JSON file in, a JSON file out.

Nothing is solved: for each channel and folder the records of the files that are named are looked up. Why this is a
child process: ``envbuild.solvers.rattler_child``.

Rules of the file: it is run as a script (``python -I records_child.py QUESTION ANSWER``), so it imports only the
standard library and rattler; it ends by ``os._exit``, which no thread can turn into a crash.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main(question_path: str, answer_path: str) -> None:
    """Answer the question in one file with another file; never raises."""
    answer: dict[str, Any]
    try:
        answer = asyncio.run(_look_up(json.loads(Path(question_path).read_bytes())))
    except BaseException as error:
        answer = {"error": type(error).__name__, "text": str(error), "trace": traceback.format_exc()}
    Path(answer_path).write_text(json.dumps(answer), encoding="utf-8")


async def _look_up(question: dict[str, Any]) -> dict[str, Any]:
    from rattler import Channel, Gateway
    from rattler.networking import AuthenticationMiddleware, Client, MirrorMiddleware, RetryMiddleware

    middlewares: list[Any] = [RetryMiddleware(question["retries"])]
    if question["mirrors"]:
        middlewares.append(MirrorMiddleware(question["mirrors"]))
    middlewares.append(AuthenticationMiddleware())
    gateway = Gateway(cache_dir=Path(question["cache"]), client=Client(middlewares))
    found = []
    for channel, subdirs in question["channels"].items():
        for subdir, names in subdirs.items():
            answers = await gateway.query(
                [Channel(channel)],
                [subdir],
                sorted(names),
                recursive=False,
                channel_relations="disabled",
            )
            wanted = {file for files in names.values() for file in files}
            found += [
                [channel, subdir, record.file_name, json.loads(record.to_json())]
                for records in answers
                for record in records
                if record.file_name in wanted
            ]
    return {"found": found}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    os._exit(0)
