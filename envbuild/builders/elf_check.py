"""What the compiled files of a wheel need of a system: read from their ELF headers, nothing is run.

Symbols of glibc carry the version that they came with; the newest one that a file asks for is the oldest glibc that
it loads on. Symbols alone decide: a wheel built on a new machine is as good as any when it needs nothing new.

Rules of the file: ``pyelftools`` is imported late; a file that cannot be read as ELF is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from envbuild.value import dataclass

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

MAGIC = b"\x7fELF"
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfNeeds:
    """What one file needs.

    Attributes:
        machine: ``x86_64``, ``aarch64``, or the header's own word.
        glibc: The newest version of glibc that a symbol asks for; None when none does.
        symbol: Such a symbol: ``pow@GLIBC_2.29``.
        libraries: Names of the shared libraries that it loads.
        run_paths: Where it looks for them, in order.
    """

    machine: str
    glibc: tuple[int, int] | None = None
    symbol: str | None = None
    libraries: tuple[str, ...] = ()
    run_paths: tuple[str, ...] = ()


def elf_needs(stream: IO[bytes]) -> ElfNeeds | None:
    """What a file needs, or None when it is damaged beyond reading.

    Args:
        stream: Seekable; begins with ``MAGIC``.
    """
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(stream)
        machine = str(elf["e_machine"])
        libraries, paths = _dynamic(elf)
        versions = list(_glibc_versions(elf))
        newest = max((version for version, _, _ in versions), default=None)
        index, word = next(((number, word) for version, number, word in versions if version == newest), (0, ""))
        symbol = None if newest is None else f"{_symbol_of(elf, index)}@{word}"
    except Exception:  # the library raises whatever its parts raise on bytes that mean nothing
        return None
    return ElfNeeds(
        machine=_MACHINES.get(machine, machine), glibc=newest, symbol=symbol, libraries=libraries, run_paths=paths
    )


def _dynamic(elf: ELFFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    section: Any = elf.get_section_by_name(".dynamic")
    libraries, paths = [], []
    for tag in section.iter_tags() if section is not None else ():
        if tag.entry.d_tag == "DT_NEEDED":
            libraries.append(tag.needed)
        elif tag.entry.d_tag == "DT_RPATH":
            paths += tag.rpath.split(":")
        elif tag.entry.d_tag == "DT_RUNPATH":
            paths += tag.runpath.split(":")
    return tuple(libraries), tuple(paths)


def _glibc_versions(elf: ELFFile) -> Iterator[tuple[tuple[int, int], int, str]]:
    """Versions of glibc that are asked for, with the number that symbols name them by and the word for them."""
    section: Any = elf.get_section_by_name(".gnu.version_r")
    for _, wanted in section.iter_versions() if section is not None else ():
        for version in wanted:
            found = _GLIBC.fullmatch(version.name)
            if found:
                yield (int(found[1]), int(found[2])), version["vna_other"], version.name


def _symbol_of(elf: ELFFile, index: int) -> str:
    versions: Any = elf.get_section_by_name(".gnu.version")
    symbols: Any = elf.get_section_by_name(".dynsym")
    for number in range(symbols.num_symbols()):
        if versions.get_symbol(number)["ndx"] == index:
            return str(symbols.get_symbol(number).name)
    return "a symbol"
