"""The fixtures themselves: what other tests stand on must be real."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import requests

from tests.support.channel import TestChannel
from tests.support.managed_python import ManagedPython
from tests.support.servers import Server
from tests.support.wheel_index import WheelIndex
from tests.support.wheels import make_wheel, uv


def _install(source: str, specs: list[str], prefix: Path, cache: Path, platform: str) -> list[str]:
    import rattler

    build = rattler.BuildString("0")

    async def run() -> list[str]:
        gateway = rattler.Gateway(cache_dir=cache)
        virtual = [
            rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), build)
            for name, version in (("__linux", "5.10"), ("__unix", "0"), ("__glibc", "2.28"), ("__osx", "13.0"))
        ]
        records = await rattler.solve(
            [rattler.Channel(source)], specs, gateway=gateway, platforms=[platform, "noarch"], virtual_packages=virtual
        )
        await rattler.install(records, prefix, cache_dir=cache)
        return sorted(f"{record.name.source} {record.version}" for record in records)

    return asyncio.run(run())


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_python_from_the_channel_runs_with_its_packages(
    channel: TestChannel, channel_server: Server, tmp_path: Path
) -> None:
    for version in channel.pythons:
        prefix = tmp_path / version
        found = _install(
            channel_server.url, [f"python=={version}", "greet", "pip"], prefix, tmp_path / "cache", channel.platform
        )
        assert f"python {version}" in found
        assert _output(prefix / "bin" / "greet") == "hello from greet 2.0 in green 2.0\n"
        code = "import sys, ssl, sqlite3, ctypes, json, venv, hashlib; print(sys.prefix, sys.version.split()[0])"
        shown = subprocess.run(
            [prefix / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert shown.split() == [str(prefix), version]
        pip = subprocess.run([prefix / "bin" / "pip", "list"], capture_output=True, text=True, check=True).stdout
        assert "greet" in pip
    assert channel_server.count("*/greet-2.0-*.conda") == 1


def test_compiled_packages_find_each_other_and_the_prefix(compiled_channel: TestChannel, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    specs = [f"python=={compiled_channel.pythons[0]}", "speedups", "fast-tool", "post-link", "libfast==1.2"]
    _install(compiled_channel.url, specs, prefix, tmp_path / "cache", compiled_channel.platform)
    assert _output(prefix / "bin" / "fast-tool") == f"1.2 {prefix}\n"
    code = "import speedups; print(speedups.version())"
    assert _output(prefix / "bin" / "python", "-c", code) == "1.2\n"
    assert (prefix / "share" / "post-link.txt").is_file()
    assert not list(prefix.rglob("post-link-ran"))
    assert f"prefix = {prefix}" in (prefix / "share" / "fast-tool" / "config.txt").read_text()


def test_the_channel_has_the_shapes_it_promises(channel: TestChannel) -> None:
    noarch = channel.records("noarch")
    old = next(record for record in noarch.values() if record["name"] == "old-md5")
    assert "sha256" not in old
    assert len(old["md5"]) == 32
    assert "timestamp" not in next(record for record in noarch.values() if record["name"] == "no-time")
    assert next(record for record in noarch.values() if record["name"] == "greet")["purls"] == ["pkg:pypi/greet"]
    for subdir in ("linux-64", "linux-aarch64", "osx-arm64", "win-64"):
        assert any(record["name"] == "python" for record in channel.records(subdir).values())


def test_two_channels_of_one_machine_are_one_folder(channel: TestChannel) -> None:
    code = "from tests.support.channel import made_channel; print(made_channel().folder)"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ).stdout
    assert shown.strip() == str(channel.folder)


@pytest.fixture
def file_server(tmp_path: Path, serving: object) -> Server:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.bin").write_bytes(bytes(range(200)))
    return serving(tmp_path / "files")  # type: ignore[operator,no-any-return]


def test_ranges_etags_and_heads(file_server: Server) -> None:
    with requests.Session() as session:
        url = f"{file_server.url}/a.bin"
        assert session.get(url, headers={"Range": "bytes=10-19"}).content == bytes(range(10, 20))
        assert session.get(url, headers={"Range": "bytes=190-"}).headers["Content-Range"] == "bytes 190-199/200"
        assert session.get(url, headers={"Range": "bytes=-5"}).content == bytes(range(195, 200))
        assert session.get(url, headers={"Range": "bytes=500-"}).status_code == 416
        whole = session.get(url)
        assert session.get(url, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
        assert session.head(url).headers["Content-Length"] == "200"
        assert session.get(f"{file_server.url}/../test_fixtures.py").status_code == 404
        file_server.ranges = False
        assert session.get(url, headers={"Range": "bytes=10-19"}).status_code == 200
    assert file_server.count("/a.bin", "HEAD") == 1


def test_faults_come_in_the_order_given_and_run_out(file_server: Server) -> None:
    url = f"{file_server.url}/a.bin"
    file_server.fault("*.bin", status=503, headers={"Retry-After": "1"}, times=2)
    file_server.fault("*.bin", wrong_bytes=True)
    file_server.fault("*.bin", cut_after=50)
    file_server.fault("*.bin", redirect=url)
    assert [requests.get(url).status_code for _ in range(2)] == [503, 503]
    wrong = requests.get(url).content
    assert len(wrong) == 200
    assert wrong != bytes(range(200))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url)
    assert requests.get(url, allow_redirects=False).status_code == 302
    assert requests.get(url).content == bytes(range(200))
    assert file_server.answers[:3] == [503, 503, 200]


def test_signing_in(file_server: Server) -> None:
    file_server.require_basic("ada", "p@ss")
    assert requests.get(f"{file_server.url}/a.bin").status_code == 401
    assert requests.get(f"{file_server.url_with('ada', 'p@ss')}/a.bin").status_code == 200
    file_server.require_bearer("token")
    signed = requests.get(f"{file_server.url}/a.bin", headers={"Authorization": "Bearer token"})
    assert signed.status_code == 200


def test_a_closed_server_hangs_up_at_once(file_server: Server) -> None:
    file_server.fault("*", stall=60)
    failures: list[Exception] = []

    def get() -> None:
        try:
            urllib.request.urlopen(f"{file_server.url}/a.bin", timeout=30).read()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    while not file_server.requests:
        threading.Event().wait(0.01)
    file_server.close()
    thread.join(timeout=5)
    assert not thread.is_alive()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{file_server.url}/a.bin", timeout=5)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("with_metadata", [True, False])
def test_uv_installs_from_every_kind_of_index(
    toy_wheels: Path, serving: object, tmp_path: Path, as_json: bool, with_metadata: bool
) -> None:
    index = WheelIndex(folder=toy_wheels, json=as_json, metadata=with_metadata)
    server = serving(index)  # type: ignore[operator]
    command = [uv(), "pip", "install", "--target", str(tmp_path / "out"), "--python", sys.executable, "--quiet"]
    command += [
        "--cache-dir",
        str(tmp_path / "cache"),
        "--index-url",
        f"{server.url}/simple",
        "toy",
        "toy-extras[colour]",
    ]
    subprocess.run(command, check=True)
    installed = sorted(path.name for path in (tmp_path / "out").glob("*.dist-info"))
    assert installed == [
        "toy-2.0.dist-info",
        "toy_core-1.5.dist-info",
        "toy_extras-1.0.dist-info",
        "toy_paint-1.0.dist-info",
    ]
    assert bool(server.count("*.whl.metadata")) == with_metadata


def test_dates_are_served_or_not(toy_wheels: Path, serving: object) -> None:
    dated = WheelIndex(folder=toy_wheels, dates={"toy-2.0-py3-none-any.whl": "2025-06-01T00:00:00Z"})
    undated = WheelIndex(folder=toy_wheels, dates=None)
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    shown = requests.get(f"{serving(dated).url}/simple/toy/", headers=accept).json()["files"]  # type: ignore[operator]
    assert {item["filename"]: item["upload-time"][:4] for item in shown}["toy-2.0-py3-none-any.whl"] == "2025"
    shown = requests.get(f"{serving(undated).url}/simple/toy/", headers=accept).json()["files"]  # type: ignore[operator]
    assert all("upload-time" not in item for item in shown)


def test_wheels_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = make_wheel(tmp_path / "a", "toy", "1.0", scripts={"toy": "toy:main"})
    second = make_wheel(tmp_path / "b", "toy", "1.0", scripts={"toy": "toy:main"})
    assert first.read_bytes() == second.read_bytes()


def test_real_wheels_are_served(real_index: Server, real_wheel_folder: Path) -> None:
    names = {path.name.split("-")[0] for path in real_wheel_folder.glob("*.whl")}
    assert {"requests", "click", "numpy", "urllib3"} <= names
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    page = requests.get(f"{real_index.url}/simple/numpy/", headers=accept).json()
    assert page["files"][0]["hashes"]["sha256"]


def test_mirrors_differ_in_name_only(mirrors: tuple[Server, Server]) -> None:
    first, second = mirrors
    assert first.url.split(":")[1] != second.url.split(":")[1]
    pages = [requests.get(f"{server.url}/simple/toy/").text for server in mirrors]
    assert pages[0] == pages[1]
    repodata = [requests.get(f"{server.url}/channel/noarch/repodata.json").text for server in mirrors]
    assert json.loads(repodata[0]) == json.loads(repodata[1])


def test_the_real_records_are_real(conda_forge_2024: Path) -> None:
    document = json.loads((conda_forge_2024 / "linux-64" / "repodata.json").read_text())
    names = {record["name"] for record in document["packages.conda"].values()}
    assert {"python", "openssl"} <= names


def test_uv_installs_the_managed_python_from_its_mirror(
    managed_python: tuple[ManagedPython, Server], tmp_path: Path
) -> None:
    python, server = managed_python
    command = [uv(), "python", "install", python.version, "--install-dir", str(tmp_path / "pythons"), "--no-bin"]
    subprocess.run([*command, "--cache-dir", str(tmp_path / "cache"), "--quiet"], check=True)
    executable = next((tmp_path / "pythons").glob("cpython-*/bin/python3"))
    assert _output(executable, "-c", "import ssl, sys; print(sys.version.split()[0])") == f"{python.version}\n"
    assert server.count("*.tar.gz") == 1
