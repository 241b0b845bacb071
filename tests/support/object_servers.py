"""Real object stores on loopback: moto's S3, Azurite, an emulator of Google's; each a process behind a fault proxy.

A server that does not start fails the test that wanted it, with what it printed. Each lives as long as the test
process; should that be killed, its shell sees the end of its input and ends the server.

Rules of the file: no test logic; versions are pinned here (Azurite) or in pyproject.toml; npm is asked once, and what
it brought stays in the test cache.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.cache import made_once
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.ports import free_port

AZURITE = "3.37.0"
_ENVIRONMENT = dict(os.environ)
"""As the test process began: tests clean theirs."""

# The account of every Azurite, published in its documentation.
_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, kw_only=True)
class ObjectServer:
    """A running store behind its proxy.

    Attributes:
        scheme: ``s3``, ``gs`` or ``az``.
        port: Of the server itself, behind the proxy.
        proxy: What clients are led to.
        environ: Variables that lead them there, and say who they are.
    """

    scheme: str
    port: int
    proxy: FaultProxy
    environ: Mapping[str, str]

    def bucket(self, name: str = "") -> str:
        """A new bucket or container, of any name or of this, made behind the proxy's back."""
        name = name or f"b-{uuid.uuid4().hex[:16]}"
        if self.scheme == "s3":
            _request("PUT", f"http://127.0.0.1:{self.port}/{name}")
        elif self.scheme == "gs":
            url = f"http://127.0.0.1:{self.port}/storage/v1/b?project=test"
            _request("POST", url, json.dumps({"name": name}).encode(), {"Content-Type": "application/json"})
        else:
            with self.azure() as client:
                client.create_container(name)
        return name

    def put_key(self, bucket: str, key: str, data: bytes) -> None:
        """An object of any key, behind the proxy's back."""
        if self.scheme == "s3":
            _request("PUT", f"http://127.0.0.1:{self.port}/{bucket}/{quote(key)}", data)
        elif self.scheme == "gs":
            url = f"http://127.0.0.1:{self.port}/upload/storage/v1/b/{bucket}/o"
            query = f"uploadType=media&name={quote(key, safe='')}"
            _request("POST", f"{url}?{query}", data, {"Content-Type": "application/octet-stream"})
        else:
            with self.azure() as client:
                client.get_blob_client(bucket, key).upload_blob(data)

    def azure(self) -> Any:
        """A client of Azure's own, that goes to the server itself."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(_azure_connection(self.port))


def _request(method: str, url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _azure_connection(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{_AZURE_ACCOUNT};"
    )


@contextmanager
def serve_objects(scheme: str, folder: Path) -> Iterator[ObjectServer]:
    """A running store of ``s3``, ``gs`` or ``az``.

    Args:
        scheme: Which.
        folder: Of this run's own, for the server's files and what it prints.
    """
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(_running(_command(scheme, port, folder), port, folder / f"{scheme}.log"))
        proxy = stack.enter_context(
            # The emulator of Google's answers one after the other, and drops those that would wait.
            fault_proxy(
                ("127.0.0.1", port),
                emulates={"gs": "google", "s3": "moto"}.get(scheme, ""),
                at_once=2 if scheme == "gs" else 128,
            )
        )
        environ = {
            "s3": {
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": proxy.url,
            },
            "gs": {"STORAGE_EMULATOR_HOST": proxy.url},
            "az": {"AZURE_STORAGE_CONNECTION_STRING": _azure_connection(proxy.server_address[1])},
        }[scheme]
        yield ObjectServer(scheme=scheme, port=port, proxy=proxy, environ=environ)


def _command(scheme: str, port: int, folder: Path) -> Sequence[str]:
    if scheme == "s3":
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if scheme == "gs":
        module = [sys.executable, "-m", "gcp_storage_emulator", "start"]
        return [*module, "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--quiet"]
    node = shutil.which("node", path=_ENVIRONMENT.get("PATH"))
    assert node is not None, "Azurite needs node and npm on PATH"
    main = _azurite() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    place = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--debug", str(folder / "azurite.log")]
    return [node, str(main), *place, "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]


def _azurite() -> Path:
    def make(folder: Path) -> None:
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"azurite@{AZURITE}"]
        done = subprocess.run(command, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm did not bring Azurite: {done.stdout}{done.stderr}"

    return made_once(f"azurite-{AZURITE}", make)


@contextmanager
def _running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    environ = {name: value for name, value in _ENVIRONMENT.items() if not name.lower().endswith("_proxy")}
    # The server ends with its shell, and the shell with its input: even when this process is killed.
    shell = ["sh", "-c", '"$@" </dev/null & server=$!; read -r end; kill "$server"', "sh", *command]
    with log.open("wb") as printed:
        process = subprocess.Popen(
            shell, stdin=subprocess.PIPE, stdout=printed, stderr=printed, env=environ, cwd=log.parent
        )
    try:
        _wait_for(port, process, log)
        yield
    finally:
        process.communicate(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"it did not start: {log.read_text()}"
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"it did not start in time: {log.read_text()}")
