"""The workspace: fetches, healing, races, kills, and a disk that refuses."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from envbuild.addresses import Addresses
from envbuild.derivations.fetch import Fetch, realise
from envbuild.digest import Digest
from envbuild.errors import (
    EnvbuildError,
    IntegrityError,
    InvalidInput,
    NoSpaceError,
    StaleError,
    UnreachableError,
    UsageError,
)
from envbuild.machine import kernel_lock
from envbuild.machine.home import Home, find_home, open_home
from envbuild.machine.kernel_lock import KernelLock
from envbuild.machine.publish import Durability
from envbuild.machine.workspace import Workspace
from envbuild.package import IndexOrigin, UrlOrigin
from envbuild.store.folder import open_store
from envbuild.store.verify import verify_store
from tests.support.cache import CHECKOUT
from tests.support.servers import Body, Server

Serving = Callable[..., Server]
DATA = os.urandom(3_000_000)
SHA = Digest(hashlib.sha256(DATA).hexdigest())
PUBLISH_FAULTS = (
    "lock-taken",
    "tmp-created",
    "mid-download",
    "post-download-pre-hash",
    "pre-fsync",
    "pre-rename",
    "post-rename-pre-result",
)


@pytest.fixture
def server(serving: Serving) -> Server:
    return serving(lambda request: Body(data=DATA))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def workspace(home: Path, tmp_path: Path, said: list[str]) -> Workspace:
    with Workspace(home, Addresses(root=str(tmp_path)), note=said.append) as made:
        yield made


def fetch_of(server: Server) -> Fetch:
    return Fetch(sha256=SHA, file="a.whl", origin=UrlOrigin(url=f"{server.url}/a.whl", file="a.whl"), size=len(DATA))


def other_process(home: Path, server: Server, *, fault: str = "", **options: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.support.fetch_once", str(home), f"{server.url}/a.whl", SHA, str(len(DATA))]
    environ = {**os.environ, "ENVBUILD_FAULT": fault, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        argv, cwd=CHECKOUT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_fetch_is_known_afterwards_and_fetched_once(workspace: Workspace, server: Server) -> None:
    fetch = fetch_of(server)
    assert workspace.known([fetch]) == {}
    outputs = realise(fetch, workspace.for_job(fetch, {}))
    assert workspace.known([fetch]) == {fetch.key: outputs}
    assert realise(fetch, workspace.for_job(fetch, {})) == outputs
    path = workspace.for_job(fetch, {fetch.key: outputs}).blob(fetch.key)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o444
    assert server.count() == 1


def test_the_key_holds_content_and_not_addresses() -> None:
    one = Fetch(sha256=SHA, file="a.whl", origin=UrlOrigin(url="https://one.invalid/a.whl", file="a.whl"), size=1)
    two = Fetch(sha256=SHA, file="a.whl", origin=IndexOrigin(index="default", project="a", file="a.whl"))
    assert one.key == two.key
    assert one.key != Fetch(sha256=SHA, file="b.whl", origin=one.origin).key


def test_a_job_reads_declared_inputs_only(workspace: Workspace, server: Server) -> None:
    fetch = fetch_of(server)
    realise(fetch, workspace.for_job(fetch, {}))
    with pytest.raises(KeyError):
        workspace.for_job(fetch, {}).blob(fetch.key)


def damage(path: Path, how: str, tmp_path: Path) -> None:
    path.chmod(0o644)
    data = path.read_bytes()
    position = {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}
    if how in position:
        changed = bytearray(data)
        changed[position[how]] ^= 1
        path.write_bytes(changed)
    elif how == "longer":
        path.write_bytes(data + b"x")
    elif how == "symbolic link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(data)
        path.unlink()
        path.symlink_to(elsewhere)
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: int(how)])


DAMAGES = ["first", "middle", "last", "longer", "0", "1", "1500000", str(len(DATA) - 1), "symbolic link", "gone"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_blob_heals_where_it_is_read(
    workspace: Workspace, server: Server, said: list[str], tmp_path: Path, how: str
) -> None:
    fetch = fetch_of(server)
    outputs = realise(fetch, workspace.for_job(fetch, {}))
    context = workspace.for_job(fetch, {fetch.key: outputs}, {fetch.key: fetch})
    damage(context.blob(fetch.key), how, tmp_path)
    assert context.blob(fetch.key).read_bytes() == DATA
    assert not context.blob(fetch.key).is_symlink()
    assert server.count() == 2
    assert len([text for text in said if "damaged" in text]) == (how != "gone")


def test_damage_that_cannot_be_healed_is_an_integrity_error(
    workspace: Workspace, server: Server, tmp_path: Path
) -> None:
    fetch = fetch_of(server)
    outputs = realise(fetch, workspace.for_job(fetch, {}))
    context = workspace.for_job(fetch, {fetch.key: outputs})
    damage(context.blob(fetch.key), "middle", tmp_path)
    with pytest.raises(IntegrityError) as caught:
        context.blob(fetch.key)
    assert caught.value.retryable
    assert workspace.known([fetch]) == {}


def test_a_truncated_blob_is_not_known(workspace: Workspace, server: Server, tmp_path: Path) -> None:
    fetch = fetch_of(server)
    outputs = realise(fetch, workspace.for_job(fetch, {}))
    damage(workspace.for_job(fetch, {fetch.key: outputs}).blob(fetch.key), "1", tmp_path)
    assert workspace.known([fetch]) == {}
    assert realise(fetch, workspace.for_job(fetch, {})) == outputs
    assert workspace.known([fetch]) == {fetch.key: outputs}


def test_put_heals_and_checks(workspace: Workspace, tmp_path: Path) -> None:
    fetch = Fetch(sha256=SHA, file="a", origin=UrlOrigin(url="file:///nowhere", file="a"))
    context = workspace.for_job(fetch, {})
    output = context.put_bytes(b"a document")
    path = workspace.blobs.path(output.sha256)
    assert path is not None
    damage(path, "first", tmp_path)
    assert context.put_bytes(b"a document") == output
    assert path.read_bytes() == b"a document"
    source = tmp_path / "source"
    source.write_bytes(b"other")
    with pytest.raises(IntegrityError):
        context.put(source, expected=output.sha256)
    assert list((workspace.home.store / "tmp").iterdir()) == []


def test_hints_are_tried_first_and_hold_no_secret(workspace: Workspace, server: Server) -> None:
    server.require_basic("me", "hunter2")
    nowhere = UrlOrigin(url="http://127.0.0.1:9/a.whl", file="a.whl")
    fetch = Fetch(sha256=SHA, file="a.whl", origin=nowhere)
    context = workspace.for_job(fetch, {})
    context.remember(SHA, server.url_with("me", "hunter2") + "/a.whl?sig=hunter2#sha256=1")
    kept = "".join(path.read_text() for path in workspace.home.cache.rglob("*") if path.is_file())
    assert kept == f"{server.url}/a.whl\n"
    server.sign_in.clear()
    realise(fetch, context)
    assert server.count() == 1


def test_sixteen_processes_download_once(home: Path, server: Server) -> None:
    server.latency = 0.3
    processes = [other_process(home, server) for _ in range(16)]
    results = [finish(process) for process in processes]
    assert [code for code, _, _ in results] == [0] * 16, results
    assert len({out for _, out, _ in results}) == 1
    assert server.count() == 1


def test_sixteen_processes_heal_one_damaged_blob_with_one_download(
    home: Path, server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    fetch = fetch_of(server)
    outputs = realise(fetch, workspace.for_job(fetch, {}))
    damage(workspace.for_job(fetch, {fetch.key: outputs}).blob(fetch.key), "middle", tmp_path)
    server.latency = 0.2
    results = [finish(process) for process in [other_process(home, server) for _ in range(16)]]
    assert [code for code, _, _ in results] == [0] * 16, results
    assert server.count() == 2
    assert verify_store(workspace.store).findings == ()


def test_few_file_descriptors_are_enough(home: Path, server: Server) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    code, _, err = finish(other_process(home, server, preexec_fn=limit))
    assert (code, err) == (0, "")


@pytest.mark.parametrize("fault", PUBLISH_FAULTS)
def test_a_killed_process_loses_nothing(home: Path, server: Server, fault: str) -> None:
    nth = 2 if fault == "lock-taken" else 1  # the first lock is the home's
    killed, _, _ = finish(other_process(home, server, fault=f"{fault}:kill:{nth}"))
    assert killed == -9
    store = open_store(home / "store")
    for digest, _, _ in store.blobs.list():
        assert hashlib.sha256(store.blobs.name(digest).read_bytes()).hexdigest() == digest
    code, out, err = finish(other_process(home, server))
    assert (code, err) == (0, "")
    assert Path(out.strip()).read_bytes() == DATA
    assert verify_store(store).findings == ()


@pytest.mark.parametrize("fault", PUBLISH_FAULTS[1:-1])
def test_a_full_disk_leaves_nothing(home: Path, server: Server, fault: str) -> None:
    nth = 1 if "download" in fault else 2  # the first publish is that of format.json
    code, _, err = finish(other_process(home, server, fault=f"{fault}:enospc:{nth}"))
    assert code == 8, err
    assert str(home) in err
    assert "bytes are free" in err
    assert list((home / "store" / "tmp").iterdir()) == []
    assert finish(other_process(home, server))[0] == 0


def test_a_limit_on_file_size_is_a_full_disk(home: Path, server: Server) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    code, _, err = finish(other_process(home, server, preexec_fn=limit))
    assert code == 8
    assert f"{len(DATA)} bytes are needed" in err
    assert list((home / "store" / "tmp").iterdir()) == []


@pytest.fixture
def mounted(tmp_path: Path) -> Callable[..., Path]:
    mounts: list[Path] = []

    def mount(name: str, *arguments: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")
        mounts.append(folder)
        return folder

    yield mount
    for folder in mounts:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_small_disk(mounted: Callable[..., Path], server: Server) -> None:
    home = mounted("small", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs") / "home"
    code, _, err = finish(other_process(home, server))
    assert (code, "No space left" in err) == (8, True), err
    assert [path for path in (home / "store").rglob("*") if path.is_file()] == [home / "store" / "format.json"]


def test_a_read_only_home(mounted: Callable[..., Path], home: Path, server: Server, tmp_path: Path) -> None:
    open_home(home)
    read_only = mounted("ro", "--bind", "-o", "ro", str(home))
    if os.access(read_only, os.W_OK):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(read_only)], check=True)
    code, _, err = finish(other_process(read_only, server))
    assert (code, str(read_only) in err) == (8, True), err


def test_a_home_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoSpaceError, match="file"):
        Workspace(tmp_path / "file" / "home", Addresses(root="/"))


@pytest.mark.parametrize("part", ["", "store", "prefixes", "cache"])
def test_a_home_that_everybody_may_write_is_refused(home: Path, part: str) -> None:
    open_home(home)
    (home / part).chmod(0o777)
    with pytest.raises(InvalidInput) as caught:
        open_home(home)
    assert caught.value.reference == "unsafe-folder"
    assert "chmod" in str(caught.value.hint)


def test_a_home_of_somebody_else_is_refused(home: Path) -> None:
    open_home(home)
    with suppress(PermissionError):
        os.chown(home, 12345, -1)
        with pytest.raises(InvalidInput, match="belongs to user 12345"):
            open_home(home)
        return
    pytest.skip("only root can give a folder away")


def test_where_the_home_is(tmp_path: Path) -> None:
    assert find_home({"ENVBUILD_HOME": "/a", "HOME": "/b"}) == Path("/a")
    assert find_home({"XDG_DATA_HOME": "/x", "HOME": "/b"}) == Path("/x/envbuild")
    assert find_home({"HOME": "/b"}) == Path("/b/.local/share/envbuild")
    with pytest.raises(Exception, match="HOME is not set") as caught:
        find_home({})
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]


def test_a_format_that_was_lost_with_the_power_is_written_again(home: Path) -> None:
    with Workspace(home, Addresses(root="/")) as workspace:
        note = workspace.home.store / "format.json"
    whole = note.read_bytes()
    note.unlink()
    note.touch()
    with Workspace(home, Addresses(root="/")):
        assert note.read_bytes() == whole


def test_a_store_of_another_format_is_not_written(home: Path) -> None:
    (home / "store").mkdir(parents=True)
    (home / "store" / "format.json").write_text('{"format": 2}')
    with pytest.raises(StaleError, match="another version"):
        Workspace(home, Addresses(root="/"))
    assert sorted(path.name for path in (home / "store").iterdir()) == ["format.json"]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_stall_timeout_that_is_no_number_is_a_usage_error(home: Path, text: str) -> None:
    with pytest.raises(UsageError, match="ENVBUILD_STALL_TIMEOUT"):
        Workspace(home, Addresses(root="/"), environ={"ENVBUILD_STALL_TIMEOUT": text})


def test_mending_by_hints(workspace: Workspace, server: Server) -> None:
    assert not workspace.mend(SHA)
    workspace.hints.add(SHA, "http://127.0.0.1:9/gone")
    workspace.hints.add(SHA, f"{server.url}/a.whl")
    assert workspace.mend(SHA)
    assert workspace.blobs.path(SHA) is not None


def test_waiting_for_a_collection_is_said(home: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_lock, "NOTICE_AFTER", 0.1)
    with Workspace(home, Addresses(root="/"), note=said.append) as workspace:
        workspace.close()
        collector = KernelLock(workspace.home.lock)
        collector.acquire()
        threading.Timer(0.5, collector.release).start()
        workspace.use()
    assert len(said) == 1
    assert f"held by process {os.getpid()}" in said[0]


@pytest.mark.parametrize(("durability", "synced"), [("safe", True), ("fast", False)])
def test_durability_decides_what_waits_for_the_disk(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch, durability: Durability, synced: bool
) -> None:
    calls: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append(descriptor), real(descriptor)))
    fetch = fetch_of(server)
    with Workspace(home, Addresses(root="/"), durability=durability) as workspace:
        outputs = realise(fetch, workspace.for_job(fetch, {}))
        assert workspace.for_job(fetch, {fetch.key: outputs}).blob(fetch.key).read_bytes() == DATA
    assert bool(calls) is synced


def test_an_interrupt_frees_every_thread_that_waits(home: Path, server: Server, serving: Serving) -> None:
    server.fault("/a.whl", cut_after=1000, stall=60, times=9)
    fetch = fetch_of(server)
    ended: list[str] = []
    with Workspace(home, Addresses(root="/")) as workspace:
        context = workspace.for_job(fetch, {})

        def work(name: str, job: Callable[[], object]) -> None:
            with suppress(EnvbuildError):
                job()
            ended.append(name)

        def wait_for_lock() -> None:
            with KernelLock(home / "locks" / "other"), workspace.lock("other"):
                pass

        jobs: dict[str, Callable[[], object]] = {
            "transfer": lambda: realise(fetch, context),
            "program": lambda: context.run(["sleep", "60"]),
            "lock": wait_for_lock,
        }
        threads = [threading.Thread(target=work, args=item) for item in jobs.items()]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        assert ended == []
        start = time.monotonic()
        workspace.cancel()
        for thread in threads:
            thread.join(10)
        assert time.monotonic() - start < 5
        assert sorted(ended) == sorted(jobs)
        with pytest.raises(EnvbuildError, match="interrupted"):
            context.run(["true"])
    assert list((home / "store" / "tmp").iterdir()) == []


def test_offline_is_unreachable(workspace: Workspace) -> None:
    fetch = Fetch(sha256=SHA, file="a", origin=UrlOrigin(url="file:///nowhere/a", file="a"))
    with pytest.raises(UnreachableError):
        realise(fetch, workspace.for_job(fetch, {}))


def test_programs_see_a_clean_environment(home: Path, tmp_path: Path) -> None:
    hostile = {
        "PATH": os.environ["PATH"], "PYTHONPATH": "/evil", "PIP_INDEX_URL": "x", "UV_INDEX": "x", "CONDA_PREFIX": "x",
        "LD_LIBRARY_PATH": "/evil", "TMPDIR": "/proc", "HTTPS_PROXY": "http://u:p@proxy.invalid", "PYTHONSTARTUP": "x",
    }  # fmt: skip
    fetch = Fetch(sha256=SHA, file="a", origin=UrlOrigin(url="file:///nowhere/a", file="a"))
    with Workspace(home, Addresses(root="/"), environ=hostile) as workspace:
        done = workspace.for_job(fetch, {}).run(["env"], env={"GIVEN": "1"})
    seen = dict(line.split("=", 1) for line in done.tail.splitlines())
    assert seen.pop("TMPDIR").startswith(str(home))
    assert set(seen) - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "GIVEN"}
    assert list(Home(path=home).scratch.iterdir()) == []


def test_what_is_removed_later_goes_at_the_end_of_a_run(workspace: Workspace, server: Server) -> None:
    context = workspace.for_job(fetch_of(server), {})
    late = context.scratch(later=True)
    with workspace.leavings.run():
        with workspace.leavings.run(), context.scratch(later=True) as folder:
            (folder / "sub").mkdir()
        assert folder.is_dir()
        slow = late.__enter__()
    assert not folder.exists()
    assert slow.is_dir()
    late.__exit__(None, None, None)
    assert list(workspace.home.scratch.iterdir()) == []


def test_order_of_a_publish_by_strace(home: Path, server: Server, tmp_path: Path) -> None:
    import shutil

    if shutil.which("strace") is None:
        pytest.skip("strace is not here, so the order of system calls cannot be seen")
    trace = tmp_path / "trace"
    argv = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fsync,link,linkat,fchmod", sys.executable, "-m",
            "tests.support.fetch_once", str(home), f"{server.url}/a.whl", SHA, str(len(DATA))]  # fmt: skip
    done = subprocess.run(
        argv, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True
    )
    if done.returncode and "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    linked = next(number for number, line in enumerate(lines) if "link" in line.split("(")[0] and f"/{SHA}" in line)
    before, after = lines[:linked], lines[linked + 1 :]
    temporary = lines[linked].split('"')[1]
    steps = [line.split("(")[0].split()[-1] for line in before if temporary in line]
    assert steps == ["fchmod", "fsync"]
    assert any("fsync(" in line and f"/{SHA[:2]}>" in line for line in after)
