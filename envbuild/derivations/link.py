"""Link: packages of a lock become a prefix.

**In the key**: the ordered keys of the inputs (fetch, transmute, build-wheel), the platform, the Python series, the
interpreter mode, the variables, the link options, and what the prefix's own records tell beyond the packages' bytes: a
conda package's channel, dependencies and so on (``conda-meta``), which wheels were asked for (``REQUESTED``), and the
address of a wheel or source that was asked for by one (``direct_url.json``).
**Not in the key**: where the prefix lies, how files get there (hard link, copy), and the environment's name.
**Output**: ``out``, the manifest (canonical JSON); the prefix is a view of it, at
``context.prefix(prefix_name(link, host))``.

The work reads the blobs of the declared inputs and nothing else: no network, no index, no solver. The caches of the
engines make it fast and may vanish at any time. A prefix appears by one rename; until then it is scratch.

Rules of the file: no engine is imported here; ``envbuild.linkers`` does the work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar

from envbuild.derivations import Context, HostPython, Outputs, PackageInput, Purity
from envbuild.derivations.prefix_names import prefix_folder
from envbuild.digest import Digest, Json, canonical_json, digest_bytes, key
from envbuild.package import CondaPackage, InterpreterArchive, Platform, SourcePackage, Wheel
from envbuild.pinned import package_tree
from envbuild.value import dataclass

MANIFEST_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The derivation that makes a prefix.

    Attributes:
        packages: Conda packages first, then the interpreter's archive, then wheels, then what is built from sources;
            the lock's order within each.
        python: The series ``X.Y``; None for a prefix without Python.
        interpreter: ``conda``, ``host`` or ``managed``.
        bytecode: Keys of the derivations that give compiled modules of the packages. A key document leaves it out when
            it is empty.
        options: How to link where that decides content, as sorted pairs; empty by default.
        system: The virtual packages that the lock assumed. Only a refusal comes of them, never another prefix, so they
            stay out of the key.
        name: What people call it.
    """

    kind: ClassVar[str] = "link"
    version: ClassVar[int] = 1

    platform: Platform
    python: str | None
    interpreter: str
    packages: tuple[PackageInput, ...] = field(compare=False)
    variables: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    bytecode: tuple[Digest, ...] = ()
    system: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    name: str = field(default="environment", compare=False)
    inputs: tuple[Digest, ...] = field(init=False)
    key: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", (*(item.key for item in self.packages), *self.bytecode))
        object.__setattr__(self, "key", key(self.kind, self.version, self.document()))

    @property
    def purity(self) -> Purity:
        """The same inputs give the same prefix."""
        return "pure"

    @property
    def label(self) -> str:
        """What people see."""
        return f"{self.name} ({self.platform})"

    @property
    def size(self) -> int | None:
        """Linking moves no bytes over a network."""
        return None

    def document(self) -> Json:
        """Everything that decides the prefix's content."""
        document: dict[str, Json] = {
            "inputs": [item.key for item in self.packages],
            "platform": self.platform,
            "python": self.python,
            "interpreter": self.interpreter,
            "variables": dict(self.variables),
            "options": dict(self.options),
            "records": {package.name: _record_digest(package) for _, package in self.conda()},
            "asked": [key for key, package in (*self.wheels(), *self.sources()) if package.asked],
            "addresses": {
                **{key: package.url for key, package in self.wheels() if package.url is not None},
                **{key: address for key, package in self.sources() if (address := _address(package))},
            },
        }
        if self.bytecode:
            document["bytecode"] = list(self.bytecode)
        return document

    def conda(self) -> tuple[tuple[Digest, CondaPackage], ...]:
        """The conda packages with their input keys."""
        return tuple((item.key, item.package) for item in self.packages if isinstance(item.package, CondaPackage))

    def wheels(self) -> tuple[tuple[Digest, Wheel], ...]:
        """The wheels with their input keys."""
        return tuple((item.key, item.package) for item in self.packages if isinstance(item.package, Wheel))

    def sources(self) -> tuple[tuple[Digest, SourcePackage], ...]:
        """The sources whose wheels it links, with the keys of their builds."""
        return tuple((item.key, item.package) for item in self.packages if isinstance(item.package, SourcePackage))

    def archive(self) -> tuple[Digest, InterpreterArchive] | None:
        """The managed interpreter's archive with its input key, if there is one."""
        found = [(item.key, item.package) for item in self.packages if isinstance(item.package, InterpreterArchive)]
        return found[0] if found else None


