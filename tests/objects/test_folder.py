"""A folder as a place: what is half written is never seen, links lead nowhere, and strangers' files are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput, NoSpaceError, UnreachableError
from envbuild.objects.folder import FolderObjects
from tests.case import Case


def test_what_a_killed_put_leaves_is_no_object_and_is_swept_by_the_next(tmp_path: Path) -> None:
    store = tmp_path / "store"
    code = "import sys; from pathlib import Path; from envbuild.objects.folder import FolderObjects; "
    code += "FolderObjects(Path(sys.argv[1])).put('a/b', b'x' * 1000)"
    for point in ("tmp-created", "pre-fsync", "pre-rename"):
        environ = {**os.environ, "ENVBUILD_FAULT": f"{point}:kill"}
        done = subprocess.run([sys.executable, "-c", code, str(store)], env=environ, check=False)
        assert done.returncode == -9
        assert len(list((store / "tmp").iterdir())) == 1
        objects = FolderObjects(store)
        assert objects.read("a/b") is None
        assert "a/b" not in {item.name for item in objects.list("")}
        objects.put("other/" + point, b"")  # sweeps
        assert list((store / "tmp").iterdir()) == []


def test_symbolic_links_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    store = tmp_path / "store"
    objects = FolderObjects(store)
    objects.put("a/b", b"mine")
    (store / "a" / "link").symlink_to(outside / "secret")
    (store / "folder").symlink_to(outside)
    assert objects.read("a/link") is None
    assert objects.sizes(["a/link"]) == {}
    told: dict[str, str] = {}
    assert [item.name for item in objects.list("", told.__setitem__)] == ["a/b"]
    assert told == {"a/link": "is a symbolic link", "folder": "is a symbolic link"}
    for ask in (
        lambda: objects.read("folder/secret"),
        lambda: objects.delete("folder/secret"),
        lambda: objects.put("folder/new", b"x"),
    ):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.reference == "refused"
    with pytest.raises(UnreachableError):
        objects.put("a/link", b"x")  # neither there nor to be replaced
    with pytest.raises(UnreachableError):
        objects.put("a", b"x")
    objects.delete("a/link")
    assert not (store / "a" / "link").is_symlink()
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_what_has_no_name_of_an_object_is_neither_listed_nor_touched(tmp_path: Path) -> None:
    store = tmp_path / "store"
    objects = FolderObjects(store)
    objects.put("a/b", b"mine")
    (store / "a" / "with space").write_text("")
    (store / "a" / "uml\u00e4ut").write_text("")
    os.mkfifo(store / "a" / "pipe")
    (store / "tmp" / "leftover").write_text("")
    told: dict[str, str] = {}
    assert [item.name for item in objects.list("", told.__setitem__)] == ["a/b"]
    no_name = "is no name of an object"
    assert told == {"a/with space": no_name, "a/uml\u00e4ut": no_name, "a/pipe": "is no file"}
    assert objects.read("a/pipe") is None  # and does not wait for a writer
    assert objects.sizes(["a/pipe"]) == {}
    with pytest.raises(InvalidInput):
        objects.read("tmp/leftover")


def test_a_folder_that_is_not_there_holds_nothing_and_is_made_by_the_first_put(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "not" / "yet")
    assert objects.read("a/b") is None
    assert objects.sizes(["a/b"]) == {}
    assert list(objects.list("")) == []
    assert not (tmp_path / "not").exists()
    assert objects.put("a/b", b"x") == "created"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: the test cannot become another user")
def test_a_folder_that_may_not_be_written_refuses_with_what_shares_it(tmp_path: Path) -> None:
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    store = tmp_path / "store"
    FolderObjects(store).put("a/b", b"root's")
    code = """
