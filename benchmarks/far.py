"""A server that is some milliseconds away: a relay that holds each request back, and nothing that comes back.

    with far_away(port, 0.03) as other:      # connect to ``other`` instead of ``port``

It is a process of its own, so that it takes no time of whoever asks. What a client sends at once is held back as one.

Rules of the file: runs as ``python far.py PORT SECONDS`` with the standard library alone; ends with its input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def far_away(port: int, seconds: float) -> Iterator[int]:
    """A port on loopback that leads to another one, late.

    Args:
        port: Of the server.
        seconds: That everything which is sent to it is held back.
    """
    command = [sys.executable, "-S", __file__, str(port), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        yield int(relay.stdout.readline())
        relay.stdin.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            when, data = await waiting.get()
            await asyncio.sleep(when - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while data := await reader.read(1 << 18):
            if seconds:
                await waiting.put((loop.time() + seconds, data))
            else:
                writer.write(data)
                await writer.drain()
        await waiting.put((loop.time() + seconds, b""))
        await sending
    except OSError:
        sending.cancel()
    finally:
        writer.close()


async def _serve(port: int, seconds: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, back, seconds), _copy(there, writer, 0.0))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
