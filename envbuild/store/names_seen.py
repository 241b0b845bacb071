"""What this machine last saw of names: one small file for each store and name, under ``names/`` of the home.

It serves three things: the search for the current generation begins there, a store that goes back behind it is found
out, and without a network it is the answer. When it was last confirmed is the file's time.

Rules of the file: a record only ever goes up; one that cannot be read or written is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import islice
from pathlib import Path

from envbuild.digest import digest_bytes, unsealed
from envbuild.errors import EnvbuildError, IntegrityError
from envbuild.names import Name, parse_name
from envbuild.store.generation import LARGEST, Generation, parse
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A generation as it was last seen.

    Attributes:
        age: Seconds since the store last confirmed it, by this machine's clock.
        proof: The signatures by which it counted, where some were wanted.
    """

    generation: Generation
    age: float
    proof: tuple[bytes, ...] = field(default=(), repr=False)


MOST_COMPLETED = 1000
"""Records that are read to complete a name."""


def seen_names(folder: Path) -> tuple[str, ...]:
    """Every name that this machine has seen, in whichever store: for completion, so that no question is asked.

    Args:
        folder: ``names/`` of the home.
    """
    found: set[str] = set()
    for path in islice(folder.glob("*/*.json"), MOST_COMPLETED):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, EnvbuildError, RecursionError):
            with path.open("rb") as stream:
                tree = json.loads(unsealed(stream.read(LARGEST + 1)))
            name = parse_name(f"{tree['name']}:{tree['tag']}")
            if tree["environments"]:
                found.add(str(name))
    return tuple(sorted(found))


class Seen:
    """The records of one store.

    Args:
        folder: ``names/`` of the home.
        address: The store's address: records of one store say nothing of another.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder / digest_bytes(address.encode())[:16]

    def path(self, name: Name, number: int | None = None) -> Path:
        """The record of a name: its own name says which generation it holds."""
        stem = digest_bytes(str(name).encode())[:32]
        return self._folder / (f"{stem}.{number}.json" if number is not None else stem)

    def get(self, name: Name) -> Remembered | None:
        """What was last seen of a name."""
        for number, path in self._records(name):
            with contextlib.suppress(OSError, IntegrityError):
                with path.open("rb") as stream:
                    generation = parse(stream.read(LARGEST + 1), name, number)
                age = max(0.0, time.time() - path.stat().st_mtime)
                return Remembered(generation=generation, age=age, proof=_proof(path))
        return None

    def keep(self, generation: Generation, proof: Sequence[bytes] = ()) -> None:
        """Remember a generation that the store has just shown; a home that cannot be written forgets it.

        Args:
            generation: Which.
            proof: The signatures by which it counted.
        """
        path = self.path(generation.name, generation.number)
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if proof and tuple(proof) != _proof(path):
                _write(_beside(path), json.dumps([data.decode() for data in proof]).encode())
            if path.exists():
                os.utime(path)
                return
            _write(path, generation.data)
            for number, older in self._records(generation.name):
                if number < generation.number:
                    older.unlink(missing_ok=True)
                    _beside(older).unlink(missing_ok=True)

    def forget_hint(self, name: Name) -> str:
        """What to type when a store went back and that is right."""
        return f"if that is meant: rm {self.path(name)}.*"

    def _records(self, name: Name) -> Iterator[tuple[int, Path]]:
        """The records of a name, the highest first: more than one only after a process was killed."""
        found = []
        for path in self._folder.glob(f"{self.path(name).name}.*.json"):
            number = path.name.split(".")[1]
            if number.isdigit():
                found.append((int(number), path))
        yield from sorted(found, reverse=True)


def _beside(path: Path) -> Path:
    """Where the signatures of a record are."""
    return path.with_suffix(".signatures")


def _proof(path: Path) -> tuple[bytes, ...]:
    """The signatures of a record: checked by whoever wants some, so what is none of them does no harm."""
    try:
        found = json.loads(_beside(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(item.encode() for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
