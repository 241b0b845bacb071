"""Explicit files: ``@EXPLICIT`` and one address of a conda package a line, with its md5 or sha256 behind ``#``.

Written by ``conda list --explicit``, ``conda-lock render``, micromamba and pixi. One file is one platform's, which a
comment names, or the addresses do. Packages named by a path on somebody's disk are refused: nobody else has them.

Rules of the file: text to value.
"""

from __future__ import annotations

from envbuild.errors import InvalidInput, Issue
from envbuild.formats import Document
from envbuild.formats.checked import MOST_PACKAGES, Checked, bare_address, had_credentials
from envbuild.formats.files import known_platform, split_conda
from envbuild.formats.foreign_lock import (
    ForeignConda,
    ForeignEnvironment,
    ForeignLock,
    Wanted,
    check_choices,
    chosen_platforms,
)
from envbuild.formats.targets import check_twins
from envbuild.package import Platform
from envbuild.pattern import pattern

_PLATFORM = pattern(r"#\s*platform:\s*([a-z0-9-]+)\s*")
_MD5 = pattern(r"[0-9a-fA-F]{32}")
_SHA256 = pattern(r"(?:sha256:)?([0-9a-fA-F]{64})")


def read_lock(document: Document, wanted: Wanted) -> ForeignLock:
    """The packages of an explicit file.

    Raises:
        InvalidInput: With every line that is wrong.
        UsageError: When it is not for the wanted platform.
    """
    check_choices(wanted, document, environments=False, extras=False, groups=False)
    try:
        lines = document.data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8", reference="bad-encoding", where=document.where()) from None
    issues: list[Issue] = []
    packages: list[ForeignConda] = []
    channels: dict[str, None] = {}
    platform: Platform | None = None
    notes = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if found := _PLATFORM.fullmatch(text):
            platform = known_platform(found[1])
        if not text or text.startswith("#") or text == "@EXPLICIT":
            continue
        if had_credentials(text):
            notes.append("the addresses carried credentials, which are not kept")
        try:
            channel, package = _package(text, document, number)
        except InvalidInput as error:
            issues.append(Issue(message=error.message, reference=error.reference, where=error.where, hint=error.hint))
            if len(issues) >= 100:
                break
            continue
        channels[channel] = None
        packages.append(package)
    if len(packages) > MOST_PACKAGES:
        issues = [Issue(message="the file has too many packages", reference="too-large", where=document.where())]
    if issues:
        raise InvalidInput.of(tuple(issues))
    platform = platform or _platform(packages, wanted, document)
    chosen_platforms((platform,), wanted, document)
    packages.sort(key=lambda item: item.name)
    environment = ForeignEnvironment(platform=platform, conda=tuple(packages))
    return ForeignLock(
        format="explicit",
        environments=(check_twins(environment, document.where()),),
        channels=tuple(channels),
        notes=tuple(dict.fromkeys(notes)),
    )


def _package(text: str, document: Document, number: int) -> tuple[str, ForeignConda]:
    where = document.where(number)
    address, _, fragment = text.partition("#")
    if "://" not in address:
        raise InvalidInput(
            f"{address[:80]!r} is a path on somebody's disk",
            reference="bad-url",
            where=where,
            hint="write the address of its channel",
        )
    here = Checked(text, f"line {number}", document)
    try:
        channel, subdir, file, name, version, build = split_conda(bare_address(address, here), here)
    except InvalidInput as error:
        raise InvalidInput(error.message, reference=error.reference, where=where, hint=error.hint) from None
    sha256, md5 = _SHA256.fullmatch(fragment), _MD5.fullmatch(fragment)
    if fragment and not sha256 and not md5:
        raise InvalidInput(f"{fragment[:80]!r} is neither an md5 nor a sha256", reference="bad-hash", where=where)
    return channel, ForeignConda(
        name=name,
        version=version,
        build=build,
        subdir=subdir,
        file=file,
        url=f"{channel}/{subdir}/{file}",
        sha256=sha256[1].lower() if sha256 else None,
        md5=fragment.lower() if md5 else None,
        where=where,
    )


def _platform(packages: list[ForeignConda], wanted: Wanted, document: Document) -> Platform:
    """The one platform that the addresses name; of a file with nothing but noarch, the one that is wanted."""
    named = sorted({item.subdir for item in packages if item.subdir != "noarch"})
    if not named:
        return wanted.platforms[0] if wanted.platforms else wanted.here
    platform = known_platform(named[0])
    if len(named) > 1 or platform is None:
        raise InvalidInput(
            f"one platform that envbuild knows is expected, and the addresses are for {', '.join(named)[:100]}",
            reference="bad-platform",
            where=document.where(),
        )
    return platform
