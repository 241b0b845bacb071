"""One conda solve in a process of its own: a JSON file in, a JSON file out.

rattler's threads outlive a failed call and may abort the interpreter when it ends, and a hostile channel may make them
panic; neither may reach the process that runs envbuild. A child also needs no event loop of its caller.

Rules of the file: it is run as a script (``python -I rattler_child.py QUESTION ANSWER``), so it imports only the
standard library and rattler; it ends by ``os._exit``, which no thread can turn into a crash.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

MOST = 20_000
"""Letters of an error that are kept."""


def main(question_path: str, answer_path: str) -> None:
    """Answer the question in one file with another file; never raises."""
    answer: dict[str, Any]
    notes: list[str] = []
    try:
        question = json.loads(Path(question_path).read_bytes())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = asyncio.run(_solve(question))
        notes = [str(item.message) for item in caught if item.category.__name__ == "GatewayWarning"]
    except BaseException as error:
        # A channel decides what stands in the text, and how much: more than this nobody reads.
        text = str(error)
        text = text if len(text) <= MOST else f"{text[:MOST]} ..."
        answer = {"error": type(error).__name__, "text": text, "trace": traceback.format_exc()[-MOST:]}
    answer["warnings"] = notes
    Path(answer_path).write_text(json.dumps(answer), encoding="utf-8")


async def _solve(question: dict[str, Any]) -> dict[str, Any]:
    from rattler import Channel, Gateway, GenericVirtualPackage, PackageName, Version, solve
    from rattler.networking import AuthenticationMiddleware, Client, MirrorMiddleware, RetryMiddleware
    from rattler.package import BuildString

    middlewares: list[Any] = [RetryMiddleware(question["retries"])]
    if question["mirrors"]:
        middlewares.append(MirrorMiddleware(question["mirrors"]))
    middlewares.append(AuthenticationMiddleware())
    gateway = Gateway(cache_dir=Path(question["cache"]), client=Client(middlewares))
    virtual = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
        for name, version, build in question["virtual"]
    ]
    cut_off = question["exclude_newer"]
    arguments: dict[str, Any] = {
        "sources": [Channel(url) for url in question["channels"]],
        "specs": question["specs"],
        "gateway": gateway,
        "platforms": question["subdirs"],
        "virtual_packages": virtual,
        "pinned_packages": [_record(item) for item in question["pins"]],
        "locked_packages": [_record(item) for item in question["keep"]],
        "constraints": question["constraints"],
        "channel_relations": "disabled",
        "exclude_newer": datetime.datetime.fromisoformat(cut_off.replace("Z", "+00:00")) if cut_off else None,
    }
    records = await solve(**arguments)
    answer: dict[str, Any] = {"records": [json.loads(record.to_json()) for record in records], "undated": []}
    if cut_off:
        # What would have been taken, had records without a date been allowed: the cut-off cannot judge those.
        try:
            lenient = await solve(**arguments, timestamp_policy="allow-missing")
            answer["undated"] = sorted({record.file_name for record in lenient if record.timestamp is None})
        except Exception:  # the strict answer stands; the lenient one only serves a note
            answer["undated"] = []
    return answer


def _record(item: dict[str, Any]) -> Any:
    from rattler import PackageRecord, RepoDataRecord
    from rattler.package import BuildString

    record = PackageRecord(
        name=item["name"],
        version=item["version"],
        build=BuildString(item["build"]),
        build_number=item["build_number"],
        subdir=item["subdir"],
        noarch=item["noarch"],
        depends=item["depends"],
        constrains=item["constrains"],
        sha256=bytes.fromhex(item["sha256"]),
        size=item["size"],
        python_site_packages_path=item["python_site_packages_path"],
    )
    if item["timestamp"] is not None:
        record.timestamp = datetime.datetime.fromtimestamp(item["timestamp"] / 1000, tz=datetime.timezone.utc)
    return RepoDataRecord(record, item["file"], item["url"], item["channel"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    os._exit(0)
