"""How a program of a source is shut off: what it runs under, and what it may use up.

The work is done by ``isolated_child``, a small program between us and the build. What this machine's kernel allows is
asked once for each process, by trying it with nothing to run; where it allows nothing, the user is told once, and the
build still has clean variables, folders and limits of its own.

A build is given a *folder* of this machine, and sees it at a *place*. Shut off, the place is ``/tmp``: the
folder's own path, which is new each time, gets into no debug information and no message, and a second build of the
same source can be compared byte for byte. Without that, the place is the folder.

Limits: time, output (both by ``context.run``), the size of one file, the number of processes, no core files. There is
none on memory: address space, which is what the kernel could limit, is not memory, and linkers map much of it; but
when memory runs out, the build is what the kernel ends first.

Rules of the file: nothing is decided by what a source says.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.builders.log_tail import log_tail
from envbuild.errors import BuildError
from envbuild.machine.secret_files import kept_from_builds
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.derivations import Completed, Context

PLACES = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  there on every machine, and programs expect to write there
"""Where a build that is shut off sees its folder; what else lies there it does not see."""

KEPT = "environment"
"""The part of a build's folder that it may not write to: its files are links to those of caches."""

FILE_LIMIT = 16 << 30
"""Bytes of the largest file that a build may write."""

_FAILED = 125
_LAST = 64 << 10
_PROCESSES, _PROCESSES_PER_CORE = 1024, 32
_SECRETS = (
    *(".ssh", ".gnupg", ".netrc", ".aws", ".azure", ".config", ".docker", ".kube", ".pypirc", ".git-credentials"),
    *(".condarc", ".mambarc", ".conda", ".continuum", ".rattler", ".password-store", ".vault-token"),
    *(".local/share/keyrings", ".local/share/uv/credentials", ".cargo/credentials.toml", ".npmrc", ".pgpass"),
)
"""Where tools keep credentials, from the home folder: out of sight of a build, which could put them in a wheel."""

_SECRET_VARIABLES = (
    *("NETRC", "PIP_CONFIG_FILE", "UV_CONFIG_FILE", "RATTLER_AUTH_FILE", "AWS_SHARED_CREDENTIALS_FILE", "KUBECONFIG"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "GNUPGHOME"),
)
"""Variables that say where else such a file or folder is."""

