"""How objects of a store are named, for writers and readers: the layout that ``envbuild.store`` describes.

Rules of the file: pure. A pattern says what a name looks like; whether its kind or platform is known is asked apart.
"""

from __future__ import annotations

from envbuild.derivations import KINDS
from envbuild.digest import Digest
from envbuild.package import Platform
from envbuild.pattern import pattern

BLOB = pattern(r"blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
"""The second group is the sha256."""

RESULT = pattern(r"results/([a-z-]+)/([0-9a-f]{2})/(\2[0-9a-f]{62})\.json")
"""Kind and, third, key."""

CLOSURE = pattern(r"environments/([a-z0-9-]+)/([0-9a-f]{64})/([0-9a-f]{64})\.json")
"""Platform, request, environment."""

REF = pattern(r"refs/(.+)/@([^/@]+)/([0-9]{20})\.json")
"""Of a generation of a name: its path, tag and number."""

NAMED = pattern(r"(refs|requests)/(.+)/@([^/@]+)/([0-9]{20})\.json")
"""Of a generation of a name or of a request: area, path, tag and number."""


def blob_name(digest: Digest) -> str:
    """Where a blob is, or would be."""
    return f"blobs/sha256/{digest[:2]}/{digest}"


def result_name(kind: str, key: Digest) -> str:
    """Where a record is, or would be.

    Raises:
        KeyError: For a kind that is not registered.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    return f"results/{kind}/{key[:2]}/{key}.json"


def closure_name(platform: Platform, request: Digest, environment: Digest) -> str:
    """Where an environment's closure is, or would be."""
    return f"environments/{platform}/{request}/{environment}.json"
