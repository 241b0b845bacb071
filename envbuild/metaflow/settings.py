"""Settings of Metaflow's own conda and of Netflix's extension: those that mean here what they mean there count.

Each setting that either knows stands in ``SETTINGS``, with what it becomes. One that counts is a default: whatever
envbuild's own configuration says of the same comes first. One that means nothing here is told, so that nobody believes
that it did something.

Rules of the file: reads Metaflow's settings, and ``condarc`` has conda's; what they become is values.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from envbuild.errors import EnvbuildError, InvalidInput
from envbuild.metaflow.condarc import Condarc, read_condarc
from envbuild.metaflow.writing import Surroundings
from envbuild.projects.project import Project

_DATASTORES = ("s3", "azure", "gs", "local")
_STORES = "`stores`, else a folder beside the datastore"
_ENGINES = "nothing: rattler solves conda, uv solves PyPI, and both together"
_PROGRAMS = "nothing: envbuild brings no conda of its own to machines"

SETTINGS: Mapping[str, str] = {
    # Metaflow's own
    "CONDA_CHANNELS": "`channels`",
    "CONDA_PACKAGE_S3ROOT": _STORES,
    "CONDA_PACKAGE_AZUREROOT": _STORES,
    "CONDA_PACKAGE_GSROOT": _STORES,
    "CONDA_DEPENDENCY_RESOLVER": _ENGINES,
    "CONDA_USE_FAST_INIT": "nothing: no environment starts slowly",
    "KUBERNETES_CONDA_ARCH": "the platform of steps with `@kubernetes`",
    "DEBUG_CONDA": "`METAFLOW_DEBUG_ENVBUILD`",
    # Netflix's extension
    "CONDA_DEFAULT_PIP_SOURCE": "`index-url`",
    "CONDA_DEFAULT_PYPI_SOURCE": "`index-url`",
    "CONDA_SRCS_AUTH_INFO": "credentials of these hosts",
    "CONDA_PREFERRED_FORMAT": "`conda-format`",
    "CONDA_LOCK_TIMEOUT": "`lock-timeout`",
    "CONDA_USE_REMOTE_LATEST": "`reuse-latest`",
    "CONDA_REMOTE_COMMANDS": "`METAFLOW_ENVBUILD_REMOTE`",
    "CONDA_S3ROOT": _STORES,
    "CONDA_AZUREROOT": _STORES,
    "CONDA_GSROOT": _STORES,
    "CONDA_LOCALROOT": _STORES,
    "CONDA_IGNORE_CACHING_DATASTORES": _STORES,
    "CONDA_PACKAGES_DIRNAME": _STORES,
    "CONDA_ENVS_DIRNAME": _STORES,
    "CONDA_PIP_DEPENDENCY_RESOLVER": _ENGINES,
    "CONDA_PYPI_DEPENDENCY_RESOLVER": _ENGINES,
    "CONDA_MIXED_DEPENDENCY_RESOLVER": _ENGINES,
    "CONDA_BUILDER_ENV_PACKAGES": "nothing: a build has what its own recipe and source say",
    "CONDA_SYS_DEPENDENCIES": "`system`",
    "CONDA_SYS_DEFAULT_PACKAGES": "`system`",
    "CONDA_SYS_DEFAULT_GPU_PACKAGES": "`system`",
    "CONDA_ALL_ARCHS": "`platforms`",
    "CONDA_MAGIC_FILE_V2": "nothing: locks and recipes are files of their own",
    "CONDA_REMOTE_INSTALLER": _PROGRAMS,
    "CONDA_REMOTE_INSTALLER_DIRNAME": _PROGRAMS,
    "CONDA_LOCAL_DIST": _PROGRAMS,
    "CONDA_LOCAL_DIST_DIRNAME": _PROGRAMS,
    "CONDA_LOCAL_PATH": "`ENVBUILD_HOME`",
    "CONDA_TEST": "nothing",
}
"""Each setting, without ``METAFLOW_``, and what it becomes: a setting of envbuild in backquotes, or words."""

HONOURED = frozenset(
    {
        "CONDA_CHANNELS",
        "KUBERNETES_CONDA_ARCH",
        "DEBUG_CONDA",
        "CONDA_DEFAULT_PIP_SOURCE",
        "CONDA_DEFAULT_PYPI_SOURCE",
        "CONDA_SRCS_AUTH_INFO",
        "CONDA_PREFERRED_FORMAT",
        "CONDA_LOCK_TIMEOUT",
        "CONDA_USE_REMOTE_LATEST",
        "CONDA_REMOTE_COMMANDS",
    }
)
"""Those that count as they are; the others have to be said anew."""


def said(name: str) -> str | None:
    """What a user says of a setting, as variable or in Metaflow's configuration; None for nothing.

    Metaflow is not asked by its ``from_conf``: what that has read of these names goes into the specifications of
    remote tasks, and there are credentials among them.

    Args:
        name: Without ``METAFLOW_``.
    """
    from metaflow import metaflow_config_funcs as read

    key = f"METAFLOW_{name}"
    value = os.environ.get(key)
    for tree in (read.METAFLOW_LOCAL_CONFIG, read.METAFLOW_CONFIG):
        value = (tree or {}).get(key) if value is None else value
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value)


def unheeded() -> Iterator[str]:
    """One line for each setting that somebody made and that does nothing here."""
    for name, becomes in SETTINGS.items():
        if name not in HONOURED and said(name) is not None:
            yield f"METAFLOW_{name} has no effect with envbuild; what it becomes: {becomes.replace('`', '')}"


def remote(own: Any) -> Any:
    """The decorators that send a step to another machine: those of our setting, unless only the older one is made."""
    value = said("CONDA_REMOTE_COMMANDS") if said("ENVBUILD_REMOTE") is None else None
    return own if value is None else _list("CONDA_REMOTE_COMMANDS", value)


def flags(project: Project) -> dict[str, str]:
    """Settings of a session for flows: what the others' settings come to, where envbuild's own say nothing.

    Args:
        project: The flow's.

    Raises:
        InvalidInput: ``bad-settings`` for one that cannot be read.
    """
    found = {"reuse-latest": "mine"}
    latest = said("CONDA_USE_REMOTE_LATEST")
    if latest is not None:
        words = {":none:": "none", ":username:": "mine", ":any:": "any"}
        found["reuse-latest"] = words.get(latest, latest)
    index = said("CONDA_DEFAULT_PYPI_SOURCE") or said("CONDA_DEFAULT_PIP_SOURCE")
    if index is not None:
        found["index-url"] = index
    preferred = said("CONDA_PREFERRED_FORMAT")
    if preferred not in {None, "none"}:
        found["conda-format"] = str(preferred)
    timeout = said("CONDA_LOCK_TIMEOUT")
    if timeout is not None:
        found["lock-timeout"] = timeout
    conda = read_condarc(os.environ)
    if conda.alias is not None:
        found["channel-alias"] = conda.alias
    if conda.places:
        found["mirrors"] = json.dumps(conda.mirrors(project.config.channel_alias))
    mine = {key: value for key, value in found.items() if project.config.origin(key) == "default"}
    _check(project, mine)
    return mine


_SAID_BY = {
    "reuse-latest": "METAFLOW_CONDA_USE_REMOTE_LATEST",
    "index-url": "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE",
    "conda-format": "METAFLOW_CONDA_PREFERRED_FORMAT",
    "lock-timeout": "METAFLOW_CONDA_LOCK_TIMEOUT",
    "channel-alias": ".condarc: channel_alias",
    "mirrors": ".condarc: custom_channels",
}


def _check(project: Project, found: Mapping[str, str]) -> None:
    """Refuse a value that envbuild's own setting could not have, by the name that the user knows.

    Raises:
        EnvbuildError: ``bad-setting``.
    """
    if found.keys() <= {"reuse-latest"}:
        return
    from envbuild.projects.config import load_config

    try:
        load_config(project.root, os.environ, found)
    except EnvbuildError as error:
        for key in found:
            error.message = error.message.replace(f"--{key}: ", f"{_SAID_BY[key]}: ")
        raise


def environ() -> Mapping[str, str]:
    """The variables of a session for flows: this process's, and a netrc with what ``CONDA_SRCS_AUTH_INFO`` says.

    Raises:
        InvalidInput: ``bad-settings``. NoSpaceError: when the file cannot be written.
    """
    value = said("CONDA_SRCS_AUTH_INFO")
    if value is None:
        return os.environ
    from envbuild.metaflow.signing_in import with_hosts

    return with_hosts(value, os.environ)


def surroundings(project: Project, datastore: str) -> Surroundings:
    """What decides of a flow's recipes besides decorators.

    Args:
        project: The flow's.
        datastore: The type of its datastore.
    """
    from metaflow.metaflow_config import ENVBUILD_NEEDS, get_pinned_conda_libs

    config = project.config
    python = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    needs = {kind: get_pinned_conda_libs(python, kind) for kind in (*_DATASTORES, datastore)} if ENVBUILD_NEEDS else {}
    return Surroundings(
        python=config.python or python,
        interpreter=config.interpreter,
        channels=config.channels or (),
        conda_channels=() if config.channels else _channels(),
        needs=needs.get(datastore, {}),
        known={name: version for pins in needs.values() for name, version in pins.items()},
    )


def _channels() -> tuple[str, ...]:
    """The channels that ``CONDA_CHANNELS`` names, else those of the user's ``.condarc``."""
    named = tuple(item.strip() for item in os.environ.get("CONDA_CHANNELS", "").split(",") if item.strip())
    return named or read_condarc(os.environ).channels


def notes(project: Project) -> tuple[str, ...]:
    """What must be said of the others' settings."""
    conda: Condarc = read_condarc(os.environ)
    return (*unheeded(), *(conda.notes if not project.config.channels else ()))


def _list(name: str, value: str) -> list[str]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InvalidInput(f"METAFLOW_{name} is no JSON list of words: {value[:80]}", reference="bad-settings")
    return found
