"""Sending what was done to shared stores, in the background, while other work goes on.

Each delivery is the blobs of one job, then its record, then its signatures: a record never names what is not there. A
few threads carry them; what waits is names alone, and when very many wait, jobs wait too. ``settle`` waits for the rest
at the end of a command, ``cancel`` drops it: whatever was not sent is sent by whoever does it next, or by ``push``.

The threads are daemons, so a command that is interrupted is not held up; what was half sent is never visible, for a put
is atomic on the other side.

Rules of the file: no error leaves a thread: layers say once what went wrong.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Queue

from envbuild.digest import Digest
from envbuild.store import Result
from envbuild.store.layer import Layer

THREADS = 24
"""Deliveries at a time."""

LONGEST_QUEUE = 4096

PATIENCE = 1.0
"""Seconds of waiting at the end of which nobody is told."""

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()

_Delivery = tuple[Layer, tuple[Digest, ...], Result | None, bool, tuple[bytes, ...]]


class Sender:
    """Carries deliveries to stores.

    Args:
        path: A blob's verified file at home.
        note: Told when waiting takes long.
    """

    def __init__(self, path: Callable[[Digest], Path | None], note: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._note = note
        self._queue: Queue[_Delivery] = Queue(LONGEST_QUEUE)
        self._threads = 0
        self._open = 0
        self._cancelled = False
        self._changed = threading.Condition()
        _senders.add(self)

    def send(
        self,
        layers: Iterable[Layer],
        blobs: Iterable[Digest],
        result: Result | None = None,
        *,
        sign: bool = False,
        envelopes: tuple[bytes, ...] = (),
    ) -> None:
        """Have blobs, and then the record that names them with its signatures, sent to each of these stores."""
        several = tuple(blobs)
        for layer in layers:
            with self._changed:
                if self._cancelled:
                    return
                self._open += 1
                if self._threads < min(THREADS, self._open):
                    if not self._threads:
                        atexit.register(self.settle)  # for whoever forgets to wait
                    self._threads += 1
                    threading.Thread(target=self._work, name="sending", daemon=True).start()
            self._queue.put((layer, several, result, sign, envelopes))

    def settle(self) -> None:
        """Wait until everything is sent, or known not to be sendable. Says so when it takes longer than a second."""
        try:
            self._wait()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _wait(self) -> None:
        began = time.monotonic()
        told = False
        with self._changed:
            while self._open and not self._cancelled:
                self._changed.wait(0.2)  # an interrupt is heard in between
                if not told and self._open and time.monotonic() - began >= PATIENCE:
                    told = True
                    self._note(f"sending {self._open} more of what was done to shared stores")

    def cancel(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            layer, blobs, result, sign, envelopes = self._queue.get()
            try:
                if not self._cancelled:
                    layer.deliver(self._path, blobs, result, sign=sign, envelopes=envelopes)
            except Exception as error:  # a defect: said, and the work that was done stands
                layer.standing.abandon(error)
            finally:
                with self._changed:
                    self._open -= 1
                    self._changed.notify_all()


def cancel_all() -> None:
    """Send nothing more, wherever the interrupt was heard: the end of the process would wait for what is under way."""
    for sender in list(_senders):
        sender.cancel()
