"""Core metadata (METADATA, PKG-INFO): the parts that resolving, locking and checking need, as a value.

Rules of the file: pure; ``email`` is imported late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envbuild.errors import InvalidInput
from envbuild.package import normalize_pypi_name
from envbuild.value import dataclass

if TYPE_CHECKING:
    from email.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMetadata:
    """The parts of METADATA that locks need.

    Attributes:
        requires: ``Requires-Dist``, as written.
        extras: ``Provides-Extra``, normalized.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requires_python: str | None = None
    license: str | None = None


def parse_metadata(data: bytes) -> WheelMetadata:
    """METADATA (core metadata, RFC 822 headers) as a value.

    Raises:
        InvalidInput: ``bad-metadata`` without a name or version.
    """
    from email.parser import BytesHeaderParser

    return metadata_of(BytesHeaderParser().parsebytes(data))


def metadata_of(message: Message) -> WheelMetadata:
    """The same from headers that are already parsed.

    Raises:
        InvalidInput: ``bad-metadata`` without a name or version.
    """
    name, version = message.get("Name"), message.get("Version")
    if not name or not version:
        raise InvalidInput("a wheel's METADATA has no name or version", reference="bad-metadata")
    text = message.get("License-Expression") or message.get("License")
    licence = str(text).strip() if text else None
    return WheelMetadata(
        name=str(name).strip(),
        version=str(version).strip(),
        requires=tuple(" ".join(str(item).split()) for item in message.get_all("Requires-Dist", ())),
        extras=tuple(normalize_pypi_name(str(item).strip()) for item in message.get_all("Provides-Extra", ())),
        requires_python=str(message["Requires-Python"]).strip() if message["Requires-Python"] else None,
        license=licence if licence and "\n" not in licence and len(licence) <= 100 else None,
    )


def metadata_text(metadata: WheelMetadata) -> str:
    """The value as METADATA again; what it does not hold is left out.

    Raises:
        InvalidInput: ``bad-metadata`` for a line break in a field, which would be a field of its own.
    """
    lines = ["Metadata-Version: 2.2", f"Name: {metadata.name}", f"Version: {metadata.version}"]
    if metadata.license:
        lines.append(f"License: {metadata.license}")
    lines += [f"Provides-Extra: {extra}" for extra in metadata.extras]
    lines += [f"Requires-Dist: {item}" for item in metadata.requires]
    if metadata.requires_python:
        lines.append(f"Requires-Python: {metadata.requires_python}")
    if any("\n" in line or "\r" in line for line in lines):
        raise InvalidInput("a source's metadata has a line break in it", reference="bad-metadata")
    return "\n".join(lines) + "\n"
