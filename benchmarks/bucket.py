"""A bucket that a first machine has filled, for benchmarks of cold nodes: moto's S3 server, a process on loopback.

moto spends some milliseconds of processor on each request, and it has the same two cores as whoever asks; both sides of
a comparison pay that alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, envbuild
from tests.support.object_servers import ObjectServer, serve_objects


@dataclass(frozen=True, kw_only=True)
class Filled:
    """An environment in a bucket.

    Attributes:
        identity: ``REQUEST:ENVIRONMENT``.
        blobs: The key of each package's blob in the bucket, by its file name; ``sizes`` likewise.
        prefix: Where the first machine linked it.
    """

    identity: str
    blobs: Mapping[str, str]
    sizes: Mapping[str, int]
    prefix: Path


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A store in a bucket.

    Attributes:
        server: What it is in; ``port`` leads there directly, its proxy counts.
        name: The bucket's. ``url``: the store's.
    """

    bench: Bench
    server: ObjectServer
    name: str
    url: str

    @classmethod
    def made(cls, bench: Bench) -> Bucket:
        """A new store."""
        server = bench.closing.enter_context(serve_objects("s3", bench.folder))
        name = server.bucket()
        bucket = cls(bench=bench, server=server, name=name, url=f"s3://{name}/team")
        bench.setup(
            envbuild("store", "init", bucket.url),
            bucket.environ("first"),
            bench.project("first", {"envbuild.yaml": ""}),
        )
        return bucket

    def environ(self, machine: str, port: int | None = None) -> dict[str, str]:
        """The variables of a machine with a home of its own, which has this store.

        Args:
            machine: Its name.
            port: What it asks; the server itself when None.
        """
        environ = {**self.bench.environ(machine), **self.server.environ}
        file = Path(environ["XDG_CONFIG_HOME"]) / "envbuild" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"stores: [{{name: team, url: '{self.url}'}}]\n")
        return {**environ, "AWS_ENDPOINT_URL": self.endpoint(port)}

    def endpoint(self, port: int | None = None) -> str:
        """The address of the server, or of what stands at another port."""
        return f"http://127.0.0.1:{port or self.server.port}"

    def fill(self, name: str, recipe: str) -> Filled:
        """Realize a recipe on a first machine, so that it is in the bucket, whole."""
        environ = self.environ("first")
        project = self.bench.project("first", {f"{name}.yaml": recipe})
        self.bench.setup(envbuild("realize", f"{name}.yaml"), environ, project)
        packages = [
            json.loads(line[8:])
            for line in (project / f"{name}.lock.yaml").read_text().splitlines()
            if line.startswith("      - {")
        ]
        prefix = (project / ".envs" / name).resolve()
        store = Path(environ["ENVBUILD_HOME"]) / "store"
        (closure,) = (
            path
            for path in store.glob("environments/*/*/*.json")
            if all(package["sha256"] in path.read_text() for package in packages)
        )
        blobs = {item["file"]: f"blobs/sha256/{item['sha256'][:2]}/{item['sha256']}" for item in packages}
        return Filled(
            identity=f"{closure.parent.name}:{closure.stem}",
            blobs={file: f"{self.name}/team/{path}" for file, path in blobs.items()},
            sizes={file: (store / path).stat().st_size for file, path in blobs.items()},
            prefix=prefix,
        )
