"""Configuration: one frozen value, merged from five places, that remembers where each setting came from.

::

    flags  >  ENVBUILD_ variables  >  envbuild.yaml of the project  >  the user's file  >  the system's file

Theory: a project's file comes with a clone, so it may choose defaults, and never loosen what protects its reader: keys
that say whom to believe, where names lead or which paths may be left are refused there. The files of the user and of
the system must belong to them. Nothing here is a secret: credentials live in netrc and keyrings.

Rules of the file: everything that is said is checked here and nowhere again.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput
from envbuild.package import Platform
from envbuild.policy import Policy
from envbuild.projects import config_files
from envbuild.projects.config_files import PROJECT_FILE, check_document, find_root, read_document, user_file
from envbuild.projects.settings import SettingReader, StoreAddress
from envbuild.projects.trust_settings import joined
from envbuild.reading.document import Mapping
from envbuild.reading.schema import closest
from envbuild.trust import Trust
from envbuild.value import dataclass, fields, replace

if TYPE_CHECKING:
    from envbuild.machine.publish import Durability

FLAG_VARIABLES = frozenset(
    f"ENVBUILD_{name}"
    for names in (
        "ACTIVE_PREFIX CACHES CHECK CONDA DEPTH DRY_RUN FROZEN INVERT JSON KEEP_DAYS KEEP_GOING LOCKED NO_LOCK",
        "NO_OUT_LINK OFFLINE OUT_LINK PLATFORM PREFIX PYPI QUIET REBUILD REPAIR SHELL SHOW_ORIGIN TARGET UPGRADE",
        "UPGRADE_BASE UPGRADE_PACKAGE WRITABLE EDITABLE DEADLINE FAULT HOME STALL_TIMEOUT VERBOSE",
        "ENVIRONMENT EXTRA FORCE FORMAT GROUP NAME OUTPUT PIXI_VERSION PYTHON_VERSION EXPECT TO STORE SHARED REMOVE",
        "GC_STORE GRACE KEEP_GENERATIONS KEEP_REVISION MAX_SIZE NOBODY_WRITES PIN UNPIN",
        "ALL BASE CLOSURE PACKAGE RESUME SAMPLE SET_DEFAULT VERIFY_STORE",
        "EXIT_CODE FIX GIT ORIGIN ONLINE STRICT",
        "ALLOW_DIRTY PROMOTE",
        "DATABASE HOST_PYTHON IGNORE",
        "SIGNING_PASSPHRASE KEY NOT_AFTER MODE RESULTS NAMES RENEW DISPLAY_NAME",
    )
    for name in names.split()
)
"""Variables that belong to no setting: flags of commands, and what the home and tests use."""

_TIGHTER = {"clobber": ("warn", "deny")}
"""Settings that protect their reader, from loose to tight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, defaults filled in.

    Attributes:
        platforms: None when nobody says; so are ``channels``, ``python`` and ``exclude_newer``.
        conda_provides: conda names and the PyPI projects that they count as; recipes come first.
        reuse_latest: ``none``, ``mine``, ``any``, or names of users.
        policy: What ``check`` allows in locks; what several files and a variable say of it adds up.
        builders: What a worker must be marked with that builds a package, by the package's name.
        signing_key: Where the private key is that signs what goes to shared stores; None for nowhere.
        mirrors: Address prefixes and what is asked instead, in order.
        lock_timeout: Seconds to wait for another process.
        build_timeout: Seconds that one program of a build may take.
        build_log_limit: MiB that one program of a build may print.
        jobs: Jobs at once; None for as many as the machine suggests.
        link: ``auto``, ``reflink``, ``hardlink`` or ``copy``.
        clobber: What two packages that bring a file with different contents are: ``deny``, ``warn``, or None for
            what is usual of their kind.
        own_stores: The stores that the user or the system names, or a variable; a project's file cannot add to them.
        origins: Where each setting that somebody said came from, by key.
        files: Every file that was read or looked for; when none of them changes, neither does this value.
        read: Those of them that are there.
        warnings: What is odd and does not stop anything.
    """

    recipes: str = "recipes/"
    platforms: tuple[Platform, ...] | None = None
    channels: tuple[str, ...] | None = None
    conda_provides: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conda_format: str = ".conda"
    stores: tuple[StoreAddress, ...] = ()
    interpreter: str = "conda"
    python: str | None = None
    exclude_newer: str | None = None
    system: tuple[tuple[str, str], ...] = ()
    reuse_latest: tuple[str, ...] = ("none",)
    policy: Policy = Policy()
    executor: str = "local"
    builders: tuple[tuple[str, tuple[str, ...]], ...] = ()
    trust: Trust = Trust()
    trusted: tuple[str, ...] = ()
    signing_key: str | None = None
    channel_alias: str | None = None
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    index_url: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    allow_outside_paths: bool = False
    lock_timeout: int = 300
    build_timeout: int = 3600
    build_log_limit: int = 64
    jobs: int | None = None
    durability: Durability = "safe"
    link: str = "auto"
    clobber: str | None = None
    own_stores: tuple[StoreAddress, ...] = ()
    origins: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = field(default=(), compare=False)
    read: tuple[Path, ...] = field(default=(), compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def origin(self, key: str) -> str:
        """Where a setting came from: a flag, a variable, ``file:line``, or ``default``.

        Args:
            key: As in the files, such as ``lock-timeout``.
        """
        return dict(self.origins).get(key, "default")

    def entries(self) -> tuple[tuple[str, str, str], ...]:
        """Every setting as (key, value, origin) in words, for ``config list``; user data of addresses is masked."""
        return tuple((key, shown(getattr(self, _attribute(key))), self.origin(key)) for key in KEYS)


def _attribute(key: str) -> str:
    return key.replace("-", "_")


KEYS: tuple[str, ...] = tuple(
    name.replace("_", "-")
    for name in (item.name for item in fields(Config))
    if name not in {"own_stores", "origins", "files", "read", "warnings"}
)
"""Every setting, as files spell it."""


def shown(value: object) -> str:
    """A setting's value in words, with passwords in addresses masked."""
    import re

    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, StoreAddress):
        return f"{value.name}={shown(value.url)} ({value.mode})"
    if isinstance(value, tuple):
        return ", ".join(shown(item) for item in value)
    return re.sub(r"//[^/@\s]+@", "//***@", str(value))


