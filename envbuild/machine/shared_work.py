"""What jobs do with shared stores: bring blobs and results from them, and offer them what was done.

A build need not give the same bytes twice, so the first record of a key stands for everybody: a build is offered at
once, and whoever finds that somebody was faster takes over what that one made. Everything else is interchangeable, and
is sent in the background. What is linked stays here, and so does what is not the same tomorrow.

Rules of the file: bytes go through the home's store, hashed; what a store's trouble means is decided in
``envbuild.store.layer``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from envbuild.derivations import Derivation, Output, Outputs
from envbuild.digest import Digest
from envbuild.machine.publish import Incoming
from envbuild.store import Result

if TYPE_CHECKING:
    from envbuild.machine.workspace import Workspace
    from envbuild.store.layer import Layer
    from envbuild.store.layers import Layers
    from envbuild.store.sending import Sender

SHARED_KINDS = frozenset({"fetch", "transmute", "build-wheel", "bytecode", "solve", "test"})
"""Kinds whose results travel; a link is a view of them, made on each machine."""

_OUTPUTS = {
    "fetch": {"out"},
    "solve": {"out"},
    "transmute": {"out", "record"},
    "build-wheel": {"out", "record", "log"},
    "bytecode": {"out"},
    "test": {"out", "log"},
}
"""What each kind makes, by the names in its records."""

_DIFFERS = frozenset({"build-wheel", "bytecode", "test"})
"""Kinds that may give other bytes the next time."""


def travels(derivation: Derivation) -> bool:
    """Whether the result of a derivation means the same everywhere and tomorrow."""
    return derivation.kind in SHARED_KINDS and derivation.purity != "impure"


class SharedWork:
    """See the module's docstring.

    Args:
        workspace: Whose home.
        layers: The shared stores.
    """

    def __init__(self, workspace: Workspace, layers: Layers) -> None:
        self.layers = layers
        self._workspace = workspace
        self._made: Sender | None = None
        self._cancelled = False

    @property
    def sender(self) -> Sender:
        """Carries what was done; made when the first thing is."""
        if self._made is None:
            from envbuild.store.sending import Sender

            self._made = Sender(self._workspace.blobs.path, self._workspace.note)
        return self._made

    def settle(self) -> None:
        """Wait for what is being sent."""
        if self._made is not None:
            self._made.settle()

    def cancel(self) -> None:
        """Send nothing more."""
        self._cancelled = True
        if self._made is not None:
            self._made.cancel()

    def bring(self, sha256: Digest, size: int | None, key: Digest) -> Output | None:
        """A blob from the nearest store that has it; the caller holds the blob's lock.

        Raises:
            NoSpaceError: When it does not fit here.
        """
        if not self.layers.offers(sha256):
            return None
        workspace = self._workspace
        with Incoming(workspace.store.incoming, size) as incoming:
            if not self.layers.blob(sha256, incoming, size, lambda done: workspace.progress(key, done, size)):
                return None
            workspace.blobs.adopt(incoming, sha256)
            return Output(sha256=sha256, size=incoming.size)

    def pull(self, derivation: Derivation) -> Outputs | None:
        """Bring the outputs of the nearest record that counts, and keep the record; None when there is none whole."""
        while (found := self.layers.result(derivation.kind, derivation.key)) is not None:
            layer, result = found
            if _as_made(result) and self._take(result):
                others = [other for other in self.layers.written if other is not layer]
                self._send(others, dict(result.outputs), result, envelopes=layer.envelopes(result.key))
                return dict(result.outputs)
            layer.incomplete(result)
        return None

    def made_since(self, derivation: Derivation) -> Outputs | None:
        """What somebody has recorded since the plan was made, of work that takes long; asked when it would begin."""
        if derivation.kind not in _DIFFERS or not travels(derivation):
            return None
        for layer in self.layers.layers:
            layer.forget(derivation.kind, derivation.key)
        return self.pull(derivation)

    def adopt(self, result: Result, layer: Layer) -> bool:
        """Take home what was done for us elsewhere and put into a store; every store that is written gets it.

        Returns:
            Whether the record names what its kind makes, and all of that was there.
        """
        if not (_as_made(result) and self._take(result)):
            return False
        layer.forget(result.kind, result.key)
        self._send(self.layers.written, dict(result.outputs), result, sign=True)
        return True

    def offer(self, derivation: Derivation, outputs: Outputs, result: Result | None) -> Outputs:
        """Have what was done sent to every store that is written; gives the outputs that count."""
        if not travels(derivation) or (result is None and derivation.kind != "fetch"):
            return outputs
        written = self.layers.written
        if result is not None and result.kind in _DIFFERS and written:
            stands = self._settled(written[0], result)
            mine = stands.outputs == result.outputs  # a key signs what was done beside it, nothing that it took over
            self._send(written[1:], dict(stands.outputs), stands, sign=mine)
            return dict(stands.outputs)
        self._send(written, outputs, result, sign=True)
        return outputs

    def _settled(self, layer: Layer, result: Result) -> Result:
        """The record that stands for a key in a store: ours, or that of whoever was faster."""
        for _ in range(2):
            first = layer.winner(result)
            if first.outputs == result.outputs:
                layer.deliver(self._workspace.blobs.path, _blobs(result), result, sign=True)
                first = layer.winner(result)
            if first.outputs == result.outputs or (_as_made(first) and self._take(first)):
                return first
            layer.incomplete(first)  # ours takes its place
        return result

    def _take(self, result: Result) -> bool:
        """Bring all outputs of a record here, and make it the one that counts here."""
        from envbuild.store.parallel import in_parallel

        bring = partial(self._output, result.key)
        if not all(in_parallel(bring, [output for _, output in result.outputs])):
            return False
        results = self._workspace.store.results
        if results.put(result) == "exists" and results.get(result.kind, result.key) != result:
            results.delete(result.kind, result.key)
            results.put(result)
        return True

    def _output(self, key: Digest, output: Output) -> bool:
        with self._workspace.blob_lock(output.sha256):
            if (here := self._workspace.blobs.path(output.sha256, locked=True)) is not None:
                return here.stat().st_size == output.size
            came = self.bring(output.sha256, output.size, key)
            return came is not None and came.size == output.size

    def _send(
        self,
        layers: list[Layer],
        outputs: Outputs,
        result: Result | None,
        *,
        sign: bool = False,
        envelopes: tuple[bytes, ...] = (),
    ) -> None:
        if layers and not self._cancelled:
            blobs = [output.sha256 for output in outputs.values()]
            self.sender.send(layers, blobs, result, sign=sign, envelopes=envelopes)


def _as_made(result: Result) -> bool:
    """Whether a record names what its kind makes: one that does not would be found out by whoever uses it."""
    return {name for name, _ in result.outputs} == _OUTPUTS.get(result.kind)


def _blobs(result: Result) -> list[Digest]:
    return [output.sha256 for _, output in result.outputs]
