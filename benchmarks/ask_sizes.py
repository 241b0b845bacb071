"""Ask for the sizes of blobs: ``python ask_sizes.py layer|s3fs URL COUNT``."""

import os
import sys

IN_FLIGHT = 96


def by_layer(url: str, names: list[str]) -> int:
    """As a plan does."""
    from envbuild.digest import Digest
    from envbuild.objects.opening import open_objects
    from envbuild.store.layer import Layer
    from envbuild.store.shared import SharedStore

    store = SharedStore("team", lambda: open_objects(url, mode="read-only"))
    blobs, _ = Layer(store, believed=True, written=False).ask([(Digest(name), None) for name in names], [])
    return len(blobs)


def by_s3fs(url: str, names: list[str]) -> int:
    """With nothing but the library."""
    import asyncio

    import s3fs

    async def sizes() -> int:
        system = s3fs.S3FileSystem(asynchronous=True, use_listings_cache=False, skip_instance_cache=True)
        session = await system.set_session()
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(name: str) -> bool:
            async with slots:
                information = await system._info(f"{url.removeprefix('s3://')}/blobs/sha256/{name[:2]}/{name}")
                return bool(information["type"] == "file")

        found = await asyncio.gather(*map(one, names))
        await session.close()
        return sum(found)

    return asyncio.run(sizes())


if __name__ == "__main__":
    ask = by_layer if sys.argv[1] == "layer" else by_s3fs
    wanted = [f"{number:064x}" for number in range(int(sys.argv[3]))]
    assert ask(sys.argv[2], wanted) == len(wanted)
    os._exit(0)
