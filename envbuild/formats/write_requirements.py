"""``requirements.txt`` with digests, as ``pip install --require-hashes -r`` and ``uv pip sync`` take it.

Packages of several platforms stand in one file: a version that all have once, with every file's digest; others with a
marker. What has no digest of one file (git, a folder) cannot stand in such a file and is left out.
"""

from __future__ import annotations

from envbuild.addresses import DEFAULT_INDEX
from envbuild.formats.writing import Exporting, Merged, Written, common_losses, few, files_of, merged
from envbuild.package import SourcePackage


def write(exporting: Exporting) -> Written:
    """The file's text."""
    losses = common_losses(exporting, conda=False, wheels=True, variables=False)
    lines = [f"# {exporting.name} for {', '.join(exporting.platforms)}, exported by envbuild"]
    pythons = sorted({item.python for item in exporting.environments if item.python is not None})
    if pythons:
        lines.append(f"# Python {', '.join(pythons)}")
        losses.append(f"Python {', '.join(pythons)} itself: whoever installs the file brings it")
    packages = merged(exporting)
    lines += _places(exporting, losses)
    left = [item.first.name for item in packages if _is_tree(item)]
    if left:
        losses.append(f"{few(left)}: what comes from git or a folder has no digest that pip would check")
    for item in packages:
        if not _is_tree(item):
            lines += _entry(item)
    return Written(text="\n".join(lines) + "\n", losses=tuple(losses))


def _is_tree(item: Merged) -> bool:
    first = item.first
    return isinstance(first, SourcePackage) and (first.git is not None or first.path is not None)


def _places(exporting: Exporting, losses: list[str]) -> list[str]:
    """The options that say where to look; nothing when the reader's own default index will do."""
    words = {item.index for one in exporting.environments for item in files_of(one) if item.index is not None}
    named = sorted(words - {DEFAULT_INDEX})
    lines = []
    if named and DEFAULT_INDEX not in words:
        lines.append(f"--index-url {exporting.indices[named[0]]}")
        named, kept = named[1:], named
    else:
        kept = named
    lines += [f"--extra-index-url {exporting.indices[word]}" for word in named]
    if kept and len(words) > 1:
        losses.append("which index each package comes from: pip asks all of them for each; the digests still hold")
    links = sorted({item.find_links for one in exporting.environments for item in files_of(one) if item.find_links})
    return [*lines, *(f"--find-links {exporting.indices[link]}" for link in links)]


def _entry(item: Merged) -> list[str]:
    first = item.first
    if first.url is not None:
        inside = first.subdirectory if isinstance(first, SourcePackage) else None
        fragment = f"#subdirectory={inside}" if inside else ""
        text = f"{first.name} @ {first.url}{fragment}"
    else:
        text = f"{first.name}=={first.version}"
    if item.marker is not None:
        text += f" ; {item.marker}"
    hashes = [f"    --hash=sha256:{file.sha256}" for file in sorted(item.files(), key=lambda one: one.sha256)]
    return [line + " \\" for line in (text, *hashes)[:-1]] + [hashes[-1]]
