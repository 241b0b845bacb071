"""The private key that signs: where it is, who may read it, and its passphrase.

A key is a file in PEM (PKCS #8), which only its owner may read, with the public half beside it in one line. Files of
the user lie in ``keys/`` beside the user's configuration; a key never lies in a project, which is shared. Who keeps no
files, as in CI, names a variable (``env:NAME``) or an open file (``fd:3``).

A key that is encrypted is opened by ``ENVBUILD_SIGNING_PASSPHRASE``, else its passphrase is asked for on a terminal.

Rules of the file: neither a key nor a passphrase is in a message, a log or a value that somebody could print.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from envbuild.errors import InvalidInput, UsageError
from envbuild.machine.disk import writing
from envbuild.machine.secret_files import keep_from_builds
from envbuild.store.signatures import PassphraseNeededError, Signer, new_private_key, read_private_key
from envbuild.trust import PublicKey, is_label, parse_public_key
from envbuild.value import dataclass

PASSPHRASE = "ENVBUILD_SIGNING_PASSPHRASE"  # noqa: S105  a variable's name
LARGEST = 64 << 10

_signers: dict[str, Signer] = {}
"""Keys that this process opened, by place: a descriptor is read once, and a passphrase asked for once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A key of this user.

    Attributes:
        name: What the user calls it.
        path: The private half.
        public: The other half.
    """

    name: str
    path: Path
    public: PublicKey


def keys_folder(configuration: Path | None) -> Path:
    """Where a user's keys are.

    Args:
        configuration: The user's configuration file; see ``envbuild.projects.config_files.user_file``.

    Raises:
        UsageError: ``no-home``.
    """
    if configuration is None:
        raise UsageError("there is no place for your keys: HOME is not set", reference="no-home")
    return configuration.parent / "keys"


def listed_keys(folder: Path) -> tuple[KeyFile, ...]:
    """The keys of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.pub")):
        try:
            public = parse_public_key(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        found.append(KeyFile(name=path.stem, path=path.with_suffix(".key"), public=public))
    return tuple(found)


def make_key(path: Path, environ: Mapping[str, str], project: Path | None) -> KeyFile:
    """A new key in a new file; an existing one is never overwritten.

    Args:
        path: The private half; the public half lies beside it.
        environ: May hold the passphrase; else a terminal is asked, and no answer means none.
        project: The root of the project of this folder, where no key may be.

    Raises:
        UsageError: ``missing-extra``; ``key-exists``; ``key-in-project``.
        NoSpaceError: When it cannot be written.
    """
    path = Path(os.path.abspath(path))
    _refuse_project(path, project)
    other = path.with_suffix(".pub")
    for taken in (path, other):
        if os.path.lexists(taken):
            raise UsageError(f"there is a key already: {taken}", reference="key-exists", hint="choose another name")
    passphrase = environ.get(PASSPHRASE) or _new_passphrase()
    private, public = new_private_key(passphrase)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(private)
            stream.flush()
            os.fsync(stream.fileno())
        other.write_text(f"{public}\n", "utf-8")
    return KeyFile(name=path.stem, path=path, public=public)


def open_signer(place: str, environ: Mapping[str, str], folder: Path | None, project: Path | None) -> Signer:
    """The key of the setting ``signing-key``.

    Args:
        place: A file, the name of a key of this user, ``env:NAME`` or ``fd:NUMBER``.
        environ: Variables.
        folder: The user's keys; None when there is no home.
        project: The project's root, where no key may be; None for none.

    Raises:
        InvalidInput: ``bad-key`` for what is none; ``unsafe-file`` for one that others may read.
        UsageError: ``no-key`` when it is not there, or its passphrase is not; ``key-in-project``; ``missing-extra``.
    """
    if place not in _signers:
        data, shown = _bytes(place, environ, folder, project)
        try:
            _signers[place] = read_private_key(data, environ.get(PASSPHRASE), shown)
        except PassphraseNeededError:
            _signers[place] = read_private_key(data, _asked(shown), shown)
    return _signers[place]


def _bytes(place: str, environ: Mapping[str, str], folder: Path | None, project: Path | None) -> tuple[bytes, str]:
    if place.startswith("env:"):
        name = place[4:]
        if not environ.get(name):
            raise UsageError(f"the signing key should be in the variable {name}, which is not set", reference="no-key")
        return environ[name].encode(), f"the variable {name}"
    if re.fullmatch(r"fd:[0-9]{1,6}", place):
        try:
            with os.fdopen(int(place[3:]), "rb") as stream:
                return stream.read(LARGEST), f"the open file {place[3:]}"
        except OSError as error:
            raise UsageError(
                f"the signing key should be in the open file {place[3:]}: {error.strerror}", reference="no-key"
            ) from None
    path = Path(os.path.expanduser(place))  # noqa: PTH111  as elsewhere: no error for a user who is not there
    if "/" not in place and is_label(place) and folder is not None:
        path = folder / f"{place}.key"
    path = Path(os.path.abspath(path))
    if folder is None or not path.is_relative_to(folder):
        _refuse_project(path, project)
    try:
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise InvalidInput(f"{path} is not a file", reference="unsafe-file")
            if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise InvalidInput(
                    f"others may read the signing key {path}", reference="unsafe-file", hint=f"chmod 600 {path}"
                )
            keep_from_builds(path)
            return stream.read(LARGEST), str(path)
    except OSError as error:
        raise UsageError(
            f"the signing key {path} cannot be read: {error.strerror}", reference="no-key", hint="envbuild key list"
        ) from None


def _refuse_project(path: Path, project: Path | None) -> None:
    """A project is shared, by Git or as an archive, and its keys would be with it."""
    inside = project is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(project))
    if inside:
        raise UsageError(
            f"a private key may not lie in a project: {path}",
            reference="key-in-project",
            hint="keep it among your own keys (`envbuild key new NAME`), or in a variable of your CI (env:NAME)",
        )


def _asked(shown: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"{shown} is encrypted, and there is no passphrase", reference="no-key", hint=f"set {PASSPHRASE}"
        )
    import getpass

    return getpass.getpass(f"Passphrase of {shown}: ")


def _new_passphrase() -> str | None:
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    import getpass

    first = getpass.getpass("Passphrase (none for a key that is not encrypted): ")
    if first and getpass.getpass("Once more: ") != first:
        raise UsageError("the two passphrases differ", reference="no-key", hint="try again")
    return first or None
