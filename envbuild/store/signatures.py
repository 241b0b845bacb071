"""Making and checking signatures: ed25519 over DSSE's encoding of type and payload, by securesystemslib.

A ``Policy`` says whether the envelopes that lie beside a subject are enough to believe it. They are when one payload,
of the right type, is signed by as many *keys* as are wanted: a signature counts for the key that verifies it, and a key
counts once, whatever labels and copies there are. Everything else about an envelope is a reason, in words, why it does
not count.

A ``Signer`` holds the private key of this process, which nothing prints, pickles or stores.

Rules of the file: the only one that imports securesystemslib, and only where it is used.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Any, NoReturn

from envbuild.errors import InvalidInput, UsageError
from envbuild.store.envelopes import Envelope, parse_envelope
from envbuild.trust import PublicKey, Trust, TrustedKey, Wanted
from envbuild.value import dataclass

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_EXTRA = "pip install 'envbuild[sign]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What the signatures of a subject come to.

    Attributes:
        payload: The bytes that enough keys signed; None when none are.
        keys: Who signed them, or those that come nearest to it.
        envelopes: Theirs, as they lie in the store.
        wanted: What is wanted.
        reasons: Why further envelopes do not count.
    """

    payload: bytes | None = field(repr=False)
    keys: tuple[TrustedKey, ...]
    envelopes: tuple[bytes, ...] = field(repr=False)
    wanted: Wanted
    reasons: tuple[str, ...] = ()

    @property
    def lacking(self) -> str:
        """Why it does not count, in words."""
        have, want = len(self.keys), self.wanted.threshold
        names = ", ".join(key.name for key in self.wanted.keys)
        if not self.wanted.keys:
            text = "no key counts for it"
        elif len(self.wanted.keys) < want:
            text = f"it needs {want} signatures, and only {names} may give one"
        elif have:
            text = f"it is signed by {', '.join(key.name for key in self.keys)} alone, and needs {want} of {names}"
        else:
            text = f"it is not signed by {names}" if want == 1 else f"it is signed by none of {names}, and needs {want}"
        return "; ".join((text, *self.reasons))


class Policy:
    """What a reader wants signed, and the check of it. Safe to call from many threads.

    Args:
        trust: The setting.
        clock: Seconds since 1970.

    Raises:
        UsageError: ``missing-extra`` when the library is not installed.
    """

    def __init__(self, trust: Trust, clock: Callable[[], float] = time.time) -> None:
        if trust.keys:
            check_extra()
        self.trust = trust
        self._clock = clock

    def wanted(self, subject: str) -> Wanted:
        """What is wanted of a subject now; see ``envbuild.trust``."""
        return self.trust.wanted(subject, self._clock())

    def check(self, subject: str, kind: str, found: Iterable[tuple[str, bytes]]) -> Vouched:
        """Whether envelopes are enough to believe a subject.

        Args:
            subject: What scopes are held against.
            kind: The type that the payload must have been signed as.
            found: Of each envelope the id of the key that it was found under, and its bytes.
        """
        wanted = self.wanted(subject)
        keys = {key.public.keyid: key for key in wanted.keys}
        signed: dict[bytes, dict[str, bytes]] = {}
        reasons = []
        for keyid, data in found:
            key = keys.get(keyid)
            if key is None:
                continue
            try:
                envelope = parse_envelope(data)
                if envelope.keyid != keyid:
                    raise ValueError("it names another key")
                if envelope.payload_type != kind:
                    raise ValueError("it is the signature of something of another type")
                if not is_valid(envelope, key.public):
                    raise ValueError("it is not that key's")
            except ValueError as error:
                reasons.append(f"the signature by {key.name} does not count: {error}")
                continue
            signed.setdefault(envelope.payload, {})[keyid] = data
        if not signed:
            return Vouched(payload=None, keys=(), envelopes=(), wanted=wanted, reasons=tuple(reasons))
        payload, by = max(signed.items(), key=lambda item: len(item[1]))  # of equal ones the first
        return Vouched(
            payload=payload if len(by) >= wanted.threshold else None,
            keys=tuple(keys[keyid] for keyid in by),
            envelopes=tuple(by.values()),
            wanted=wanted,
            reasons=tuple(reasons),
        )