def load_config(start: Path, environ: Map[str, str], flags: Map[str, str] | None = None) -> Config:
    """The configuration that holds in a folder.

    Args:
        start: The folder from which ``envbuild.yaml`` is looked for upwards.
        environ: Environment variables.
        flags: Settings of the command line, by key (``lock-timeout``).

    Raises:
        InvalidInput: When a file is wrong, unsafe, or says what it may not.
        UsageError: When a variable or flag is wrong.
    """
    root = find_root(start)
    user = user_file(environ)
    files = [config_files.SYSTEM_FILE, *([user] if user else []), root / PROJECT_FILE]
    reader = SettingReader()
    read: list[Path] = []
    values: dict[str, object] = {}
    own: object = ()
    theirs: object = None
    for file in files:
        is_project = file is files[-1]
        document = read_document(file, start if is_project else None)
        if document is None:
            continue
        read.append(file)
        check_document(document, file, is_project=is_project, user=user)
        before = dict(values)
        reader.document(document, values)
        _join_trust(document, before, values, is_project=is_project, user=user)
        _join_policy(before, values)
        if is_project:
            _check_loosened(document, before, values, user)
            theirs = values.get("stores") if document.get("stores") is not None else None
            own = before.get("stores", ())
    if reader.issues:
        raise InvalidInput.of(tuple(reader.issues))
    before = dict(values)
    warnings = _variables(environ, reader, values)
    for key, value in (flags or {}).items():
        reader.words(key, value, f"--{key}", values)
    _join_policy(before, values)
    if isinstance(said := values.get("trust"), Trust) and isinstance(below := before.get("trust"), Trust):
        values["trust"] = said.over(below)
    stores = values.get("stores", ())
    values["own_stores"] = own if theirs is not None and stores is theirs else stores
    config = Config(origins=tuple(sorted(reader.origins.items())), files=tuple(files), read=tuple(read))
    return replace(config, warnings=tuple(warnings), **values)  # type: ignore[arg-type]


def _join_trust(
    document: Mapping, before: Map[str, object], values: dict[str, object], *, is_project: bool, user: Path | None
) -> None:
    """Join what files say of ``trust``: keys and scopes add up, and a project may only tighten."""
    said, below = values.get("trust"), before.get("trust", Trust())
    if document.get("trust") is None or not isinstance(said, Trust) or said is before.get("trust"):
        return
    assert isinstance(below, Trust)
    values["trust"] = joined(below, said, document, is_project=is_project, user=user or config_files.SYSTEM_FILE)


def _join_policy(before: Map[str, object], values: dict[str, object]) -> None:
    """Let policies add up: what is nearer to the user tightens, and loosens nothing."""
    said, below = values.get("policy"), before.get("policy")
    if isinstance(said, Policy) and isinstance(below, Policy) and said is not below:
        values["policy"] = below.tightened(said)


def _check_loosened(document: Mapping, before: Map[str, object], after: Map[str, object], user: Path | None) -> None:
    """What the user's own files say of these settings, a project may only tighten."""
    for name, order in _TIGHTER.items():
        old, new = before.get(name, order[0]), after.get(name, order[0])
        if order.index(str(new)) < order.index(str(old)):
            key = document.key(name)
            raise InvalidInput(
                f"a project may not loosen {name} from {old} to {new}",
                reference="not-for-projects",
                where=key.where if key else None,
                hint=f"remove `{name}` here, or change it in {user or config_files.SYSTEM_FILE}",
            )


def _variables(environ: Map[str, str], reader: SettingReader, values: dict[str, object]) -> list[str]:
    """Take the settings out of ``ENVBUILD_`` variables; warn of those that nothing reads."""
    known = {f"ENVBUILD_{key.upper().replace('-', '_')}": key for key in KEYS if key not in {"trust", "trusted"}}
    known |= {"ENVBUILD_TRUST": "trusted", "ENVBUILD_TRUST_MODE": "trust"}
    warnings = []
    for name in sorted(environ):
        if name in known and environ[name]:
            reader.words(known[name], environ[name], name, values)
        elif name.startswith("ENVBUILD_") and name not in known and name not in FLAG_VARIABLES:
            hint = closest(name, sorted({*known, *FLAG_VARIABLES}))
            warnings.append(f"the variable {name} is not known to envbuild" + (f"; {hint}" if hint else ""))
    return warnings
