"""Addresses: what they mean, what is refused and how it is said (H64-H66 and H69 of the hostile inputs)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.errors import InvalidInput, UsageError
from envbuild.objects.address import parse_address
from envbuild.objects.folder import FolderObjects, make_shared
from envbuild.objects.opening import open_objects


@pytest.mark.parametrize(
    ("text", "scheme", "bucket", "path", "shown"),
    [
        ("/srv/store", "file", "", "/srv/store", "file:///srv/store"),
        ("file:///srv/a%20store", "file", "", "/srv/a store", "/srv/a store"),
        ("file://localhost/srv/store/", "file", "", "/srv/store", "file:///srv/store"),
        ("s3://bucket", "s3", "bucket", "", "s3://bucket"),
        ("s3://bucket/team/store/", "s3", "bucket", "team/store", "s3://bucket/team/store"),
        ("s3://b.uc-ket/x?region=eu-west-1", "s3", "b.uc-ket", "x", "s3://b.uc-ket/x"),
        ("gs://bucket/x", "gs", "bucket", "x", "gs://bucket/x"),
        ("gcs://bucket/x", "gs", "bucket", "x", "gs://bucket/x"),
        ("az://container/x?account=acc", "az", "container", "x", "az://container/x?account=acc"),
        ("abfs://con@acc.dfs.core.windows.net/x", "az", "con", "x", "az://con/x?account=acc"),
        ("abfss://con/x", "az", "con", "x", "az://con/x"),
        ("https://example.org/store", "https", "", "", "https://example.org/store"),
        ("memory://a", "memory", "a", "", "memory://a"),
    ],
)
def test_an_address_means_this(text: str, scheme: str, bucket: str, path: str, shown: str) -> None:
    address = parse_address(text)
    assert (address.scheme, address.bucket, address.path, address.shown) == (scheme, bucket, path, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "store",
        "./store",
        "s3:/x",
        "s3:x",
        "s3://",
        "s3:///x",
        "s3://bucket/../x",
        "s3://bucket/a b",
        "s3://bucket/x#fragment",
        "s3://bucket:9000/x",
        "s3://KEY:SECRET@bucket/x",
        "s3://KEY@bucket/x",
        "s3://bucket/x?endpoint=ftp://host",
        "s3://bucket/x?endpoint=http://user:word@host",
        "s3://bucket/x?secret=SECRET",
        "s3://bucket/x?key=SECRET",
        "s3://bucket/x?anonymous=yes",
        "s3://bucket/x?region=a;b",
        "gs://bucket/x?account=y",
        "az://container@acc.example.org/x",
        "az://container/x?account=a/b",
        "file::s3://bucket/x",
        "simplecache::s3://bucket/x",
        "filecache::file:///etc",
        "s3://bucket::file:///etc",
        "zip://a.zip",
        "github://org:repo@/",
        "sftp://host/x",
        "reference://x",
        "data:,x",
        "local:///x",
        "file://host/x",
        "file:///",
        "file:///a/../b",
        "file:///a?x=y",
        "/",
        "https://",
        "https://user:SECRET@host/x",
        "https://host/x?token=SECRET",
        "memory://a/b",
        "memory://",
        "s3://bucket/x\n",
        "s3://bucket/\x1b[31m",
        "s3://" + "a" * 3000,
    ],
)
def test_what_is_no_address_is_refused_in_one_line_without_its_secrets(text: str) -> None:
    if text.endswith("\n"):
        assert parse_address(text).path == "x"  # space around an address is nobody's intention
        return
    with pytest.raises(InvalidInput) as caught:
        open_objects(text)
    error = caught.value
    assert error.reference == "bad-address"
    for part in (error.message, error.hint or ""):
        assert "SECRET" not in part
        assert "word" not in part or "password" in part
        assert part.isprintable()


def test_the_hint_for_a_port_can_be_typed() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address("s3://bucket:9000/x")
    assert caught.value.hint == "write s3://bucket/path?endpoint=https://host:port"
    assert parse_address("s3://bucket/path?endpoint=https://host:9000").option("endpoint") == "https://host:9000"


def test_a_name_of_a_user_may_stand_in_a_web_address_and_is_not_shown() -> None:
    assert "token" not in parse_address("https://token@example.org/x").shown


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = """
import sys
from envbuild.objects.opening import open_objects
from envbuild.objects.probe import probe
for url in ("s3://b/x", "gs://b/x", "az://c/x?account=a", "https://h/x", "memory://m", "/tmp/never-made"):
    open_objects(url)
