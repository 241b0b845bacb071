"""What the compiled files of a wheel need of a system: read from their ELF headers, nothing is run.

Symbols of glibc carry the version that they came with; the newest one that a file asks for is the oldest glibc that
it loads on. Symbols alone decide: a wheel built on a new machine is as good as any when it needs nothing new. So it is
with libstdc++, whose symbols have versions of two families.

What a file loads is ``elf_dynamic``'s.

Rules of the file: ``pyelftools`` is imported late; a file that cannot be read as ELF is none.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from envbuild.builders.elf_dynamic import elf_links
from envbuild.pattern import pattern
from envbuild.value import dataclass

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_VERSION = pattern(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)+)")
_CPP = ("GLIBCXX", "CXXABI")
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfNeeds:
    """What one file needs.

    Attributes:
        machine: ``x86_64``, ``aarch64``, or the header's own word.
        glibc: The newest version of glibc that a symbol asks for; None when none does.
        symbol: Such a symbol: ``pow@GLIBC_2.29``.
        cpp: The newest version of each family of libstdc++'s that a symbol asks for, with such a symbol: numbers, the
            word (``GLIBCXX_3.4.30``), and ``SYMBOL@GLIBCXX_3.4.30``.
        libraries: Names of the shared libraries that it loads.
        run_paths: Where it looks for them, in order.
    """

    machine: str
    glibc: tuple[int, int] | None = None
    symbol: str | None = None
    cpp: tuple[tuple[tuple[int, ...], str, str], ...] = ()
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
        links = elf_links(stream)
        newest = _newest(elf)
        glibc = newest.get("GLIBC")
        told = {family: f"{_symbol_of(elf, index)}@{word}" for family, (_, index, word) in newest.items()}
        cpp = tuple((newest[name][0], newest[name][2], told[name]) for name in _CPP if name in newest)
        if links is None:
            return None
    except Exception:  # the library raises whatever its parts raise on bytes that mean nothing
        return None
    return ElfNeeds(
        machine=_MACHINES.get(machine, machine),
        glibc=None if glibc is None else (glibc[0][0], glibc[0][1]),
        symbol=told.get("GLIBC"),
        cpp=cpp,
        libraries=links.libraries,
        run_paths=links.run_paths,
    )


def _newest(elf: ELFFile) -> dict[str, tuple[tuple[int, ...], int, str]]:
    """By family: the newest version that is asked for, the number that symbols name it by, and the word for it."""
    section: Any = elf.get_section_by_name(".gnu.version_r")
    found: dict[str, tuple[tuple[int, ...], int, str]] = {}
    for _, wanted in section.iter_versions() if section is not None else ():
        for version in wanted:
            match = _VERSION.fullmatch(version.name)
            if match:
                numbers = tuple(int(part) for part in match[2].split("."))
                known = found.get(match[1])
                if known is None or numbers > known[0]:
                    found[match[1]] = (numbers, version["vna_other"], version.name)
    return found


def _symbol_of(elf: ELFFile, index: int) -> str:
    versions: Any = elf.get_section_by_name(".gnu.version")
    symbols: Any = elf.get_section_by_name(".dynsym")
    for number in range(symbols.num_symbols()):
        if versions.get_symbol(number)["ndx"] == index:
            return str(symbols.get_symbol(number).name)
    return "a symbol"