_REACHING = (
    *(f"{word}_PROXY" for word in ("HTTP", "HTTPS", "ALL", "NO")),
    *(f"{word}_proxy" for word in ("http", "https", "all", "no")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""Variables without which the network may be out of reach."""

_RESOLVING = ("/etc/resolv.conf",)
"""What a program needs to find hosts, wherever it leads to: on many machines below ``_SOCKETS``."""

_SOCKETS = "/run"
"""Holds the sockets of this machine's services, which no network namespace shuts off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What this machine's kernel allows.

    Attributes:
        apart: Whether programs can be shut off from network, other processes and files.
        own_user: Whether that takes a user namespace.
        reason: Why they cannot; empty when they can.
    """

    apart: bool
    own_user: bool = False
    reason: str = ""


_guard = threading.Lock()
_found: Isolation | None = None


def probe(context: Context) -> Isolation:
    """What this machine's kernel allows: tried once for each process, and said once when it is nothing."""
    global _found
    with _guard:
        if _found is None:
            _found = _try(context)
        if not _found.apart:
            context.note(
                "builds are not shut off from the network and from other files here "
                f"({_found.reason}); they have clean variables and folders of their own"
            )
        return _found


def _try(context: Context) -> Isolation:
    if not sys.platform.startswith("linux"):
        return Isolation(apart=False, reason="only Linux has namespaces")
    said = ""
    for own_user in (True, False):
        wanted = Isolation(apart=True, own_user=own_user)
        with context.scratch() as folder:
            (folder / KEPT).mkdir()
            done = run_apart([], folder, PLACES[0], wanted, variables={}, path=(), cwd=None, context=context)
        if done.returncode == 0:
            return wanted
        said = said or " ".join(done.tail.split())
    return Isolation(apart=False, reason=said or "the kernel does not say why")


def place_of(folder: Path, isolation: Isolation, python: str | None) -> Path:
    """Where a build sees its folder.

    Args:
        folder: The build's folder on this machine.
        isolation: From ``probe``.
        python: A Python outside of the folder that the build must see.
    """
    if not isolation.apart:
        return folder
    return PLACES[1] if python is not None and Path(python).is_relative_to(PLACES[0]) else PLACES[0]


def run_apart(
    argv: Sequence[str],
    folder: Path,
    place: Path,
    isolation: Isolation,
    *,
    variables: Mapping[str, str],
    path: Sequence[str],
    cwd: Path | None,
    context: Context,
    log: Path | None = None,
    timeout: float | None = None,
    network: bool = False,
    seen: Sequence[Path] = (),
) -> Completed:
    """Run a program of a build, or of a test.

    Args:
        argv: The program and its arguments, as the build sees paths.
        folder: The build's folder on this machine; it alone can be written to, but for ``KEPT`` in it.
        place: Where the build sees it, from ``place_of``.
        isolation: From ``probe``.
        variables: All that stands in its environment, besides ``PATH`` and the language.
        path: Folders that come before those of this machine on ``PATH``, as the build sees them.
        cwd: Its working folder, as the build sees it.
        context: For processes, and the limits of time and output.
        log: Gets all that it prints.
        timeout: Seconds that it may take; what a build's programs may take when None.
        network: Whether it sees the network, with this machine's proxies and certificates.
        seen: Folders of this machine that it needs, wherever they lie.

    Raises:
        BuildError: ``too-slow``, ``too-much-output``; ``no-isolation`` when what worked before does not any more.
    """
    seconds = context.build_timeout if timeout is None else timeout
    cores = os.cpu_count() or 1
    processes = _PROCESSES + _PROCESSES_PER_CORE * cores
    plan = {
        "apart": isolation.apart,
        "own_user": isolation.own_user,
        "network": network,
        "hidden": _hidden(),
        "shown": [os.path.realpath(path) for path in _RESOLVING] if network else [],
        "folder": str(folder),
        "place": str(place),
        "kept": [KEPT],
        "seen": [os.path.realpath(path) for path in seen],
        "limits": {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": FILE_LIMIT},
        "processes": processes,
        "path": list(path),
        "cwd": str(cwd) if cwd else None,
    }
    child = str(Path(__file__).with_name("isolated_child.py"))
    command = [sys.executable, "-I", "-S", "-B", child, json.dumps(plan), *argv]
    with nullcontext(log) if log is not None else _own_log(context) as kept:
        try:
            done = context.run(
                command,
                env={**_reaching(), **variables} if network else variables,
                cwd=folder,
                timeout=seconds,
                log=kept,
                log_limit=context.build_log_limit,
                network=False,  # also while locking, whose own programs see proxies and credentials
            )
        except BuildError as error:
            raise _bounded(error, kept, context, timeout) from None
    if argv and done.returncode == _FAILED and isolation.apart:
        raise BuildError(f"the build could not be shut off: {done.tail.strip()[-500:]}", reference="no-isolation")
    return done


@contextmanager
def _own_log(context: Context) -> Iterator[Path]:
    """A log that nobody asked for: only what is kept in one is bounded."""
    with context.scratch() as folder:
        yield folder / "log"


def _bounded(error: BuildError, log: Path | None, context: Context, timeout: float | None) -> BuildError:
    """The error of a program that went beyond a limit: which limit, how to raise it, and what it did last."""
    told: tuple[str, str | None] | None = {
        "too-slow": (
            f"it took longer than {context.build_timeout if timeout is None else timeout:g} s and was ended",
            f"ENVBUILD_BUILD_TIMEOUT={context.build_timeout * 2:.0f} allows more" if timeout is None else None,
        ),
        "too-much-output": (
            f"it printed more than {context.build_log_limit >> 20} MiB and was ended",
            f"ENVBUILD_BUILD_LOG_LIMIT={(context.build_log_limit >> 20) * 2} allows more",
        ),
    }.get(error.reference)
    if told is None:
        return error
    output = ""
    if log is not None and log.exists():
        with log.open("rb") as stream:
            stream.seek(-min(_LAST, log.stat().st_size), os.SEEK_END)
            output = stream.read(_LAST).decode("utf-8", "replace")
    return BuildError(f"{told[0]}\n{log_tail(output)}".rstrip(), reference=error.reference, hint=told[1])


def _reaching() -> dict[str, str]:
    """What leads to the network from here, for programs that may use it; credentials of indices are not among it."""
    return {name: value for name in _REACHING if (value := os.environ.get(name))}


def _hidden() -> list[str]:
    """Folders and files that a build sees empty."""
    homes = {Path(os.path.realpath(Path.home()))}
    if hasattr(os, "getuid"):
        import pwd

        with suppress(KeyError):  # a container's user may have no name
            homes.add(Path(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir)))
    places = [home / name for home in sorted(homes) for name in _SECRETS]
    places += [Path(os.path.realpath(told)) for name in _SECRET_VARIABLES if (told := os.environ.get(name))]
    places += kept_from_builds()
    if not Path(_SOCKETS, "current-system").exists():  # NixOS and Guix keep their programs there
        places.append(Path(_SOCKETS))
    needed = [Path(sys.executable), *homes]
    return [
        str(place)
        for place in dict.fromkeys(places)
        if place.is_file() or (place.is_dir() and not any(path.is_relative_to(place) for path in needed))
    ]
