"""Mending a shared store: right bytes take the place of wrong ones; what is wrong and cannot be mended is taken away.

| finding | with right bytes at hand | without |
|---|---|---|
| a blob with other bytes | replaced | removed: whoever needs it fetches or makes it again |
| a record whose blobs are gone | they are put back | removed: its work is done again |
| a record that is none | the home's is put | removed: its work is done again |
| a signature or link that is none | | removed |
| outputs of an environment that are others than their name says | | removed: whoever pushes it writes them again |
| a closure that is none, or is not there | put | removed, or left absent |
| a generation that is missing or wrong | | left: nobody here may say what a name meant |
| what is none of ours | | left |

Wrong is worse than absent: what is absent is a miss, and costs time; what is wrong keeps right bytes out, for nothing
is ever overwritten. So nothing wrong stays, whether it can be mended or not. Each thing is looked at once more before
it is touched, for somebody else may have mended it.

Rules of the file: through ``SharedStore`` alone; where right bytes come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from envbuild.derivations import Output
from envbuild.digest import Digest
from envbuild.errors import IntegrityError
from envbuild.package import Platform
from envbuild.store import Result
from envbuild.store.arriving import Hashing
from envbuild.store.findings import Finding
from envbuild.store.object_names import BLOB, CLOSURE, NAMED, RESULT, blob_name
from envbuild.store.outputs import OUTPUTS
from envbuild.store.replacing import replace_blob
from envbuild.store.shared import SharedStore
from envbuild.value import replace


class Mending:
    """Does something about findings; safe to call from many threads.

    Args:
        store: Which; it must be one that may be written.
        bring: A file of this machine with right bytes; None when nobody has them.
        remake: The same for an output of a record, by kind and key: what gives the same bytes again can be done again.
        record: The record of a kind and key that counts here; None when there is none.
        closure: A closure that is right; None when there is none here.
    """

    def __init__(
        self,
        store: SharedStore,
        *,
        bring: Callable[[Digest], Path | None],
        remake: Callable[[str, Digest, Digest], Path | None],
        record: Callable[[str, Digest], Result | None],
        closure: Callable[[Platform, Digest, Digest], bytes | None],
    ) -> None:
        self._store = store
        self._bring = bring
        self._remake = remake
        self._record = record
        self._closure = closure

    def __call__(self, finding: Finding) -> Finding:
        """Do what can be done about a finding; gives it with what that was.

        Raises:
            UnreachableError: When the store does not answer, or refuses.
        """
        done, todo = self._act(finding)
        return replace(finding, done=done, todo=todo)

    def _act(self, finding: Finding) -> tuple[str, str]:
        problem, digest = finding.problem, finding.digest
        if problem == "wrong-bytes" and digest is not None:
            return self._blob(digest)
        if problem == "missing-output" and digest is not None:
            return self._output(finding.name, digest)
        if problem == "absent-package" and digest is not None:
            return ("mended", "") if self._put(digest, self._bring(digest)) else ("nothing", finding.todo)
        if problem in {"bad-record", "wrong-size"}:
            return self._mend_record(finding.name, readable=problem == "wrong-size")
        if problem in {"bad-closure", "absent-environment"}:
            return self._environment(finding)
        if problem == "bad-outputs":
            self._store.objects.delete(finding.name)
            return "removed", "it is written again when the environment is pushed"
        ours = any(pattern.fullmatch(finding.name) for pattern in (BLOB, RESULT, CLOSURE, OUTPUTS, NAMED))
        if problem == "bad-signature" or (problem == "link" and ours):
            self._store.objects.delete(finding.name)
            return "removed", "sign it again: envbuild store sign" if problem == "bad-signature" else ""
        return "nothing", finding.todo

    def _blob(self, digest: Digest) -> tuple[str, str]:
        path = self._bring(digest)
        if path is not None:
            replace_blob(self._store, digest, path)
            return "mended", ""
        found = Hashing()
        if self._store.objects.fetch(blob_name(digest), found) and found.digest() != digest:
            self._store.objects.delete(blob_name(digest))
        return "removed", "nobody here has right bytes; whoever needs it fetches or makes it again"

    def _output(self, name: str, digest: Digest) -> tuple[str, str]:
        found = RESULT.fullmatch(name)
        assert found is not None
        path = self._bring(digest) or self._remake(found[1], Digest(found[3]), digest)
        if self._put(digest, path):
            return "mended", ""
        self._store.objects.delete(name)
        return "removed", "its work is done again by whoever needs it"

    def _put(self, digest: Digest, path: Path | None) -> bool:
        if path is None:
            return False
        self._store.put_blob(digest, path)
        return True

    def _mend_record(self, name: str, *, readable: bool) -> tuple[str, str]:
        found = RESULT.fullmatch(name)
        assert found is not None
        kind, key = found[1], Digest(found[3])
        right = self._record(kind, key)
        try:
            wrong = self._store.result(kind, key) is not None and readable
        except IntegrityError:
            wrong = True
        if wrong:
            self._store.objects.delete(name)
        if right is not None and all(self._has(output) for _, output in right.outputs):
            self._store.put_result(right)
            return "mended", ""
        return "removed", "its work is done again by whoever needs it"

    def _has(self, output: Output) -> bool:
        """Whether the store has an output, perhaps by now."""
        if self._store.sizes([blob_name(output.sha256)]).get(blob_name(output.sha256)) == output.size:
            return True
        return self._put(output.sha256, self._bring(output.sha256))

    def _environment(self, finding: Finding) -> tuple[str, str]:
        found = CLOSURE.fullmatch(finding.name)
        assert found is not None
        where = cast(Platform, found[1]), Digest(found[2]), Digest(found[3])
        right = self._closure(*where)
        try:
            if self._store.closure(*where) is not None:
                return "mended", ""
        except IntegrityError:
            self._store.objects.delete(finding.name)
        if right is not None:
            self._store.put_closure(*where, right)
            return "mended", ""
        if finding.problem == "absent-environment":
            return "nothing", finding.todo
        return "removed", "it is written again when the environment is realized or pushed"
