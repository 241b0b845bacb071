"""``environment.yml`` with exact versions and builds, as conda, mamba and micromamba take it.

One file is one platform's, for builds differ. It holds no digests, which is the format's loss and is said.
"""

from __future__ import annotations

import json

from envbuild.addresses import DEFAULT_INDEX
from envbuild.formats.writing import Exporting, Packaged, Written, common_losses, files_of
from envbuild.package import SourcePackage


def write(exporting: Exporting) -> Written:
    """The file's text."""
    (environment,) = exporting.environments
    losses = common_losses(exporting, conda=True, wheels=True, variables=True)
    losses.append("the digests of all packages")
    lines = [
        f"# {exporting.name} for {environment.platform}, exported by envbuild",
        f"name: {json.dumps(exporting.name)}",
    ]
    channels = [f"  - {json.dumps(address)}" for address in exporting.channels.values()]
    if channels:  # without one, `nodefaults` would leave conda none to take the Python from
        lines += ["channels:", *channels, "  - nodefaults"]
    lines.append("dependencies:")
    lines += [f"  - {json.dumps(f'{item.name}={item.version}={item.build}')}" for item in environment.conda]
    if environment.python is not None and not any(item.name == "python" for item in environment.conda):
        lines.append(f"  - {json.dumps(f'python={environment.python}.*')}")
        place = "these channels" if channels else "the channels that it is set up with"
        losses.append(f"that Python comes from the machine: conda installs one of the same series, from {place}")
    pip = files_of(environment)
    if pip:
        if not any(item.name == "pip" for item in environment.conda):
            lines.append("  - pip")
            losses.append("that there is no pip: conda needs one to install what comes from PyPI")
        lines.append("  - pip:")
        lines += [f"    - {json.dumps(option)}" for option in _places(exporting, pip)]
        lines += [f"    - {json.dumps(_requirement(item))}" for item in pip]
    if environment.variables:
        lines.append("variables:")
        lines += [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in environment.variables]
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def _places(exporting: Exporting, pip: list[Packaged]) -> list[str]:
    words = {item.index for item in pip if item.index is not None}
    named = sorted(words - {DEFAULT_INDEX})
    links = sorted({item.find_links for item in pip if item.find_links is not None})
    first = "--index-url" if DEFAULT_INDEX not in words else "--extra-index-url"
    options = [
        f"{first if number == 0 else '--extra-index-url'} {exporting.indices[word]}"
        for number, word in enumerate(named)
    ]
    return [*options, *(f"--find-links {exporting.indices[link]}" for link in links)]


def _requirement(item: Packaged) -> str:
    if isinstance(item, SourcePackage):
        inside = f"#subdirectory={item.subdirectory}" if item.subdirectory else ""
        if item.git is not None:
            return f"{item.name} @ git+{item.git}@{item.commit}{inside}"
        if item.path is not None:
            return item.path if item.path.startswith("../") else f"./{item.path}"
        if item.url is not None:
            return f"{item.name} @ {item.url}{inside}"
    elif item.url is not None:
        return f"{item.name} @ {item.url}"
    return f"{item.name}=={item.version}"
