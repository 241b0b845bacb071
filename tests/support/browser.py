"""A real browser for tests of pages: Chromium without a window, told what to do through a pipe.

::

    with browser(tmp_path) as page:
        page.open(file)
        page.press("/")
        assert page.evaluate("document.title") == "…"
        page.screenshot(file)

Its own protocol is spoken over two pipes (``--remote-debugging-pipe``): no port, no driver, no library. Every message
of the page's console and every violation of its policy is kept in ``page.complaints``; requests that leave the page in
``page.requests``.

Rules of the file: no test logic; the browser's profile lies in the test's folder, and it ends with the test.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT = 60.0
"""Seconds after which a browser that says nothing has failed."""

_CODES = {"/": "Slash", "Escape": "Escape", "Enter": "Enter", "Tab": "Tab"}


def found_browser() -> str | None:
    """The browser's program; None where there is none (``./dev test`` brings Debian's where it may)."""
    return next((path for name in PROGRAMS if (path := shutil.which(name)) is not None), None)


class Page:
    """One page of a running browser; see the module's docstring."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for name in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{name}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something, and wait until it has.

        Raises:
            AssertionError: When it refuses, or says nothing.
        """
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + LIMIT
        while True:
            heard = self._hear(until)
            if heard.get("id") == number:
                assert "error" not in heard, (method, heard["error"])
                return dict(heard["result"])
            self._events.append(heard)

    def open(self, file: Path, *, width: int = 1500, height: int = 950, dark: bool = False) -> None:
        """Show a file, and wait until it is loaded."""
        self.size(width, height)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events.clear()
        self.call("Page.navigate", url=file.as_uri())
        self._wait("Page.loadEventFired")

    def size(self, width: int, height: int) -> None:
        """Make the window so large."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, code: str) -> Any:
        """What an expression is in the page.

        Raises:
            AssertionError: When it throws.
        """
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, which must be in sight and not covered."""
        where = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'});"
            "const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: a character, or a name such as ``Escape`` and ``ArrowDown``."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            named = {"key": key, "code": _CODES.get(key, key if len(key) > 1 else "")}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **named, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """What is to be seen, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _wait(self, name: str) -> None:
        until = time.monotonic() + LIMIT
        while not any(event.get("method") == name for event in self._events):
            self._events.append(self._hear(until))

    def _hear(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            said = select.select([self._reading], [], [], max(left, 0))[0]
            assert said, "the browser says nothing"
            piece = os.read(self._reading, 1 << 16)
            assert piece, "the browser has ended"
            self._buffer += piece
        raw, _, self._buffer = self._buffer.partition(b"\0")
        heard: dict[str, Any] = json.loads(raw)
        self._note(heard)
        return heard

    def _note(self, heard: dict[str, Any]) -> None:
        told = heard.get("params", {})
        if heard.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(told.get("args")))
        elif heard.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        elif heard.get("method") == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif heard.get("method") == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser with one empty page; ``folder`` takes its profile.

    Raises:
        LookupError: When there is none.
    """
    program = found_browser()
    if program is None:
        raise LookupError(f"none of {', '.join(PROGRAMS)} is on PATH (Debian: apt-get install chromium)")
    to_read, from_us = os.pipe()
    from_browser, to_write = os.pipe()

    def pipes() -> None:  # the protocol's numbers: 3 is read by the browser, 4 is written
        os.dup2(to_read, 13)
        os.dup2(to_write, 14)
        os.dup2(13, 3)
        os.dup2(14, 4)

    profile = folder / "profile"
    command = [program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run"]
    command += ["--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox", "--disable-background-networking"]
    environ = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    process = subprocess.Popen(
        command,
        preexec_fn=pipes,
        close_fds=False,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        yield Page(from_browser, from_us)
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_us)
        os.close(from_browser)
