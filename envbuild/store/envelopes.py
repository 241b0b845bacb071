"""A signature as it lies in a store: a DSSE envelope with the exact bytes of what was signed, and one signature.

::

    signatures/results/<kind>/ab/<key>/<keyid>.json            of   results/<kind>/ab/<key>.json
    signatures/refs/<name>/@<tag>/<generation>/<keyid>.json    of   refs/<name>/@<tag>/<generation>.json

The payload is the subject itself, so a reader who wants signatures reads the envelope *instead* of the subject. What is
signed is the type and the payload (DSSE's PAE), never JSON that somebody could write in another way.

Rules of the file: bytes to value and back, as strict as everything that comes out of a store; proves nothing
(``envbuild.store.signatures`` does).
"""

from __future__ import annotations

import base64
import json
from dataclasses import field

from envbuild.digest import unique_names
from envbuild.objects import SMALL
from envbuild.pattern import pattern
from envbuild.value import dataclass

RESULT_TYPE = "application/vnd.envbuild.result.v1+json"
GENERATION_TYPE = "application/vnd.envbuild.generation.v1+json"

LARGEST_ENVELOPE = 2 * SMALL
"""Bytes that an envelope may have: a record in base64, and its signature."""

FOLDER = "signatures/"

_HEX64 = pattern(r"[0-9a-f]{64}")
_NAME = pattern(r"signatures/((?:results|refs|requests)/.+)/([0-9a-f]{64})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One key's signature of some bytes.

    Attributes:
        payload: What was signed.
        payload_type: As what.
        keyid: The key that is said to have signed it.
        signature: 64 bytes.
    """

    payload: bytes = field(repr=False)
    payload_type: str
    keyid: str
    signature: bytes = field(repr=False)


def signature_name(subject: str, keyid: str) -> str:
    """Where the signature of an object by a key is, or would be.

    Args:
        subject: The name of a record or of a generation.
        keyid: 64 hexadecimal digits.
    """
    return f"{FOLDER}{subject.removesuffix('.json')}/{keyid}.json"


def subject_name(name: str) -> tuple[str, str] | None:
    """The object that a signature is about and the id of its key, from the signature's name; None for what is none."""
    found = _NAME.fullmatch(name)
    return (f"{found[1]}.json", found[2]) if found is not None else None


def payload_type(subject: str) -> str:
    """What kind of bytes an object of this name has."""
    return RESULT_TYPE if subject.startswith("results/") else GENERATION_TYPE


def envelope_bytes(envelope: Envelope) -> bytes:
    """An envelope as stored: DSSE's JSON with sorted keys and a newline."""
    tree = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [{"keyid": envelope.keyid, "sig": base64.b64encode(envelope.signature).decode()}],
    }
    return json.dumps(tree, sort_keys=True, indent=1).encode() + b"\n"


def parse_envelope(data: bytes) -> Envelope:
    """An envelope from its bytes.

    Raises:
        ValueError: When it is none, down to every field.
    """
    if len(data) > LARGEST_ENVELOPE:
        raise ValueError(f"it has more than {LARGEST_ENVELOPE} bytes")
    try:
        tree = json.loads(data, object_pairs_hook=unique_names)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(tree, dict) or set(tree) != {"payload", "payloadType", "signatures"}:
        raise ValueError("it is no envelope")
    signatures = tree["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise ValueError("it has not exactly one signature")
    (only,) = signatures
    if not isinstance(only, dict) or set(only) != {"keyid", "sig"}:
        raise ValueError("its signature is none")
    keyid, kind = only["keyid"], tree["payloadType"]
    if not isinstance(keyid, str) or not _HEX64.fullmatch(keyid):
        raise ValueError("it names no key")
    if not isinstance(kind, str) or not 0 < len(kind) <= 200:
        raise ValueError("it has no type")
    signature = _decoded(only["sig"])
    if len(signature) != 64:
        raise ValueError("its signature has not 64 bytes")
    return Envelope(payload=_decoded(tree["payload"]), payload_type=kind, keyid=keyid, signature=signature)


def _decoded(text: object) -> bytes:
    """Bytes from base64 in its one spelling."""
    if not isinstance(text, str):
        raise ValueError("it is not in base64")
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("it is not in base64's one spelling")
    return data
