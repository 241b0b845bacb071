"""Git sources: which commit is meant, what is packed of it, and that it is fetched once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from envbuild.addresses import Addresses
from envbuild.builders.git import resolve_commit
from envbuild.builders.git_tree import submodule_address
from envbuild.builders.unpack import unpack_source
from envbuild.derivations import Context
from envbuild.digest import Digest
from envbuild.errors import BuildError, EnvbuildError, IntegrityError, InvalidInput, UnreachableError
from envbuild.machine.workspace import Workspace
from envbuild.package import FolderOrigin, GitOrigin
from envbuild.recipe import GitSource
from tests.support.bring_once import job
from tests.support.cache import CHECKOUT
from tests.support.git_server import GitServer, Link, Repository, Script, git
from tests.support.servers import Server

TREE = {
    "pyproject.toml": "[project]\nname = 'toy'\nversion = '1'\n",
    "src/toy/__init__.py": "x = 1\n",
    "src/töy/mit leer.py": "y = 1\r\n",
    "configure": Script("#!/bin/sh\n"),
    "latest": Link("src/toy"),
    "data.bin": bytes(range(256)) * 300,
    ".gitattributes": "*.py text eol=crlf\n*.txt export-subst filter=evil\nunseen export-ignore\n",
    "unseen": "still here\n",
    "version.txt": "$Format:%H$\n",
}


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration or credentials of the user who runs the tests."""
    (tmp_path / "nobody").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def workspace(home: Path, tmp_path: Path, said: list[str]) -> Iterator[Workspace]:
    with Workspace(home, Addresses(root=str(tmp_path)), durability="fast", note=said.append) as made:
        yield made


@pytest.fixture
def context(workspace: Workspace) -> Iterator[Context]:
    with job(workspace) as made:
        yield made


@pytest.fixture
def toy(git_server: GitServer) -> SimpleNamespace:
    repository = git_server.repository("toy")
    first = repository.commit(TREE)
    repository.tag("v1.0")
    repository.branch("feature/x")
    second = repository.commit({"more.py": "z = 1\n"})
    repository.tag("light", annotated=False)
    git("checkout", "--quiet", "main", cwd=repository.folder)
    return SimpleNamespace(url=git_server.url("toy"), first=first, second=second, repository=repository)


def origin(url: str, commit: str) -> GitOrigin:
    return GitOrigin(url=url, commit=commit, file="toy-1.tar")


def digest(context: Context, where: GitOrigin | FolderOrigin) -> Digest:
    return context.fetch(where, sha256=None, size=None).sha256


def unpacked(context: Context, sha256: Digest, folder: Path) -> Path:
    folder.mkdir()
    return unpack_source(context.fetched(sha256), "toy-1.tar", folder)


# Which commit


def test_a_branch_a_tag_a_commit_or_nothing_names_one_commit(toy: SimpleNamespace, context: Context) -> None:
    meant = {
        None: toy.first,
        "HEAD": toy.first,
        "main": toy.first,
        "v1.0": toy.first,
        "refs/tags/v1.0": toy.first,
        "tags/v1.0": toy.first,
        "feature/x": toy.second,
        "refs/heads/feature/x": toy.second,
        "heads/feature/x": toy.second,
        "light": toy.second,
        toy.second: toy.second,
        toy.second.upper(): toy.second,
        toy.second[:9]: toy.second,
    }
    for rev, commit in meant.items():
        assert resolve_commit(GitSource(git=toy.url, rev=rev), context) == commit, rev


def test_a_whole_commit_is_resolved_without_a_server(context: Context) -> None:
    assert resolve_commit(GitSource(git="https://nowhere.invalid/x.git", rev="a" * 40), context) == "a" * 40


def test_an_unknown_name_says_so(toy: SimpleNamespace, context: Context) -> None:
    for rev in ("nope", "abcdef012", "refs/heads/nope"):
        with pytest.raises(InvalidInput, match=f"no branch, tag or commit {rev}") as error:
            resolve_commit(GitSource(git=toy.url, rev=rev), context)
        assert error.value.reference == "no-revision"


