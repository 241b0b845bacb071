"""conda packages of a foreign lock, completed from their channels' indices, or from the packages themselves.

Theory: a lock of ours needs of each package its sha256, its build number and what it depends on. Where a foreign file
leaves any of them out, the channel's record of the very same file is taken, and its md5 or sha256 must be the file's
where the file states one: an index that has other bytes under the name is exit 4. A file that the channel does not
list any more is fetched, held against the digest that the lock has, and read.

Rules of the file: the engine reads indices in a child process; what is fetched goes through the context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from envbuild.digest import parse_digest
from envbuild.errors import IntegrityError
from envbuild.exchange.words import Words
from envbuild.exchange.work import Work
from envbuild.formats.foreign_lock import ForeignConda
from envbuild.package import CondaPackage, UrlOrigin, check_file_name
from envbuild.solvers.channel_records import channel_records
from envbuild.value import replace

_SHOWN = 3


def complete_conda(packages: Sequence[ForeignConda], words: Words, work: Work) -> dict[tuple[str, str], CondaPackage]:
    """The packages as a lock has them, by subdir and file name.

    Args:
        packages: Of all platforms.
        words: For channels.
        work: Reads what is missing.

    Raises:
        IntegrityError: ``wrong-hash`` when a channel has other bytes under a name.
        UnreachableError: When a channel does not answer, or has a package no more.
    """
    once = {(item.url.rpartition("/")[0].rpartition("/")[0], item.subdir, item.file): item for item in packages}
    missing = {key: item for key, item in once.items() if not item.complete or item.sha256 is None}
    records: dict[tuple[str, str, str], dict[str, Any]] = {}
    if missing:
        work.need_network(f"all of {_named(item.name for item in missing.values())}")
        records = channel_records(((key, item.name) for key, item in missing.items()), work.context)
        listed = [item for key, item in missing.items() if key in records]
        _say_completed(listed, work)
    found = {}
    for key, item in once.items():
        channel = words.channel(key[0])
        record = records.get(key)
        if key not in missing:
            package = _from_foreign(item, channel)
        elif record is not None:
            package = _from_record(item, record, channel)
        else:
            package = _from_archive(item, channel, work)
        work.context.remember(package.sha256, item.url)
        found[item.subdir, item.file] = package
    return found


def _named(names: Iterable[str]) -> str:
    several = sorted(set(names))
    more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
    return ", ".join(several[:_SHOWN]) + more


def _say_completed(packages: Sequence[ForeignConda], work: Work) -> None:
    if packages:
        work.say(
            f"build numbers, dependencies and sizes of {_named(item.name for item in packages)}: "
            "taken from the channels' indices, for the file does not say them"
        )
    unhashed = [item for item in packages if item.sha256 is None]
    if unhashed:
        checked = "whose md5 agrees with the file's" if all(item.md5 for item in unhashed) else "for want of the file's"
        work.say(f"sha256 of {_named(item.name for item in unhashed)}: taken from the channels' indices, {checked}")


def _from_foreign(item: ForeignConda, channel: str) -> CondaPackage:
    assert item.sha256 is not None
    return CondaPackage(
        name=item.name,
        version=item.version,
        build=item.build,
        build_number=item.build_number or 0,
        subdir=item.subdir,
        file=check_file_name(item.file),
        sha256=parse_digest(item.sha256),
        channel=channel,
        md5=item.md5,
        size=item.size,
        license=item.license,
        timestamp=item.timestamp,
        noarch=item.noarch,
        python_site_packages_path=item.python_site_packages_path,
        depends=item.depends or (),
        constrains=item.constrains,
        purls=tuple(sorted(item.purls)),
    )


def _from_record(item: ForeignConda, record: Mapping[str, Any], channel: str) -> CondaPackage:
    """The channel's record of the file, which must not contradict what the foreign lock says."""
    for kind in ("sha256", "md5"):
        stated, told = getattr(item, kind), record.get(kind)
        if stated is not None and told and stated != told:
            raise IntegrityError(
                f"{item.file} has the {kind} {stated} in the file, and {told} in its channel",
                reference="wrong-hash",
                where=item.where,
            )
    sha256 = item.sha256 or record.get("sha256")
    noarch = record.get("noarch")
    whole = replace(
        item,
        sha256=sha256,
        md5=item.md5 or record.get("md5"),
        size=record.get("size"),
        build_number=record.get("build_number", 0),
        noarch=noarch if isinstance(noarch, str) else None,
        depends=tuple(record.get("depends", ())),
        constrains=tuple(record.get("constrains", ())),
        license=record.get("license"),
        timestamp=record.get("timestamp"),
        purls=tuple(record.get("purls") or ()),
        python_site_packages_path=record.get("python_site_packages_path"),
    )
    return _from_foreign(whole, channel)


def _from_archive(
    item: ForeignConda, channel: str, work: Work, told: str = "is not in its channel's index"
) -> CondaPackage:
    """What the package says of itself, once it was fetched and is what the foreign lock says."""
    from envbuild.linkers.conda_archive import package_index

    origin = UrlOrigin(url=item.url, file=item.file)
    digest = parse_digest(item.sha256) if item.sha256 is not None else None
    output = work.context.fetch(origin, sha256=digest, size=item.size, urls=(item.url,))
    path = work.blob(output.sha256)
    if item.md5 is not None and digest is None and _md5(path) != item.md5:
        raise IntegrityError(
            f"{item.file} has the md5 {_md5(path)}, and the file says {item.md5}",
            reference="wrong-hash",
            where=item.where,
        )
    work.say(f"{item.file} {told}: it was fetched, and says of itself what the file does not")
    record = package_index(path, item.file)
    if not isinstance(record, dict):
        raise IntegrityError(f"{item.file} does not say which package it is", reference="wrong-package")
    return _from_record(replace(item, sha256=output.sha256), {**record, "size": output.size, "sha256": None}, channel)


def _md5(path: Path) -> str:
    import hashlib

    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
