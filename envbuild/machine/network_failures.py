"""Why a server was not reached, in words that are safe to show.

Theory: libraries wrap what the system said into errors of their own, several deep, and write addresses into their
texts, which may hold a secret. So only the kinds are looked at, and what the system itself says of a number.
"""

from __future__ import annotations

import os

_FAILURES = {
    "ProtocolError": "the connection was cut",
    "IncompleteRead": "the body is short",
    "ProxyError": "the proxy does not let us through",
    "SSLCertVerificationError": "its certificate is not trusted",
    "gaierror": "no machine of that name is known here",
    "ConnectionRefusedError": "nothing listens there",
    "ConnectTimeoutError": "it took too long to connect",
    "ReadTimeoutError": "it kept us waiting too long",
}
"""Kinds of failure in words; of several that caused each other, the first of these is meant."""


def reason(error: BaseException) -> str:
    """The kind of failure alone: its text may repeat an address with a secret in it."""
    found: list[BaseException] = [error]
    while (below := found[-1].__cause__ or found[-1].__context__) is not None and below not in found:
        found.append(below)
    names = [type(item).__name__ for item in found]
    told = next((words for name, words in _FAILURES.items() if name in names), None)
    deepest = found[-1]
    if told is None and isinstance(deepest, OSError) and deepest.errno is not None and deepest.errno > 0:
        told = os.strerror(deepest.errno).lower()
    return told or names[min(1, len(names) - 1)]
