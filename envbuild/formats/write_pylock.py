"""``pylock.toml`` (PEP 751), as pip, uv and others install it.

A version that all platforms have stands once, with the wheels of each; others with a marker. Conda packages cannot
stand in it.
"""

from __future__ import annotations

import json

from envbuild.addresses import DEFAULT_INDEX
from envbuild.formats.writing import MARKERS, Exporting, Merged, Packaged, Written, common_losses, merged
from envbuild.package import SourcePackage, Wheel


def write(exporting: Exporting) -> Written:
    """The file's text."""
    losses = common_losses(exporting, conda=False, wheels=True, variables=False)
    lines = ['lock-version = "1.0"']
    markers = [MARKERS[platform] for platform in exporting.platforms]
    lines.append(f"environments = [{', '.join(map(_text, markers))}]")
    pythons = sorted({item.python for item in exporting.environments if item.python is not None})
    if len(pythons) == 1:
        lines.append(f"requires-python = {_text(f'=={pythons[0]}.*')}")
    elif pythons:
        losses.append(f"which platform has which Python: {', '.join(pythons)}")
    lines.append('created-by = "envbuild"')
    packages = merged(exporting)
    several = {item.first.name for item in packages if sum(one.first.name == item.first.name for one in packages) > 1}
    own = {item.first.name for item in packages}
    if any(item.first.find_links for item in packages):
        losses.append("that some files come from a find-links place and not from an index")
    for item in packages:
        lines += ["", *_package(item, own, several, exporting)]
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _package(item: Merged, own: set[str], several: set[str], exporting: Exporting) -> list[str]:
    first = item.first
    is_tree = isinstance(first, SourcePackage) and (first.git is not None or first.path is not None)
    lines = ["[[packages]]", f"name = {_text(first.name)}"]
    if not is_tree:
        lines.append(f"version = {_text(first.version)}")
    if item.marker is not None:
        lines.append(f"marker = {_text(item.marker)}")
    if first.index is not None and (first.index != DEFAULT_INDEX or exporting.indices.get(DEFAULT_INDEX)):
        lines.append(f"index = {_text(exporting.indices[first.index])}")
    needed = sorted({name for one in item.packages.values() for name in one.requires if name in own})
    if not any(name in several for name in needed):
        inside = ", ".join(f"{{ name = {_text(name)} }}" for name in needed)
        lines.append(f"dependencies = [{inside}]")
    return lines + _sources(item, exporting)


def _sources(item: Merged, exporting: Exporting) -> list[str]:
    first = item.first
    if isinstance(first, SourcePackage):
        inside = [f"subdirectory = {_text(first.subdirectory)}"] if first.subdirectory else []
        if first.git is not None:
            told = ['type = "git"', f"url = {_text(first.git)}", f"commit-id = {_text(first.commit or '')}"]
            return ["[packages.vcs]", *told, *inside]
        if first.path is not None:
            return ["[packages.directory]", f"path = {_text(first.path)}", *inside]
        if first.url is not None:
            return ["[packages.archive]", *_file(first, exporting), *inside]
        return [f"sdist = {{ {', '.join(_named(first, exporting))} }}"]
    if first.url is not None:
        return ["[packages.archive]", *_file(first, exporting)]
    wheels = [f"    {{ {', '.join(_named(file, exporting))} }}," for file in _wheels(item)]
    return ["wheels = [", *wheels, "]"]


def _wheels(item: Merged) -> list[Wheel]:
    return sorted((file for file in item.files() if isinstance(file, Wheel)), key=lambda file: file.file)


def _named(item: Packaged, exporting: Exporting) -> list[str]:
    return [f"name = {_text(item.file)}", *_file(item, exporting)]


def _file(item: Packaged, exporting: Exporting) -> list[str]:
    told = [f"url = {_text(exporting.addresses[item.sha256])}"]
    if item.upload_time is not None:
        told.append(f"upload-time = {item.upload_time}")
    if item.size is not None:
        told.append(f"size = {item.size}")
    return [*told, f"hashes = {{ sha256 = {_text(item.sha256)} }}"]
