"""An interrupt drops what is on its way to shared stores, wherever it was heard."""

from __future__ import annotations

import threading
from typing import Any, cast

from envbuild.digest import digest_bytes
from envbuild.store.layer import Layer
from envbuild.store.sending import Sender, cancel_all


class _Slow:
    """A store that does not answer until it is told to."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()

    def deliver(self, *_: Any, **__: Any) -> None:
        self.asked.set()
        assert self.answer.wait(60)


def test_nobody_waits_for_a_store_after_an_interrupt() -> None:
    slow = _Slow()
    sender = Sender(lambda digest: None)
    sender.send([cast(Layer, slow)], [digest_bytes(b"blob")])
    assert slow.asked.wait(60)
    waiting = threading.Thread(target=sender.settle, daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive(), "what is under way is waited for"
    cancel_all()
    waiting.join(30)
    assert not waiting.is_alive()
    slow.answer.set()
