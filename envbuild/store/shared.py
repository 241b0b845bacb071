"""One shared store: the layout of ``envbuild.store`` as objects at an address, and nothing believed of what comes back.

::

    format.json                                                   {"format": 1}
    blobs/sha256/ab/<hex>
    results/<kind>/ab/<key>.json
    environments/<platform>/<request>/<environment>.json   one read tells a machine all that it needs

Every blob is hashed while it comes, every record is read as strictly as one of the home's own, a closure is compared
with the id in its name. Nothing is overwritten, but what was proven wrong
(``envbuild.store.replacing``).

``format.json`` is read before anything else. Another number means a store that we do not understand: it is not written.
It is read when it says so (``"readable-by": 1``).

What a collection has announced (``envbuild.store.marks``) is looked at before anything there is relied on, and held
before a record or a closure is put that needs it.

Rules of the file: through the six calls of ``envbuild.objects`` alone; raises, and leaves to ``envbuild.store.layers``
what a failure means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from envbuild.digest import Digest, short
from envbuild.errors import EnvbuildError, IntegrityError, UnreachableError
from envbuild.locks.lockfile import parse_closure
from envbuild.machine.publish import Incoming
from envbuild.objects import Objects, Put
from envbuild.package import Platform
from envbuild.store import Result
from envbuild.store.arriving import Told
from envbuild.store.folder import result_from_bytes, result_to_bytes
from envbuild.store.holding import Holder
from envbuild.store.object_names import blob_name, closure_name, result_name
from envbuild.store.shared_format import FORMAT_BYTES, FORMAT_NAME, Use, read_format

LARGEST_CLOSURE = 64 << 20
"""Bytes that a closure may have: as many as a lock."""


class SharedStore:
    """See the module's docstring. Safe to call from many threads.

    Args:
        name: What people call it.
        open_objects: Opens its address when it is first asked for.
        url: The whole address; empty where nothing has to be remembered of it.

    Attributes:
        seen: Names of closures that somebody has read there; ``damaged``: that were read and are none.
    """

    def __init__(self, name: str, open_objects: Callable[[], Objects], url: str = "") -> None:
        self.name = name
        self.url = url
        self._open = open_objects
        self._objects: Objects | None = None
        self.seen: set[str] = set()
        self.damaged: set[str] = set()
        self._use: Use | None = None
        self._holder: Holder | None = None
        self._looking = threading.Lock()
        self._writing = threading.Lock()
        self._keeps: bool | EnvbuildError = False
        self._asked: threading.Thread | None = None
        self._answer: bytes | EnvbuildError | None = None
        self._guard = threading.Lock()
        self._asking = threading.Lock()

    @property
    def objects(self) -> Objects:
        """What it is made of.

        Raises:
            EnvbuildError: When the address, or what it takes to ask there, is not right.
        """
        with self._guard:
            if self._objects is None:
                self._objects = self._open()
            return self._objects

    @property
    def address(self) -> str | None:
        """Where it is, as people may see it; None until something is asked of it."""
        return self._objects.address if self._objects is not None else None

    def use(self) -> Use:
        """What may be done with it; asked once.

        Raises:
            UnreachableError: ``no-store`` when there is none; or when it does not answer.
            EnvbuildError: As ``objects``.
        """
        with self._asking:
            if self._use is None:
                data = self._format()
                if data is None:
                    raise UnreachableError(
                        f"there is no store at {self.objects.address}",
                        reference="no-store",
                        hint=f"whoever may write there types: envbuild store init {quote(self.objects.address)}",
                    )
                self._use = read_format(data)
            return self._use

    def saw(self, objects: Objects, name: str, *, right: bool = True) -> None:
        """A closure was read from these objects, which are this store's, perhaps."""
        with self._guard:
            if self._objects is objects:
                (self.seen if right else self.damaged).add(name)

    def ahead(self, *, write: bool) -> None:
        """Begin to ask what is asked first, while something else is asked; failures are told by who asks for it.

        Args:
            write: Whether it will be written too, perhaps.
        """
        with self._asking:
            if self._use is not None or self._asked is not None:
                return
            self._asked = threading.Thread(target=self._ask, name="store", daemon=True)
            self._asked.start()
        if write:
            threading.Thread(target=self._look, name="store", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._answer = self.objects.read(FORMAT_NAME)
        except EnvbuildError as error:
            self._answer = error

    def _look(self) -> None:
        with suppress(EnvbuildError):
            self.holder()

    def _format(self) -> bytes | None:
        """The bytes of the format: those that were asked for ahead, else asked for now."""
        if self._asked is None:
            return self.objects.read(FORMAT_NAME)
        self._asked.join()
        self._asked, answer = None, self._answer
        if isinstance(answer, EnvbuildError):
            raise answer
        return answer

    def holder(self) -> Holder:
        """What a collection has announced; asked once. Whoever will write asks before it looks at what is there.

        Raises:
            IntegrityError: ``bad-mark``: it is not written.
            UnreachableError: When it does not answer.
        """
        with self._looking:
            if self._holder is None:
                self._holder = Holder(self.objects)
            return self._holder

    def lists(self, name: str) -> bool:
        """Whether a listing names an object, which a store may refuse to give as if it were absent.

        Raises:
            UnreachableError: When it does not answer, or may not be listed.
        """
        return any(item.name == name for item in self.objects.list(name))

    def sizes(self, names: Iterable[str]) -> Mapping[str, int]:
        """The bytes of the objects that exist: one batched question.

        Raises:
            UnreachableError: When it is not answered.
        """
        return self.objects.sizes(names)

    def blob(
        self, digest: Digest, incoming: Incoming, size: int | None, moved: Callable[[int], None] = lambda _: None
    ) -> bool:
        """Stream a blob into a temporary file, hashed; False when there is none.

        Args:
            digest: Which.
            incoming: Gets the bytes.
            size: How many, when known.
            moved: Told how many came so far.

        Raises:
            IntegrityError: When the bytes are others, more or fewer; what ``incoming`` holds is worth nothing then.
            UnreachableError: When it does not answer, or ends early; likewise.
        """
        if not self.objects.fetch(blob_name(digest), Told(incoming, moved), size):
            return False
        if incoming.digest != digest:
            raise IntegrityError(
                f"expected sha256 {digest}, got {incoming.digest} ({incoming.size} bytes)", reference="wrong-hash"
            )
        return True

    def result(self, kind: str, key: Digest) -> Result | None:
        """One record.

        Raises:
            IntegrityError: ``bad-record`` for what is none, or is the record of something else.
            UnreachableError: When it does not answer.
        """
        data = self.objects.read(result_name(kind, key))
        return None if data is None else record_of(data, kind, key)

    def closure(self, platform: Platform, request: Digest, environment: Digest) -> bytes | None:
        """An environment's closure, when it is the one that its name says.

        Raises:
            IntegrityError: ``bad-closure`` for what is none, or is another environment's.
            UnreachableError: When it does not answer.
        """
        name = closure_name(platform, request, environment)
        data = self.objects.read(name, LARGEST_CLOSURE)
        if data is None:
            return None
        try:
            lock = parse_closure(data, f"{self.objects.address}/{name}")
        except EnvbuildError as error:
            raise IntegrityError(error.message, reference="bad-closure", where=error.where) from error
        found = [(item.platform, item.id) for item in lock.platforms]
        if lock.request != request or found != [(platform, environment)]:
            raise IntegrityError(f"{short(environment)} is another environment's", reference="bad-closure")
        return data

    def check_keeps(self) -> None:
        """Refuse to write where a create-only put would overwrite. One request, before the first write of a process.

        ``format.json`` is there, so putting it once more must say so; a server that ignores the condition replaces it
        by the same bytes, which harms nobody. What a race may break is looked for by ``store init``.

        Raises:
            UnreachableError: ``overwrites``; ``refused`` where we may not write; or when it does not answer.
        """
        with self._writing:
            if self._keeps is False:
                self._keeps = self._asked_whether_it_keeps()
            if isinstance(self._keeps, EnvbuildError):  # whoever waited meanwhile need not ask, and wait, again
                raise self._keeps

    def _asked_whether_it_keeps(self) -> bool | EnvbuildError:
        try:
            if self.objects.put(FORMAT_NAME, FORMAT_BYTES) == "exists":
                return True
        except EnvbuildError as error:
            return error
        from envbuild.objects.probe import overwrites

        return overwrites(self.objects)

    def _put(self, name: str, source: Path | bytes) -> Put:
        self.check_keeps()
        return self.objects.put(name, source)

    def put_blob(self, digest: Digest, path: Path) -> Put:
        """Publish a blob of the home, which has verified it.

        Raises:
            UnreachableError: ``refused`` where we may not write; or when it does not answer.
            NoSpaceError: When it does not fit.
        """
        return self._put(blob_name(digest), path)

    def put_result(self, result: Result) -> Put:
        """Publish a record, whose blobs are there.

        Raises:
            UnreachableError: As ``put_blob``; ``NoSpaceError`` likewise; ``being-collected``.
        """
        name = result_name(result.kind, result.key)
        self.holder().hold([name, *(blob_name(output.sha256) for _, output in result.outputs)])
        return self._put(name, result_to_bytes(result))

    def put_closure(self, platform: Platform, request: Digest, environment: Digest, data: bytes) -> Put:
        """Publish a closure, whose blobs are there.

        Raises:
            UnreachableError: As ``put_result``; ``NoSpaceError`` likewise.
        """
        self.hold_closure(platform, request, environment, data)
        return self._put(closure_name(platform, request, environment), data)

    def put_outputs(self, name: str, data: bytes) -> Put:
        """Publish what an environment's builds came to (``envbuild.store.outputs``); one that is there stays there.

        Raises:
            UnreachableError: As ``put_result``; ``NoSpaceError`` likewise.
        """
        self.holder().hold([name])
        return self._put(name, data)

    def hold_closure(self, platform: Platform, request: Digest, environment: Digest, data: bytes) -> None:
        """Have a closure live on, with all that it needs, as far as a collection has announced any of it.

        Raises:
            UnreachableError: ``being-collected``; when it does not answer.
        """
        if self.holder().open:
            from envbuild.store.needs import needs_of

            name = closure_name(platform, request, environment)
            lock = parse_closure(data, name)
            self.holder().hold([name, *(need for item in lock.platforms for need in needs_of(lock, item).names())])


def record_of(data: bytes, kind: str, key: Digest) -> Result:
    """The record that bytes are, when it is the one of this key.

    Raises:
        IntegrityError: ``bad-record`` for what is none, or is the record of something else.
    """
    try:
        result = result_from_bytes(data)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{kind} {short(key)} is no record ({error})", reference="bad-record") from error
    if (result.kind, result.key) != (kind, key):
        raise IntegrityError(f"{kind} {short(key)} is the record of something else", reference="bad-record")
    return result
