"""PyPI packages of a foreign lock as a lock has them: files, digests, and who needs whom.

Theory: who needs whom is what ``tree``, ``why`` and later pins read. Where the foreign file says it, it is believed
(nothing is installed by it); where it does not, each wheel's METADATA is read, as a solve would. A name that is needed
and not there is said: the foreign lock was not whole, and ``pip check`` would say the same.

Rules of the file: nothing is solved; the set of packages is the foreign lock's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from envbuild.builders.core_metadata import WheelMetadata
from envbuild.conda_names import counted_as
from envbuild.digest import parse_digest
from envbuild.exchange.files_found import FoundFile
from envbuild.exchange.work import Work
from envbuild.package import CondaPackage, SourcePackage, Wheel
from envbuild.pinned import package_from_tree, package_tree
from envbuild.solvers.pylock import ChosenWheel
from envbuild.solvers.target import Target, marker_environment
from envbuild.solvers.wheel_metadata import edges, read_all
from envbuild.value import replace


def lock_wheels(
    found: Sequence[FoundFile],
    sources: Sequence[SourcePackage],
    told: Mapping[str, WheelMetadata],
    conda: Mapping[str, str],
    target: Target,
    work: Work,
) -> tuple[tuple[Wheel, ...], tuple[SourcePackage, ...]]:
    """The wheels and sources with their edges.

    Args:
        found: Every package, wheels and sources.
        sources: Those that are built, as far as they are known.
        told: Metadata of sources, by name.
        conda: PyPI project to the conda package that provides it.
        target: The platform and Python.
        work: Reads METADATA.

    Raises:
        IntegrityError: When a file is another package than the lock says.
    """
    metadata = {**_metadata(found, work), **told}
    roots = [(item.package.name, item.package.extras, None) for item in found]
    provided = {project: WheelMetadata(name=project, version="0") for project in conda if project not in metadata}
    requires, extras = edges({**metadata, **provided}, roots, marker_environment(target))
    named = {**conda, **{item.package.name: item.package.name for item in found}}
    _say_missing(found, requires, named, work)

    def needs(name: str) -> tuple[str, ...]:
        return tuple(sorted({named[item] for item in requires[name] if item in named} - {name}))

    wheels = [
        _wheel(item, metadata[item.package.name], needs(item.package.name), extras[item.package.name])
        for item in found
        if item.is_wheel
    ]
    built = [replace(item, requires=needs(item.name), extras=extras[item.name]) for item in sources]
    for item in found:
        if item.file is not None and item.file.sha256 is not None and item.address is not None:
            work.context.remember(parse_digest(item.file.sha256), item.address)
    return (
        tuple(sorted(wheels, key=lambda item: item.name)),
        tuple(sorted(built, key=lambda item: item.name)),
    )


def _metadata(found: Sequence[FoundFile], work: Work) -> dict[str, WheelMetadata]:
    """What each wheel needs: as the foreign file says, else as the wheel itself does."""
    known, asked, unknown = {}, [], []
    for item in found:
        package, file = item.package, item.file
        if file is None or not item.is_wheel:
            continue
        version = item.version or file.file.split("-")[1]
        if package.requires is not None or work.offline or item.address is None:
            known[package.name] = WheelMetadata(
                name=package.name, version=version, requires=package.requires or (), extras=package.extras
            )
            if package.requires is None:
                unknown.append(package.name)
            continue
        assert file.sha256 is not None
        asked.append(
            ChosenWheel(
                name=package.name,
                version=version,
                file=file.file,
                url=item.address,
                direct=item.url is not None,
                sha256=parse_digest(file.sha256),
                size=file.size,
                upload_time=file.upload_time,
            )
        )
    if unknown:
        work.say(f"what {_few(unknown)} need is not known: the file does not say it, and the network may not be used")
    if asked:
        known |= read_all(asked, work.context)
        few = _few(item.name for item in asked)
        work.say(f"what {few} need: read from the wheels' own metadata, for the file does not say it")
    return known


def _few(names: Iterable[str]) -> str:
    several = sorted(names)
    return ", ".join(several[:3]) + (f" and {len(several) - 3} more" if len(several) > 3 else "")


def _say_missing(
    found: Sequence[FoundFile], requires: Mapping[str, Sequence[str]], named: Mapping[str, str], work: Work
) -> None:
    for item in found:
        missing = sorted(set(requires.get(item.package.name, ())) - set(named))
        if missing:
            work.say(f"{item.package.name} needs {', '.join(missing)}, which the file does not hold")


def _wheel(item: FoundFile, told: WheelMetadata, needs: tuple[str, ...], extras: tuple[str, ...]) -> Wheel:
    assert item.file is not None
    assert item.file.sha256 is not None
    wheel = Wheel(
        name=item.package.name,
        version=item.version or told.version,
        file=item.file.file,
        sha256=parse_digest(item.file.sha256),
        index=item.index,
        url=item.url,
        find_links=item.find_links,
        size=item.file.size,
        upload_time=item.file.upload_time,
        license=told.license,
        requires=needs,
        extras=extras,
    )
    return package_from_tree(Wheel, package_tree(wheel), item.package.where)


def conda_projects(packages: Sequence[CondaPackage]) -> dict[str, str]:
    """PyPI project to the conda package that provides it."""
    return {counted.project: package.name for package in packages for counted in counted_as(package)}
