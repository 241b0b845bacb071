"""A project in a real Git repository: commits, branches, merges, with nothing of this machine's Git settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.case import Case


class GitProject:
    """A case whose project is a repository, or a folder of one.

    Args:
        case: Whose project it becomes.
        below: The project's folder in the repository; the repository itself when empty.

    Attributes:
        root: The repository's working tree.
        out: What the last git command printed, both streams.
    """

    def __init__(self, case: Case, below: str = "") -> None:
        self.case = case
        self.root = case.project
        if below:
            case.project = case.project / below
            case.project.mkdir(parents=True)
        case.environ |= {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.org" for who in ("AUTHOR", "COMMITTER")},
            "GIT_EDITOR": "true",
        }
        self.out = ""
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, code: int | None = 0, folder: Path | None = None) -> str:
        """Run git in the repository, or another folder, and check its exit code."""
        done = subprocess.run(
            ["git", *words],
            cwd=folder or self.root,
            env=self.case.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        self.out = done.stdout
        assert "Traceback (most recent call last)" not in self.out, self.out
        assert code is None or done.returncode == code, f"git {' '.join(words)}: {done.returncode}\n{self.out}"
        return self.out

    def commit(self, message: str = "change") -> str:
        """Commit everything; gives the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def branch(self, name: str, start: str = "main") -> None:
        """Begin a branch and go there."""
        self.git("checkout", "-q", "-b", name, start)
