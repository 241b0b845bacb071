"""Wheels into a prefix, by uv, offline, from verified blobs.

uv is given a ``pylock.toml`` whose wheels are the blobs themselves (``name``, ``path``, ``hashes``): it needs no
index, copies no wheel, and leaves no ``direct_url.json``. It unzips each wheel once into its cache, known by path and
change time: a blob must never be hard-linked, or it is unzipped again. ``uv pip sync`` is never used, for it would
remove what conda put there.

uv leaves a note about its cache (``uv_cache.json``) with a time in it; it goes, with its line of ``RECORD``, or two
links of one lock would differ. No bytecode is compiled: for a science stack that alone takes longer than everything
else.

Rules of the file: uv runs through ``context.run`` and takes no setting from the user's machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import BuildError, IntegrityError, NoSpaceError
from envbuild.linkers.placing import UV_MODES, engine_ways
from envbuild.linkers.record import edit_record
from envbuild.machine.uv_program import uv_program
from envbuild.package import Wheel, normalize_pypi_name

if TYPE_CHECKING:
    from envbuild.derivations import Context

WheelInputs = Sequence[tuple[Path, Wheel]]
"""Verified wheel files with what the lock says about each."""


def link_wheels(rounds: Sequence[WheelInputs], prefix: Path, host: str | None, context: Context) -> None:
    """Install wheels into a prefix that has a Python, whatever kind it is; ``finish_wheels`` comes after it.

    uv has to ask a Python for its tags and paths, which takes longer than linking; it remembers the answer by the
    executable's path. So a virtual environment, whose path is new each time, is filled through the host's Python that
    it stands on, which gives the same files.

    Args:
        rounds: At least one wheel each; files are verified and checked already. Those of a later round are put in the
            place of those before; within a round the fastest wins.
        prefix: Has ``bin/python``.
        host: The Python that a virtual environment stands on, by its real path; None for a Python in the prefix.
        context: For uv's cache and processes.

    Raises:
        IntegrityError: ``wrong-package`` when uv finds that a file is not what its name says.
        BuildError: ``link-failed`` with uv's words.
    """
    lock = prefix.parent / "pylock.toml"
    python = (
        ["--python", str(prefix / "bin" / "python")] if host is None else ["--python", host, "--prefix", str(prefix)]
    )
    mode = ["--link-mode", UV_MODES[engine_ways("uv", prefix.parent, context)[0]]]
    for wheels in rounds:
        lock.write_text(pylock(wheels), encoding="utf-8")
        install = ["pip", "install", "--no-deps", "--break-system-packages", *python, *mode, "-r", str(lock)]
        run_uv(install, context, prefix.parent)
    context.begin_writeback(prefix)


def finish_wheels(rounds: Sequence[WheelInputs], prefix: Path, addresses: Mapping[str, bytes]) -> None:
    """Take away uv's notes, and write where packages came from.

    A file system that writes a tree to the disk may let nobody change another name meanwhile: what only reads the tree
    goes before this.

    Args:
        rounds: As ``link_wheels``.
        prefix: The same.
        addresses: By name, the ``direct_url.json`` of the wheels that have one.
    """
    (prefix / ".lock").unlink(missing_ok=True)  # uv's own, of no use in a prefix that does not change
    by_name = {wheel.name: wheel for wheels in rounds for _, wheel in wheels}
    for note in prefix.glob("lib/python*/site-packages/*.dist-info/uv_cache.json"):
        wheel = by_name[normalize_pypi_name(note.parent.name.split("-", 1)[0])]
        _finish_distribution(note, wheel, addresses.get(wheel.name))


def site_folder(prefix: Path) -> Path:
    """The ``site-packages`` of a prefix; conda's Python has links to the one folder of that name."""
    found = [path for path in prefix.glob("lib/python3*/site-packages") if not path.parent.is_symlink()]
    return found[0] if found else prefix / "lib" / "site-packages"


