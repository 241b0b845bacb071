"""A lock as lines that people can compare: what ``git diff`` shows, once ``init --git`` has told it.

One line for each package that platforms share, so that an upgrade is one line out and one line in; the parts that only
machines compare (digests, files, sizes) are left out, but for the ids. What cannot be read is given back as it is: git
must show something.

Rules of the file: pure.
"""

from __future__ import annotations

from envbuild.digest import short
from envbuild.errors import EnvbuildError
from envbuild.lock import Lock
from envbuild.locks.dependencies import origin_words
from envbuild.locks.lockdiff import Package
from envbuild.locks.lockfile import parse_lock
from envbuild.package import CondaPackage


def plain_text(data: bytes, file: str) -> bytes:
    """The lines of a lock; of anything else, its bytes."""
    try:
        return "".join(f"{line}\n" for line in _lines(parse_lock(data, file))).encode()
    except EnvbuildError:
        return data


def _lines(lock: Lock) -> list[str]:
    found = [f"request {short(lock.request)}"]
    if lock.exclude_newer is not None:
        found.append(f"exclude-newer {lock.exclude_newer}")
    for base in lock.bases:
        ids = ", ".join(f"{platform} {short(digest)}" for platform, digest in sorted(base.environments))
        found.append(f"base {base.path}{'' if base.pin else ' (not pinned)'}: {ids}")
    found += [f"index {index.name} {index.url}" for index in lock.indices]
    for item in lock.platforms:
        python = f", Python {item.python} ({item.interpreter})" if item.python else ""
        found.append(f"{item.platform} {short(item.id)}{python}")
        found += [f"{item.platform} system {name} {version}" for name, version in item.system]
        found += [f"{item.platform} variable {name}={value}" for name, value in item.variables]
        if item.bytecode:
            found.append(f"{item.platform} bytecode compiled ahead")
        if item.archive is not None:
            found.append(f"{item.platform} interpreter {item.archive.version} {item.archive.build}")
    every = tuple(item.platform for item in lock.platforms)
    rows: dict[tuple[str, str, str], list[str]] = {}
    for environment in lock.platforms:
        sections: tuple[tuple[str, tuple[Package, ...]], ...] = (
            ("conda", environment.conda),
            ("pypi", (*environment.wheels, *environment.sources)),
            ("for builds", (*environment.build, *environment.build_sources)),
        )
        for kind, packages in sections:
            for package in packages:
                rows.setdefault((kind, package.name, _words(package)), []).append(environment.platform)
    for (kind, name, words), platforms in sorted(rows.items()):
        where = "" if len(platforms) == len(every) else f"  [{', '.join(platforms)}]"
        found.append(f"{kind} {name} {words}{where}")
    return found


def _words(package: Package) -> str:
    build = f" {package.build}" if isinstance(package, CondaPackage) else ""
    licence = f", {package.license}" if package.license else ""
    return f"{package.version}{build} ({origin_words(package)}{licence}){' *' if package.asked else ''}"
