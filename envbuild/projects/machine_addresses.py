"""Where this machine finds packages: envbuild's configuration, then uv's own settings, then pip's.

::

    default index    index-url  >  UV_DEFAULT_INDEX  >  UV_INDEX_URL  >  uv.toml
    further indices  UV_INDEX, UV_EXTRA_INDEX_URL, uv.toml
    find-links       UV_FIND_LINKS, uv.toml

    where uv says none of the three, pip: PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, pip.conf

Theory: whoever has set up uv or pip has said which servers to ask; saying it again to envbuild would be one place too
many. Nothing of this is in a lock or in the key of a build: addresses may hold user names and passwords.

Rules of the file: reads settings files, never a project's (a clone may not say where its reader's packages come from);
a file of uv or pip that cannot be read is an error of its owner, told with its place.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envbuild.addresses import Addresses
from envbuild.errors import InvalidInput, Where
from envbuild.machine.credentials import signed_index
from envbuild.projects.config import Config
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Indices:
    """What one tool's settings say."""

    default: str | None = None
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


def machine_addresses(config: Config, root: Path, environ: Mapping[str, str]) -> Addresses:
    """The addresses that hold on this machine for a project.

    Args:
        config: The project's configuration.
        root: The project's root; absolute.
        environ: Environment variables.

    Raises:
        InvalidInput: ``bad-settings`` when a file of uv or pip cannot be read.
    """
    uv, pip = _uv(environ), _pip(environ)
    chosen = uv if uv != _Indices() else pip
    return Addresses(
        root=root.as_posix(),
        channel_alias=config.channel_alias and config.channel_alias.rstrip("/") + "/",
        mirrors=config.mirrors,
        index=config.index_url or chosen.default,
        extra_indices=chosen.extra,
        find_links=chosen.find_links,
        one_pool=chosen is pip and bool(pip.extra),
        trusted_hosts=config.trusted_hosts,
    )


def _words(text: str | None, pattern: str = r"\s+") -> tuple[str, ...]:
    return tuple(word for word in re.split(pattern, text.strip()) if word) if text else ()


def _once(items: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for item in items if item))


def _uv(environ: Mapping[str, str]) -> _Indices:
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    extra = [
        *(signed_index(word, environ) for word in _words(environ.get("UV_INDEX"))),
        *_words(environ.get("UV_EXTRA_INDEX_URL")),
    ]
    links = list(_words(environ.get("UV_FIND_LINKS"), r"[\s,]+"))
    for file in _uv_files(environ):
        settings = _toml(file)
        pip = settings.get("pip", {})
        indices = [one for one in settings.get("index", []) if isinstance(one, dict) and not one.get("explicit")]
        default = (
            default
            or next((one.get("url") for one in indices if one.get("default")), None)
            or settings.get("index-url")
            or pip.get("index-url")
        )
        extra += [str(one.get("url", "")) for one in indices if not one.get("default")]
        extra += [*settings.get("extra-index-url", []), *pip.get("extra-index-url", [])]
        links += [*settings.get("find-links", []), *pip.get("find-links", [])]
    return _Indices(default=default and signed_index(default, environ), extra=_once(extra), find_links=_once(links))


def _uv_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """Uv's settings files of the user and the system, the one that wins first."""
    if environ.get("UV_CONFIG_FILE"):
        yield Path(environ["UV_CONFIG_FILE"])
        return
    if environ.get("UV_NO_CONFIG", "").lower() in {"1", "true", "yes"}:
        return
    for folder in _config_folders(environ):
        yield folder / "uv" / "uv.toml"
    yield Path("/etc/uv/uv.toml")


def _config_folders(environ: Mapping[str, str]) -> Iterable[Path]:
    home = environ.get("HOME")
    if environ.get("XDG_CONFIG_HOME"):
        yield Path(environ["XDG_CONFIG_HOME"])
    elif home:
        yield Path(home, ".config")


def _toml(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, "uv") from error
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(file, "uv") from error


def _pip(environ: Mapping[str, str]) -> _Indices:
    default: str | None = environ.get("PIP_INDEX_URL")
    extra = list(_words(environ.get("PIP_EXTRA_INDEX_URL")))
    links = list(_words(environ.get("PIP_FIND_LINKS")))
    for file in _pip_files(environ):
        settings = _ini(file)
        default = default or settings.get("index-url")
        extra = extra or list(_words(settings.get("extra-index-url")))
        links = links or list(_words(settings.get("find-links")))
    return _Indices(default=default, extra=_once(extra), find_links=_once(links))


def _pip_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """Pip's settings files, the one that wins first; ``PIP_CONFIG_FILE=/dev/null`` means none, as for pip."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    if named:
        yield Path(named)
    for folder in _config_folders(environ):
        yield folder / "pip" / "pip.conf"
    if environ.get("HOME"):
        yield Path(environ["HOME"], ".pip", "pip.conf")
    yield Path("/etc/pip.conf")
    for name in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
        yield Path(name, "pip", "pip.conf")


def _ini(file: Path) -> dict[str, str]:
    """The options of ``[install]`` over those of ``[global]``."""
    try:
        content = file.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, "pip") from error
    import configparser  # only few machines have such a file

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(content)
    except configparser.Error as error:
        raise _unreadable(file, "pip") from error
    options = {
        name.replace("_", "-"): value
        for section in ("global", "install")
        if parser.has_section(section)
        for name, value in parser.items(section)
    }
    return {name: value for name, value in options.items() if value}


def _unreadable(file: Path, tool: str) -> InvalidInput:
    return InvalidInput(
        f"{tool}'s settings cannot be read",
        reference="bad-settings",
        where=Where(file=str(file)),
        hint=f"mend {file}; {tool} itself stumbles over it too",
    )