heavy = {"fsspec", "s3fs", "gcsfs", "adlfs", "azure.storage.blob", "botocore", "aiohttp", "requests", "google.auth"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert not Path("/tmp/never-made").exists()


@pytest.mark.parametrize(
    ("url", "library", "extra"), [("s3://b/x", "s3fs", "s3"), ("gs://b", "gcsfs", "gs"), ("az://c", "adlfs", "azure")]
)
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as the import system has it for what is not to be found
    with pytest.raises(UsageError) as caught:
        open_objects(url)
    assert caught.value.reference == "missing-extra"
    assert caught.value.hint == f"run: pip install 'envbuild[{extra}]'"
    assert library in caught.value.message


def test_a_library_that_breaks_while_it_is_imported_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from envbuild.errors import UnreachableError

    objects = open_objects("s3://b/x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UnreachableError) as caught:
        objects.read("a")
    assert caught.value.reference == "missing-extra"


def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidInput) as caught:
        open_objects(f"file://{tmp_path}")
    assert caught.value.reference == "unsafe-folder"
    assert caught.value.hint == f"chmod o-w {tmp_path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: folders cannot be given to somebody else")
def test_a_folder_of_somebody_else_must_be_shared(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    os.chown(store, 12345, 12345)
    with pytest.raises(InvalidInput) as caught:
        open_objects(f"file://{store}")
    assert caught.value.reference == "unsafe-folder"
    make_shared(store)
    assert open_objects(f"file://{store}").put("a/b", b"x") == "created"


def test_what_is_made_in_a_shared_folder_is_shared_whatever_the_mask_says(tmp_path: Path) -> None:
    store = tmp_path / "store"
    make_shared(store)
    before = os.umask(0o077)
    try:
        objects = FolderObjects(store)
        objects.put("blobs/sha256/ab/one", b"1")
        objects.put("results/fetch/cd/two.json", b"{}")
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(store)): oct(stat.S_IMODE(path.stat().st_mode)) for path in [store, *store.rglob("*")]
    }
    assert modes == {
        ".": "0o2775",
        "tmp": "0o2775",
        "blobs": "0o2775",
        "blobs/sha256": "0o2775",
        "blobs/sha256/ab": "0o2775",
        "blobs/sha256/ab/one": "0o444",
        "results": "0o2775",
        "results/fetch": "0o2775",
        "results/fetch/cd": "0o2775",
        "results/fetch/cd/two.json": "0o644",
    }


def test_what_is_no_folder_is_said_to_be_none_and_nobody_is_told_to_change_a_device(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    for path in ("/dev/null", str(tmp_path / "a file")):
        with pytest.raises(InvalidInput, match="is no folder") as caught:
            open_objects(path)
        assert caught.value.reference == "bad-address"
    (tmp_path / "every one").mkdir(mode=0o777)
    (tmp_path / "every one").chmod(0o777)
    with pytest.raises(InvalidInput) as caught:
        open_objects(str(tmp_path / "every one"))
    assert caught.value.hint == f"chmod o-w '{tmp_path}/every one'"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: the test cannot become other users")
def test_two_users_of_a_group_share_a_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    store = tmp_path / "store"
    make_shared(store)
    os.chown(store, 4001, 4000)
    store.chmod(0o2775)
    code = """
import os, sys
from pathlib import Path
from envbuild.objects.folder import FolderObjects
os.setgroups([]); os.setgid(4000); os.setuid(int(sys.argv[1])); os.umask(0o077)
objects = FolderObjects(Path(sys.argv[2]))
mine = sys.argv[1]
print(objects.put("shared/one", mine.encode()), objects.put("of/" + mine, b"mine"), objects.read("shared/one"))
if mine == "4002":
    objects.delete("of/4001"); print(objects.sizes(["of/4001", "of/4002"]), len(list(objects.list(""))))
"""
    outs = []
    for user in ("4001", "4002"):
        command = [sys.executable, "-c", code, user, str(store)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outs.append(done.stdout)
    assert outs == ["created created b'4001'\n", "exists created b'4001'\n{'of/4002': 4} 2\n"]


@pytest.mark.parametrize("path", ["/srv/läden und so/team", "/srv/100%", "/srv/a#b", "/srv/what?", "/srv/plain"])
def test_a_folder_of_any_name_is_shown_as_it_can_be_typed(path: str) -> None:
    address = parse_address(path)
    assert address.path == path
    assert parse_address(address.shown).path == path
    assert open_objects(path).address == address.shown


@pytest.mark.parametrize("text", ["/srv/a\nb", "/srv/a\x1b[31m", "file:///srv/a b", "s3://bucket/a b"])
def test_line_breaks_and_spaces_in_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_address(text)
    assert caught.value.reference == "bad-address"
