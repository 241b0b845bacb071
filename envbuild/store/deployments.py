"""What was launched onto other machines: which objects of a shared store their nodes will ask for.

::

    deployments/<sha256 of the name, 32 digits>/<sha256 of the bytes>.json      what a scheduler keeps
    deployments/runs/<sha256 of the bytes>.json                                 a run, which ends some day

Each launch writes one, before anything starts. Of a deployment the newest stays until somebody lets it go, for a
scheduler starts it at any time; older ones, whose last tasks may still run, and runs stay for the days to keep.

Rules of the file: pure; who keeps what they name is ``envbuild.store.staying``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import cast

from envbuild.digest import Digest, digest_bytes, parse_digest
from envbuild.errors import IntegrityError, InvalidInput
from envbuild.objects import Listed
from envbuild.package import PLATFORMS, Platform
from envbuild.pattern import pattern
from envbuild.value import dataclass

DEPLOYMENT = pattern(r"deployments/([0-9a-f]{32}|runs)/([0-9a-f]{64})\.json")
"""Which deployment, and the sha256 of the bytes."""

AREA = "deployments/"
_RUNS = "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What nodes will ask for.

    Attributes:
        of: The scheduler's word for it, such as ``argo-workflows/trainflow``; of a run the flow's name.
        lasts: Whether a scheduler keeps it; False for a run.
        environments: Platform, request and id of each.
        blobs: What else is read, by sha256.
    """

    of: str
    lasts: bool
    environments: tuple[tuple[Platform, Digest, Digest], ...]
    blobs: tuple[Digest, ...]


def to_bytes(deployment: Deployment) -> tuple[str, bytes]:
    """The name and the bytes of a new object: no two are the same, for each has its own time in the store."""
    tree = {
        "version": 1,
        "of": deployment.of,
        "lasts": deployment.lasts,
        "environments": [list(item) for item in deployment.environments],
        "blobs": list(deployment.blobs),
        "nonce": secrets.token_hex(8),
    }
    data = json.dumps(tree, ensure_ascii=False).encode() + b"\n"
    folder = folder_of(deployment.of) if deployment.lasts else _RUNS
    return f"{AREA}{folder}/{digest_bytes(data)}.json", data


def folder_of(of: str) -> str:
    """Where what is written of a deployment is."""
    return digest_bytes(of.encode())[:32]


def from_bytes(data: bytes, name: str) -> Deployment:
    """The deployment that an object says.

    Raises:
        IntegrityError: ``bad-deployment``.
    """
    try:
        match = DEPLOYMENT.fullmatch(name)
        if match is None or digest_bytes(data) != match[2]:
            raise ValueError("its bytes are not those of its name")
        tree = json.loads(data)
        environments = tuple(
            (cast(Platform, platform), parse_digest(request), parse_digest(environment))
            for platform, request, environment in tree["environments"]
            if platform in PLATFORMS
        )
        blobs = tuple(parse_digest(item) for item in tree["blobs"])
        return Deployment(of=str(tree["of"])[:300], lasts=match[1] != _RUNS, environments=environments, blobs=blobs)
    except (ValueError, KeyError, TypeError, InvalidInput, RecursionError) as error:
        raise IntegrityError(f"{name} is not what a launch wrote: {error}", reference="bad-deployment") from error


def newest(listed: Iterable[Listed]) -> tuple[dict[str, float], frozenset[str]]:
    """When each deployment was written, and which are the newest of those that last."""
    found = [(match[1], item) for item in listed if (match := DEPLOYMENT.fullmatch(item.name))]
    last: dict[str, float] = {}
    for folder, item in found:
        last[folder] = max(last.get(folder, item.modified), item.modified)
    when = {item.name: item.modified for _, item in found}
    return when, frozenset(item.name for folder, item in found if folder != _RUNS and item.modified == last[folder])
