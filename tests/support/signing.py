"""Keys and envelopes for tests: whose they are, and every way in which one may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from envbuild.store.envelopes import Envelope, envelope_bytes
from envbuild.store.signatures import Signer, new_private_key, read_private_key
from envbuild.trust import Trust, TrustedKey


def make_signer() -> Signer:
    """A new key."""
    return read_private_key(new_private_key(None)[0], None, "a test")


def trusting(keys: Mapping[str, Signer], **settings: object) -> Trust:
    """A policy that wants signatures of these keys."""
    trusted = tuple(TrustedKey(name=name, public=keys[name].public) for name in sorted(keys))
    return Trust(said="signed", keys=trusted, **settings)  # type: ignore[arg-type]


def hostile_envelopes(good: Envelope, other: bytes, evil: Signer) -> dict[str, bytes]:
    """What an attacker who may write anything can put in the place of a good envelope, without its key.

    Args:
        good: Made by the key that counts.
        other: An envelope that this key made of something else.
        evil: The attacker's own key.
    """
    kind = good.payload_type
    signed = evil.sign(good.payload, kind)
    changed = good.payload.replace(b"1", b"2", 1)
    return {
        "of something else": other,
        "by the wrong key under the right id": envelope_bytes(replace(signed, keyid=good.keyid)),
        "by the wrong key, which says so": envelope_bytes(signed),
        "another payload under the right signature": envelope_bytes(replace(good, payload=changed)),
        "another type": envelope_bytes(replace(good, payload_type="application/vnd.envbuild.other.v1+json")),
        "a flipped bit": envelope_bytes(replace(good, signature=bytes([good.signature[0] ^ 1]) + good.signature[1:])),
        "no signature": envelope_bytes(replace(good, signature=bytes(64))),
        "the payload alone": good.payload,
        "nothing": b"",
        "no object": b"[]",
        "depth": b"[" * 200_000,
        "twins": envelope_bytes(good).replace(b'"payloadType"', b'"payload": "", "payloadType"'),
        "too large": b" " * (3 << 20) + envelope_bytes(good),
    }
