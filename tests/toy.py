"""A kind for tests of the graph, plan, worker and scheduler: real work of a few bytes that goes wrong as a test wants.

Tests register it in ``KINDS``; ``Toy.does`` says what ``realise`` does besides publishing its name.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from envbuild.derivations import Output, Outputs
from envbuild.digest import Digest, digest_bytes
from envbuild.errors import UnreachableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    version: ClassVar[int] = 1

    name: str
    inputs: tuple[Digest, ...] = ()
    kind: str = "toy"
    purity: str = "pure"
    size: int | None = None
    does: str = ""
    prepare_does: str = ""
    given_key: Digest | None = None
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        own = hashlib.sha256("\n".join([self.kind, self.name, *self.inputs]).encode()).hexdigest()
        object.__setattr__(self, "key", self.given_key or Digest(own))

    @property
    def label(self) -> str:
        return self.name

    def document(self) -> Any:
        return {"name": self.name, "inputs": list(self.inputs)}


def act(does: str) -> None:
    """``sleep=MS``, ``fail``, ``defect``, ``full``, ``read-only``: what a job may meet."""
    if does.startswith("sleep="):
        time.sleep(int(does[6:]) / 1000)
    elif does == "fail":
        raise UnreachableError("the server is asleep", reference="asleep", hint="wake it")
    elif does == "defect":
        raise ZeroDivisionError("nobody foresaw this")
    elif does == "full":
        raise OSError(28, "No space left on device", "store/blob")
    elif does == "read-only":
        raise PermissionError(13, "Permission denied", "store/blob")
    elif does == "io-error":
        raise OSError(5, "Input/output error", "store/blob")


def realise(derivation: Toy, context: Any) -> Outputs:
    for needed in derivation.inputs:
        context.blob(needed)
    if derivation.does.startswith("blob="):
        context.blob(derivation.does[5:])
    if derivation.does.startswith("note="):
        context.note(derivation.does[5:])
        context.note(derivation.does[5:])
    act(derivation.does)
    return {"out": context.put_bytes(derivation.name.encode())}


def prepare(derivation: Toy, input_key: Digest, context: Any) -> None:
    context.blob(input_key)
    act(derivation.prepare_does)


class Bench:
    """A workspace in memory for the toy kind: blobs by digest, and the notes that were said."""

    platform = "linux-64"

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.notes: list[str] = []
        self.lock = threading.Lock()

    def for_job(self, derivation: Any, inputs: Mapping[Digest, Outputs], derivations: Mapping[Digest, Any]) -> Any:
        return _BenchContext(self, dict(inputs))

    def share(self, derivation: Any, outputs: Outputs, result: Any) -> Outputs:
        return outputs

    def came_from(self, outputs: Outputs) -> str | None:
        return None

    def waited_for(self, outputs: Outputs) -> bool:
        return False

    def made_since(self, derivation: Any) -> Outputs | None:
        return None


class _BenchContext:
    def __init__(self, bench: Bench, inputs: dict[Digest, Outputs]) -> None:
        self.bench = bench
        self.inputs = inputs
        self.platform = bench.platform

    def blob(self, key: Digest, output: str = "out") -> bytes:
        return self.bench.blobs[self.inputs[key][output].sha256]

    def put_bytes(self, data: bytes) -> Output:
        digest = digest_bytes(data)
        with self.bench.lock:
            self.bench.blobs[digest] = data
        return Output(sha256=digest, size=len(data))

    def note(self, text: str) -> None:
        self.bench.notes.append(text)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        raise AssertionError("toys need no scratch")
