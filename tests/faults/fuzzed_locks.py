"""Locks: our own, as text and as values whose ids are right, and those of other tools.

Rules of the file: see ``subjects``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from envbuild.digest import unsealed
from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.formats import Document, detect, nothing_opened
from envbuild.formats.foreign_lock import LOCKING, ForeignLock, Wanted, read_lock
from envbuild.lock import Lock, LockedBase, LockedEnvironment
from envbuild.locks.lock_writing import closure_bytes, lock_text
from envbuild.locks.lockfile import parse_closure, parse_lock
from envbuild.machine.virtual import DEFAULTS
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel
from envbuild.recipe import Index
from envbuild.value import fields, replace
from tests.faults.fuzzed_texts import refused
from tests.faults.mutations import changed_text
from tests.hostile.test_foreign_locks import GOOD
from tests.unit.test_formats_locks import PIXI_4

SHA = "ab" * 32


def our_lock() -> Lock:
    """A lock with something of everything in it."""
    conda = CondaPackage(
        name="openssl", version="3.1.4", build="h0_0", build_number=0, subdir="linux-64",
        file="openssl-3.1.4-h0_0.conda", sha256=SHA, channel="conda-forge", md5="0" * 32, size=5,
        license="Apache-2.0", timestamp=1_700_000_000_000, depends=("ca-certificates", "libgcc-ng >=12"), asked=True,
    )  # fmt: skip
    wheel = Wheel(name="idna", version="3.6", file="idna-3.6-py3-none-any.whl", sha256=SHA, index="default")
    back = Wheel(name="flit-core", version="3.9", file="flit_core-3.9-py3-none-any.whl", sha256=SHA, index="default")
    source = SourcePackage(
        name="theirs", version="1.0", file="theirs-1.0.tar", sha256=SHA, git="https://git.example/theirs",
        commit="ab" * 20, build_requires=(back.file,), host=("openssl",),
    )  # fmt: skip
    environment = LockedEnvironment(
        platform=Platform("linux-64"), python="3.11", interpreter="conda", system=(("__glibc", "2.28"),),
        conda=(conda,), wheels=(wheel,), sources=(source,), build=(back,), variables=(("GREETING", 'say "hi"\n'),),
    )  # fmt: skip
    mac = LockedEnvironment(platform=Platform("osx-arm64"), python=None, interpreter="conda", system=())
    return Lock(
        request=SHA,
        platforms=(environment, mac),
        exclude_newer="2026-11-01T00:00:00Z",
        bases=(LockedBase(path="bases/a.yaml", request=SHA, environments=((Platform("linux-64"), SHA),)),),
        indices=(Index(name="own", url="https://index.example/cpu"),),
    )


def locks(folder: Path) -> Callable[[Random], bool]:
    """A lock whose text was changed: what is read is what stands there, whoever wrote it."""
    good = lock_text(our_lock()).encode()

    def each(chance: Random) -> bool:
        try:
            lock = parse_lock(changed_text(good, chance, [good]), "x.lock.yaml")
        except EnvbuildError as error:
            return refused(error)
        true_of(lock)
        return True

    return each


ODD: tuple[Any, ...] = (
    *("", "..", "../../x", "/etc/passwd", "a\0b", "a\nb", "\ud800", "ü", "x" * 3000, "-rf", "https://u:p@h/x", "CON"),
    *(None, True, 0, -1, 1.5, 10**400, float("inf"), (), ("x",), ((),), {}, {"a": "b"}, SHA, SHA.upper(), SHA[:-1]),
)
"""What no field, or hardly any, may hold."""


def locks_of_values(folder: Path) -> Callable[[Random], bool]:
    """A lock that holds odd values, written with ids that are right: what is read is equal to what was written."""
    good = our_lock()

    def each(chance: Random) -> bool:
        try:
            lock = odd(good, chance)
            text = lock_text(lock)
            data = text.encode("utf-8", "surrogatepass")
        except (EnvbuildError, TypeError, ValueError, AttributeError):
            return False  # nobody can write it
        try:
            found = parse_lock(data, "x.lock.yaml")
        except EnvbuildError as error:
            return refused(error)
        true_of(found)
        assert lock_text(found) == text
        return True

    return each


def odd(value: Any, chance: Random) -> Any:
    """A value with one of its fields, however deep, made odd."""
    if isinstance(value, tuple) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return (*value[:at], odd(value[at], chance), *value[at + 1 :])
    if isinstance(value, str | int | tuple) or value is None:
        return chance.choice(ODD)
    names = [item.name for item in fields(type(value)) if item.name != "id"]
    name = chance.choice(names)
    return replace(value, **{name: odd(getattr(value, name), chance)})


def true_of(lock: Lock) -> None:
    """What must hold of every lock that is read: words are words, and none is a path."""
    words: list[object] = [lock.request, *(base.path for base in lock.bases)]
    words += [word for index in lock.indices for word in (index.name, index.url)]
    for environment in lock.platforms:
        words += [environment.interpreter, *(word for pair in environment.system for word in pair)]
        words += [word for pair in environment.variables for word in pair]
        words += [environment.python or ""]
        plain = [word for item in environment.conda for word in (item.name, item.version, item.build, item.file)]
        plain += [word for item in (*environment.wheels, *environment.build) for word in (item.name, item.file)]
        plain += [word for item in environment.sources for word in (item.name, item.version)]
        assert all(isinstance(word, str) and word and "/" not in word and word != ".." for word in plain), plain
    words += [lock.exclude_newer or ""]
    assert all(isinstance(word, str) for word in words), words


def closures(folder: Path) -> Callable[[Random], bool]:
    """One environment as the store keeps it."""
    lock = our_lock()
    good = unsealed(closure_bytes(lock, lock.platforms[0]))  # what a seal would refuse is not told from what is read
    spread = json.dumps(json.loads(good), indent=1).encode()

    def each(chance: Random) -> bool:
        try:
            found = parse_closure(changed_text(chance.choice((good, spread)), chance, [spread]), "x")
        except EnvbuildError as error:
            return refused(error, placed=False)
        true_of(found)
        return True

    return each


WANTED = Wanted(here=Platform("linux-64"), systems=DEFAULTS, pythons=("3.11",))
SEVERAL = Wanted(here=Platform("linux-64"), systems=DEFAULTS, pythons=("3.12", "3.11"), groups=("dev",), python="3.11")
PASSWORD = re.compile(r"(?:git\+)?https?://[^/?#]*@")
NAMES = {"pylock": "pylock.toml", "uv-lock": "uv.lock", "conda-lock": "conda-lock.yml", "pixi-lock": "pixi.lock",
         "explicit": "explicit.txt", "pip-freeze": "pip freeze"}  # fmt: skip


def foreign_locks(format_name: str, folder: Path) -> Callable[[Random], bool]:
    """Another tool's lock: what is read holds no credentials, and its files' names are no paths."""
    files = [GOOD[format_name].encode()]
    if format_name == "pixi-lock":
        files.append(PIXI_4.replace("VERSION", "5").encode())
        files.append(files[0].replace(b"version: 6", b"version: 7\nplatforms:\n- name: linux-64"))
    others = [*files, *(text.encode() for text in GOOD.values())]

    def each(chance: Random) -> bool:
        data = changed_text(chance.choice(files), chance, files if chance.random() < 0.9 else others)
        document = Document(data=data, file="theirs", opened=nothing_opened, shown=str)
        try:
            found = read_lock(format_name, document, chance.choice((WANTED, SEVERAL)))
        except EnvbuildError as error:
            return refused(error)
        for address in addresses(found):
            assert not PASSWORD.match(address), "a password"
        for file in file_names(found):
            assert isinstance(file, str), file
            assert "/" not in file, file
            assert file not in {"", ".", ".."}, file
        return True

    return each


def addresses(lock: ForeignLock) -> Iterable[str]:
    """Every address in a lock."""
    yield from (*lock.channels, *lock.indices)
    for environment in lock.environments:
        for item in environment.packages():
            places = [getattr(item, name, None) for name in ("url", "index", "links", "git")]
            archive = getattr(item, "archive", None)
            yield from (place for place in (*places, archive and archive.url) if place)


def file_names(lock: ForeignLock) -> Iterable[str]:
    """Names of packages, and of the files that they are in."""
    for environment in lock.environments:
        for item in environment.packages():
            yield item.name
            if hasattr(item, "file"):
                yield item.file
            elif item.archive is not None:
                yield item.archive.file


def detected(folder: Path) -> Callable[[Random], bool]:
    """Which format a file is of: a word of ours, whatever it is called and holds."""
    files = [text.encode() for text in GOOD.values()]
    names = ("x.txt", "x.yml", "x.toml", "x", "uv.lock", "a/conda-lock.yml", "requirements", "../x.yaml", "\udcff.txt")

    def each(chance: Random) -> bool:
        try:
            detect(chance.choice(names), changed_text(chance.choice(files), chance, files))
        except InvalidInput as error:
            return refused(error, placed=False)
        return True

    return each


SUBJECTS: dict[str, Callable[[Path], Callable[[Random], bool]]] = {
    "locks": locks,
    "locks of odd values": locks_of_values,
    "closures": closures,
    **{NAMES[format_name]: partial(foreign_locks, format_name) for format_name in LOCKING},
    "files of unknown format": detected,
}