def _record_digest(package: CondaPackage) -> Digest:
    """What stands for a conda package's record in the key.

    Not canonical JSON, whose library takes ten times as long: these are texts, integers, booleans and lists of texts,
    which the standard library writes in one way only.
    """
    return digest_bytes(json.dumps(package_tree(package), sort_keys=True).encode())


def _address(source: SourcePackage) -> dict[str, Json]:
    """Where a source came from, as ``direct_url.json`` tells it; empty for what an index served."""
    told = {
        "url": source.url,
        "git": source.git,
        "commit": source.commit,
        "rev": source.rev,
        "path": source.path,
        "subdirectory": source.subdirectory,
    }
    return {name: value for name, value in told.items() if value is not None}


def prefix_name(link: Link, host: HostPython | None = None) -> str:
    """The folder name of a link's prefix below the prefixes' folder.

    Args:
        link: The derivation.
        host: This machine's Python, needed in host mode: another Python there needs another prefix.

    Raises:
        ValueError: Without ``host`` in host mode; a defect of the caller.
    """
    if link.interpreter != "host" or link.python is None:
        return prefix_folder(link.key, None)
    if host is None:
        raise ValueError("a prefix on the host's Python is named after that Python")
    return prefix_folder(link.key, host)


def manifest(link: Link, blobs: Sequence[Digest], compiled: Sequence[Digest] = ()) -> bytes:
    """The canonical document that says what a prefix holds.

    Args:
        link: The derivation.
        blobs: The sha256 of each input's bytes, in the order of ``link.packages``.
        compiled: The sha256 of each archive of compiled modules.
    """
    kinds = {CondaPackage: "conda", Wheel: "wheel", SourcePackage: "built", InterpreterArchive: "interpreter"}
    packages: list[Json] = []
    for item, blob in zip(link.packages, blobs, strict=True):
        package = item.package
        named = package.implementation if isinstance(package, InterpreterArchive) else package.name
        packages.append({"name": named, "version": package.version, "kind": kinds[type(package)], "blob": blob})
    return canonical_json(
        {
            "format": MANIFEST_FORMAT,
            "platform": link.platform,
            "python": link.python,
            "variables": dict(link.variables),
            "packages": packages,
            "blobs": sorted({*blobs, *compiled}),
        }
    )


def realise(link: Link, context: Context) -> Outputs:
    """Build the prefix from the declared inputs, unless it is there, and publish its manifest.

    Raises:
        IntegrityError: A package is not what the lock says, or is not safe to link.
        UnsatisfiableError: This machine lacks the Python, or a package needs a newer system than the lock's floor.
        BuildError: An engine failed.
        NoSpaceError: The disk is full or not writable.
    """
    from envbuild.linkers.prefix import make_prefix

    host = context.host_python(link.python) if link.interpreter == "host" and link.python else None
    blobs = make_prefix(link, context.prefix(prefix_name(link, host)), host, context)
    compiled = [context.digest(key) for key in link.bytecode]
    return {"out": context.put_bytes(manifest(link, blobs, compiled))}


def prepare(link: Link, input_key: Digest, context: Context) -> None:
    """Ready one finished input: check that it is what the lock says, and let the engine unpack it into its cache.

    Raises:
        IntegrityError: The package is not what the lock says. Engine troubles are left for ``realise`` to meet.
    """
    from envbuild.linkers.prefix import prepare_bytecode, prepare_input

    if input_key in link.bytecode:
        prepare_bytecode(input_key, context)
        return
    item = link.packages[link.inputs.index(input_key)]
    prepare_input(link, item.key, item.package, context)
