"""This machine: the home and its disk, the programs that serve derivations, what the kernel allows.

Rules of the file: reads, tries a hard link in the home's own scratch, and runs programs for their versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from envbuild.doctor.finding import Finding, good, note, of_error, problem
from envbuild.errors import EnvbuildError
from envbuild.machine.home import Home, find_home, open_home
from envbuild.machine.virtual import check_system, current_platform, default_system, detect_system
from envbuild.machine.workspace import Workspace

LITTLE = 1_000_000_000
"""Bytes free below which an environment of usual size does not fit. ``SOME``: below which it is time to collect."""
SOME = 10 * LITTLE

_FAR = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "ceph", "glusterfs"})
"""Kinds of file systems over a network."""

_WAIT = 20
"""Seconds for a program to tell its version."""


def home(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The folder of blobs and environments, and the disk under it."""
    try:
        found = open_home(find_home(environ))
    except EnvbuildError as error:
        yield of_error("home", error)
        return
    except OSError as error:
        yield problem("home", f"the home cannot be used: {error.strerror}", "set ENVBUILD_HOME to a folder of your own")
        return
    yield from _disk(found)
    yield from _links(found)


def _disk(found: Home) -> Iterator[Finding]:
    state = os.statvfs(found.path)
    free = state.f_bavail * state.f_frsize
    shown = f"{free / 1e9:.1f} GB free"
    if not os.access(found.path, os.W_OK | os.X_OK):
        yield problem("home", f"{found.path} cannot be written", "set ENVBUILD_HOME to a folder that you may write")
    elif free < LITTLE:
        yield problem("home", f"{found.path}: {shown}", "envbuild gc --keep-days 0 --caches")
    elif free < SOME:
        yield note("home", f"{found.path}: {shown}", "envbuild gc")
    else:
        yield good("home", f"{found.path}: {shown}")
    kind = _kind_of(found.path)
    if kind in _FAR:
        yield note(
            "home",
            f"{found.path} lies on a network ({kind}): every file of an environment is written and read over it",
            "set ENVBUILD_HOME to a folder of a local disk; share results through a store instead",
        )


def _kind_of(path: Path) -> str | None:
    """The kind of the file system that holds a path, as Linux tells; None elsewhere."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    best: tuple[str, str | None] = ("", None)
    for line in lines:
        place, kind = line.split(" ")[1:3]
        place = place.replace("\\040", " ")
        if (path == Path(place) or path.is_relative_to(place)) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def _links(found: Home) -> Iterator[Finding]:
    """Whether files of the caches can be shared with prefixes, or must be copied."""
    from envbuild.linkers.placing import ways

    try:
        way = ways("auto", found.cache, found.scratch)[0]
    except OSError:
        way = "copy"
    if way == "copy":
        why = "cache and prefixes cannot share files: each environment is a copy of its packages"
        yield note("home", why, "keep the folders of ENVBUILD_HOME on one file system that has hard links")
    elif way == "reflink":
        yield good("home", "environments share the blocks of their packages' files, and no file (reflinks)")
    else:
        yield good("home", "environments share the files of their packages")


def programs(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What serves the derivations."""
    from importlib.metadata import PackageNotFoundError, version

    from envbuild.machine.uv_program import uv_program
    from envbuild.version import __version__

    yield good("programs", f"envbuild {__version__}, Python {sys.version.split()[0]}")
    try:
        uv = uv_program()
    except EnvbuildError as error:
        yield of_error("programs", error)
    else:
        yield from _answers("uv", [uv, "--version"], "pip install --force-reinstall uv", environ)
    try:
        yield good("programs", f"py-rattler {version('py-rattler')}")
    except PackageNotFoundError:
        yield problem("programs", "py-rattler is not installed", "pip install --force-reinstall envbuild")
    git = shutil.which("git", path=environ.get("PATH"))
    if git is None:
        what = "git is not on PATH: sources of git, and what compares revisions, need it"
        yield note("programs", what, "install git")
    else:
        yield from _answers("git", [git, "--version"], "install git again", environ)
    other = shutil.which("envbuild", path=environ.get("PATH"))
    if other is not None and Path(other).parent.resolve() != Path(sys.executable).parent.resolve():
        own = Path(other).resolve().parent  # `uv tool install` and `pipx` put a link on PATH
        if own != Path(sys.executable).parent.resolve():
            yield note("programs", f"`envbuild` on PATH is another one: {other}", f"this one: {sys.executable}")


def _answers(name: str, command: list[str], hint: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WAIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it says nothing within {_WAIT} s"
        yield problem("programs", f"{name} does not run: {reason}", hint)
        return
    if done.returncode:
        yield problem("programs", f"{name} does not run: it ends with exit code {done.returncode}", hint)
    else:
        yield good("programs", " ".join(done.stdout.split()[:3]))


def system() -> Iterator[Finding]:
    """What locks assume of a machine like this, where they say nothing else."""
    platform = current_platform()
    have = detect_system()
    try:
        check_system(platform, default_system(platform), have)
    except EnvbuildError as error:
        yield of_error("machine", error)
        return
    shown = ", ".join(f"{name} {version}" for name, version in sorted(have.items()) if name != "__unix")
    yield good("machine", f"{platform}: {shown}")


def kernel(workspace: Workspace) -> Iterator[Finding]:
    """Whether builds and tests can be shut off."""
    from envbuild.builders.isolation import probe
    from envbuild.machine.errand import for_errand

    found = probe(for_errand(workspace, "isolation of builds"))
    if found.apart:
        yield good("machine", "builds are shut off from the network and from other files")
    else:
        yield note(
            "machine",
            f"builds are not shut off from the network and from other files: {found.reason}",
            "allow user namespaces (Debian, Ubuntu: `sysctl kernel.unprivileged_userns_clone=1`), or build elsewhere",
        )
