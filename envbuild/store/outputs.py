"""What the builds of an environment came to, in one document whose sha256 is what people call its closure digest.

::

    outputs/<platform>/<request>/<environment>/<sha256>.json

An environment's id says what it is made *from*; this says what it came to: for each result that is linked and is no
file of an origin (a wheel that was built, a conda package in its other format), its key and the digest of the file that
is linked. Who is given the sha256 by somebody whom he believes needs to believe no store: the document proves itself,
and every file behind the environment. What only tells of the work, its log and its record (how long it took, by which
compiler), is no part of it: the same files make the same bytes on every machine, also where each built them itself.

Rules of the file: pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from envbuild.derivations import Output, Outputs
from envbuild.digest import Digest, canonical_json, digest_bytes, short, unique_names
from envbuild.errors import IntegrityError
from envbuild.graph import Graph
from envbuild.package import Platform
from envbuild.pattern import pattern
from envbuild.value import dataclass

VERSION = 1
LARGEST_OUTPUTS = 32 << 20
"""Bytes that a document may have: of some hundred thousand results."""

KINDS_LINKED = frozenset({"build-wheel", "bytecode", "transmute"})
"""Kinds of results that a link reads."""

LINKED = "out"
"""Which of their outputs."""

OUTPUTS = pattern(r"outputs/([a-z0-9-]+)/([0-9a-f]{64})/([0-9a-f]{64})/([0-9a-f]{64})\.json")
"""The name of a document: platform, request, environment, and the sha256 of its bytes."""

_HEX64 = pattern(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentOutputs:
    """What the results of one environment are.

    Attributes:
        platform: Of the environment; ``environment``: its id.
        results: Kind, key and outputs of each, sorted by kind and key.
    """

    platform: Platform
    environment: Digest
    results: tuple[tuple[str, Digest, Outputs], ...]


def outputs_name(platform: Platform, request: Digest, environment: Digest, digest: Digest) -> str:
    """Where a document is, or would be."""
    return f"{outputs_folder(platform, request, environment)}{digest}.json"


def outputs_folder(platform: Platform, request: Digest, environment: Digest) -> str:
    """Where all documents of an environment are: of builds that differ there may be several."""
    return f"outputs/{platform}/{request}/{environment}/"


def linked_results(graph: Graph) -> tuple[Digest, ...]:
    """The keys of the results that an environment's document names: what its link reads, and no origin has."""
    return tuple(key for key in graph.inputs(graph.targets[0]) if graph[key].kind in KINDS_LINKED)


def environment_outputs(
    graph: Graph, platform: Platform, environment: Digest, known: Mapping[Digest, Outputs]
) -> EnvironmentOutputs | None:
    """What the results of an environment are; None while one of them is not known.

    Args:
        graph: Its build graph, whose one target is the link.
        platform: The environment's.
        environment: Its id.
        known: Outputs by key.
    """
    keys = linked_results(graph)
    if any(key not in known for key in keys):
        return None
    results = sorted((graph[key].kind, key) for key in keys)
    return EnvironmentOutputs(
        platform=platform,
        environment=environment,
        results=tuple((kind, key, {LINKED: known[key][LINKED]}) for kind, key in results),
    )


def agrees(outputs: Outputs, said: Outputs) -> bool:
    """Whether a result's outputs are what a document says, as far as it says something."""
    return all(outputs.get(name) == output for name, output in said.items())


def outputs_to_bytes(document: EnvironmentOutputs) -> tuple[Digest, bytes]:
    """A document as stored, canonical JSON, and its sha256."""
    data = canonical_json(
        {
            "version": VERSION,
            "platform": document.platform,
            "environment": document.environment,
            "results": [
                {
                    "kind": kind,
                    "key": key,
                    "outputs": {name: {"sha256": each.sha256, "size": each.size} for name, each in outputs.items()},
                }
                for kind, key, outputs in document.results
            ],
        }
    )
    return digest_bytes(data), data


def parse_outputs(data: bytes, digest: Digest, platform: Platform, environment: Digest) -> EnvironmentOutputs:
    """A document from its bytes, held against its digest and the environment that it is to be of.

    Args:
        data: As read from anywhere.
        digest: What its sha256 must be.
        platform: Of the environment that it must be of.
        environment: Its id.

    Raises:
        IntegrityError: ``wrong-closure``, as the rest of a sentence that begins with what was read.
    """
    found = digest_bytes(data)
    if found != digest:
        raise IntegrityError(f"holds other bytes: their sha256 is {found}", reference="wrong-closure")
    try:
        document = _document(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"names no outputs ({error!s:.80})", reference="wrong-closure") from error
    if (document.platform, document.environment) != (platform, environment):
        raise IntegrityError(
            f"is of {document.platform} {short(document.environment)}, not of {platform} {short(environment)}",
            reference="wrong-closure",
        )
    return document


def _document(data: bytes) -> EnvironmentOutputs:
    tree = _fields(json.loads(data, object_pairs_hook=unique_names), {"version", "platform", "environment", "results"})
    if type(tree["version"]) is not int or tree["version"] != VERSION:
        raise ValueError("another version")
    if not isinstance(tree["results"], list) or not isinstance(tree["platform"], str):
        raise TypeError("a field is of another type")
    results = tuple(_result(item) for item in tree["results"])
    if len({key for _, key, _ in results}) != len(results):
        raise ValueError("a result stands twice")
    return EnvironmentOutputs(
        platform=Platform(tree["platform"]), environment=_sha256(tree["environment"]), results=results
    )


def _result(value: Any) -> tuple[str, Digest, Outputs]:
    item = _fields(value, {"kind", "key", "outputs"})
    if item["kind"] not in KINDS_LINKED:
        raise ValueError(f"no result that is linked is of the kind {item['kind']!r:.40}")
    if not isinstance(item["outputs"], dict) or not item["outputs"]:
        raise TypeError("a result without outputs")
    return item["kind"], _sha256(item["key"]), {name: _output(each) for name, each in item["outputs"].items()}


def _output(value: Any) -> Output:
    fields = _fields(value, {"sha256", "size"})
    if type(fields["size"]) is not int or fields["size"] < 0:
        raise TypeError("a size is no whole number")
    return Output(sha256=_sha256(fields["sha256"]), size=fields["size"])


def _fields(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise TypeError(f"it has not the fields {', '.join(sorted(names))}")
    return value


def _sha256(value: Any) -> Digest:
    if not isinstance(value, str) or not _HEX64.fullmatch(value):
        raise TypeError(f"{value!r:.40} is no sha256")
    return Digest(value)
