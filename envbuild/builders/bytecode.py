"""The modules of a package, compiled by the Python that will import them, as one archive.

::

    package ─ its .py files ─► scratch ─ bytecode_child (that Python) ─► .pyc ─► canonical tar ─ zstd ─► blob

The archive is the same, byte for byte, wherever it is made: one process compiles the modules of a package in the order
of their names, with one seed for hashes and no path of this machine in them (Python puts a module's true path into its
code when it loads it), and the tar is canonical. Files that Python does not compile (templates, modules for Python 2)
are left out and named. A package that brings the compiled file itself keeps its own.

Rules of the file: reads the declared package; nothing of it is imported or run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.canonical_tar import CanonicalTar
from envbuild.digest import canonical_json, digest_bytes
from envbuild.errors import BuildError, IntegrityError
from envbuild.linkers.bytecode import INDEX, PREFIX, SITE, pyc_of
from envbuild.linkers.conda_archive import BROKEN, members_of
from envbuild.linkers.zip_structure import BadZipError, ZipFileView
from envbuild.machine.disk import writing
from envbuild.package import CondaPackage, InterpreterArchive
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Context, Outputs
    from envbuild.derivations.bytecode import Bytecode

LARGEST = 8 << 20
"""Bytes of a source file; what is longer is data."""
LEVEL = 3
_CRASHES = 20
_SHOWN = 3
_PROGRAM = "bytecode_child.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """What the child said: who it was, and what came of each module; nothing for one that it does not compile."""

    python: dict[str, str]
    files: tuple[bytes, ...]


def compile_package(derivation: Bytecode, context: Context) -> Outputs:
    """Compile a package and publish the archive; see ``envbuild.derivations.bytecode.realise``."""
    python = _python(derivation, context)
    blob, package = context.blob(derivation.package.key), derivation.package.package
    with context.scratch() as folder, writing(folder):
        sources = folder / "sources"
        sources.mkdir()
        try:
            found = sorted(_kept(blob, derivation, sources))
        except (BadZipError, *BROKEN) as error:
            raise IntegrityError(f"{package.file} cannot be read: {error}", reference="bad-archive") from error
        names = [name for name, _, _ in found]
        for place, (_, number, _) in enumerate(found):
            (sources / str(number)).rename(sources / f"{place}.py")
        said = _compile(names, python, folder, derivation, context)
        left = [name for name, data in zip(names, said.files, strict=True) if not data]
        if left:
            shown = ", ".join(name.partition("/")[2] for name in left[:_SHOWN]) + (" …" if len(left) > _SHOWN else "")
            files = "file does not compile, and stays" if len(left) == 1 else "files do not compile, and stay"
            context.note(f"{derivation.label}: {len(left)} {files} without bytecode: {shown}")
        target = folder / "bytecode.tar.zst"
        _pack(target, said, {name: digest for name, _, digest in found})
        return {"out": context.put(target)}


def _python(derivation: Bytecode, context: Context) -> Path:
    """The Python that compiles; one made of conda packages is kept in a cache, whole or not at all."""
    program = f"python{derivation.series}"
    runs_on = [(context.blob(item.key), item.package) for item in derivation.runs_on]
    for blob, package in runs_on:
        if isinstance(package, InterpreterArchive):
            from envbuild.linkers.archive import unpack_once

            return unpack_once(blob, package, context) / "bin" / program
    packages = [(blob, package) for blob, package in runs_on if isinstance(package, CondaPackage)]
    if not packages:
        return Path(context.host_python(derivation.series).path)
    name = digest_bytes("\n".join(package.sha256 for _, package in packages).encode())
    final = context.engine_cache("compilers") / name
    with context.lock(f"compiler-{name}", patient=True):
        if not final.is_dir():
            from envbuild.linkers.conda import link_conda

            with context.scratch() as folder, writing(folder):
                link_conda(packages, folder / "prefix", final, context.platform, context)
                context.publish_tree(folder / "prefix", final)
    return final / "bin" / program


def _kept(blob: Path, derivation: Bytecode, folder: Path) -> Iterator[tuple[str, int, str]]:
    """Write each module of a package into a folder, as a file with a number for a name.

    Returns:
        Each module's place (``site/…`` or ``prefix/…``), number and sha256; those whose compiled file is there are not
        among them.
    """
    tag = f"cpython-{derivation.series.replace('.', '')}"
    package = derivation.package.package
    read = _of_conda(blob, package, derivation.series) if isinstance(package, CondaPackage) else _of_wheel(blob)
    held: dict[str, tuple[int, str]] = {}
    there: set[str] = set()
    for name, size, pieces in read:
        if name.endswith(".pyc"):
            there.add(name)
        elif name.endswith(".py") and size <= LARGEST:
            data = b"".join(pieces)
            number = len(held)
            (folder / str(number)).write_bytes(data)
            held.setdefault(name, (number, hashlib.sha256(data).hexdigest()))
    for name, (number, digest) in held.items():
        if pyc_of(name, tag) not in there:
            yield name, number, digest


_Read = Iterator[tuple[str, int, Iterator[bytes]]]


def _of_wheel(blob: Path) -> _Read:
    with ZipFileView(blob) as view:
        for entry in view.entries:
            name = entry.name
            top, _, rest = name.partition("/")
            if top.endswith(".data"):
                scheme, _, name = rest.partition("/")
                if scheme not in {"purelib", "platlib"}:
                    continue
            if name.endswith((".py", ".pyc")):
                yield SITE + name, entry.size, view.pieces(entry)


def _of_conda(blob: Path, package: CondaPackage, series: str) -> _Read:
    library = f"lib/python{series}/"
    with members_of(blob, "pkg") as members:
        for member, pieces in members:
            name = member.name.removeprefix("./")
            if member.kind != "file" or not name.endswith((".py", ".pyc")):
                continue
            if package.noarch == "python" and name.startswith("site-packages/"):
                yield SITE + name.removeprefix("site-packages/"), member.size, pieces
            elif name.startswith(library):
                yield PREFIX + name, member.size, pieces


def _compile(names: Sequence[str], python: Path, folder: Path, derivation: Bytecode, context: Context) -> _Compiled:
    """Run the child over the modules; one that ends it is left out, and the rest goes on.

    Raises:
        BuildError: ``bytecode-failed``.
    """
    (folder / "program").mkdir()
    program = shutil.copyfile(Path(__file__).with_name(_PROGRAM), folder / "program" / _PROGRAM)
    (folder / "sources" / "names.json").write_text(json.dumps(names), encoding="utf-8")
    answers = folder / "answers"
    answers.touch()
    for _ in range(_CRASHES):
        first, whole = _answered(answers)
        with answers.open("rb+") as stream:
            stream.truncate(whole)
        command = [str(python), "-S", "-s", "-B", "-W", "ignore", str(program)]
        done = context.run(
            [*command, str(folder / "sources"), str(answers), str(len(first))],
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            cwd=folder,
            timeout=context.build_timeout,
        )
        files, whole = _answered(answers)
        if done.returncode == 0 and len(files) == len(names):
            python_said = json.loads(Path(f"{answers}.python").read_bytes())
            return _Compiled(python=python_said, files=tuple(files))
        if not Path(f"{answers}.python").exists() or len(files) >= len(names):
            raise BuildError(
                f"{python} does not compile: {' '.join(done.tail.split())[-300:]}", reference="bytecode-failed"
            )
        with answers.open("rb+") as stream:  # the one that ended it counts as one that does not compile
            stream.truncate(whole)
            stream.seek(whole)
            stream.write(bytes(4))
    raise BuildError(
        f"the modules of {derivation.label} ended the compiler {_CRASHES} times",
        reference="bytecode-failed",
        hint="leave `bytecode: true` out of the recipe",
    )


def _answered(answers: Path) -> tuple[list[bytes], int]:
    """The whole frames of the answers, and how many bytes they are."""
    data = answers.read_bytes()
    files, at = [], 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + length > len(data):
            break
        files.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return files, at


def _pack(target: Path, said: _Compiled, sources: dict[str, str]) -> None:
    """Write the archive: the index first, then the files by their names."""
    import zstandard

    tag = said.python["tag"]
    files = {pyc_of(name, tag): data for name, data in zip(sources, said.files, strict=True) if data}
    index = canonical_json(
        {
            "format": 1,
            "magic": said.python["magic"],
            "tag": tag,
            "sources": {name: digest for name, digest in sources.items() if pyc_of(name, tag) in files},
        }
    )
    with target.open("xb") as stream, zstandard.ZstdCompressor(level=LEVEL, threads=0).stream_writer(stream) as packed:
        tar = CanonicalTar(packed.write)
        for name, data in sorted({INDEX: index, **files}.items(), key=lambda item: item[0].encode()):
            tar.add_file(name, len(data), [data], executable=False)
        tar.close()
