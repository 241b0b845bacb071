"""Shared stores behind the home's own, near to far: one question about what they have, one way to bring it.

``ask`` is one batched question about what is missing at home: sizes of blobs and records of results, dozens in flight,
of each store for what no nearer one has. After that nothing is asked that is known. What a layer makes of trouble and
of trust is in ``envbuild.store.layer``.

Rules of the file: the order of the layers is all that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from envbuild.derivations import Outputs
from envbuild.digest import Digest
from envbuild.machine.publish import Incoming
from envbuild.store import Result
from envbuild.store.layer import Layer
from envbuild.store.located import Located


class Layers:
    """Several shared stores, near to far.

    Args:
        layers: The nearest first.
        unbelieved: Told once when work has to be done that a store may have, whose word does not count.
    """

    def __init__(self, layers: Sequence[Layer], *, unbelieved: Callable[[], None] = lambda: None) -> None:
        self.layers = tuple(layers)
        self._unbelieved = unbelieved
        self._came: dict[Digest, str] = {}
        self._vouched: set[Digest] = set()

    def vouch(self, results: Mapping[Digest, Outputs]) -> None:
        """Believe the records of these keys that say these outputs, whatever store has them, and no others."""
        self._vouched.update(results)
        for layer in self.layers:
            layer.vouch(results)

    def ask(
        self,
        blobs: Iterable[tuple[Digest, int | None]],
        results: Iterable[tuple[str, Digest]],
        closures: Sequence[str] = (),
    ) -> Located:
        """Which blobs (with their sizes, where known) and records are where; see ``Layer.ask``."""
        wanted, keys = dict(blobs), {key: kind for kind, key in results}
        found_blobs: dict[Digest, str] = {}
        found_results: dict[Digest, str] = {}
        for layer in self.layers:
            has_blobs, has_results = layer.ask(
                [item for item in wanted.items() if item[0] not in found_blobs],
                [(kind, key) for key, kind in keys.items() if key not in found_results],
                closures,
            )
            found_blobs |= dict.fromkeys(has_blobs, layer.name)
            found_results |= dict.fromkeys(has_results, layer.name)
        if missing := keys.keys() - found_results.keys() - self._vouched:
            if any(not layer.answers for layer in self.layers):
                self._unbelieved()
            for layer in self.layers:
                layer.unsigned((keys[key], key) for key in missing)
        return Located(blobs=found_blobs, results=found_results)

    def offers(self, digest: Digest) -> bool:
        """Whether one of them may have a blob, as far as is known."""
        return any(layer.offers(digest) for layer in self.layers)

    def blob(
        self,
        digest: Digest,
        incoming: Incoming,
        size: int | None = None,
        moved: Callable[[int], None] = lambda _: None,
    ) -> bool:
        """Stream a blob into a temporary file from the nearest store that has it; False when none has.

        Args:
            digest: Which.
            incoming: Gets the bytes.
            size: How many, when known.
            moved: Told how many came so far.

        Raises:
            NoSpaceError: When it does not fit here.
        """
        for layer in self.layers:
            if layer.blob(digest, incoming, size, moved):
                self._came[digest] = layer.name
                return True
        return False

    def result(self, kind: str, key: Digest) -> tuple[Layer, Result] | None:
        """The nearest record that counts, and whose it is."""
        for layer in self.layers:
            result = layer.result(kind, key)
            if result is not None:
                return layer, result
        return None

    @property
    def came(self) -> Mapping[Digest, str]:
        """What was brought by this process, by sha256, and from which store."""
        return self._came

    def came_from(self, outputs: Outputs) -> str | None:
        """The store that one of these was brought from by this process."""
        return next((self._came[each.sha256] for each in outputs.values() if each.sha256 in self._came), None)

    @property
    def written(self) -> list[Layer]:
        """Those that what is done here goes to."""
        return [layer for layer in self.layers if layer.written]
