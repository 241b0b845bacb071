"""Builders over SSH, by Dask's own deployment: a scheduler on the first machine, a worker on each.

Who may log in, with which key, and which host keys are known is OpenSSH's configuration of the user, which ``asyncssh``
reads (``~/.ssh/config``, ``known_hosts``, the agent). What is started ends when the connection does.

Rules of the file: reads an address and starts; ``envbuild.executors.dask_engine`` connects.
"""

from __future__ import annotations

from typing import Any

from envbuild.errors import UnreachableError, UsageError
from envbuild.pattern import pattern

_HOST = pattern(r"(?:(?P<user>[A-Za-z0-9._-]+)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>\d{1,5}))?")


def read_ssh_address(address: str) -> tuple[list[str], list[dict[str, Any]], str]:
    """The machines of ``ssh://[user@]host[:port][,…][/path/of/python]``, how each is reached, and its Python.

    Raises:
        UsageError: ``bad-address``.
    """
    names, slash, path = address.removeprefix("ssh://").partition("/")
    hosts, options = [], []
    for name in names.split(","):
        found = _HOST.fullmatch(name)
        if found is None:
            raise UsageError(
                f"{name!r} is no machine that SSH reaches",
                reference="bad-address",
                hint="ssh://user@host:22,host/path/of/python",
            )
        given = {"username": found["user"], "port": int(found["port"]) if found["port"] else None}
        hosts.append(found["host"])
        options.append({key: value for key, value in given.items() if value is not None})
    return hosts, options, f"/{path}" if slash and path else "python3"


def start_cluster(address: str) -> Any:
    """Start a scheduler and workers over there.

    Raises:
        UsageError: ``missing-extra``, ``bad-address``; UnreachableError: ``no-builder``.
    """
    hosts, options, python = read_ssh_address(address)
    try:
        import asyncssh  # noqa: F401  Dask imports it when it is too late to say so
        from distributed import SSHCluster
    except ImportError as error:
        raise UsageError(
            f"{address} needs Dask and asyncssh", reference="missing-extra", hint="pip install 'envbuild[dask]'"
        ) from error
    try:
        return SSHCluster(
            [hosts[0], *hosts],
            connect_options=[options[0], *options],
            remote_python=python,
            scheduler_options={"port": 0, "dashboard": False},
        )
    except Exception as error:  # of asyncssh, of sockets, of Dask's own deployment
        said = f"{error.__cause__ or error}".strip().splitlines()
        raise UnreachableError(
            f"no builder could be started at {address}: {said[0] if said else type(error).__name__}",
            reference="no-builder",
            hint=f"see that `ssh {hosts[0]} {python} -c 'import distributed, envbuild'` works",
            retryable=True,
        ) from error
