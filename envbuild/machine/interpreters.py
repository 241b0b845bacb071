"""Pythons that are on this machine, and the archives of those that uv manages; nothing is downloaded here.

For ``interpreter: host``: the first Python on ``PATH`` that has the right series and is no shim, then pyenv's, then
those that uv knows, the newest patch first. A virtual environment's Python counts as the Python that it was made from,
for environments outlive the folder of another one.

For ``interpreter: managed``: uv's own list of archives for the target platform. uv states no sha256: the distribution's
own ``SHA256SUMS`` does; where it does not, the archive is fetched once to compute it.
Rules of the file: other Pythons are run isolated (``-I``), and only to say what they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envbuild.derivations import HostPython
from envbuild.digest import digest_bytes, parse_digest
from envbuild.errors import InvalidInput, UnreachableError, UnsatisfiableError
from envbuild.machine.uv_program import SYSCONFIG, uv_program
from envbuild.package import InterpreterArchive, Platform
from envbuild.solvers.python_choice import fits
from envbuild.urls import file_name

if TYPE_CHECKING:
    from envbuild.derivations import Context

_ASK = (
    "import json,os,platform,sys,sysconfig;"
    "e=getattr(sys,'_base_executable',None) or sys.executable;"
    "b=os.path.join(sys.base_prefix,'bin','python%d.%d'%sys.version_info[:2]);"
    "e=e if sys.prefix==sys.base_prefix or not os.path.exists(b) else b;"
    "print(json.dumps([os.path.realpath(e),platform.python_version(),"
    "'%s-%s'%(sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag,sysconfig.get_platform())"
    " if not sysconfig.get_config_var('SOABI') else sysconfig.get_config_var('SOABI'),sys.implementation.name]))"
)
_ASK_SECONDS = 20
_UV_PLATFORMS = {
    "linux-64": ("linux", "x86_64", "gnu"),
    "linux-aarch64": ("linux", "aarch64", "gnu"),
    "osx-64": ("macos", "x86_64", "none"),
    "osx-arm64": ("macos", "aarch64", "none"),
    "win-64": ("windows", "x86_64", "none"),
}
_LIST_LIMIT = 4 * 1024 * 1024


def find_host_python(series: str, environ: Mapping[str, str] = os.environ, memory: Path | None = None) -> HostPython:
    """The Python of this machine for a series.

    Args:
        series: ``X.Y``, or a full version.
        environ: Of this process: ``PATH``, ``PYENV_ROOT`` and ``HOME`` are looked at.
        memory: A folder of this user's that remembers what executables said, as long as they are the same files.

    Raises:
        UnsatisfiableError: ``no-python``, with every Python that was found instead.
    """
    wanted = ".".join(series.split(".")[:2])
    full = series.count(".") >= 2
    for path in _candidates(wanted, environ):
        found = _remembered(path, memory) if memory is not None else _ask(str(path), _stamp(path))
        if found is None or not found.version.startswith(f"{wanted}."):
            continue
        if not full or found.version == series:
            return found
    others = ", ".join(f"{item.version} ({item.path})" for item in list_host_pythons(environ)) or "none"
    raise UnsatisfiableError(
        f"there is no Python {series} on this machine; found: {others}",
        reference="no-python",
        hint="install one, put it on PATH, or say `interpreter: managed` or another `python:` in the recipe",
    )


def list_host_pythons(environ: Mapping[str, str] = os.environ) -> tuple[HostPython, ...]:
    """Every Python 3 that would be found, the newest first, each once."""
    paths = list(dict.fromkeys(_candidates(None, environ)))
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda path: _ask(str(path), _stamp(path)), paths))
    unique = {item.path: item for item in found if item is not None}
    return tuple(sorted(unique.values(), key=lambda item: _numbers(item.version), reverse=True))


def _candidates(series: str | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Executables that may be a Python of the series, best first; asked lazily, for each costs a process."""
    names = [f"python{series}", "python3", "python"] if series else ["python3", "python"]
    home = Path(environ.get("HOME") or Path.home())
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    shims = pyenv / "shims"
    folders = [Path(item) for item in environ.get("PATH", "").split(os.pathsep) if Path(item).is_absolute()]
    folders = [folder for folder in folders if folder != shims and folder.is_dir()]
    for folder in folders:
        own = names if series else [*names, *_versioned(folder)]
        yield from (folder / name for name in own if os.access(folder / name, os.X_OK) and (folder / name).is_file())
    yield from _installed(pyenv / "versions", series, "bin/python3")
    for root in _uv_roots(home, environ):
        yield from _installed(root, series, "bin/python3", prefix="cpython-")


def _versioned(folder: Path) -> list[str]:
    try:
        return sorted(item.name for item in folder.iterdir() if re.fullmatch(r"python3\.\d+", item.name))
    except OSError:
        return []


def _installed(root: Path, series: str | None, executable: str, prefix: str = "") -> Iterator[Path]:
    """Pythons installed side by side in a folder named by version, the newest first."""
    try:
        names = [item.name for item in root.iterdir() if item.name.startswith(prefix)]
    except OSError:
        return
    versions = {name: match[1] for name in names if (match := re.match(r"(3\.\d+\.\d+)(?![\w.])", name[len(prefix) :]))}
    for name in sorted(versions, key=lambda item: _numbers(versions[item]), reverse=True):
        path = root / name / executable
        if (series is None or versions[name].startswith(f"{series}.")) and path.is_file():
            yield path