def is_valid(envelope: Envelope, key: PublicKey) -> bool:
    """Whether an envelope was signed by a key.

    Raises:
        UsageError: ``missing-extra``.
    """
    library = _library()
    public = library.key(key)
    signature = library.Signature(key.keyid, envelope.signature.hex())
    found = library.Envelope(envelope.payload, envelope.payload_type, {key.keyid: signature})
    try:
        public.verify_signature(signature, found.pae())
    except library.UnverifiedSignatureError:
        return False
    return True


class Signer:
    """A private key, in this process alone.

    Args:
        private: The key.

    Attributes:
        public: The other half.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.public = PublicKey(raw=private.public_key().public_bytes_raw())
        self._private = private

    @property
    def keyid(self) -> str:
        """What the key is known by."""
        return self.public.keyid

    def sign(self, payload: bytes, kind: str) -> Envelope:
        """Sign some bytes as something."""
        library = _library()
        signer = library.CryptoSigner(self._private, library.key(self.public))
        signature = library.Envelope(payload, kind, {}).sign(signer)
        return Envelope(
            payload=payload, payload_type=kind, keyid=self.keyid, signature=bytes.fromhex(signature.signature)
        )

    def __repr__(self) -> str:
        return f"<Signer {self.keyid[:12]}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key leaves its process nowhere")


def new_private_key(passphrase: str | None) -> tuple[bytes, PublicKey]:
    """A new key: the private half as PEM (PKCS #8), encrypted when there is a passphrase; and the public half.

    Raises:
        UsageError: ``missing-extra``.
    """
    check_extra()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem, PublicKey(raw=private.public_key().public_bytes_raw())


class PassphraseNeededError(Exception):
    """The key is encrypted, and there was no passphrase."""


def read_private_key(data: bytes, passphrase: str | None, place: str) -> Signer:
    """A private key from PEM.

    Args:
        data: What the file holds.
        passphrase: None when there is none.
        place: Where it came from, for messages.

    Raises:
        PassphraseNeededError: When it is encrypted and there is no passphrase.
        InvalidInput: ``bad-key`` for what is no ed25519 key, or another passphrase's.
        UsageError: ``missing-extra``.
    """
    check_extra()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    if encrypted and not passphrase:
        raise PassphraseNeededError
    problem = "is no private key in PEM (PKCS #8)"
    try:
        private = load_pem_private_key(data, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their words may quote what they read
        private = None
        problem = "is not opened by this passphrase" if encrypted else problem
    if not isinstance(private, Ed25519PrivateKey):
        problem = problem if private is None else "is a key, and none of ed25519"
        raise InvalidInput(
            f"{place} {problem}",
            reference="bad-key",
            hint="the passphrase stands in ENVBUILD_SIGNING_PASSPHRASE" if encrypted else "envbuild key new NAME",
        ) from None
    return Signer(private)


def check_extra() -> None:
    """Refuse to go on without the library.

    Raises:
        UsageError: ``missing-extra`` with the line that installs it.
    """
    for library in ("securesystemslib", "cryptography"):
        if importlib.util.find_spec(library) is None:
            raise UsageError(
                f"signatures need {library}, which is not installed", reference="missing-extra", hint=f"run: {_EXTRA}"
            )


class _Library:
    """The parts of securesystemslib that are used; importing it brings what is installed of several clouds."""

    def __init__(self) -> None:
        check_extra()
        from securesystemslib.dsse import Envelope
        from securesystemslib.exceptions import UnverifiedSignatureError
        from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

        self.Envelope = Envelope
        self.UnverifiedSignatureError = UnverifiedSignatureError
        self.CryptoSigner = CryptoSigner
        self.Signature = Signature
        self._key: Any = SSlibKey

    def key(self, public: PublicKey) -> Any:
        """A public key as they have it."""
        return self._key(public.keyid, "ed25519", "ed25519", {"public": public.raw.hex()})


_loaded: _Library | None = None
_loading = threading.Lock()


def _library() -> _Library:
    global _loaded
    with _loading:
        if _loaded is None:
            _loaded = _Library()
        return _loaded
