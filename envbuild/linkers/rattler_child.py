"""The program that drives py-rattler's installer, alone in a process of its own.

After an error rattler's threads go on writing, so that the only safe way to stop it is to end its process. It is run
as ``python -I -S rattler_child.py SITE`` with ``SITE`` the folder that holds ``rattler``: nothing of the user's
environment, and no ``.pth`` file, takes part. Jobs come as lines of JSON on standard input, each answered by one line
on standard output in the order in which they end. When the input ends, so does the process, at once: that is how it
dies with its parent.

A job::

    {"job": 1, "cache": "…", "prefix": "…", "final": "…", "platform": "…", "ways": ["hardlink", "copy"],
     "records": [{"name", …, "url", "channel"}]}

A job whose ``final`` is null only unpacks into the cache; one without records asks for the ``alias`` alone, the address
of named channels, which every answer holds.

Rules of the file: imports rattler and the standard library only; decides nothing.
"""

from __future__ import annotations

import gc
import sys

sys.modules["ssl"] = None  # type: ignore[assignment]  # asyncio would load OpenSSL; nothing here goes over a network
gc.disable()  # lives for one command and makes hardly a cycle; with both it is ready 9 ms earlier, of 80

import asyncio  # noqa: E402
import functools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import threading  # noqa: E402
from typing import Any  # noqa: E402

_NO_PATH = "\udcff"
"""As bytes no UTF-8: with this as its final path rattler refuses to link, after it has unpacked."""


def to_record(document: dict[str, Any]) -> Any:
    """A repodata record that points at a local file."""
    from rattler import PackageRecord, RepoDataRecord
    from rattler.package.build_string import BuildString

    package = PackageRecord(
        document["name"],
        document["version"],
        BuildString.new_unchecked(document["build"]),
        document["build_number"],
        document["subdir"],
        None,
        None,
        noarch=document["noarch"],
        depends=document["depends"],
        constrains=document["constrains"],
        sha256=bytes.fromhex(document["sha256"]),
        size=document["size"],
        python_site_packages_path=document["python_site_packages_path"],
    )
    return RepoDataRecord(package, document["file"], document["url"], document["channel"])


def links(ways: list[str]) -> str:
    """What rattler is told of reflinks and hard links; it prefers reflinks, so these are allowed only when first."""
    reflinks, hard = (ways[0] == "reflink"), ("hardlink" in ways)
    return f"allow-ref-links = {json.dumps(reflinks)}\nallow-hard-links = {json.dumps(hard)}\n"


@functools.cache
def client() -> Any:
    """The client, which no job asks anything: made once, ahead, for reading its certificates takes 4 ms."""
    from rattler import Client

    return Client()


async def link(job: dict[str, Any]) -> None:
    """Put the job's packages into its prefix, the final path written into the files; no script of a package runs."""
    from rattler import install
    from rattler.config import Config
    from rattler.package_cache import PackageCache
    from rattler.platform import Subdir

    await install(
        [to_record(record) for record in job["records"]],
        job["prefix"],
        installed_packages=[],
        platform=Subdir(job["platform"]),
        execute_link_scripts=False,
        show_progress=False,
        alternative_target_prefix=_NO_PATH if job["final"] is None else job["final"],
        package_cache=PackageCache(job["cache"]).with_cached_origin(),
        config=Config.from_toml(links(job["ways"])),
        client=client(),
    )


async def unpack(job: dict[str, Any]) -> None:
    """Put one package into the cache and link nothing, which py-rattler has no call for.

    Linking it into a folder that is thrown away would write every file twice, and rattler does not link a package for
    Python without Python. The refusal comes before the first file, so that no thread of it goes on writing.
    """
    try:
        await link(job)
    except Exception as error:
        if "not UTF-8" not in str(error):
            raise


async def serve(job: dict[str, Any], alias: str) -> None:
    """Do one job and answer it; whatever goes wrong, the parent learns it in words."""
    said: dict[str, Any] = {"job": job["job"], "alias": alias}
    try:
        if "records" in job:
            await (unpack(job) if job["final"] is None else link(job))
    except BaseException as error:
        said["error"] = f"{type(error).__name__}: {error}"
    os.write(1, json.dumps(said).encode() + b"\n")


def read_jobs(loop: asyncio.AbstractEventLoop, alias: str) -> None:
    """Hand each line of the input to the loop; end with the input."""
    running = set()
    for line in sys.stdin.buffer:
        future = asyncio.run_coroutine_threadsafe(serve(json.loads(line), alias), loop)
        running.add(future)
        future.add_done_callback(running.discard)
    os._exit(0)


def main() -> None:
    """Serve until the input ends."""
    os.umask(0o022)  # modes of a prefix are its packages', never its maker's
    sys.path.append(sys.argv[1])
    from rattler import Channel

    alias = (Channel("name").base_url or "").removesuffix("/").removesuffix("name")
    client()
    loop = asyncio.new_event_loop()
    threading.Thread(target=read_jobs, args=(loop, alias), daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
