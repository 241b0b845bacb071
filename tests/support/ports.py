"""Ports for servers that are told theirs before they start.

Theory: a port of the range from which the kernel gives clients theirs may be a client's by the time that a server has
started; one below that range is nobody's but another server's.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_SPAN = 12_000


def free_port() -> int:
    """A port of loopback that nobody listens on, and that no client is given."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        first = 49_152
    chance = random.SystemRandom()  # tests may have seeded the other one
    lowest = max(1024, first - _SPAN)
    while True:
        port = chance.randrange(lowest, first) if first > lowest else 0
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = listening.getsockname()[1]
            return found
