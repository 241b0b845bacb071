"""A lock of any length, made without a solve: for what is said of long ones."""

from __future__ import annotations

from envbuild.digest import digest_bytes
from envbuild.lock import Lock, LockedEnvironment
from envbuild.package import CondaPackage, Platform


def chained_lock(count: int) -> Lock:
    """A lock of so many conda packages in the old format, each of which needs the one before it."""
    packages = tuple(
        CondaPackage(
            name=f"p{number}",
            version="1.0",
            build="0",
            build_number=0,
            subdir="linux-64",
            file=f"p{number}-1.0-0.tar.bz2",
            sha256=digest_bytes(str(number).encode()),
            channel="conda-forge",
            size=100_000,
            depends=(f"p{number - 1} >=1",) if number else (),
        )
        for number in range(count)
    )
    environment = LockedEnvironment(
        platform=Platform("linux-64"), python=None, interpreter="none", system=(), conda=packages
    )
    return Lock(request=digest_bytes(b""), platforms=(environment,))
