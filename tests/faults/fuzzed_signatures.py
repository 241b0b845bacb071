"""Signature envelopes as they come out of a store: read as they are or refused, and never vouching for other bytes.

Rules of the file: see ``subjects``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from envbuild.store.envelopes import RESULT_TYPE, Envelope, envelope_bytes, parse_envelope
from envbuild.store.signatures import Policy, Signer
from tests.faults.mutations import changed_text, damaged
from tests.support.signing import trusting

PAYLOADS = (
    b"",
    b'{"version": 1, "outputs": {"out": {"sha256": "' + b"5" * 64 + b'", "size": 1}}}\n',
    bytes(range(256)) * 40,
)


def envelopes(folder: Path) -> Callable[[Random], bool]:
    """Envelopes changed as text, and ones whose parts were changed before they were written."""
    ours, others = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in (1, 2))
    policy = Policy(trusting({"ci": ours}))
    good = [ours.sign(payload, RESULT_TYPE) for payload in PAYLOADS]
    texts = [envelope_bytes(item) for item in (*good, others.sign(PAYLOADS[1], RESULT_TYPE))]

    def made(chance: Random) -> bytes:
        if chance.random() < 0.6:
            return changed_text(chance.choice(texts), chance, texts)
        item = chance.choice(good)
        parts: tuple[Callable[[], Envelope], ...] = (
            lambda: replace(item, payload=damaged(item.payload or b"x", chance)),
            lambda: replace(item, signature=damaged(item.signature, chance)[:64].ljust(64, b"\0")),
            lambda: replace(item, payload_type=chance.choice(("", RESULT_TYPE + "x", "x" * 300, "\0"))),
            lambda: replace(item, keyid=chance.choice((others.keyid, "0" * 64, item.keyid.upper(), ""))),
            lambda: item,
        )
        return envelope_bytes(chance.choice(parts)())

    def each(chance: Random) -> bool:
        data = made(chance)
        keyid = chance.choice((ours.keyid, ours.keyid, others.keyid))
        vouched = policy.check("results/solve", RESULT_TYPE, [(keyid, data)])
        assert vouched.payload in (None, *PAYLOADS), "nobody signed these bytes"
        assert vouched.payload is None or vouched.envelopes == (data,)
        assert vouched.payload is not None or vouched.lacking
        try:
            found = parse_envelope(data)
        except ValueError:
            assert vouched.payload is None
            return False
        assert parse_envelope(envelope_bytes(found)) == found
        assert json.loads(envelope_bytes(found)) == json.loads(data), "it is read as everybody reads it"
        return True

    return each


SUBJECTS = {"signature envelopes": envelopes}
