"""Git as review reads it: what a word of its means, which files a revision has, and the bytes of many files.

One revision is one ``git ls-tree``, so a file that is the same in two revisions is known by its id and never read; what
is read comes from one ``git cat-file --batch``, whatever the number of files. Nothing of the repository is run: no
hook, no filter, no monitor.

Rules of the file: reads only; a word is never taken for an option; paths are those of git, from the repository's root
and with ``/``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from envbuild.errors import UsageError
from envbuild.review.git_objects import REGULAR, Blobs, Entry

_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
_TIMEOUT = 600.0


class Repository:
    """A repository as it is seen from a folder.

    Args:
        folder: In its working tree.
        environ: Variables for git.

    Attributes:
        root: The top of the working tree; None when the folder is in no repository, or there is no git.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = {**environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
        self._program = shutil.which("git", path=environ.get("PATH"))
        top = self.ask("rev-parse", "--show-toplevel") if self._program is not None else None
        self.root = Path(os.fsdecode(top.removesuffix(b"\n"))) if top else None

    def needed(self, word: str) -> Path:
        """The root.

        Raises:
            UsageError: ``no-repository``.
        """
        if self.root is None:
            why = "git is not installed" if self._program is None else f"{self._folder} is in no Git repository"
            raise UsageError(f"{why}, so there is no {word[:80]}", reference="no-repository")
        return self.root

    def inside(self, path: Path) -> str:
        """A path as git has it."""
        assert self.root is not None
        place = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118  a link is itself
        return os.path.relpath(place, os.path.realpath(self.root)).replace(os.sep, "/")

    def commit(self, word: str) -> str | None:
        """The commit that a word means; None when it means none."""
        return self._one(f"{word}^{{commit}}")

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits."""
        found = self.ask("merge-base", one, other)
        return found.decode().split("\n", 1)[0] if found else None

    def empty(self) -> bool:
        """Whether there is no commit yet."""
        return self.commit("HEAD") is None

    def files(self, commit: str, below: str = "") -> Iterator[Entry]:
        """The regular files of a commit below a folder, or that one file."""
        arguments = ["ls-tree", "-r", "-z", "--full-tree", commit]
        if below not in {"", "."}:
            arguments += ["--", below]
        for entry in (self.ask(*arguments, literal=True) or b"").split(b"\0"):
            about, _, path = entry.partition(b"\t")
            words = about.split()
            if len(words) == 3 and words[0] in REGULAR:
                yield Entry(blob=words[2].decode(), path=os.fsdecode(path), executable=words[0] == REGULAR[1])

    def working_files(self, below: str, *patterns: str) -> list[str]:
        """The files of the working tree below a folder that git has or would take, by endings of their names."""
        assert self.root is not None
        folder = "" if below in {"", "."} else f"{_plain(below)}/"
        found = self.ask(
            "-C",
            os.fspath(self.root),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            *(f":(top,glob){folder}**/*{pattern}" for pattern in patterns),
        )
        return sorted({os.fsdecode(path) for path in (found or b"").split(b"\0") if path})

    def blobs(self) -> Blobs:
        """A reader of many files, to be closed."""
        assert self._program is not None
        return Blobs([self._program, *_SETTINGS, "cat-file", "--batch"], self._folder, self._environ)

    def hash_length(self) -> int:
        """The digits of an id."""
        return 64 if (self.ask("rev-parse", "--show-object-format") or b"").strip() == b"sha256" else 40

    def git_paths(self, *names: str) -> list[Path]:
        """Where git keeps files of its own."""
        found = self.ask("rev-parse", *(word for name in names for word in ("--git-path", name))) or b""
        return [self._folder / os.fsdecode(line) for line in found.split(b"\n") if line]

    def renames(self, before: str, after: str) -> dict[str, str]:
        """The files that have another path in a later commit, as git finds out: the new path, and the old one."""
        found = self.ask("diff-tree", "-r", "-z", "-M", "--diff-filter=R", "--name-status", before, after) or b""
        words = [os.fsdecode(word) for word in found.split(b"\0")]
        return dict(zip(words[2::3], words[1::3], strict=False))

    def _one(self, word: str) -> str | None:
        if not word or word.startswith("-") or "\0" in word or "\n" in word:
            return None
        found = self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", word)
        return found.decode().strip().rpartition("\n")[2] if found else None

    def ask(self, *arguments: str, literal: bool = False, codes: Iterable[int] = (0,)) -> bytes | None:
        """What git prints; None when it fails.

        Args:
            arguments: Of git.
            literal: Paths are paths, and no patterns.
            codes: What it may exit with.
        """
        if self._program is None:
            return None
        environ = {**self._environ, "GIT_LITERAL_PATHSPECS": "1"} if literal else self._environ
        try:
            done = subprocess.run(
                [self._program, *_SETTINGS, *arguments],
                cwd=self._folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode in tuple(codes) else None


def _plain(path: str) -> str:
    """A path in a pattern, where it means itself."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in path)


def blob_id(data: bytes, length: int = 40) -> str:
    """The id that git gives to the bytes of a file."""
    digest = hashlib.sha256() if length == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()
