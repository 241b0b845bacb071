"""The records in ``conda-meta``: what rattler wrote, turned into what conda's users expect, the same on every machine.

rattler notes the paths of its cache and of our blobs, keeps what it was told of a record, and writes with its own
mode. A finished record says where the package came from in public words (the channel's own address, no mirror, no
token), holds everything that the lock knows, has sorted keys and mode 0644, and names no cache. A channel that is a
folder of the project is written as a path from the project's root, so that two checkouts make equal prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson  # five times as fast as the standard library with records that name hundreds of files

from envbuild.errors import BuildError
from envbuild.linkers.clobber import APART
from envbuild.package import CondaPackage
from envbuild.value import dataclass

_MACHINE = ("extracted_package_dir", "package_tarball_full_path", "link", "requested_spec", "requested_specs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What is known of a linked package from the record that rattler wrote.

    Attributes:
        extracted: The folder of its cache that holds the unpacked package.
        files: Paths in the prefix, relative, with ``/``.
        record: What the finished record says, as bytes.
    """

    extracted: str
    files: Sequence[str]
    record: bytes


def finished_record(path: Path, package: CondaPackage, alias: str, *, moved: bool = False) -> Linked:
    """Read one record and finish it; the file stays as it is.

    Args:
        path: rattler's record.
        package: What the lock says.
        alias: The engine's own address of named channels, whatever this machine's configuration says.
        moved: Files that gave way to other packages' may stand there by the place that rattler moved them to.

    Raises:
        BuildError: ``link-failed`` when rattler left no readable record.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BuildError(f"py-rattler left no record of {package.name}", reference="link-failed") from error
    if moved:
        _put_back(document, f"{APART}/{package.name}/")
    extracted, files = document.get("extracted_package_dir") or "", document.get("files", [])
    for name in _MACHINE:
        document.pop(name, None)
    document.update(_public(package, alias))
    document["files"] = sorted(files)
    document.get("paths_data", {}).get("paths", []).sort(key=lambda entry: entry["_path"])
    return Linked(extracted=extracted, files=files, record=_text(document))


def record_name(package: CondaPackage) -> str:
    """The name of a package's record, which is rattler's and conda's choice."""
    return f"{_distribution(package)}.json"


def _put_back(document: dict[str, Any], apart: str) -> None:
    """Name files by the paths that the package gave them, as conda does: both owners of a path list it."""
    document["files"] = [name.removeprefix(apart) for name in document.get("files", [])]
    for entry in document.get("paths_data", {}).get("paths", []):
        entry["_path"] = entry.pop("original_path", entry["_path"])


def _text(document: Mapping[str, Any]) -> bytes:
    """JSON with a field on each line, as far as that is as quick as without any line."""
    lines = (
        b"  " + orjson.dumps(name) + b": " + orjson.dumps(document[name], option=orjson.OPT_SORT_KEYS)
        for name in sorted(document)
    )
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def write_history(prefix: Path, packages: Sequence[CondaPackage], alias: str) -> None:
    """The file by which conda recognises an environment: what was put in, without a time or a command."""
    lines = ["==> envbuild <=="]
    lines += [f"+{_address(package, alias).rpartition('/')[0]}::{_distribution(package)}" for package in packages]
    asked = ", ".join(repr(f"{package.name}=={package.version}") for package in packages if package.asked)
    lines.append(f"# update specs: [{asked}]")
    history = prefix / "conda-meta" / "history"
    history.unlink(missing_ok=True)
    history.write_text("\n".join(lines) + "\n", encoding="utf-8")
    history.chmod(0o644)


def _distribution(package: CondaPackage) -> str:
    return f"{package.name}-{package.version}-{package.build}"


def _public(package: CondaPackage, alias: str) -> dict[str, Any]:
    address = _address(package, alias)
    document: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "fn": package.file,
        "url": address,
        "channel": address.rsplit("/", 2)[0],
        "sha256": package.sha256,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
    }
    for name in ("md5", "size", "license", "timestamp", "noarch"):
        if (value := getattr(package, name)) is not None:
            document[name] = value
    if package.purls:
        document["purls"] = list(package.purls)
    if package.asked:
        document["requested_spec"] = f"{package.name}=={package.version}"
        document["requested_specs"] = [document["requested_spec"]]
    return document


def _address(package: CondaPackage, alias: str) -> str:
    if package.url is not None:
        return package.url
    channel = package.channel or ""
    if channel.startswith("."):
        channel = (PurePosixPath("/") / channel).as_uri()
    elif "://" not in channel:
        channel = alias + channel
    return f"{channel.rstrip('/')}/{package.subdir}/{package.file}"