def test_a_repository_without_a_commit_says_so(git_server: GitServer, context: Context) -> None:
    git_server.repository("empty")
    with pytest.raises(InvalidInput, match="no commit yet"):
        resolve_commit(GitSource(git=git_server.url("empty")), context)


def test_a_branch_and_a_tag_of_one_name_are_ambiguous_unless_they_agree(toy: SimpleNamespace, context: Context) -> None:
    git("branch", "light", toy.first, cwd=toy.repository.folder)
    with pytest.raises(InvalidInput, match="refs/heads/light and refs/tags/light") as error:
        resolve_commit(GitSource(git=toy.url, rev="light"), context)
    assert error.value.reference == "ambiguous-revision"
    git("branch", "--force", "light", toy.second, cwd=toy.repository.folder)
    assert resolve_commit(GitSource(git=toy.url, rev="light"), context) == toy.second


# What is packed


def test_a_commit_and_its_checkout_are_one_tree(git_server: GitServer, context: Context, tmp_path: Path) -> None:
    inner = git_server.repository("inner")
    inner.commit({"deep.txt": "old\n"})
    repository = git_server.repository("plain")
    repository.commit({name: content for name, content in TREE.items() if name != ".gitattributes"})
    repository.submodule("../inner.git", "lib/inner")
    url = git_server.url("plain")
    git("clone", "--quiet", "--recurse-submodules", url, "copy", cwd=tmp_path)
    of_folder = digest(context, FolderOrigin(path="copy", file="toy-1.tar"))
    assert digest(context, origin(url, repository.head())) == of_folder


def test_content_is_what_git_stores_and_nothing_is_converted(
    toy: SimpleNamespace, context: Context, tmp_path: Path
) -> None:
    top = unpacked(context, digest(context, origin(toy.url, toy.first)), tmp_path / "out")
    assert top.name == "source"
    assert (top / "version.txt").read_text() == "$Format:%H$\n"
    assert (top / "unseen").read_text() == "still here\n"
    assert (top / "src/toy/__init__.py").read_bytes() == b"x = 1\n"
    assert (top / "data.bin").read_bytes() == TREE["data.bin"]
    assert str((top / "latest").readlink()) == "src/toy"
    assert (top / "configure").stat().st_mode & 0o777 == 0o755
    assert not (top / ".git").exists()


def test_submodules_are_in_the_tree_at_their_commits(
    toy: SimpleNamespace, git_server: GitServer, context: Context, tmp_path: Path
) -> None:
    inner = git_server.repository("inner")
    inner.commit({"deep.txt": "old\n"})
    middle = git_server.repository("middle")
    middle.submodule("../inner.git", "lib/inner")
    outer = git_server.repository("outer")
    outer.commit({"a.txt": "a\n", "z.txt": "z\n"})
    outer.submodule(git_server.url("middle"), "m")
    inner.commit({"deep.txt": "new\n"})  # what the commit names counts, not what is newest
    top = unpacked(context, digest(context, origin(git_server.url("outer"), outer.head())), tmp_path / "out")
    files = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    assert files == {"a.txt", "z.txt", ".gitmodules", "m/.gitmodules", "m/lib/inner/deep.txt"}
    assert (top / "m/lib/inner/deep.txt").read_text() == "old\n"


def test_addresses_of_submodules_are_relative_to_their_parent() -> None:
    parent = "https://host/team/outer.git"
    assert submodule_address("../inner.git", parent) == "https://host/team/inner.git"
    assert submodule_address("../../other/inner", parent + "/") == "https://host/other/inner"
    assert submodule_address("./inner", parent) == "https://host/team/outer.git/inner"
    assert submodule_address("git@host:team/x.git", parent) == "ssh://git@host/team/x.git"
    assert submodule_address("../inner", "ssh://git@host/team/outer") == "ssh://git@host/team/inner"


