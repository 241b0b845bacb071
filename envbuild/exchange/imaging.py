"""``image``: a locked environment as a container image, an OCI image layout in a folder; nothing runs but the linkers.

Theory: a prefix holds its own path in scripts and libraries, so that none of this machine can be copied. The
environment is linked once more, in scratch, for the place that it will have in the image. That place is the same for
every environment: with an id in it, every file that holds the path, and the name of every member, would change with
each package, and with them all layers.

One lock gives the same digest everywhere: nothing in the image names this machine, the time or what people call it.

Rules of the file: wires; the layout and the layers are the modules beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from envbuild.derivations.link import Link
from envbuild.digest import Digest
from envbuild.environments.environment import activation_scripts, check_variables, fixed_variables
from envbuild.errors import UnsatisfiableError, UsageError
from envbuild.exchange.image_layers import layers_of
from envbuild.exchange.image_layout import CONFIG, LAYER, MANIFEST, Base, Layout, read_base
from envbuild.exchange.image_tar import write_layer
from envbuild.graph import Graph
from envbuild.linkers.prefix import assemble
from envbuild.value import dataclass

if TYPE_CHECKING:
    from envbuild.environments.realized import Wanted
    from envbuild.environments.realizing import Realizer
    from envbuild.lock import LockedEnvironment
    from envbuild.package import Platform

PLACE = "/opt/envbuild"
"""Where the environment lies in the image."""

ARCHITECTURES: Mapping[str, str] = {
    "linux-64": "amd64",
    "linux-aarch64": "arm64",
    "linux-ppc64le": "ppc64le",
    "linux-s390x": "s390x",
    "linux-riscv64": "riscv64",
}
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_ANOTHER = ("PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV")
"""Variables of a base that would mean another Python."""
_TIME = "1970-01-01T00:00:00Z"
_PLACES = "envbuild.prefix"
"""The label that says where environments lie, those of the base first."""
_TITLE = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer that was written: what it holds, its digest, its bytes."""

    title: str
    packages: tuple[str, ...]
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was written.

    Attributes:
        folder: The layout.
        digest: Of its manifest: what ``IMAGE@sha256:…`` names.
        prefix: Where the environment lies in it.
        base: The digest of the image that it stands on; None for none.
        layers: The environment's own; the base's stand before them.
        notes: What it needs, and what it does not do.
    """

    name: str
    platform: Platform
    environment: Digest
    folder: Path
    digest: str
    prefix: str
    base: str | None
    layers: tuple[ImageLayer, ...]
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of the environment's own layers."""
        return sum(layer.size for layer in self.layers)


def check_image(environment: LockedEnvironment, name: str) -> str:
    """Refuse what cannot be an image; the architecture, in Go's words.

    Raises:
        UnsatisfiableError: ``no-image`` for another system than Linux.
        UsageError: ``no-image`` for an environment whose Python comes from the machine.
    """
    if environment.platform not in ARCHITECTURES:
        raise UnsatisfiableError(
            f"images are for Linux, and {name} is locked for {environment.platform} here", reference="no-image"
        )
    if environment.interpreter == "host" and environment.python is not None:
        raise UsageError(
            f"{name} stands on the Python of each machine, so that an image of it would hold none",
            reference="no-image",
            hint="`interpreter: managed` in the recipe, or a Python of conda's",
        )
    return ARCHITECTURES[environment.platform]


def check_place(place: str) -> PurePosixPath:
    """Where in an image an environment may lie.

    Raises:
        UsageError: ``bad-path``.
    """
    path = PurePosixPath(place)
    plain = not place.startswith("//") and place.isascii() and place.isprintable() and not set(place) & set(" :\"'\\")
    if not plain or not path.is_absolute() or str(path) != place or len(path.parts) < 3 or ".." in path.parts:
        raise UsageError(
            f"{place[:80]!r} is no place for an environment in an image",
            reference="bad-path",
            hint=f"an absolute path of at least two folders, such as {PLACE}",
        )
    return path