def _uv_roots(home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where uv installs Pythons: its documented folders, so that no process is needed to ask."""
    if own := environ.get("UV_PYTHON_INSTALL_DIR"):
        return (Path(own),)
    data = environ.get("XDG_DATA_HOME")
    return (Path(data) / "uv" / "python" if data else home / ".local" / "share" / "uv" / "python",)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when an executable, or what its link leads to, is another file."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)


def _remembered(path: Path, memory: Path) -> HostPython | None:
    """What an executable says of itself, asked once for as long as its file stays the same: asking starts a Python."""
    stamp = _stamp(path)
    note = memory / f"{digest_bytes(str(path).encode())[:32]}.json"
    try:
        told = json.loads(note.read_bytes())
        if told["stamp"] == list(stamp):
            return HostPython(path=told["path"], version=told["version"], abi=told["abi"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _ask(str(path), stamp)
    if found is not None:
        tree = {"stamp": stamp, "path": found.path, "version": found.version, "abi": found.abi}
        with suppress(OSError):  # what cannot be remembered is asked again
            memory.mkdir(parents=True, exist_ok=True)
            fresh = note.with_suffix(f".{os.getpid()}.tmp")
            fresh.write_text(json.dumps(tree), encoding="utf-8")
            fresh.replace(note)
    return found


@cache
def _ask(path: str, stamp: tuple[int, ...]) -> HostPython | None:
    """What an executable says of itself, or None for no CPython 3; ``stamp`` makes a changed one be asked again."""
    if os.path.realpath(path) == os.path.realpath(sys.executable):
        return own_python()
    try:
        environ = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}
        said = subprocess.run(
            [path, "-I", "-S", "-c", _ASK], capture_output=True, timeout=_ASK_SECONDS, env=environ, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _said(said.stdout)


def own_python() -> HostPython | None:
    """What the executable of this process says of itself: the same file says the same, and need not be started."""
    said: list[str] = []
    with SYSCONFIG:
        exec(_ASK, {"print": said.append})  # noqa: S102  the text above
    return _said(said[0])


def _said(text: str | bytes) -> HostPython | None:
    try:
        real, version, abi, implementation = json.loads(text)
    except ValueError:
        return None
    if implementation != "cpython" or not version.startswith("3."):
        return None
    return HostPython(path=real, version=version, abi=abi)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def managed_archive(constraint: str | None, platform: Platform, context: Context) -> InterpreterArchive:
    """The newest archive of uv's for a platform that a constraint allows, with its sha256.

    Raises:
        UnsatisfiableError: ``no-python`` when uv has none.
        UnreachableError: When its digest can neither be read nor computed.
    """
    offers = [item for item in _offers(platform, context) if fits(constraint, item["version"])]
    if not offers:
        raise UnsatisfiableError(
            f"uv manages no Python {constraint or ''} for {platform}",
            reference="no-python",
            hint="ask for another `python:`, or say `interpreter: conda`",
        )
    best = max(offers, key=lambda item: _numbers(item["version"]))
    url = str(best["url"])
    file = file_name(url)
    match = re.search(r"\+(\d{8})", file) or re.search(r"/(\d{8})/", url)
    archive = InterpreterArchive(
        implementation="cpython",
        version=best["version"],
        build=match[1] if match else "0",
        file=file,
        sha256=parse_digest("0" * 64),
    )
    return _with_digest(archive, url, context)


def _offers(platform: Platform, context: Context) -> list[dict[str, Any]]:
    argv = [uv_program(), "python", "list", "--no-config", "--all-versions", "--all-platforms", "--only-downloads"]
    argv += ["--output-format", "json"]
    with context.scratch() as folder:
        listing = folder / "list.json"
        # uv can only print the list, and a context keeps but the end of what is printed: a shell puts it into a file.
        shell = ["/bin/sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", str(listing), *argv]
        done = context.run(shell, env={"UV_CACHE_DIR": str(context.engine_cache("uv"))}, cwd=folder)
        if done.returncode != 0:
            raise InvalidInput(f"uv cannot list its Pythons: {done.tail.strip()}", reference="uv-failed")
        items = json.loads(listing.read_bytes())
    system, machine, libc = _UV_PLATFORMS[platform]
    return [
        item
        for item in items
        if item["implementation"] == "cpython"
        and item["variant"] == "default"
        and (item["os"], item["arch"], item["libc"]) == (system, machine, libc)
        and item["url"]
        and re.fullmatch(r"3\.\d+\.\d+", item["version"])
    ]


def _with_digest(archive: InterpreterArchive, url: str, context: Context) -> InterpreterArchive:
    from envbuild.value import replace

    folder = url.rsplit("/", 1)[0]
    for address in context.addresses.candidates(f"{folder}/SHA256SUMS"):
        try:
            sums = context.read(address, limit=_LIST_LIMIT) or b""
        except UnreachableError:
            continue
        for line in sums.decode("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) == 2 and words[1].lstrip("*") == archive.file:
                digest = parse_digest(words[0])
                context.remember(digest, url)
                return replace(archive, sha256=digest)
    fetched = context.fetch(archive.origin, sha256=None, size=None, urls=context.addresses.candidates(url))
    context.remember(fetched.sha256, url)
    return replace(archive, sha256=fetched.sha256, size=fetched.size)
