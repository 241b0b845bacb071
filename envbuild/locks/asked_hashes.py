"""Whether what was locked is what the hashes of requirements (``--hash``) allow.

Theory: a hash names a file. The solver chooses files by version and tags, as it always does, and the lock records their
sha256; a requirement that lists hashes says which of them will do. So the choice is checked once, when it was made: a
file that nobody listed never gets into a lock.

Rules of the file: pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.errors import IntegrityError, several
from envbuild.lock import LockedEnvironment
from envbuild.package import SourcePackage, Wheel
from envbuild.recipe import PypiRequirement
from envbuild.request import Request


def check_hashes(environments: Iterable[LockedEnvironment], request: Request) -> None:
    """Refuse what no hash of its requirement allows.

    Args:
        environments: As they were solved.
        request: What was asked for.

    Raises:
        IntegrityError: ``wrong-hash``, with every file that was chosen and not listed.
    """
    errors = []
    for environment in environments:
        part = request.platform(environment.platform)
        listed = [item for item in (*part.pypi, *part.pypi_constraints) if item.hashes]
        if not listed:
            continue
        packages: dict[str, Wheel | SourcePackage] = {item.name: item for item in environment.wheels}
        packages.update((item.name, item) for item in environment.sources)
        errors += [
            IntegrityError(
                f"{package.file} for {environment.platform} has the sha256 {package.sha256}, which is none of the "
                f"{len(item.hashes)} that {item.name} may have",
                reference="wrong-hash",
                where=item.where,
                hint="add --hash=sha256: of that file if you trust it, or ask for a version whose files are listed",
            )
            for item in listed
            if (package := packages.get(item.name)) is not None and not _allowed(item, package)
        ]
    if errors:
        raise errors[0] if len(errors) == 1 else several(errors)


def _allowed(item: PypiRequirement, package: Wheel | SourcePackage) -> bool:
    """Whether a requirement's hashes name a package, or are not about it: another line, with another marker, may be."""
    if package.sha256 in item.hashes:
        return True
    if not item.version or not item.markers:
        return False
    from packaging.specifiers import SpecifierSet

    return not SpecifierSet(item.version).contains(package.version, prereleases=True)