def write_image(realizer: Realizer, wanted: Wanted, folder: Path, place: PurePosixPath, base: Path | None) -> Image:
    """Write the image of an environment into an empty folder.

    Args:
        realizer: Brings the packages.
        wanted: The environment, of this machine's platform.
        folder: Empty; what stands in it after a failure is nothing.
        place: As ``check_place`` gives it.
        base: The layout of an image to stand on.

    Raises:
        UsageError: As ``check_image``. UnsatisfiableError: likewise, and as a link.
        InvalidInput: As ``read_base``. IntegrityError: likewise.
        EnvbuildError: When a package cannot be had or linked.
    """
    environment, workspace = wanted.environment, realizer.workspace
    architecture = check_image(environment, wanted.name)
    check_variables(dict(environment.variables))
    below = read_base(base, architecture) if base is not None else None
    if below is not None:
        _refuse_overlap(below, place)
    graph = realizer.graph(wanted)
    link = graph[graph.targets[0]]
    assert isinstance(link, Link)
    work = Graph((item for item in graph if item.kind != "link"), link.inputs)
    outcome = realizer.run(work, [wanted], parts=[(wanted.recipe, graph)])
    context = workspace.for_job(
        link, {key: outcome.outputs[key] for key in link.inputs}, {key: graph[key] for key in link.inputs}
    )
    layout = Layout(folder)
    with context.scratch() as scratch:
        prefix = scratch / "prefix"
        assemble(link, prefix, Path(place), None, context)
        for layer in below.layers if below is not None else ():
            layout.take(below, layer)  # type: ignore[arg-type]  # there are layers of a base only
        written, descriptors = [], []
        for part in layers_of(prefix):
            stream = partial(write_layer, prefix, place, part.names)
            descriptor = layout.stream(stream, LAYER)
            descriptors.append(descriptor)
            written.append(
                ImageLayer(
                    title=part.title, packages=part.packages, digest=descriptor["digest"], size=descriptor["size"]
                )
            )
        config = _config(environment, architecture, prefix, place, below, written)
        notes = _notes(environment, prefix, below)
    workspace.settle()
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.document(config, CONFIG),
        "layers": [*(below.layers if below is not None else ()), *descriptors],
        "annotations": config["config"]["Labels"],
    }
    told = layout.document(manifest, MANIFEST)
    told["platform"] = {"architecture": architecture, "os": "linux"}
    told["annotations"] = {_TITLE: environment.id[:12]}
    layout.finish(told)
    return Image(
        name=wanted.name,
        platform=environment.platform,
        environment=environment.id,
        folder=folder,
        digest=told["digest"],
        prefix=str(place),
        base=below.digest if below is not None else None,
        layers=tuple(written),
        notes=notes,
    )


def _config(
    environment: LockedEnvironment,
    architecture: str,
    prefix: Path,
    place: PurePosixPath,
    base: Base | None,
    layers: Sequence[ImageLayer],
) -> dict[str, Any]:
    """The image's configuration: the base's, with the environment's variables, labels, layers and history."""
    document: dict[str, Any] = dict(base.config) if base is not None else {}
    inner: dict[str, Any] = dict(document.get("config") or {})
    before = dict(item.partition("=")[::2] for item in inner.get("Env") or ())
    own = fixed_variables(prefix, dict(environment.variables), place.name)
    own = {name: str(place) if value == str(prefix) else value for name, value in own.items()}
    own.setdefault("PATH", f"{place}/bin:{before.get('PATH') or _SEARCH}")
    for name in _OF_ANOTHER:
        before.pop(name, None)
    inner["Env"] = [f"{name}={value}" for name, value in (before | own).items()]
    labels = {
        "envbuild.environment": environment.id,
        _PLACES: ":".join([*(_places(base) if base is not None else ()), str(place)]),
        "org.opencontainers.image.version": environment.id[:12],
    }
    if base is not None:
        labels["org.opencontainers.image.base.digest"] = base.digest
    inner["Labels"] = {**(inner.get("Labels") or {}), **labels}
    if base is None and environment.python is not None:
        inner["Cmd"] = [f"{place}/bin/python"]
    root = document.get("rootfs") or {}
    steps = [
        {"created": _TIME, "created_by": "envbuild image", "comment": ", ".join(layer.packages)} for layer in layers
    ]
    return {
        **document,
        "created": _TIME,
        "architecture": architecture,
        "os": "linux",
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [*root.get("diff_ids", ()), *(layer.digest for layer in layers)]},
        "history": [*(document.get("history") or ()), *steps],
    }


def _refuse_overlap(base: Base, place: PurePosixPath) -> None:
    """Refuse to mix two environments: files of the one below would show through."""
    for told in _places(base):
        there = PurePosixPath(told)
        if place.is_relative_to(there) or there.is_relative_to(place):
            raise UsageError(
                f"the base holds an environment at {there} already",
                reference="bad-path",
                hint=f"another place for this one: --prefix {there}-2",
            )


def _places(base: Base) -> list[str]:
    labels = (base.config.get("config") or {}).get("Labels") or {}
    return [item for item in labels.get(_PLACES, "").split(":") if item]


def _notes(environment: LockedEnvironment, prefix: Path, base: Base | None) -> tuple[str, ...]:
    notes = []
    if base is None:
        floor = dict(environment.system).get("__glibc")
        needed = f"glibc {floor} or newer" if floor else "glibc"
        notes.append(f"the image holds the environment alone: put a base with {needed} below it with --base FOLDER")
    if scripts := [path.name for path in activation_scripts(prefix, "activate", ".sh")]:
        notes.append(f"activation scripts of packages are in the image, and nothing runs them: {', '.join(scripts)}")
    return tuple(notes)
