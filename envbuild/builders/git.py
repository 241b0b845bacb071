"""Git repositories as sources: which commit a recipe means, and that commit brought here once.

A recipe names a branch, a tag, a commit or nothing (the default branch); the lock names the commit. Commits are fetched
without their history into bare repositories in the engine cache, one for each address, under a kernel lock, so that
sixteen processes that need one commit fetch it once. A cache that is damaged is made anew; one that is gone is no loss.
A server that gives no single commits gives its branches and tags.

Rules of the file: nothing is checked out; the address was checked when it was read, and is checked again.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from envbuild.builders.git_program import Git, GitFailed, is_redirect, unreachable
from envbuild.derivations import Context
from envbuild.digest import digest_bytes
from envbuild.errors import InvalidInput, UnreachableError
from envbuild.pattern import pattern
from envbuild.reading.places import check_git_url
from envbuild.recipe import GitSource

_Answer = TypeVar("_Answer")

_COMMIT = pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADVERTISED = 256 << 20
"""Bytes of the list of references that a server may send."""
_ABBREVIATED = pattern(r"[0-9a-f]{7,63}")


def resolve_commit(git: GitSource, context: Context) -> str:
    """The commit that a recipe means now.

    Args:
        git: Branch, tag or commit; its default branch when it names none.
        context: Runs git.

    Returns:
        The whole hexadecimal name.

    Raises:
        InvalidInput: ``no-revision`` when the repository has nothing by that name, ``ambiguous-revision`` when a
            branch and a tag of that name are two commits.
        UnreachableError: ``git-failed`` when the server does not answer or refuses.
        BuildError: ``no-git``.
    """
    rev = git.rev or "HEAD"
    if _COMMIT.fullmatch(rev.lower()):
        return rev.lower()
    found = _references(git.git, rev, context)
    commits = set(found.values())
    if len(commits) > 1:
        names = " and ".join(sorted(found))
        raise InvalidInput(
            f"{git.git} has {names}, and they are not one commit",
            reference="ambiguous-revision",
            hint=f"write rev: {sorted(found)[0]}",
        )
    if commits:
        return commits.pop()
    if _ABBREVIATED.fullmatch(rev.lower()):
        with suppress(GitFailed):
            return _whole_name(git.git, rev.lower(), context)
    what = "no commit yet" if git.rev is None else f"no branch, tag or commit {rev}"
    raise InvalidInput(f"{git.git} has {what}", reference="no-revision", hint="look at its branches and tags")


def _references(url: str, rev: str, context: Context) -> dict[str, str]:
    """References of that name and their commits; an annotated tag counts as what it points to."""
    names = [rev] if rev == "HEAD" or rev.startswith("refs/") else [f"refs/{kind}/{rev}" for kind in ("heads", "tags")]
    if "/" in rev and not rev.startswith("refs/"):
        names.append(f"refs/{rev}")
    patterns = [pattern for name in names for pattern in (name, name + "^{}")]

    def ask(address: str, variables: Mapping[str, str], redirects: bool) -> bytes:
        arguments = ("ls-remote", "--quiet", "--", address, *patterns)
        with Git(context).output(
            *arguments, network=True, schemes=_schemes(address), variables=variables, redirects=redirects
        ) as out:
            return out.read_bytes()

    listed: dict[str, str] = {}
    for line in _asking(url, context, ask).decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        listed[name] = commit
    return {name: listed.get(name + "^{}", listed[name]) for name in names if name in listed}


def _whole_name(url: str, prefix: str, context: Context) -> str:
    repository = _repository(url, context)
    with context.lock(_lock_name(url), patient=True):
        _fetch_everything(url, repository, context)
        git = Git(context, repository)
        return git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", prefix + "^{commit}").decode().strip()


def fetch_commit(url: str, commit: str, context: Context) -> Path:
    """A bare repository of ours that has a commit and everything that its tree needs.

    Args:
        url: The repository, as the recipe writes it.
        commit: The whole hexadecimal name.
        context: For the cache, its lock, and git.

    Raises:
        UnreachableError: ``no-commit`` when the repository does not have it, ``git-failed`` when the server does not
            answer.
        InvalidInput: ``bad-url``.
        BuildError: ``no-git``.
    """
    if not _COMMIT.fullmatch(commit):
        raise InvalidInput(f"{commit[:80]!r} is not the whole name of a commit", reference="bad-commit")
    repository = _repository(url, context)
    with context.lock(_lock_name(url), patient=True):
        if _has(repository, commit, context):
            return repository
        try:
            _fetch_one(url, commit, repository, context)
        except (GitFailed, UnreachableError) as first:
            shutil.rmtree(repository, ignore_errors=True)  # damaged, or half of something
            try:
                _fetch_one(url, commit, repository, context)
            except (GitFailed, UnreachableError):
                _fetch_whole(url, commit, repository, context, first)
        return repository


def fetch_history(url: str, commit: str, context: Context) -> Path:
    """A bare repository of ours with a commit, what came before it, and the tags, but no files where that can be.

    Args:
        url: The repository, as the recipe writes it.
        commit: The whole hexadecimal name.
        context: For the cache, its lock, and git.

    Raises:
        UnreachableError: ``git-failed``.
        BuildError: ``no-git``.
    """
    repository = _repository(url, context).with_name(f"{_repository(url, context).name}-history")
    with context.lock(f"{_lock_name(url)}-history", patient=True):
        if not _has(repository, commit, context):
            shutil.rmtree(repository, ignore_errors=True)
            _make(repository, context, sha256=len(commit) == 64)
            specs = (f"{commit}:{_reference(commit)}", "+refs/tags/*:refs/tags/*")
            try:
                _fetch(url, repository, context, "--filter=tree:0", specs=specs)
            except UnreachableError:
                _fetch_everything(url, repository, context)
                Git(context, repository).ask("update-ref", _reference(commit), commit)
    return repository


def forget_commits(url: str, context: Context) -> None:
    """Drop what the cache has of a repository, because it turned out to be damaged."""
    with context.lock(_lock_name(url), patient=True):
        shutil.rmtree(_repository(url, context), ignore_errors=True)


def _fetch_whole(url: str, commit: str, repository: Path, context: Context, first: Exception) -> None:
    shutil.rmtree(repository, ignore_errors=True)
    try:
        _fetch_everything(url, repository, context)
    except UnreachableError:
        raise first if isinstance(first, UnreachableError) else unreachable(url, GitFailed(str(first))) from None
    git = Git(context, repository)
    try:
        git.ask("cat-file", "-e", commit + "^{tree}")
        git.ask("update-ref", _reference(commit), commit)
    except GitFailed:
        raise UnreachableError(
            f"{url} has no commit {commit} on any branch or tag",
            reference="no-commit",
            hint="was it pushed, or has the branch been written anew? `envbuild lock` takes what is there now",
        ) from None


def _has(repository: Path, commit: str, context: Context) -> bool:
    """Whether a fetch of this commit was completed here: its reference is written last."""
    if not (repository / "HEAD").is_file():
        return False
    try:
        Git(context, repository).ask("rev-parse", "--verify", "--quiet", _reference(commit) + "^{commit}")
    except GitFailed:
        return False
    return True


def _fetch_one(url: str, commit: str, repository: Path, context: Context) -> None:
    _make(repository, context, sha256=len(commit) == 64)
    _fetch(url, repository, context, "--depth=1", specs=(f"{commit}:{_reference(commit)}",))


def _fetch_everything(url: str, repository: Path, context: Context) -> None:
    _make(repository, context, sha256=False)
    _fetch(url, repository, context, specs=("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"))


def _make(repository: Path, context: Context, *, sha256: bool) -> None:
    if not (repository / "HEAD").is_file():
        shutil.rmtree(repository, ignore_errors=True)
        form = ("--object-format=sha256",) if sha256 else ()
        repository.parent.mkdir(parents=True, exist_ok=True)
        Git(context).ask("init", "--bare", "--quiet", "--template=", *form, "--", str(repository))
    for left in repository.glob("*.lock"):  # of a git that was killed: we hold the lock of this folder
        left.unlink(missing_ok=True)


def _fetch(url: str, repository: Path, context: Context, *how: str, specs: tuple[str, ...]) -> None:
    def ask(address: str, variables: Mapping[str, str], redirects: bool) -> None:
        arguments = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", *how)
        with Git(context, repository).output(
            *(*arguments, "--", address, *specs),
            network=True,
            schemes=_schemes(address),
            variables=variables,
            redirects=redirects,
        ):
            pass

    _asking(url, context, ask)


def _asking(url: str, context: Context, ask: Callable[[str, Mapping[str, str], bool], _Answer]) -> _Answer:
    """The first answer of the addresses that stand for one.

    Raises:
        UnreachableError: ``git-failed`` when none answers; ``bad-host``, ``unsafe-redirect``.
    """
    check_git_url(url, files=True)  # that files are allowed was decided where the recipe was read
    failed: UnreachableError | None = None
    for address, variables in _addresses(url, context):
        try:
            try:
                return ask(address, variables, False)
            except GitFailed as error:
                if not is_redirect(error):
                    raise
                _check_redirect(address, context)
                return ask(address, variables, True)
        except GitFailed as error:
            failed = failed or unreachable(url, error)
    assert failed is not None
    raise failed


def _check_redirect(address: str, context: Context) -> None:
    """Follow a redirect as git will, by our own rules: never to a link-local address, never from https to http.

    Raises:
        UnreachableError: ``bad-host``, ``unsafe-redirect``, ``redirects``.
    """
    try:
        context.read(f"{address.rstrip('/')}/info/refs?service=git-upload-pack", limit=_ADVERTISED)
    except UnreachableError as error:
        if error.reference in {"bad-host", "unsafe-redirect", "redirects"}:
            raise
    except InvalidInput:
        pass  # more references than are read here: the way there was fine


def _addresses(url: str, context: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """An address or its mirrors; user info of a mirror goes into a variable, for no argument list may hold it."""
    for candidate in context.addresses.candidates(url):
        parts = urlsplit(candidate)
        if parts.scheme == "ssh" or "@" not in parts.netloc:
            yield candidate, {}
            continue
        info, _, host = parts.netloc.rpartition("@")
        bare = parts._replace(netloc=host).geturl()
        header = "Authorization: Basic " + base64.b64encode(unquote(info).encode()).decode()
        variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"http.{bare}.extraHeader"}
        yield bare, {**variables, "GIT_CONFIG_VALUE_0": header}


def _schemes(address: str) -> tuple[str, ...]:
    """Transports for an address: its own, and https for http, which the user's ``insteadOf`` may make of it.

    A user may also have git speak ssh instead of https, to use a key.
    """
    own = urlsplit(address).scheme.lower()
    return (own,) if own == "file" else tuple(dict.fromkeys((own, "https", "ssh")))


def _reference(commit: str) -> str:
    return f"refs/envbuild/{commit}"


def _repository(url: str, context: Context) -> Path:
    return context.engine_cache("git") / digest_bytes(url.encode())[:32]


def _lock_name(url: str) -> str:
    return f"git-{digest_bytes(url.encode())[:32]}"
