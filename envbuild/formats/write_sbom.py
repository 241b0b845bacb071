"""Software bills of materials: one environment as CycloneDX 1.6, JSON (ECMA-424).

Every package is a component with its package URL, digests, licence and what it needs; the environment is the root, and
depends on what its recipe asks for. There is no time of making, and the serial number follows from the environment's
id: one lock and one envbuild give the same bytes.

Rules of the file: pure; the only one that imports the library of CycloneDX, which is the extra ``sbom``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from envbuild.addresses import DEFAULT_INDEX
from envbuild.errors import UsageError
from envbuild.formats.writing import Exporting, Packaged, Written, few, files_of
from envbuild.lock import LockedEnvironment
from envbuild.locks.dependencies import dependency_table
from envbuild.package import CondaPackage, SourcePackage
from envbuild.version import __version__

if TYPE_CHECKING:
    from cyclonedx.model import HashType, Property
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License
    from packageurl import PackageURL

_SERIAL = uuid.UUID("9d0a2f0e-6a0f-5d0e-9a57-4f6f0c1f6a10")
"""The namespace (RFC 9562, version 5) of serial numbers."""


def write(exporting: Exporting) -> Written:
    """The document's text.

    Raises:
        UsageError: ``missing-extra`` when CycloneDX's library is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output import make_outputter
        from cyclonedx.schema import OutputFormat, SchemaVersion
    except ImportError as error:
        raise UsageError(
            "a bill of materials needs CycloneDX's library",
            reference="missing-extra",
            hint="pip install 'envbuild[sbom]'",
        ) from error

    (environment,) = exporting.environments
    components = {item.name: _conda(item) for item in environment.conda}
    components |= {item.name: _pypi(item, exporting) for item in files_of(environment)}
    root = Component(
        name=exporting.name,
        type=ComponentType.APPLICATION,
        bom_ref=environment.id,
        version=environment.id[:12],
        properties=_properties(_about(environment)),
    )
    bom = Bom(components=components.values(), serial_number=uuid.uuid5(_SERIAL, f"{exporting.name}\0{environment.id}"))
    bom.metadata.component = root
    bom.metadata.tools.components.add(Component(name="envbuild", type=ComponentType.APPLICATION, version=__version__))
    table = dependency_table(environment)
    needed = {other for node in table.values() for other in node.requires}
    first = [name for name, node in table.items() if node.asked] or [name for name in table if name not in needed]
    bom.register_dependency(root, [components[name] for name in first or table])
    for name, node in table.items():
        bom.register_dependency(components[name], [components[other] for other in node.requires])
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document["metadata"].pop("timestamp", None)
    return Written(text=json.dumps(document, indent=2, ensure_ascii=False) + "\n", losses=tuple(_losses(environment)))


def _about(environment: LockedEnvironment) -> Mapping[str, str]:
    told = {"environment": environment.id, "platform": environment.platform, "interpreter": environment.interpreter}
    if environment.python is not None:
        told["python"] = environment.python
    return told | {f"system:{name}": version for name, version in environment.system}


def _losses(environment: LockedEnvironment) -> Iterator[str]:
    if environment.python is not None and not any(item.name == "python" for item in environment.conda):
        yield f"Python {environment.python} itself, which is no package of the lock"
    if environment.variables:
        yield f"the variables that are set on activation: {few(name for name, _ in environment.variables)}"
    tools = [item.name for item in environment.build] + [item.name for item in environment.build_sources]
    if tools:
        yield f"what only builds see: {few(tools)}"


def _conda(item: CondaPackage) -> Component:
    from packageurl import PackageURL

    qualifiers = {"build": item.build, "subdir": item.subdir, "type": _archive(item.file)}
    if item.channel is not None:
        qualifiers["channel"] = item.channel
    elif item.url is not None:
        qualifiers["download_url"] = item.url
    told = {"file": item.file, "asked": str(item.asked).lower()}
    told |= {f"purl:{number}": purl for number, purl in enumerate(item.purls)}
    return _component(
        item.name,
        item.version,
        PackageURL("conda", None, item.name, item.version, qualifiers),
        {"SHA-256": item.sha256, "MD5": item.md5},
        item.license,
        told,
    )


def _archive(file: str) -> str:
    return "tar.bz2" if file.endswith(".tar.bz2") else file.rpartition(".")[2]


def _pypi(item: Packaged, exporting: Exporting) -> Component:
    told = {"file": item.file, "asked": str(item.asked).lower()}
    if isinstance(item, SourcePackage):
        told["source"] = item.form
    digests = {"SHA-256": None if isinstance(item, SourcePackage) and _tree(item) else item.sha256}
    return _component(item.name, item.version, _purl(item, exporting), digests, item.license, told)


def _tree(item: SourcePackage) -> bool:
    """Whether the digest is that of a tree, which is no file that somebody else could hash."""
    return item.git is not None or item.path is not None


def _purl(item: Packaged, exporting: Exporting) -> PackageURL:
    """The package URL: of PyPI for what is on an index, with where else it is from as the purl types say."""
    from packageurl import PackageURL

    qualifiers: dict[str, str] = {}
    if isinstance(item, SourcePackage) and item.path is not None:
        return PackageURL("generic", None, item.name, item.version, {"checksum": f"sha256:{item.sha256}"})
    if isinstance(item, SourcePackage) and item.git is not None:
        qualifiers["vcs_url"] = f"git+{item.git}@{item.commit}"
    elif item.url is not None:
        qualifiers["download_url"] = item.url
    elif item.index is not None and item.index != DEFAULT_INDEX:
        qualifiers["repository_url"] = exporting.indices.get(item.index, item.index)
    return PackageURL("pypi", None, item.name, item.version, qualifiers)


def _component(
    name: str,
    version: str,
    purl: PackageURL,
    digests: Mapping[str, str | None],
    licence: str | None,
    told: Mapping[str, str],
) -> Component:
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        hashes=_hashes(digests),
        licenses=[_licence(licence)] if licence else [],
        properties=_properties(told),
    )


def _hashes(digests: Mapping[str, str | None]) -> Iterable[HashType]:
    from cyclonedx.model import HashAlgorithm, HashType

    return [HashType(alg=HashAlgorithm(name), content=digest) for name, digest in digests.items() if digest]


def _licence(text: str) -> License:
    """An SPDX id or expression where the words are one, else a name."""
    from cyclonedx.factory.license import LicenseFactory

    return LicenseFactory().make_from_string(text)


def _properties(told: Mapping[str, str]) -> list[Property]:
    from cyclonedx.model import Property

    return [Property(name=f"envbuild:{name}", value=value) for name, value in told.items()]
