r"""Digests, canonical JSON, and the one way to make a key.

A key is ``sha256("envbuild/<kind>/v<n>\n" + canonical JSON)``. Canonical JSON is RFC 8785, made by the
``rfc8785`` library; before that, documents are checked to hold only text, integers, booleans, None, lists and
mappings: no floats and no sets, whose texts are not one per value. Digests are kept whole, and shortened only on a
screen.

Rules of the file: nothing but bytes and hashing; imports errors alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NewType

from envbuild.errors import InvalidInput
from envbuild.pattern import pattern

Digest = NewType("Digest", str)
"""A sha256 as 64 lower-case hexadecimal digits."""

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]
"""What a key document may hold. No floats."""

_HEX64 = pattern(r"[0-9a-f]{64}")
_SEAL = pattern(rb'\{"check": "([0-9a-f]{64})",')
EMPTY = Digest(hashlib.sha256(b"").hexdigest())
"""The digest of no bytes; never a package."""

CHUNK = 1 << 20
"""Bytes of a file that are moved at a time."""

_BUFFER = 1 << 18


def parse_digest(text: str) -> Digest:
    """A sha256 from text.

    Raises:
        InvalidInput: ``bad-hash`` when the text is not 64 lower-case hexadecimal digits, or is the digest of no bytes.
    """
    if not _HEX64.fullmatch(text):
        raise InvalidInput(
            f"{text!r} is not a sha256: 64 lower-case hexadecimal digits are needed", reference="bad-hash"
        )
    if text == EMPTY:
        raise InvalidInput("this is the sha256 of an empty file, which no package is", reference="bad-hash")
    return Digest(text)


def short(digest: str) -> str:
    """The first 12 digits, for screens only; never for a comparison."""
    return digest[:12]


def canonical_json(document: Json) -> bytes:
    """The one byte string for a document (RFC 8785).

    Raises:
        TypeError: For a float or any other type that has no single text. That is a defect, not bad input.
    """
    import rfc8785  # 3 ms: no-op commands never hash a document

    _refuse_ambiguous(document)
    return rfc8785.dumps(document)


def _refuse_ambiguous(value: Any) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"key documents have text as names, not {name!r}")
            _refuse_ambiguous(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_ambiguous(item)
    elif not (value is None or isinstance(value, (bool, int, str))):
        raise TypeError(f"{type(value).__name__} has no single text in a key document: {value!r}")


def key(kind: str, version: int, document: Json) -> Digest:
    """The key of a document of one kind.

    Args:
        kind: The kind's name, as in ``envbuild.derivations.KINDS``, or another document's type.
        version: Raised when the meaning of the same document changes.
        document: The whole key document.
    """
    tag = f"envbuild/{kind}/v{version}\n".encode()
    return Digest(hashlib.sha256(tag + canonical_json(document)).hexdigest())


def digest_bytes(data: bytes) -> Digest:
    """The sha256 of bytes."""
    return Digest(hashlib.sha256(data).hexdigest())


def digest_file(path: Path) -> Digest:
    """The sha256 of a file, whatever its size.

    Raises:
        OSError: When the file cannot be read.
    """
    state = hashlib.sha256()
    for piece in file_pieces(path):
        state.update(piece)
    return Digest(state.hexdigest())


def file_pieces(path: Path) -> Iterator[memoryview]:
    """A file in pieces, each good until the next is asked for: one buffer that stays in the processor's cache.

    Raises:
        OSError: When the file cannot be read.
    """
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            yield buffer[:count]


def sealed(document: bytes) -> bytes:
    """A JSON object that says the digest of the rest of itself, first: no changed byte of it goes unseen.

    For what has a name that is no digest of its bytes. It proves nothing of who wrote it.

    Args:
        document: The bytes of a JSON object that is not empty.
    """
    return b'{"check": "' + digest_bytes(document).encode() + b'",' + document[1:]


def unsealed(data: bytes) -> bytes:
    """What was sealed, or the bytes as they are when they say no digest: strict readers know every other key.

    Raises:
        ValueError: When they are not what was sealed.
    """
    found = _SEAL.match(data)
    if found is None:
        return data
    document = b"{" + data[found.end() :]
    if digest_bytes(document).encode() != found[1]:
        raise ValueError("its bytes are not those that were written")
    return document


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An ``object_pairs_hook`` for JSON that refuses a name that stands twice: readers differ in which of both counts.

    Raises:
        ValueError: When one does.
    """
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("a key stands twice")
    return tree
