"""One conda solve in a process of its own: a JSON file in, a JSON file out.

rattler's threads outlive a failed call and may abort the interpreter when it ends, and a hostile channel may make them
panic; neither may reach the process that runs envbuild. A child also needs no event loop of its caller.

Rules of the file: it is run as a script (``python -I rattler_child.py QUESTION ANSWER``), so it imports only the
standard library and rattler; it ends by ``os._exit``, which no thread can turn into a crash.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import json
import mmap
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

MOST = 20_000
"""Letters of an error that are kept."""

AGAIN = 75
"""The exit code when the question must be asked again, with ``"whole": true``: indices may stay in memory."""

_MAPS = Path("/proc/self/maps")
_PAUSE = 0.01
_LARGE = 8 << 20
"""Bytes of a mapped index from which on it is worth giving pages back."""

_NOT_COME = ("error sending request", "error decoding response body", "HTTP status", "os error", "timed out")
"""What the engine's text about an index has in it that did not come, or not whole."""


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
        answer["unreadable"] = isinstance(error, Exception) and unreadable(text)
    answer["warnings"] = notes
    Path(answer_path).write_text(json.dumps(answer), encoding="utf-8")


@contextmanager
def _giving_back(cache: str) -> Iterator[None]:
    """Meanwhile, give back the pages of indices that were read.

    The engine maps an index into memory and reads it from end to end; all of it would count as memory of this process,
    and of the container that it runs in. What is given back stays in the system's cache, and is mapped again where it
    is read again.
    """
    if not _MAPS.is_file():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_give_back, args=(os.path.realpath(cache), over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _give_back(cache: str, over: threading.Event) -> None:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    while not over.wait(_PAUSE):
        for place in _mapped(cache):
            madvise(place[0], place[1] - place[0], mmap.MADV_DONTNEED)
            if place not in _mapped(cache):  # gone, as that of an index which cannot be read: whose memory was that?
                os._exit(AGAIN)


def _mapped(cache: str) -> list[tuple[int, int]]:
    """Where large files of the cache are mapped, only to be read."""
    found = []
    for line in _MAPS.read_text(errors="replace").splitlines():
        area, rights, *_ = line.split(" ", 2)
        if f" {cache}/" in line and rights.startswith("r-"):
            first, last = (int(number, 16) for number in area.split("-"))
            if last - first >= _LARGE:
                found.append((first, last))
    return found


async def _solve(question: dict[str, Any]) -> dict[str, Any]:
    """The packages; of channels whose index cannot be read, by the old copies that the question names."""
    from rattler import Gateway
    from rattler.networking import AuthenticationMiddleware, Client, MirrorMiddleware, RetryMiddleware

    middlewares: list[Any] = [RetryMiddleware(question["retries"])]
    if question["mirrors"]:
        middlewares.append(MirrorMiddleware(question["mirrors"]))
    middlewares.append(AuthenticationMiddleware())
    gateway = Gateway(cache_dir=Path(question["cache"]), client=Client(middlewares))
    with nullcontext() if question["whole"] else _giving_back(question["cache"]):  # the gateway keeps what it mapped
        return await _answered(question, gateway)


async def _answered(question: dict[str, Any], gateway: Any) -> dict[str, Any]:
    unread: dict[str, str] = {}
    first: Exception | None = None
    while True:
        try:
            answer = await _attempt(question, _sources(question, unread), gateway)
        except Exception as error:
            first = first or error  # what an old copy cannot answer is told as what was wrong with the new one
            more = await _unreadable_channels(question, unread, gateway) if unreadable(str(error)) else {}
            if not more:
                raise first from None
            unread |= more
        else:
            return {**answer, "unread": unread}


def unreadable(text: str) -> bool:
    """Whether the engine's text is about an index that came and is none, not about one that did not come."""
    if text.startswith(("failed to parse", "failed to extract", "failed to decode", "failed to deserialize")):
        return True
    return text.startswith("failed to download") and not any(word in text for word in _NOT_COME)


async def _attempt(question: dict[str, Any], sources: list[Any], gateway: Any) -> dict[str, Any]:
    from rattler import GenericVirtualPackage, PackageName, Version, solve
    from rattler.package import BuildString

    virtual = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
        for name, version, build in question["virtual"]
    ]
    cut_off = question["exclude_newer"]
    arguments: dict[str, Any] = {
        "sources": sources,
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


def _sources(question: dict[str, Any], unread: dict[str, str]) -> list[Any]:
    from rattler import Channel

    return [_OldCopy(url, **question["copies"][url]) if url in unread else Channel(url) for url in question["channels"]]


class _OldCopy:
    """A channel as it was when its index was last read (rattler's ``RepoDataSource``).

    The engine's own word for this, ``force-cache-only``, refuses a channel that lacks one of the folders.
    """

    def __init__(self, url: str, folder: str, subdirs: list[str]) -> None:
        from rattler import Channel, Gateway, SourceConfig

        self._channel = Channel(url)
        self._subdirs = subdirs
        self._gateway = Gateway(cache_dir=Path(folder), default_config=SourceConfig(cache_action="force-cache-only"))

    async def fetch_package_records(self, platform: Any, name: Any) -> list[Any]:
        """The records of one name."""
        if str(platform) not in self._subdirs:
            return []
        found = await self._gateway.query(
            [self._channel], [platform], [name.normalized], recursive=False, channel_relations="disabled"
        )
        return [record for records in found for record in records]

    def package_names(self, platform: Any) -> list[str]:
        """Nothing: names are asked one by one."""
        return []


async def _unreadable_channels(question: dict[str, Any], unread: dict[str, str], gateway: Any) -> dict[str, str]:
    """The channels, of those with an old copy, whose index cannot be read, and what is wrong with each.

    The engine's text does not always name the channel. So each is asked alone; and as a record that cannot be read may
    only be met on the way from another channel's packages, all are asked with the old copy of one.
    """
    candidates = [url for url in question["channels"] if url in question["copies"] and url not in unread]
    found = {url: text for url in candidates if (text := await _fault(question, [url], {}, gateway))}
    if found or len(question["channels"]) == 1:
        return found
    text = await _fault(question, question["channels"], unread, gateway)
    for url in candidates if text else ():
        if not await _fault(question, question["channels"], {**unread, url: text}, gateway):
            return {url: text}
    return {}


async def _fault(question: dict[str, Any], channels: list[str], unread: dict[str, str], gateway: Any) -> str:
    sources = _sources({**question, "channels": channels}, unread)
    try:
        await gateway.query(sources, question["subdirs"], question["specs"], channel_relations="disabled")
    except Exception as error:  # a channel that does not answer is no business of an old copy
        text = str(error)
        return text if unreadable(text) else ""
    return ""


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
