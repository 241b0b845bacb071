"""Certificates of servers, checked against one bundle that is read once.

requests reads the bundle anew for every connection, which takes 70 ms each: more than all else that a small answer
takes. Here each bundle becomes one ``ssl.SSLContext``, shared by all connections that trust it.

Rules of the file: imports requests, so it is itself imported only when something is asked of a server; what is
trusted is decided in ``envbuild.machine.http``.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from envbuild.errors import InvalidInput


class TrustingOnce(HTTPAdapter):
    """Connections whose ``verify`` is looked up as a context: True is the default bundle, a text a file or folder."""

    def __init__(self, **settings: Any) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._guard = threading.Lock()
        super().__init__(**settings)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """What tells pools apart: the shared context in place of the bundle's path."""
        found: tuple[Any, Any] = super().build_connection_pool_key_attributes(request, verify, cert)
        host, trust = found
        if host["scheme"] == "https" and verify is not False:
            trust.pop("ca_certs", None)
            trust.pop("ca_cert_dir", None)
            trust["ssl_context"] = self.context(verify)
        return host, trust

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing, where the pool has its context: naming a bundle here would have it read for each connection."""
        if verify is False or not url.lower().startswith("https"):
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def context(self, verify: bool | str) -> ssl.SSLContext:
        """The context of a bundle, made when first asked for.

        Raises:
            InvalidInput: ``certificate`` when the bundle is not there or is none.
        """
        place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
        with self._guard:
            if place not in self._contexts:
                self._contexts[place] = _context(place)
            return self._contexts[place]


def _context(place: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    folder = Path(place).is_dir()
    try:
        context.load_verify_locations(capath=place if folder else None, cafile=None if folder else place)
    except OSError as error:  # of which ssl.SSLError is one
        raise InvalidInput(
            f"the certificates {place} cannot be read",
            reference="certificate",
            hint="set SSL_CERT_FILE to your organisation's certificates",
        ) from error
    return context
