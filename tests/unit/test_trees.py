"""Source folders: what is packed of them, and that one tree has one digest, whatever machine, mask or clock."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envbuild.builders.canonical_tar import CanonicalTar
from envbuild.builders.links import stays_inside
from envbuild.builders.listing import AskGit, source_files
from envbuild.builders.tree import stream_folder
from envbuild.builders.unpack import unpack_source
from envbuild.errors import BuildError, InvalidInput, UnreachableError
from envbuild.machine.git_names import names_by_git
from tests.support.git_server import Link, Script, git, write_tree

ASK = names_by_git({"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
GOLDEN = "6c274c14a3d8f37eaf33d13dce79fd95b5d2b0a2b0eb194186df6aa0b16fdeac"
TREE = {
    "pyproject.toml": "[project]\n",
    "src/a.py": "a\n",
    "src/mit leer/ü.txt": "ü\n",
    "bin/run": Script("#!/bin/sh\n"),
    "link": Link("src/a.py"),
    "empty": b"",
    "n" * 120 + "/" + "m" * 120: "long\n",
}


def no_git(arguments: object, folder: object) -> None:
    return None


def digest(folder: Path, ask: Callable[..., bytes | None] = ASK) -> str:
    state = hashlib.sha256()
    stream_folder(folder, state.update, ask)
    return state.hexdigest()


def names(folder: Path, ask: Callable[..., bytes | None] = ASK) -> list[str]:
    return source_files(folder, ask)


def pack(folder: Path, target: Path, ask: AskGit) -> None:
    with target.open("wb") as stream:
        stream_folder(folder, stream.write, ask)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder outside of every repository."""
    folder = tmp_path / "plain"
    write_tree(folder, TREE)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The same in a repository, nothing added yet."""
    folder = tmp_path / "repository"
    write_tree(folder, TREE)
    git("init", "--quiet", cwd=folder)
    return folder


# One tree, one digest


def test_the_bytes_are_these() -> None:
    """A digest stands in locks: what this test pins may never change within a format."""
    packed = io.BytesIO()
    tar = CanonicalTar(packed.write)
    tar.add_file("a.py", 2, [b"x", b"\n"], executable=False)
    tar.add_file("b/run", 0, [], executable=True)
    tar.add_link("link", "ü")
    tar.add_file("p" * 200, 1, [b"p"], executable=False)
    tar.close()
    assert hashlib.sha256(packed.getvalue()).hexdigest() == GOLDEN
    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as read:
        members = read.getmembers()
    assert [(member.name, member.mode, member.mtime, member.uid, member.linkname) for member in members] == [
        ("source/a.py", 0o644, 0, 0, ""),
        ("source/b/run", 0o755, 0, 0, ""),
        ("source/link", 0o777, 0, 0, "ü"),
        ("source/" + "p" * 200, 0o644, 0, 0, ""),
    ]


def test_members_must_come_sorted() -> None:
    tar = CanonicalTar(lambda data: None)
    tar.add_file("b", 0, [], executable=False)
    with pytest.raises(ValueError, match="comes after"):
        tar.add_file("a", 0, [], executable=False)


def test_masks_owners_times_and_places_do_not_count(plain: Path, tmp_path: Path) -> None:
    first = digest(plain)
    for path in plain.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
        if path.is_file() and not path.is_symlink():
            path.chmod(0o755 if path.name == "run" else 0o600)
    assert digest(plain) == first
    before = os.umask(0o077)
    try:
        write_tree(tmp_path / "an other plače", TREE)
    finally:
        os.umask(before)
    assert digest(tmp_path / "an other plače") == first


def test_touching_changes_nothing_and_each_edit_does(plain: Path) -> None:
    seen = {digest(plain)}
    (plain / "src/a.py").touch()
    assert digest(plain) in seen
    edits: tuple[Callable[[], object], ...] = (
        lambda: (plain / "src/a.py").write_text("b\n"),
        lambda: (plain / "src/a.py").chmod(0o755),
        lambda: (plain / "new").touch(),
        lambda: (plain / "new").rename(plain / "newer"),
        lambda: (plain / "newer").unlink(),
        lambda: ((plain / "link").unlink(), (plain / "link").symlink_to("bin/run")),
    )
    for edit in edits[:-2]:
        edit()
        now = digest(plain)
        assert now not in seen
        seen.add(now)
    edits[-2]()
    assert digest(plain) in seen  # as before the new file
    edits[-1]()
    assert digest(plain) not in seen


def test_a_folder_is_what_it_was_before(repository: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in [repository, *repository.rglob("*")]:
            at = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = (at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, content)
        return found

    git("add", ".", cwd=repository)
    before = state()
    pack(repository, tmp_path / "packed.tar", ASK)
    assert state() == before


def test_a_packed_tree_comes_out_as_it_went_in(plain: Path, tmp_path: Path) -> None:
    pack(plain, tmp_path / "packed", ASK)
    (tmp_path / "out").mkdir()
    top = unpack_source(tmp_path / "packed", "plain-1.tar", tmp_path / "out")
    assert top.name == "source"
    assert digest(top) == digest(plain)


# What counts


@pytest.mark.parametrize("ask", [ASK, no_git], ids=["git", "no git"])
def test_what_is_ignored_and_what_is_left_behind_is_not_source(
    repository: Path, ask: Callable[..., bytes | None]
) -> None:
    write_tree(
        repository,
        {
            ".gitignore": "*.o\n/build/\n!keep.o\nsecret*\n",
            "a.o": "",
            "keep.o": "",
            "build/lib/x.py": "",
            "src/build/kept.py": "",
            "src/.gitignore": "local\n!secret.py\n",
            "src/local": "",
            "src/secret.py": "",
            "secret.py": "",
            "src/__pycache__/a.pyc": "",
            "stray.pyc": "",
            "toy.egg-info/PKG-INFO": "",
            "recipes/x.yaml": "",
            "recipes/x.lock.yaml": "",
            ".hg/store": "",
        },
    )
    expected = {*TREE, ".gitignore", "keep.o", "src/build/kept.py", "src/.gitignore", "src/secret.py", "recipes/x.yaml"}
    assert set(names(repository, ask)) == expected
    assert names(repository, ask) == sorted(expected, key=str.encode)


def test_what_git_tracks_counts_although_it_is_ignored(repository: Path) -> None:
    write_tree(repository, {".gitignore": "*.dat\n", "tracked.dat": "", "other.dat": ""})
    git("add", "--force", "tracked.dat", cwd=repository)
    assert "tracked.dat" in names(repository)
    assert "other.dat" not in names(repository)
    (repository / "tracked.dat").unlink()
    assert "tracked.dat" not in names(repository)


def test_a_folder_of_a_repository_is_listed_from_itself_and_obeys_what_is_above(repository: Path) -> None:
    write_tree(repository, {".gitignore": "*.o\n/libs/one/only-here\n", "libs/one/a.py": "", "libs/one/b.o": ""})
    write_tree(repository, {"libs/one/only-here": "", "libs/two/only-here": ""})
    for ask in (ASK, no_git):
        assert names(repository / "libs/one", ask) == ["a.py"]
        assert names(repository / "libs/two", ask) == ["only-here"]


def test_a_folder_that_its_repository_ignores_is_read_by_its_own_rules(repository: Path) -> None:
    write_tree(repository, {".gitignore": "vendor/\n", "vendor/x/a.py": "", "vendor/x/.gitignore": "b.py\n"})
    write_tree(repository, {"vendor/x/b.py": ""})
    assert names(repository / "vendor/x") == [".gitignore", "a.py"]


def test_nested_repositories_are_source_as_they_lie_there(repository: Path) -> None:
    inner = repository / "third" / "inner"
    write_tree(inner, {"a.py": "", ".gitignore": "*.o\n", "b.o": ""})
    git("init", "--quiet", cwd=inner)
    assert {"third/inner/a.py", "third/inner/.gitignore"} <= set(names(repository))
    assert "third/inner/b.o" not in names(repository)
    assert not any(".git/" in name for name in names(repository))


def test_the_users_own_ignore_rules_count(repository: Path, tmp_path: Path) -> None:
    write_tree(tmp_path / "user", {".config/git/ignore": ".idea/\n", "elsewhere/git/ignore": "*.swp\n"})
    write_tree(repository, {".idea/x.xml": "", "kept.xml": "", ".a.swp": ""})
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user")}
    assert {*names(repository)} - {*names(repository, names_by_git(home))} == {".idea/x.xml"}
    other = {**home, "XDG_CONFIG_HOME": str(tmp_path / "user" / "elsewhere")}
    assert {*names(repository)} - {*names(repository, names_by_git(other))} == {".a.swp"}


def test_somebody_elses_repository_is_listed_too(repository: Path) -> None:
    """git refuses folders of other users because of their configuration, which counts for nothing here."""
    environ = {**os.environ, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    refused = subprocess.run(["git", "ls-files"], cwd=repository, env=environ, capture_output=True)
    if refused.returncode == 0:
        pytest.skip("THIS GIT CANNOT PRETEND that a folder is somebody else's")
    from envbuild.machine import process

    allowed = process._ALWAYS
    try:
        process._ALWAYS = allowed | {"GIT_TEST_ASSUME_DIFFERENT_OWNER"}
        assert names(repository, names_by_git(environ)) == sorted(TREE, key=str.encode)
    finally:
        process._ALWAYS = allowed


def test_a_broken_repository_is_said(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"nonsense")
    with pytest.raises(BuildError, match="git cannot list") as error:
        names(repository)
    assert error.value.reference == "git-failed"


# What is refused


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as error:
        digest(tmp_path / "nothing")
    assert error.value.reference == "no-folder"


def test_a_folder_without_source(tmp_path: Path) -> None:
    write_tree(tmp_path / "x", {".hg/a": "", "a.pyc": ""})
    with pytest.raises(InvalidInput, match="holds no source"):
        digest(tmp_path / "x")


@pytest.mark.parametrize("target", ["/etc/passwd", "../plain2", "src/../../x", "up/../.."])
def test_H21_links_that_leave_the_folder(plain: Path, target: str) -> None:
    write_tree(plain, {"bad": Link(target), "up": Link("src/mit leer/..")})
    with pytest.raises(InvalidInput, match="leads out of its folder") as error:
        digest(plain)
    assert error.value.reference == "bad-source"
    assert "bad" in error.value.message or "up" in error.value.message


def test_links_that_stay_inside_are_kept_also_when_they_lead_nowhere(plain: Path, tmp_path: Path) -> None:
    write_tree(plain, {"src/up": Link("../bin/run"), "dangling": Link("not/there"), "src/top": Link("..")})
    pack(plain, tmp_path / "packed", ASK)
    with tarfile.open(tmp_path / "packed") as tar:
        links = {member.name: member.linkname for member in tar if member.issym()}
    assert links == {
        "source/link": "src/a.py",
        "source/src/up": "../bin/run",
        "source/dangling": "not/there",
        "source/src/top": "..",
    }


def test_H29_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "good").touch()
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).touch()
    except OSError:
        pytest.skip("THIS FILE SYSTEM takes UTF-8 names only")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        digest(folder)


def test_a_file_that_changes_while_it_is_read(plain: Path) -> None:
    (plain / "growing").write_bytes(b"x" * 3_000_000)

    def write(data: bytes) -> None:
        if len(data) > 100_000:
            with (plain / "growing").open("ab") as stream:
                stream.write(b"more")

    with pytest.raises(InvalidInput, match="was written to while it was read"):
        stream_folder(plain, write, ASK)


def test_pipes_are_passed_over_and_do_not_hang(plain: Path) -> None:
    os.mkfifo(plain / "pipe")
    before = threading.active_count()
    assert "pipe" not in names(plain)
    digest(plain)
    assert threading.active_count() == before


# Links as a map

PARTS = st.sampled_from(["a", "b", "c", "..", "."])
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)


@given(st.dictionaries(PATHS, TARGETS, max_size=5))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_said_of_links_is_what_the_kernel_does(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]
) -> None:
    links = {path: target for path, target in links.items() if not any(path.startswith(f"{it}/") for it in links)}
    outer = tmp_path_factory.mktemp("links")
    folder = outer / "x" / "root"
    folder.mkdir(parents=True)
    for path, target in links.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(target)
    for path in links:
        if stays_inside(path, links):
            try:
                real = os.path.realpath(folder / path, strict=True)
            except OSError:
                continue  # leads nowhere, or in a circle
            assert (real + "/").startswith(os.path.realpath(folder) + "/"), (path, links)


# Any tree

NAMES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=12
).filter(
    lambda name: (
        name not in {".", "..", ".git", ".gitignore", ".hg", ".svn", ".bzr", "__pycache__"}
        and not name.endswith((".egg-info", ".pyc", ".pyo", ".lock.yaml"))
        and not any(ord(letter) < 32 or letter in "\\\x7f" for letter in name)
        and len(name.encode()) < 200
    )
)
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.tuples(st.binary(max_size=2000), st.booleans()),
    min_size=1,
)


@given(FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_packs_and_unpacks_to_itself_and_tarfile_agrees(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, tuple[bytes, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    made: dict[str, tuple[bytes, bool]] = {}
    for name, (content, executable) in files.items():
        path = folder / "in" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:
            continue  # a folder of that name is there, or a file above
        path.chmod(0o755 if executable else 0o644)
        made[name] = (content, executable)
    pack(folder / "in", folder / "packed", no_git)
    (folder / "out").mkdir()
    top = unpack_source(folder / "packed", "x-1.tar", folder / "out")
    ours = {
        str(path.relative_to(top)): (path.read_bytes(), path.stat().st_mode & 0o777 == 0o755)
        for path in top.rglob("*")
        if path.is_file()
    }
    assert ours == made
    with tarfile.open(folder / "packed") as tar:
        theirs = {
            member.name.removeprefix("source/"): (tar.extractfile(member).read(), member.mode == 0o755)  # type: ignore[union-attr]
            for member in tar
        }
    assert theirs == made
