"""uv's ``pylock.toml`` as wheels: the best file of each package for the target, never one that the target cannot use.

uv's file names files by address; here each becomes a file name, a digest, and the recipe's word for the place.
Rules of the file: pure, but for what ``tomllib`` reads; what has no wheel is a clear error, never a wrong environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envbuild.digest import Digest, parse_digest
from envbuild.errors import InvalidInput, UnsatisfiableError, Where
from envbuild.package import check_file_name, normalize_pypi_name
from envbuild.urls import file_name
from envbuild.value import dataclass

if TYPE_CHECKING:
    from packaging.tags import Tag

NEEDS_BUILD_HINT = "ask for a version that has a wheel, or build the wheel yourself and put its folder under find-links"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenWheel:
    """One file of uv's answer.

    Attributes:
        url: Where it is on this machine's network; never for a lock.
        direct: True when the recipe asked for it by address.
        sha256: None when the index states none.
    """

    name: str
    version: str
    file: str
    url: str
    direct: bool
    sha256: Digest | None
    size: int | None
    upload_time: str | None


def read_pylock(data: bytes) -> list[dict[str, Any]]:
    """The packages of a pylock file.

    Raises:
        InvalidInput: ``bad-pylock`` when it is not one.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        packages = tomllib.loads(data.decode("utf-8")).get("packages", [])
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"uv's answer cannot be read: {error}", reference="bad-pylock") from error
    return list(packages)


def choose(
    packages: Sequence[Mapping[str, Any]], ranks: Mapping[Tag, int], places: Mapping[str, Where | None]
) -> tuple[ChosenWheel, ...]:
    """The best wheel of each package.

    Args:
        packages: As ``read_pylock`` gives them.
        ranks: Tags that the target takes, as ``envbuild.solvers.target.wheel_ranks`` gives them.
        places: Where the recipe asks for a name, for errors.

    Raises:
        UnsatisfiableError: ``needs-build`` for a package without wheels, ``no-wheel`` when none fits the target.
    """
    return tuple(_choose_one(package, ranks, places) for package in packages)


def _choose_one(
    package: Mapping[str, Any], ranks: Mapping[Tag, int], places: Mapping[str, Where | None]
) -> ChosenWheel:
    name = normalize_pypi_name(package["name"])
    files = [*package.get("wheels", ())]
    archive = package.get("archive")
    if archive is not None and _address(archive).endswith(".whl"):
        files.append(archive)
    if not files:
        raise needs_build(name, package.get("version"), places.get(name))
    best = min(files, key=lambda item: _rank(_file(item), ranks))
    if _rank(_file(best), ranks) == len(ranks):
        offered = ", ".join(sorted(_file(item) for item in files)[:8])
        raise UnsatisfiableError(
            f"{name} {package.get('version', '')} has no wheel for the target; there are: {offered}",
            reference="no-wheel",
            where=places.get(name),
            hint="ask for another version, or raise the floor under `system:` in the recipe",
        )
    return _chosen(name, package, best, direct=best is archive)


def needs_build(name: str, version: str | None, where: Where | None) -> UnsatisfiableError:
    """The error for what would have to be built from source."""
    return UnsatisfiableError(
        f"{name}{f' {version}' if version else ''} would have to be built from source, and nothing here may be",
        reference="needs-build",
        where=where,
        hint=NEEDS_BUILD_HINT,
    )


def _chosen(name: str, package: Mapping[str, Any], item: Mapping[str, Any], *, direct: bool) -> ChosenWheel:
    hashes = item.get("hashes", {})
    upload = item.get("upload-time")
    file = check_file_name(_file(item))
    version = package.get("version")
    return ChosenWheel(
        name=name,
        version=str(version) if version is not None else file.split("-")[1],
        file=file,
        url=_address(item),
        direct=direct,
        sha256=parse_digest(hashes["sha256"]) if "sha256" in hashes else None,
        size=item.get("size"),
        upload_time=upload.strftime("%Y-%m-%dT%H:%M:%SZ") if upload is not None else None,
    )


def _address(item: Mapping[str, Any]) -> str:
    if "url" in item:
        return str(item["url"]).split("#", 1)[0]
    from pathlib import PurePath

    path = PurePath(item.get("path", ""))
    return path.as_uri() if path.is_absolute() else str(path)


def _file(item: Mapping[str, Any]) -> str:
    if "name" in item:
        return str(item["name"])
    return file_name(_address(item))


def _rank(file: str, ranks: Mapping[Tag, int]) -> int:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, _, _, tags = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return len(ranks)
    return min((ranks.get(tag, len(ranks)) for tag in tags), default=len(ranks))
