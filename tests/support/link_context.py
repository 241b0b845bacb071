"""A context for links alone: the real publishing, locks and processes over a folder, and blobs given by their files.

The whole of ``envbuild.machine.workspace`` is tested with the commands; here a link gets its declared inputs and
nothing else.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

from envbuild.derivations import Clobber, Completed, Context, HostPython, LinkMode, Output, PackageInput
from envbuild.derivations.link import Link, prefix_name
from envbuild.digest import Digest, digest_bytes, digest_file, key
from envbuild.machine.kernel_lock import KernelLock
from envbuild.machine.process import clean_environment, run
from envbuild.machine.publish import publish_bytes, publish_tree
from envbuild.machine.temporary import scratch_folder
from envbuild.machine.writeback import Writeback
from envbuild.package import CondaPackage, Platform, SourcePackage, Wheel, normalize_pypi_name
from tests.support.channel import TestChannel, this_platform

SERIES = f"{sys.version_info[0]}.{sys.version_info[1]}"


class FolderContext:
    """What a link may touch, below one folder.

    Attributes:
        blobs: File of each input's ``out``; ``others`` of its other outputs, by key and name.
    """

    build_timeout = 120.0
    build_log_limit = 1 << 20
    clobber: Clobber | None = None
    link: LinkMode = "auto"

    def __init__(self, home: Path, blobs: Mapping[Digest, Path]) -> None:
        self.home = home
        self.blobs = dict(blobs)
        self.others: dict[tuple[Digest, str], Path] = {}
        self.notes: list[str] = []
        self.logs: list[bytes] = []
        self.read: list[Digest] = []

    @property
    def platform(self) -> Platform:
        return Platform(this_platform())

    def blob(self, key: Digest, output: str = "out") -> Path:
        self.read.append(key)
        return self.blobs[key] if output == "out" else self.others[key, output]

    def digest(self, key: Digest, output: str = "out") -> Digest:
        return digest_file(self.blobs[key] if output == "out" else self.others[key, output])

    def put_bytes(self, data: bytes) -> Output:
        digest = digest_bytes(data)
        (self.home / "blobs").mkdir(parents=True, exist_ok=True)
        publish_bytes(data, self.home / "blobs" / digest, self.home, "fast")
        return Output(sha256=digest, size=len(data))

    def host_python(self, series: str) -> HostPython:
        assert series == SERIES
        path = os.path.realpath(Path(sys.base_prefix) / "bin" / f"python{series}")
        return HostPython(path=path, version=platform.python_version(), abi=str(sysconfig.get_config_var("SOABI")))

    @contextmanager
    def scratch(self, *, later: bool = False) -> Iterator[Path]:
        with scratch_folder(self.home / "prefixes" / ".scratch") as folder:
            yield folder

    def engine_cache(self, engine: str) -> Path:
        folder = self.home / "cache" / engine
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        log: Path | None = None,
        log_limit: int = 64 << 20,
        network: bool = False,
    ) -> Completed:
        environ = clean_environment(os.environ, network=network) | dict(env or {})
        return run(argv, environ=environ, cwd=cwd, stdin=stdin, timeout=timeout, log=log, log_limit=log_limit)

    def put(self, path: Path, *, expected: Digest | None = None) -> Output:
        return self.put_bytes(path.read_bytes())

    def keep_log(self, log: Path) -> None:
        self.logs.append(log.read_bytes())

    def prefix(self, name: str) -> Path:
        return self.home / "prefixes" / name

    def unpacking(self) -> AbstractContextManager[None]:
        return nullcontext()

    def begin_writeback(self, folder: Path) -> None:
        Writeback("safe").begin(folder)

    def publish_tree(self, folder: Path, final: Path) -> bool:
        return publish_tree(folder, final, "fast")

    def lock(self, name: str, *, patient: bool = False) -> AbstractContextManager[None]:
        return cast(AbstractContextManager[None], KernelLock(self.home / "locks" / name))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, done: int, total: int | None) -> None:
        pass

    def typed(self) -> Context:
        return cast(Context, self)


def fetch_key(sha256: Digest) -> Digest:
    """Any key that stands for the fetch of these bytes."""
    return key("fetch", 1, {"sha256": sha256})


def conda_inputs(channel: TestChannel, wanted: Sequence[str]) -> list[tuple[CondaPackage, Path]]:
    """Packages of the channel, by ``name`` or ``name=version``, as a lock would state them."""
    found = []
    for subdir in (channel.platform, "noarch"):
        document = json.loads((channel.folder / subdir / "repodata.json").read_bytes())
        records: dict[str, Any] = {**document["packages"], **document["packages.conda"]}
        for file, record in sorted(records.items()):
            path = channel.folder / subdir / file
            asked = record["name"] in wanted or f"{record['name']}={record['version']}" in wanted
            if asked and path.exists():
                found.append((conda_package(file, record, path), path))
    assert len(found) == len(wanted), [package.file for package, _ in found]
    return sorted(found, key=lambda item: item[0].name)


def conda_package(file: str, record: Mapping[str, Any], path: Path) -> CondaPackage:
    """A repodata record as a lock holds it."""
    return CondaPackage(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        build_number=record["build_number"],
        subdir=record["subdir"],
        file=file,
        sha256=digest_file(path),
        channel="./channel",
        size=record.get("size"),
        license=record.get("license"),
        timestamp=record.get("timestamp"),
        noarch=record.get("noarch"),
        depends=tuple(record.get("depends", ())),
        constrains=tuple(record.get("constrains", ())),
        purls=tuple(record.get("purls") or ()),
        asked=record["name"] != "python",
    )


def wheel_inputs(paths: Sequence[Path]) -> list[tuple[Wheel, Path]]:
    """Wheel files as a lock would state them."""
    found = []
    for path in paths:
        name, version = path.name.split("-")[:2]
        wheel = Wheel(
            name=normalize_pypi_name(name), version=version, file=path.name, sha256=digest_file(path), index="default"
        )
        found.append((wheel, path))
    return sorted(found, key=lambda item: item[0].name)


def make_link(
    packages: Sequence[tuple[CondaPackage, Path]] = (),
    wheels: Sequence[tuple[Wheel | SourcePackage, Path]] = (),
    *,
    interpreter: str = "conda",
    python: str | None = SERIES,
    variables: tuple[tuple[str, str], ...] = (),
    system: tuple[tuple[str, str], ...] = (("__glibc", "2.39"),),
) -> tuple[Link, dict[Digest, Path]]:
    """A link and the files of its inputs, by key."""
    everything: list[tuple[CondaPackage | Wheel | SourcePackage, Path]] = [*packages, *wheels]
    link = Link(
        platform=Platform(this_platform()),
        python=python,
        interpreter=interpreter,
        packages=tuple(PackageInput(key=fetch_key(package.sha256), package=package) for package, _ in everything),
        variables=variables,
        system=system,
    )
    return link, {fetch_key(package.sha256): path for package, path in everything}


def prefix_of(link: Link, context: FolderContext) -> Path:
    """Where the link's prefix is."""
    host = context.host_python(SERIES) if link.interpreter == "host" else None
    return context.prefix(prefix_name(link, host))


def store_blobs(files: Mapping[Digest, Path], folder: Path) -> dict[Digest, Path]:
    """The same files as blobs: named by digest, read-only."""
    folder.mkdir(parents=True, exist_ok=True)
    blobs = {}
    for name, path in files.items():
        blob = folder / digest_file(path)
        if not blob.exists():
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as out:
                out.write(path.read_bytes())
            Path(out.name).chmod(0o444)
            Path(out.name).rename(blob)
        blobs[name] = blob
    return blobs


def tree(root: Path) -> dict[str, str]:
    """Every path below a folder with its type, mode, and content or target."""
    import hashlib

    found = {}
    for parent, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(parent, name)
            state = path.lstat()
            if path.is_symlink():
                said = f"link {path.readlink()}"
            elif path.is_dir():
                said = f"folder {state.st_mode & 0o7777:o}"
            else:
                said = f"file {state.st_mode & 0o7777:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            found[str(path.relative_to(root))] = said
    return found


def contents_of_processes() -> dict[str, str]:
    """The command of every process that can be seen, by its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[folder.name] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found
