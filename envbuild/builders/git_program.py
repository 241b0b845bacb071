"""The git program, so that it fetches and reads and does nothing else.

A repository is somebody else's: its configuration, hooks, filters and attributes must run nothing here. So git works on
bare repositories of ours, without templates or hooks, and never checks anything out. Only the transports named here are
spoken (no ``ext::``), nobody is asked for anything (no terminal, no window, ssh in batch mode), and submodules are read
by us. The *user's* git configuration counts, as for every git that they run: credential helpers, proxies,
certificates, ``insteadOf``; credentials come from there, from ``~/.netrc``, or from an ssh agent.

Rules of the file: what git writes goes to a file and what it says to the error; addresses in messages carry no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from envbuild.derivations import Context
from envbuild.errors import BuildError, UnreachableError
from envbuild.pattern import pattern

TIMEOUT = 3600.0
"""Seconds that one fetch may take; a connection that stands still is given up after ``_SILENCE``."""

_SILENCE = 60

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.askPass=",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "submodule.recurse=false",
    "http.lowSpeedLimit=1024",
    f"http.lowSpeedTime={_SILENCE}",
)

_VARIABLES = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GCM_INTERACTIVE": "never",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ADVICE": "0",
    "GIT_NO_LAZY_FETCH": "1",
}

_SCRIPT = """
out=$1; shift
if [ -z "${GIT_SSL_CAINFO:-}" ]; then
  GIT_SSL_CAINFO=${SSL_CERT_FILE:-${REQUESTS_CA_BUNDLE:-${CURL_CA_BUNDLE:-}}}
  if [ -n "$GIT_SSL_CAINFO" ]; then export GIT_SSL_CAINFO; else unset GIT_SSL_CAINFO; fi
fi
if [ -n "${GIT_SSH_COMMAND:-}" ] || ! git config --get core.sshCommand >/dev/null 2>&1; then
  export GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh} -oBatchMode=yes"
fi
exec "$@" >"$out"
"""
"""Only fixed text: the arguments are git's own, and the file that gets what it writes."""

_USER = pattern(r"//[^/@\s']*@")
_PACKED = pattern(
    r"(?:remote: )?(?:Enumerating|Counting|Compressing|Receiving|Resolving|Total)\b.*"
    r"|Please make sure you have the correct access rights|and the repository exists\.|(?i:warning|hint): .*"
)
"""Lines that say nothing of what went wrong."""


class GitFailed(Exception):  # noqa: N818  an answer that the caller judges
    """Git ended with an error; the text is what it said last."""


class Git:
    """Git on one bare repository of ours, or on none.

    Args:
        context: Runs the program.
        repository: The bare repository's folder; None for questions to servers.
    """

    def __init__(self, context: Context, repository: Path | None = None) -> None:
        self._context = context
        self._repository = repository

    @contextmanager
    def output(
        self,
        *arguments: str,
        stdin: bytes = b"",
        network: bool = False,
        schemes: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        redirects: bool = False,
    ) -> Iterator[Path]:
        """Run git and give the file that holds what it wrote.

        Args:
            arguments: The command and its arguments; operands that come from outside follow ``--``.
            stdin: All that it can read.
            network: Whether it may reach servers.
            schemes: Transports that it may speak.
            variables: Further variables, which may hold secrets, for no argument list may.
            redirects: Whether a server may send it elsewhere, as git has it: at its first request.

        Raises:
            GitFailed: When it ends with an error.
            BuildError: ``no-git`` when there is none.
        """
        place = [f"--git-dir={self._repository}"] if self._repository is not None else []
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        settings += ["-c", f"http.followRedirects={'initial' if redirects else 'false'}"]
        environ = {**_VARIABLES, "GIT_ALLOW_PROTOCOL": ":".join(schemes) or "none", **(variables or {})}
        with self._context.scratch() as folder:
            out = folder / "out"
            environ["GIT_CEILING_DIRECTORIES"] = str(folder.parent)  # no repository that this folder may lie in
            argv = ("/bin/sh", "-c", _SCRIPT, "sh", str(out), "git", *settings, *place, *arguments)
            done = self._context.run(argv, env=environ, cwd=folder, stdin=stdin, timeout=TIMEOUT, network=network)
            if done.returncode == 127:
                raise no_git()
            if done.returncode:
                raise GitFailed(_said(done.tail))
            yield out

    def ask(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git without a network and give what it wrote.

        Raises:
            GitFailed: When it ends with an error.
        """
        with self.output(*arguments, stdin=stdin) as out:
            return out.read_bytes()


def no_git() -> BuildError:
    """The error for a machine without git."""
    return BuildError(
        "a git repository is asked for, and there is no program `git` on PATH",
        reference="no-git",
        hint="install git, or name an archive of that commit by `url:`",
    )


def unreachable(url: str, said: GitFailed) -> UnreachableError:
    """The error for a server that did not give what was asked of it.

    Args:
        url: The repository as the recipe writes it.
        said: What git made of it.
    """
    text = str(said)
    hint = None
    if re.search(r"terminal prompts disabled|could not read (Username|Password)|Authentication failed|40[13]", text):
        hint = "put credentials for that host into ~/.netrc (mode 0600) or a git credential helper"
    elif re.search(r"Permission denied|Host key verification|publickey", text):
        hint = "load a key into the ssh agent, and the host's key into ~/.ssh/known_hosts; nobody is asked here"
    elif "transport" in text and "not allowed" in text:
        hint = "your own git configuration sends this address to a transport that is not spoken here"
    return UnreachableError(f"git cannot read {url}: {text}", reference="git-failed", hint=hint)


def is_redirect(said: GitFailed) -> bool:
    """Whether git failed because the server sent it elsewhere."""
    return re.search(r"returned error: 30[12378]", str(said)) is not None


def _said(tail: str) -> str:
    """The last lines that say what went wrong, without user info and progress."""
    lines = [line.strip() for line in _USER.sub("//****@", tail).splitlines()]
    telling = [line for line in lines if line and not _PACKED.fullmatch(line)]
    chosen = telling[-3:] or ["it ended without a word"]
    return "; ".join(dict.fromkeys(re.sub(r"^(fatal|error): ", "", line)[:300] for line in chosen))