import os, sys
from pathlib import Path
from envbuild.errors import EnvbuildError
from envbuild.objects.folder import FolderObjects
os.setgroups([]); os.setgid(4000); os.setuid(4001)
objects = FolderObjects(Path(sys.argv[1]))
print(objects.read("a/b"))
for ask in (lambda: objects.put("a/c", b"x"), lambda: objects.put("x/c", b"x"), lambda: objects.delete("a/b")):
    try:
        ask()
    except EnvbuildError as error:
        print(error.reference, error.exit_code, "store init --shared" in (error.hint or ""))
"""
    command = [sys.executable, "-c", code, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == 'b"root\'s"\n' + "refused 5 True\n" * 3, done.stderr


def test_a_full_disk_is_said_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    objects = FolderObjects(store)
    objects.put("a/b", b"x")
    code = """
import resource, sys
from pathlib import Path
from envbuild.errors import NoSpaceError
from envbuild.objects.folder import FolderObjects
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    FolderObjects(Path(sys.argv[1])).put("a/c", b"x" * 1_000_000)
except NoSpaceError as error:
    print(error.exit_code)
"""
    done = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=False)
    assert done.stdout == f"{NoSpaceError.exit_code}\n", done.stderr
    assert objects.read("a/c") is None
    assert list((store / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reference", "hint"),
    [("size=64k,mode=755", "no-space", "run: envbuild gc --store "), ("ro,mode=755", "refused", "mode: read-only")],
)
def test_a_hint_is_about_the_store_s_disk_and_not_the_home_s(
    tmp_path: Path, options: str, reference: str, hint: str
) -> None:
    store = tmp_path / "der Läger"
    store.mkdir()
    code = """
import sys
from pathlib import Path
from envbuild.errors import EnvbuildError
from envbuild.objects.folder import FolderObjects
try:
    FolderObjects(Path(sys.argv[1])).put("a/c", b"x" * 1_000_000)
except EnvbuildError as error:
    print(error.reference, error.hint)
"""
    shell = f'mount -t tmpfs -o {options} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", shell, "sh", str(store), sys.executable, code]
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(store)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("NO MOUNTS: a file system of our own cannot be mounted here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{reference} "), done.stderr
    assert hint in done.stdout
    assert str(store) in done.stdout


def test_a_collection_that_has_no_room_to_announce_says_so_and_is_not_its_own_way_out(case: Case) -> None:
    disk = case.home.parent / "disk"
    disk.mkdir()
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("NO MOUNTS: a file system of our own cannot be mounted here")
    shell = """
mount -t tmpfs -o size=64k,mode=755 tmpfs "$1" && "$2" -m envbuild store init -q "$1/store" || exit 99
head -c 100000 /dev/zero > "$1/other" 2>/dev/null
"$2" -m envbuild gc --store "$1/store"
"""
    command = ["unshare", "-m", "sh", "-c", shell, "sh", str(disk), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=case.project, env=case.environ)
    assert done.returncode == NoSpaceError.exit_code, done.stderr
    assert "hint: free some room there first" in done.stderr


def test_the_order_of_a_put_is_write_sync_link_sync(tmp_path: Path) -> None:
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("NO STRACE: the order of system calls cannot be seen")
    store, log = tmp_path / "store", tmp_path / "log"
    FolderObjects(store).put("a/first", b"x")
    code = "import sys; from pathlib import Path; from envbuild.objects.folder import FolderObjects; "
    code += "FolderObjects(Path(sys.argv[1])).put('a/b', b'x' * 1000)"
    calls = "write,fsync,fdatasync,link,linkat,unlink,unlinkat,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={calls}", sys.executable, "-c", code, str(store)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NO STRACE: {done.stderr[-200:]}")
    order = [
        line.split(None, 1)[1].split("(")[0]
        for line in log.read_text().splitlines()
        if f"{store}" in line and "= -1" not in line
    ]
    names = [name.removesuffix("at") for name in order]
    assert names == ["write", "fsync", "link", "unlink", "fsync"]


def test_times_are_the_folders_own(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "store")
    objects.put("a/b", b"x")
    (item,) = objects.list("")
    assert abs(item.modified - time.time()) < 60
