"""What the folder of a prefix is called: after the key of its link and, on a Python of the machine, after that Python.

Rules of the file: pure; every kind that makes or reads prefixes asks here.
"""

from __future__ import annotations

import hashlib

from envbuild.derivations.context import HostPython
from envbuild.digest import Digest


def prefix_folder(link: Digest, host: HostPython | None) -> str:
    """The folder name of a link's prefix below the prefixes' folder.

    Args:
        link: Its key.
        host: The Python of this machine that it stands on, if it does: another one needs another prefix.
    """
    if host is None:
        return link[:32]
    told = "\n".join((host.path, host.version, host.abi)).encode()
    return f"{link[:32]}-{hashlib.sha256(told).hexdigest()[:8]}"
