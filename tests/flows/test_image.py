"""``image``: an environment as an OCI image layout, the same everywhere, whose Python runs at its place."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.case import Case
from tests.support.channel import TestChannel
from tests.support.managed_python import ManagedPython
from tests.support.servers import Server

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO LINUX: images are for Linux")

_DIGEST = {"type": "string", "pattern": "^sha256:[a-f0-9]{64}$"}
_MAP = {"type": "object", "additionalProperties": {"type": "string"}}
_DESCRIPTOR = {
    "type": "object",
    "required": ["mediaType", "digest", "size"],
    "properties": {
        "mediaType": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$",
        },
        "digest": _DIGEST,
        "size": {"type": "integer", "minimum": 0},
        "annotations": _MAP,
        "platform": {"type": "object", "required": ["architecture", "os"]},
    },
    "additionalProperties": False,
}
INDEX = {
    "type": "object",
    "required": ["schemaVersion", "manifests"],
    "properties": {"schemaVersion": {"const": 2}, "manifests": {"type": "array", "items": _DESCRIPTOR}},
}
MANIFEST = {
    "type": "object",
    "required": ["schemaVersion", "config", "layers"],
    "properties": {
        "schemaVersion": {"const": 2},
        "mediaType": {"const": "application/vnd.oci.image.manifest.v1+json"},
        "config": _DESCRIPTOR,
        "layers": {"type": "array", "minItems": 1, "items": _DESCRIPTOR},
        "annotations": _MAP,
    },
    "additionalProperties": False,
}
CONFIG = {
    "type": "object",
    "required": ["architecture", "os", "rootfs"],
    "properties": {
        "created": {"type": "string", "format": "date-time"},
        "architecture": {"type": "string"},
        "os": {"const": "linux"},
        "config": {
            "type": "object",
            "properties": {
                "Env": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.*$"}},
                "Cmd": {"type": "array", "items": {"type": "string"}},
                "Labels": _MAP,
            },
        },
        "rootfs": {
            "type": "object",
            "required": ["type", "diff_ids"],
            "properties": {"type": {"const": "layers"}, "diff_ids": {"type": "array", "items": _DIGEST}},
        },
        "history": {"type": "array", "items": {"type": "object", "properties": {"created_by": {"type": "string"}}}},
    },
}
"""What image-spec 1.1 demands of the documents that are written."""


class Written:
    """A layout, read by nothing of envbuild's, and held against the specification as it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
        self.index = json.loads((folder / "index.json").read_bytes())
        jsonschema.validate(self.index, INDEX)
        (self.descriptor,) = self.index["manifests"]
        self.manifest: dict[str, Any] = json.loads(self.blob(self.descriptor))
        jsonschema.validate(self.manifest, MANIFEST)
        self.config: dict[str, Any] = json.loads(self.blob(self.manifest["config"]))
        jsonschema.validate(self.config, CONFIG)
        self.layers = [self.blob(item) for item in self.manifest["layers"]]
        named = {item["digest"] for item in (self.descriptor, self.manifest["config"], *self.manifest["layers"])}
        assert {f"sha256:{path.name}" for path in (folder / "blobs" / "sha256").iterdir()} == named
        assert len(self.config["rootfs"]["diff_ids"]) == len(self.layers)
        filled = [item for item in self.config["history"] if not item.get("empty_layer")]
        assert len(filled) == len(self.layers)

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        data: bytes = (self.folder / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
        assert len(data) == descriptor["size"]
        return data

    @property
    def env(self) -> dict[str, str]:
        return dict(item.split("=", 1) for item in self.config["config"]["Env"])

    def digests(self) -> list[str]:
        return [item["digest"] for item in self.manifest["layers"]]

    def unpack(self, root: Path) -> Path:
        """The layers, one upon the other, by the standard library."""
        root.mkdir()
        for data, diff_id in zip(self.layers, self.config["rootfs"]["diff_ids"], strict=True):
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff_id
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                tar.extractall(root, filter="fully_trusted")
        return root


def image(case: Case, folder: str, *arguments: str | Path, source: str = "x.yaml") -> Written:
    case.run("image", source, "-o", folder, *arguments)
    assert case.out == f"{folder}\n"
    return Written(case.project / folder)


def conda_recipe(channel: TestChannel, packages: str, extra: str = "") -> str:
    series = ".".join(channel.pythons[0].split(".")[:2])
    return (
        f"python: {series}\nplatforms: [{channel.platform}]\nvariables: {{GREETING: it's a = b}}\n"
        f"conda:\n  channels: ['{channel.folder.as_uri()}']\n  packages:\n{packages}{extra}"
    )


def run_at_place(root: Path, environment: dict[str, str], *command: str) -> str:
    """Run a command where the tree lies at its place: ``/opt`` is the image's, all else this machine's."""
    possible = (
        subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True)
        if shutil.which("unshare")
        else None
    )
    if possible is None or possible.returncode or not Path("/opt").is_dir():
        pytest.skip("NO NAMESPACES: a user may not make a mount namespace here")
    script = 'mount --bind "$1/opt" /opt && shift && exec env -i "$@"'
    values = [f"{name}={value}" for name, value in environment.items()]
    argv = ["unshare", "-Urm", "sh", "-c", script, "sh", str(root), *values, *command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_conda_environment_with_wheels_runs_at_its_place(
    case: Case, tmp_path: Path, channel: TestChannel, wheel_index: Server
) -> None:
    extra = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy:\n"
    case.recipe(conda_recipe(channel, "    greet:\n", extra))
    written = image(case, "image")
    case.mentions("glibc", "--base FOLDER")
    assert written.descriptor["digest"] in case.err
    root = written.unpack(tmp_path / "root")
    environment = written.env
    assert environment["PATH"].startswith("/opt/envbuild/bin:/usr/local/sbin:")
    assert environment["GREETING"] == "it's a = b"
    assert environment["CONDA_PREFIX"] == "/opt/envbuild"
    labels = written.config["config"]["Labels"]
    assert labels["envbuild.environment"] in (case.project / "x.lock.yaml").read_text()
    code = "import sys, os, toy, toy_core; print(sys.prefix, os.environ['GREETING'], toy.__version__)"
    assert run_at_place(root, environment, "python", "-c", code) == "/opt/envbuild it's a = b 2.0\n"
    assert run_at_place(root, environment, "greet").startswith("hello from greet")
    run_at_place(root, environment, "toy")  # a wheel's script, by its first line
    run_at_place(root, {}, *written.config["config"]["Cmd"], "-c", "import toy")


def test_a_managed_python_runs_at_its_place(
    case: Case, tmp_path: Path, managed_python: tuple[ManagedPython, Server], wheel_index: Server
) -> None:
    python, server = managed_python
    case.variable("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/downloads.json")
    series = ".".join(python.version.split(".")[:2])
    case.recipe(
        f"interpreter: managed\npython: '{series}'\npypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    )
    written = image(case, "image")
    root = written.unpack(tmp_path / "root")
    code = "import sys, toy; print(sys.prefix)"
    assert run_at_place(root, written.env, "python", "-c", code) == "/opt/envbuild\n"
    run_at_place(root, written.env, "toy")


def test_one_lock_gives_one_digest_and_names_no_machine(
    case: Case, tmp_path: Path, channel: TestChannel, wheel_index: Server
) -> None:
    extra = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy:\n    toy-core:\n"
    case.recipe(conda_recipe(channel, "    greet:\n    old-fashioned:\n    data-files:\n", extra))
    here = image(case, "image")
    far = Case(tmp_path / ("a-long-name-" * 12) / "far")
    shutil.copytree(case.project, far.project, dirs_exist_ok=True)
    shutil.rmtree(far.project / "image")
    before = os.umask(0o077)
    try:
        there = image(far, "image", "--frozen")
    finally:
        os.umask(before)
    assert there.descriptor == here.descriptor
    for layer in here.layers:
        for path in (case.home, case.project, far.home):
            assert os.fsencode(path) not in layer
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            members = tar.getmembers()
        names = [member.name for member in members]
        assert len(set(names)) == len(names)
        assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
        assert {member.mode for member in members} <= {0o644, 0o755, 0o777}
        assert all(name == "opt" or name == "opt/envbuild" or name.startswith("opt/envbuild/") for name in names)


def test_a_small_change_moves_few_layers(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    pypi = f"pypi:\n  index: {wheel_index.url}/simple\n  packages:\n    toy-extras:\n    toy-core: '{{}}'\n"
    recipe = conda_recipe(channel, "    greet:\n    colours:\n    data-files:\n", pypi)
    case.recipe(recipe.replace("{}", "==1.0"))
    first = image(case, "first")
    case.recipe(recipe.replace("{}", "==1.5"))
    second = image(case, "second")
    moved = [
        step["comment"]
        for step, before, after in zip(second.config["history"], first.digests(), second.digests(), strict=True)
        if before != after
    ]
    assert len(second.layers) > len(moved)
    assert [text for text in moved if "python" in text.split(", ")] == []
    assert sum("toy-core" in text.split(", ") for text in moved) == 1
    assert len(moved) == 1


def test_an_image_stands_on_a_base(case: Case, tmp_path: Path, channel: TestChannel) -> None:
    case.recipe(conda_recipe(channel, "    greet:\n"))
    case.recipe(conda_recipe(channel, "    colours:\n"), "other.yaml")
    base = image(case, "base")
    written = image(case, "image", "--base", "base", "--prefix", "/opt/second/env", source="other.yaml")
    assert "--base FOLDER" not in case.err
    assert written.digests()[: len(base.layers)] == base.digests()
    assert written.env["PATH"].startswith("/opt/second/env/bin:/opt/envbuild/bin:/usr/local/sbin:")
    assert written.config["config"]["Labels"]["org.opencontainers.image.base.digest"] == base.descriptor["digest"]
    root = written.unpack(tmp_path / "root")
    assert (root / "opt/envbuild/bin/greet").exists()
    assert run_at_place(root, written.env, "python", "-c", "import sys; print(sys.prefix)") == "/opt/second/env\n"
    assert run_at_place(root, written.env, "greet").startswith("hello from greet")
    assert written.config["config"]["Labels"]["envbuild.prefix"] == "/opt/envbuild:/opt/second/env"
    for place in ("/opt/envbuild", "/opt/envbuild/below"):
        case.run("image", "other.yaml", "-o", "mixed", "--base", "base", "--prefix", place, code=2).mentions("holds an")
    assert (written.env["CONDA_PREFIX"], written.env["GREETING"]) == ("/opt/second/env", "it's a = b")
    # What a base says of itself is held against it.
    layer = case.project / "base" / "blobs" / "sha256" / base.digests()[0].removeprefix("sha256:")
    data = bytearray(layer.read_bytes())
    data[600] ^= 1
    layer.write_bytes(data)
    case.run("image", "other.yaml", "-o", "damaged", "--base", "base", "--prefix", "/opt/x", code=4).mentions(
        "bad-image", "other bytes"
    )
    assert not (case.project / "damaged").exists()
    assert not list(case.project.glob(".damaged*"))
    layer.unlink()
    os.mkfifo(layer)
    case.run("image", "other.yaml", "-o", "damaged", "--base", "base", "--prefix", "/opt/x", code=3).mentions(
        "bad-image"
    )
    layer.unlink()
    case.run("image", "other.yaml", "-o", "damaged", "--base", "base", "--prefix", "/opt/x", code=3).mentions(
        "bad-image"
    )


def test_what_cannot_be_an_image_is_refused(case: Case, channel: TestChannel, wheel_index: Server) -> None:
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    case.recipe(
        f"interpreter: host\npython: '{series}'\npypi:\n  index: {wheel_index.url}/simple\n  packages: {{toy: ''}}\n"
    )
    case.run("image", "x.yaml", "-o", "image", code=2).mentions("no-image", "interpreter: managed")
    case.recipe(conda_recipe(channel, "    greet:\n"), "y.yaml")
    for place in ("opt/env", "/env", "/opt/../env", "/opt/e v", "/opt/a:b", "/opt//env", "//opt/env"):
        case.run("image", "y.yaml", "-o", "image", "--prefix", place, code=2).mentions("bad-path")
    (case.project / "taken").mkdir()
    case.run("image", "y.yaml", "-o", "taken", "--force", code=6).mentions("file-exists", "no image layout")
    case.run("image", "y.yaml", "-o", "image", "--base", "taken", code=3).mentions("bad-image")
    assert not (case.project / "image").exists()
    case.run("export", "y.yaml", "--format", "oci", code=2).mentions("envbuild image")
    first = image(case, "image", source="y.yaml")
    case.run("image", "y.yaml", "-o", "image", code=6).mentions("file-exists", "--force")
    assert image(case, "image", "--force", source="y.yaml").descriptor == first.descriptor
    assert not [path for path in case.project.iterdir() if path.name.startswith(".image")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.json", "[]"),
        ("index.json", "{"),
        ("index.json", "[" * 100_000),
        ("index.json", '{"manifests": [{"digest": "sha256:../../../etc/passwd", "size": 1}]}'),
        ("index.json", '{"manifests": [{"digest": 7, "size": true}]}'),
        ("index.json", '{"manifests": []}'),
        ("index.json", '{"manifests": [{"mediaType": ["a"], "digest": "sha256:' + "0" * 64 + '", "size": 1}]}'),
    ],
)
def test_a_malformed_base_is_told(case: Case, channel: TestChannel, name: str, text: str) -> None:
    case.recipe(conda_recipe(channel, "    colours:\n"))
    case.file("base/oci-layout", '{"imageLayoutVersion": "1.0.0"}').file(f"base/{name}", text)
    case.run("image", "x.yaml", "-o", "image", "--base", "base", code=3).mentions("bad-image", "base")
    assert not (case.project / "image").exists()