def test_files_of_git_lfs_are_pointers_and_that_is_said_once(
    git_server: GitServer, context: Context, said: list[str]
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    repository = git_server.repository("large")
    commit = repository.commit({"a.bin": pointer, "b.bin": pointer + "\n", ".gitattributes": "*.bin filter=lfs\n"})
    digest(context, origin(git_server.url("large"), commit))
    assert [text for text in said if "Git LFS" in text] == [
        "the repository keeps files in Git LFS: they are packed as the pointers that the commit holds"
    ]


# Once


def test_a_commit_in_the_store_needs_no_server_again(
    toy: SimpleNamespace, git_server: GitServer, context: Context, workspace: Workspace
) -> None:
    first = digest(context, origin(toy.url, toy.first))
    git_server.close()
    assert digest(context, origin(toy.url, toy.first)) == first
    shutil.rmtree(workspace.home.cache)
    output = context.fetch(origin(toy.url, toy.first), sha256=first, size=None)
    assert output.sha256 == first


def test_two_homes_give_one_digest(toy: SimpleNamespace, tmp_path: Path) -> None:
    found = set()
    for name, mask in (("one", 0o002), ("two", 0o077)):
        before = os.umask(mask)
        try:
            with Workspace(tmp_path / name, Addresses(root="/"), durability="fast") as workspace, job(workspace) as it:
                found.add(digest(it, origin(toy.url, toy.first)))
        finally:
            os.umask(before)
    assert len(found) == 1


def test_a_cache_that_is_damaged_or_gone_is_made_anew(
    toy: SimpleNamespace, context: Context, workspace: Workspace
) -> None:
    first = digest(context, origin(toy.url, toy.first))
    cache = workspace.home.cache / "git"
    for harm in ("packs", "head", "gone", "locked"):
        blob = workspace.store.blobs.path(first)
        if blob is not None:
            blob.unlink()
        (repository,) = cache.iterdir()
        if harm == "packs":
            for path in repository.rglob("*.pack"):
                path.chmod(0o644)
                path.write_bytes(path.read_bytes()[:40])
        elif harm == "head":
            (repository / "HEAD").write_text("nonsense")
        elif harm == "locked":
            (repository / "shallow.lock").touch()
            shutil.rmtree(repository / "refs" / "envbuild")
        else:
            shutil.rmtree(cache)
        again = digest(context, origin(toy.url, toy.first))
        assert again == first, harm


def test_sixteen_processes_that_need_one_commit_fetch_it_once(
    toy: SimpleNamespace, git_server: GitServer, home: Path, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "tests.support.bring_once"]
    words = [str(tmp_path), f"git {toy.url} {toy.first}"]
    subprocess.run([*argv, str(tmp_path / "alone"), *words], cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    alone = git_server.count("*git-upload-pack", "POST")
    git_server.forget()
    others = [
        subprocess.Popen([*argv, str(home), *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(16)
    ]
    answers = {process.communicate(timeout=300)[0] for process in others}
    assert all(process.returncode == 0 for process in others)
    assert len(answers) == 1
    assert git_server.count("*git-upload-pack", "POST") == alone


def test_a_process_that_is_killed_leaves_nothing_in_the_way(toy: SimpleNamespace, home: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.support.bring_once", str(home), str(tmp_path), f"git {toy.url} {toy.first}"]
    began = time.monotonic()
    alone = subprocess.run(
        [*argv[:3], str(tmp_path / "alone"), *argv[4:]], cwd=CHECKOUT, capture_output=True, text=True
    )
    took = time.monotonic() - began
    for share in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9):
        process = subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(took * share)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
        assert done.stdout == alone.stdout, (share, done.stderr)
        shutil.rmtree(home)


# Servers


def test_what_the_lock_says_must_come(toy: SimpleNamespace, context: Context) -> None:
    with pytest.raises(IntegrityError, match=toy.first) as error:
        context.fetch(origin(toy.url, toy.first), sha256=Digest("1" * 64), size=None)
    assert error.value.reference == "wrong-tree"


def test_a_commit_that_is_not_there_is_named(toy: SimpleNamespace, context: Context) -> None:
    with pytest.raises(UnreachableError, match="1" * 40) as error:
        digest(context, origin(toy.url, "1" * 40))
    assert error.value.reference == "no-commit"


def test_an_old_commit_of_a_server_that_gives_no_single_commits(
    toy: SimpleNamespace, serving: Callable[..., Server], context: Context
) -> None:
    newest = toy.repository.commit({"last.py": "w = 1\n"})
    git("update-server-info", cwd=toy.repository.folder)
    dumb = serving(toy.repository.folder / ".git")  # plain files: git's oldest way
    assert resolve_commit(GitSource(git=dumb.url, rev="main"), context) == newest
    by_files = digest(context, origin(dumb.url, toy.first))
    assert by_files == digest(context, origin(toy.url, toy.first))


def test_a_server_that_is_gone_or_refuses_is_exit_5_without_a_question(
    toy: SimpleNamespace, git_server: GitServer, context: Context
) -> None:
    git_server.require_basic("user", "hunter2")
    with pytest.raises(UnreachableError) as error:
        digest(context, origin(toy.url, toy.first))
    assert error.value.exit_code == 5
    assert "netrc" in (error.value.hint or "")
    netrc = Path(os.environ["HOME"]) / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
    netrc.chmod(0o600)
    assert digest(context, origin(toy.url, toy.first))
    git_server.close()
    with pytest.raises(UnreachableError, match="cannot read"):
        digest(context, origin(toy.url, toy.second))


def test_a_mirror_is_asked_instead_and_its_password_is_in_no_argument(
    toy: SimpleNamespace, git_server: GitServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.require_basic("user", "hunter2")
    mirror = git_server.url().replace("://", "://user:hunter2@") + "/"
    addresses = Addresses(root=str(tmp_path), mirrors=(("https://code.invalid/", (mirror,)),))
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/argv"\nexec "{shutil.which("git")}" "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}{os.pathsep}{os.environ['PATH']}")
    with Workspace(home, addresses, durability="fast") as workspace, job(workspace) as context:
        url = "https://code.invalid/toy.git"
        assert resolve_commit(GitSource(git=url, rev="v1.0"), context) == toy.first
        assert digest(context, origin(url, toy.first))
    assert "127.0.0.1" in (tmp_path / "argv").read_text()
    assert "hunter2" not in (tmp_path / "argv").read_text()
    for path in home.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_a_moved_repository_is_followed_but_not_to_a_link_local_address(
    toy: SimpleNamespace, git_server: GitServer, context: Context, serving: Callable[..., Server]
) -> None:
    old = serving(lambda request: None)
    old.fault("/toy.git/*", redirect=f"{toy.url}/info/refs?service=git-upload-pack", times=99)
    assert resolve_commit(GitSource(git=f"{old.url}/toy.git"), context) == toy.first
    git_server.redirect = "http://169.254.169.254"
    with pytest.raises(UnreachableError) as error:
        resolve_commit(GitSource(git=toy.url), context)
    assert error.value.reference == "bad-host"


def test_ssh_is_spoken_in_batch_mode_by_the_command_of_the_user(
    toy: SimpleNamespace, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in ssh's place notes its arguments and runs what the other end would."""
    spy = tmp_path / "my programs" / "ssh"
    spy.parent.mkdir()
    spy.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{tmp_path}/argv'\nfor last; do :; done\nexec /bin/sh -c \"$last\"\n"
    )
    spy.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", f"'{spy}' -i key")
    url = f"ssh://git@code.invalid:2222{toy.repository.folder}"
    assert resolve_commit(GitSource(git=url, rev="v1.0"), context) == toy.first
    assert digest(context, origin(url, toy.first)) == digest(context, origin(toy.url, toy.first))
    words = (tmp_path / "argv").read_text().splitlines()
    assert {"-i", "-oBatchMode=yes", "git@code.invalid", "2222"} <= set(words)


def test_ssh_without_a_key_ends_without_a_question(
    toy: SimpleNamespace, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "bin" / "ssh"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'git@code.invalid: Permission denied (publickey).' >&2\nexit 255\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UnreachableError, match="Permission denied") as error:
        resolve_commit(GitSource(git="ssh://git@code.invalid/x.git"), context)
    assert "ssh agent" in (error.value.hint or "")


def test_without_git_the_error_says_what_to_install(
    toy: SimpleNamespace, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for attempt in (
        lambda: resolve_commit(GitSource(git=toy.url), context),
        lambda: digest(context, origin(toy.url, toy.first)),
    ):
        with pytest.raises(BuildError, match="no program `git`") as error:
            attempt()
        assert error.value.reference == "no-git"


# What a repository may not do


def names_of(tree: bytes, repository: Repository) -> str:
    """A commit whose tree is given by its raw lines, also such as git would refuse to make."""
    folder = repository.folder
    name = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        input=tree,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    commit = git("commit-tree", "-m", "hostile", name.stdout.decode().strip(), cwd=folder)
    git("update-ref", "refs/heads/hostile", commit, cwd=folder)
    return commit


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"a\\b", b"a\nb", b"\xff\xfe", b"."])
def test_H20_H29_names_that_no_source_may_have(name: bytes, git_server: GitServer, context: Context) -> None:
    repository = git_server.repository("hostile")
    repository.commit({"a": "a"})
    blob = git("rev-parse", "HEAD:a", cwd=repository.folder)
    commit = names_of(b"100644 " + name + b"\0" + bytes.fromhex(blob), repository)
    with pytest.raises(EnvbuildError) as error:
        digest(context, origin(git_server.url("hostile"), commit))
    assert error.value.exit_code in {3, 5}
    assert "\n" not in error.value.message


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside", "loop"])
def test_H21_links_that_leave_the_repository(target: str, git_server: GitServer, context: Context) -> None:
    repository = git_server.repository("hostile")
    commit = repository.commit({"a/b": "b", "loop": Link(target)})
    with pytest.raises(InvalidInput, match="leads out") as error:
        digest(context, origin(git_server.url("hostile"), commit))
    assert error.value.reference == "bad-source"


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch${IFS}/tmp/x",
        "file:///etc",
        "/etc",
        "../../../../../etc",
        "-u./payload",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@host/-oProxyCommand",
        "http://169.254.169.254/x",
        "https://user:password@host/x",
    ],
)
def test_H10_addresses_of_submodules_pass_the_same_check(url: str, git_server: GitServer, context: Context) -> None:
    inner = git_server.repository("inner")
    inner.commit({"a": "a"})
    outer = git_server.repository("outer")
    outer.submodule(git_server.url("inner"), "sub")
    commit = outer.commit({".gitmodules": f'[submodule "sub"]\n\tpath = sub\n\turl = "{url}"\n'})
    git_server.forget()
    with pytest.raises(InvalidInput) as error:
        digest(context, origin(git_server.url("outer"), commit))
    assert error.value.reference in {"bad-url", "secret-in-url"}
    assert git_server.count("/inner*") == 0
    assert "password" not in error.value.message.replace("a user or password", "")


def test_H10_no_configuration_of_a_repository_runs_anything(
    toy: SimpleNamespace, context: Context, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    trap.chmod(0o755)
    folder = toy.repository.folder
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "filter.evil.clean", "filter.evil.smudge"):
        git("config", name, str(trap), cwd=folder)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        shutil.copy(trap, folder / ".git" / "hooks" / hook)
    assert digest(context, FolderOrigin(path=os.path.relpath(folder, tmp_path), file="toy-1.tar"))
    assert not mark.exists()
