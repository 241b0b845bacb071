"""Whether a built wheel finds its C++ symbols in the environment that links it.

A C++ library is compiled against the libstdc++ of the machine that builds, whose symbols carry the version that they
came with (``GLIBCXX_3.4.30``, ``CXXABI_1.3.13``). Where it runs, it finds another libstdc++: that of the environment's
own conda packages, or else that of the system, of which only the floor for glibc is known. How new a libstdc++ a system
of some glibc has is convention: the table is that of the manylinux policies, by which wheels of an index are judged
too. What is newer than these tables know is held against nothing.

This is looked at when a wheel is linked, for its environment decides, which the key of a build knows nothing of.

Rules of the file: pure, but for the records of builds, read through ``context``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from envbuild.digest import Digest
from envbuild.errors import BuildError
from envbuild.package import CondaPackage, SourcePackage
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context

Version = tuple[int, ...]

_BY_GLIBC: tuple[tuple[Version, int, int], ...] = (
    ((2, 5), 8, 1),
    ((2, 12), 13, 3),
    ((2, 17), 19, 7),
    ((2, 24), 22, 10),
    ((2, 27), 24, 11),
    ((2, 31), 28, 12),
    ((2, 34), 29, 13),
    ((2, 35), 30, 13),
    ((2, 39), 33, 15),
)
"""From which glibc on, the z of GLIBCXX_3.4.z and of CXXABI_1.3.z that systems have (manylinux policies)."""
_NEWEST_GLIBC = (2, 41)
"""The last that the policies speak of."""

_BY_GCC: tuple[tuple[Version, int, int], ...] = (
    ((4, 8, 3), 19, 7),
    ((4, 9), 20, 8),
    ((5, 1), 21, 9),
    ((6, 1), 22, 10),
    ((7, 1), 23, 11),
    ((7, 2), 24, 11),
    ((8, 1), 25, 11),
    ((9, 1), 26, 12),
    ((9, 2), 27, 12),
    ((9, 3), 28, 12),
    ((11, 1), 29, 13),
    ((12, 1), 30, 13),
    ((13, 1), 31, 14),
    ((13, 2), 32, 14),
    ((14, 1), 33, 15),
)
"""From which GCC on, likewise (the ABI history in libstdc++'s manual)."""
_NEWEST_GCC = 14

_LIBRARIES = ("libstdcxx", "libstdcxx-ng")


@dataclass(frozen=True, slots=True, kw_only=True)
class CppFloor:
    """The newest symbols that an environment has for certain.

    Attributes:
        glibcxx: Of ``GLIBCXX``; ``cxxabi`` of ``CXXABI``.
        of: Whose they are, for messages.
    """

    glibcxx: Version
    cxxabi: Version
    of: str

    def allows(self, family: str, version: Version) -> bool:
        """Whether a symbol version is there."""
        return version <= {"GLIBCXX": self.glibcxx, "CXXABI": self.cxxabi}.get(family, version)


def cpp_floor(conda: Iterable[CondaPackage], glibc: str | None) -> CppFloor | None:
    """The floor of an environment; None where nothing is known.

    Args:
        conda: The conda packages in whose libstdc++ a library looks first.
        glibc: The lock's floor.
    """
    found = [package for package in conda if package.name in _LIBRARIES]
    if found:
        newest = max(found, key=lambda package: _numbers(package.version))
        version = _numbers(newest.version)
        return None if version[:1] > (_NEWEST_GCC,) else _row(_BY_GCC, version, f"{newest.name} {newest.version}")
    version = _numbers(glibc or "")
    if not version or version[:2] > _NEWEST_GLIBC:
        return None
    return _row(_BY_GLIBC, version, f"systems with glibc {glibc}")


def _row(table: tuple[tuple[Version, int, int], ...], version: Version, of: str) -> CppFloor | None:
    fits = [row for row in table if row[0] <= version]
    return CppFloor(glibcxx=(3, 4, fits[-1][1]), cxxabi=(1, 3, fits[-1][2]), of=of) if fits else None


def check_cpp_symbols(
    sources: Sequence[tuple[Digest, SourcePackage]],
    conda: Sequence[CondaPackage],
    *,
    own_python: bool,
    glibc: str | None,
    context: Context,
) -> None:
    """Hold what built wheels need of libstdc++ against what their environment has.

    Args:
        sources: What was built, with the keys of the builds.
        conda: The environment's conda packages.
        own_python: Whether its Python is conda's, which looks into the environment's own libraries first. With another
            Python only builds do that which saw conda packages: they have a run path there.
        glibc: The lock's floor.
        context: With the builds among the declared inputs.

    Raises:
        BuildError: ``newer-symbols``.
    """
    for key, source in sources:
        floor = cpp_floor(conda if own_python or source.host else (), glibc)
        for need in _needs(context.blob(key, "record").read_bytes()) if floor is not None else ():
            family, _, text = need["version"].partition("_")
            if floor is not None and not floor.allows(family, _numbers(text)):
                raise _refusal(source, need, floor, own_python)


def _needs(record: bytes) -> list[dict[str, str]]:
    """What a build's record says of C++ symbols; nothing in those of older builds."""
    try:
        needs: Any = json.loads(record).get("cpp", [])
        return [{name: str(item[name]) for name in ("version", "file", "symbol")} for item in needs]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _refusal(source: SourcePackage, need: dict[str, str], floor: CppFloor, own_python: bool) -> BuildError:
    family, _, text = need["version"].partition("_")
    version = _numbers(text)
    gcc, glibc = (_first(table, family, version[-1]) for table in (_BY_GCC, _BY_GLIBC))
    ways = []
    if gcc is not None and own_python:
        ways.append(f"put `libstdcxx-ng: '>={'.'.join(map(str, gcc))}'` under `conda: packages:`")
    if glibc is not None and floor.of.startswith("systems"):
        ways.append(f'write system: {{__glibc: "{glibc[0]}.{glibc[1]}"}} into the recipe')
    ways.append(f"build with an older compiler (build: {{{source.name}: {{toolchain: gcc VERSION}}}})")
    has = ".".join(map(str, floor.glibcxx if family == "GLIBCXX" else floor.cxxabi))
    return BuildError(
        f"{need['file']} of {source.name} {source.version} needs {need['symbol']}, newer than the libstdc++ of "
        f"{floor.of} ({family}_{has})",
        reference="newer-symbols",
        hint=f"{', or '.join(ways)}; then: envbuild lock",
    )


def _first(table: tuple[tuple[Version, int, int], ...], family: str, last: int) -> Version | None:
    """From which version on a table has a symbol version, by its last number."""
    return next(
        (version for version, glibcxx, cxxabi in table if (glibcxx if family == "GLIBCXX" else cxxabi) >= last), None
    )


def _numbers(text: str) -> Version:
    """``13.2.0`` as numbers; empty for what is no version."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