def _finish_distribution(note: Path, wheel: Wheel, address: bytes | None) -> None:
    folder = note.parent
    note.unlink()
    gone = [f"{folder.name}/uv_cache.json"]
    requested = folder / "REQUESTED"
    if not wheel.asked and requested.exists():
        requested.unlink()
        gone.append(f"{folder.name}/REQUESTED")
    added = {}
    if address is not None:
        added[f"{folder.name}/direct_url.json"] = address
        (folder / "direct_url.json").write_bytes(address)
        (folder / "direct_url.json").chmod(0o644)
    edit_record(folder / "RECORD", gone=gone, added=added)


def pylock(wheels: WheelInputs) -> str:
    """The lock file that tells uv which local file is which wheel. JSON's strings are TOML's."""
    lines = ['lock-version = "1.0"', 'created-by = "envbuild"']
    for path, wheel in wheels:
        lines += ["", "[[packages]]", f"name = {_text(wheel.name)}", f"version = {_text(wheel.version)}"]
        hashes = f"{{ sha256 = {_text(wheel.sha256)} }}"
        lines.append(f"wheels = [{{ name = {_text(wheel.file)}, path = {_text(str(path))}, hashes = {hashes} }}]")
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value)


def unzip_ahead(
    blob: Path, wheel: Wheel, series: str, context: Context, look: Callable[[Path], None] = lambda folder: None
) -> bool:
    """Have uv unzip one wheel into its cache, by linking it into a folder that is thrown away.

    Args:
        blob: The verified file.
        wheel: What the lock says.
        series: The Python that it is for, ``X.Y``; none of that series needs to be here yet.
        context: For uv's cache, scratch and processes.
        look: Is given that folder, which holds ``site-packages`` and all else at once.

    Returns:
        Whether it was: not when uv has done this before, or refuses the wheel.
    """
    mark = context.engine_cache("uv") / "envbuild-unzipped" / f"{wheel.sha256}-{series}"
    if mark.exists():
        return False
    with context.scratch(later=True) as folder:
        lock = folder / "pylock.toml"
        lock.write_text(pylock([(blob, wheel)]), encoding="utf-8")
        target = ["--target", str(folder / "alone")]  # symbolic links would unzip it every time
        python = ["--python", sys.executable, "--python-version", series]
        argv = uv_command(["pip", "install", "--no-deps", *python, *target, "-r", str(lock)], context)
        if context.run(argv, env=_environment(), cwd=folder).returncode:
            return False
        context.begin_writeback(folder)
        look(folder / "alone")
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
    return True


def forget_wheels(names: Sequence[str], context: Context) -> None:
    """Remove projects from uv's cache, so that their wheels are unzipped anew."""
    run_uv(["cache", "clean", *names], context, context.engine_cache("uv").parent)


def uv_command(arguments: Sequence[str], context: Context) -> list[str]:
    """The command of uv with the options that shut out index, network and the machine's settings."""
    quiet = ["--quiet", "--no-progress", "--color", "never"]
    closed = ["--offline", "--no-config", "--no-python-downloads", "--cache-dir", str(context.engine_cache("uv"))]
    return [uv_program(), *arguments, *quiet, *closed]


def _environment() -> Mapping[str, str]:
    return {"UV_COMPILE_BYTECODE": "0", "UV_NO_ENV_FILE": "1", "UV_KEYRING_PROVIDER": "disabled"}


def run_uv(arguments: Sequence[str], context: Context, folder: Path) -> None:
    """Have uv do something, offline.

    Args:
        arguments: Its command and what belongs to that.
        context: For its cache and processes.
        folder: Where it works.

    Raises:
        NoSpaceError: When the disk is full.
        IntegrityError: ``wrong-package`` when it refuses a wheel.
        BuildError: ``link-failed`` with its words.
    """
    done = context.run(uv_command(arguments, context), env=_environment(), cwd=folder)
    if done.returncode == 0:
        return
    said = " ".join(done.tail.split())
    if "No space left" in said:
        raise NoSpaceError(f"no space while linking into {folder}", hint="envbuild gc")
    if "Hash mismatch" in said or "invalid wheel" in said.lower() or "does not match" in said:
        raise IntegrityError(f"uv refuses a wheel: {said}", reference="wrong-package")
    raise BuildError(f"uv could not link the wheels: {said}", reference="link-failed")
