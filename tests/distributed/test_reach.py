"""How workers are reached: over TLS with Dask's own settings, over SSH, and when the last of them has gone."""

from __future__ import annotations

import datetime
import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.case import CHECKOUT, clean_environment
from tests.distributed.cluster import Cluster, until
from tests.distributed.conftest import Farm
from tests.distributed.test_dask import realized, words
from tests.faults.world import one_error
from tests.support.ports import free_port


def certificate(folder: Path) -> dict[str, str]:
    """A certificate that signs itself, and Dask's settings that make it everybody's and the only one."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "farm")])
    now = datetime.datetime(2024, 1, 1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now.replace(year=2090))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = "DASK_DISTRIBUTED__COMM__TLS"
    return {
        f"{tls}__CA_FILE": str(folder / "cert.pem"),
        **{f"{tls}__{role}__CERT": str(folder / "cert.pem") for role in ("CLIENT", "SCHEDULER", "WORKER")},
        **{f"{tls}__{role}__KEY": str(folder / "key.pem") for role in ("CLIENT", "SCHEDULER", "WORKER")},
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
    }


def test_over_tls_only_those_with_a_certificate_are_let_in(farm: Farm, tmp_path: Path) -> None:
    settings = certificate(tmp_path / "tls")
    cluster = Cluster(tmp_path / "cluster", environ=settings)
    try:
        address = cluster.scheduler("--protocol", "tls")
        assert address.startswith("dask+tls://")
        cluster.worker("one")
        soon = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
        refused = one_error(farm.run(*words(farm, address), environ=soon, code=5))
        assert "error[no-scheduler]" in refused
        assert realized(farm, address, environ=settings)["built"] == 1
        assert len(cluster.results("one")) == 1
    finally:
        cluster.close()


def test_a_job_that_no_worker_is_left_for_is_given_up(farm: Farm, cluster: Cluster) -> None:
    address = cluster.scheduler()
    cluster.worker("one", environ={"ENVBUILD_FAULT": "mid-wheel-build:kill"})
    ended = farm.run(*words(farm, address), environ={"ENVBUILD_LOCK_TIMEOUT": "3"}, code=5)
    assert cluster.dead("one")
    assert f"error[no-worker]: {address} has lost its last worker" in ended.err


@pytest.fixture
def sshd(tmp_path: Path, farm: Farm) -> Iterator[Path]:
    """A real server of SSH on loopback, into which the farm's user may log in as ``builder``; gives its home there."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("NO SSHD: builders over SSH are not tried; apt-get install openssh-server")
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    port = free_port()
    machine = clean_environment(tmp_path / "builder")
    given = {name: machine[name] for name in ("ENVBUILD_HOME", "XDG_CONFIG_HOME", "HOME")}
    given |= {"PYTHONPATH": str(CHECKOUT)}
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv {' '.join(f'{name}={value}' for name, value in given.items())}\n",
        encoding="utf-8",
    )
    mine = Path(farm.environ["HOME"], ".ssh")
    mine.mkdir(mode=0o700, exist_ok=True)
    (mine / "config").write_text(
        f"Host builder\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user\n  UserKnownHostsFile {folder}/known\n",
        encoding="utf-8",
    )
    public = (folder / "host.pub").read_text(encoding="utf-8")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {public}", encoding="utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=stream)
    try:
        until(lambda: b"listening" in log.read_bytes() or server.poll() is not None, "the server of SSH")
        assert server.poll() is None, log.read_text()
        yield Path(machine["ENVBUILD_HOME"])
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(mine)


def test_builders_are_reached_over_ssh_and_end_with_the_command(farm: Farm, sshd: Path) -> None:
    found = realized(farm, f"ssh://builder{sys.executable}")
    assert (found["built"], found["transmuted"]) == (1, 1)
    assert len(list(sshd.glob("store/results/build-wheel/**/*.json"))) == 1
    refused = farm.run(*words(farm, "ssh://builder/no/such/python", "both"), code=5)
    assert "error[no-builder]: no builder could be started at ssh://builder/no/such/python" in refused.err
