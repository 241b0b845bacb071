"""py-rattler called directly: read records, install them into a new prefix. ``direct_rattler.py RECORDS CACHE PREFIX``.

``RECORDS`` is a JSON list of ``{index, file, url, channel, sha256, md5, size}``; ``index`` names a file in the form of
``index.json``.
"""

import asyncio
import json
import os
import sys

import rattler


async def main(records_file: str, cache: str, prefix: str) -> None:
    """Install."""
    with open(records_file) as stream:  # noqa: PTH123  nothing more is imported than is measured
        entries = json.load(stream)
    records = [
        rattler.RepoDataRecord(
            rattler.PackageRecord.from_index_json(item["index"], item["size"], item["sha256"], item["md5"]),
            item["file"],
            item["url"],
            item["channel"],
        )
        for item in entries
    ]
    await rattler.install(records, prefix, cache_dir=cache, show_progress=False)


asyncio.run(main(*sys.argv[1:]))
# py-rattler's threads sometimes crash an interpreter that ends in the usual way ("thread state must be current when
# releasing", while finalizing): the work is done, so leave at once.
os._exit(0)
