"""Building again what was built before, in other scratch, and comparing the two wheels file by file.

A build is pure by intent: its first result stands for its key. Whether another one would give the same is a question
that only another build answers. Nothing of the second build is recorded.

Rules of the file: prints nothing; the second wheel is a blob that nothing refers to, which the next ``gc`` takes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from envbuild.derivations.build_wheel import BuildWheel
from envbuild.digest import Digest
from envbuild.environments.builds import one_build
from envbuild.environments.realizing import Realizer
from envbuild.errors import IntegrityError
from envbuild.machine.virtual import current_platform
from envbuild.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A build done twice.

    Attributes:
        file: The wheel's name.
        first: Digest of the wheel that stands; ``second`` of the one built now.
        differences: The files that differ, each with what is different; empty when both are the same bytes.
    """

    name: str
    version: str
    key: Digest
    file: str
    first: Digest
    second: Digest
    differences: tuple[str, ...]
    milliseconds: int

    @property
    def same(self) -> bool:
        """Whether both are the same, byte for byte."""
        return not self.differences


def rebuild(realizer: Realizer, wanted: str) -> Rebuilt:
    """Build a package again and compare.

    Args:
        realizer: Of the project in whose folder one stands.
        wanted: The package's name, or 7 digits or more of the build's key; the newest build counts.

    Raises:
        UsageError: ``no-build`` when nothing was built under that name.
        IntegrityError: ``damaged-blob`` when the wheel that stands is not in the store any more.
        BuildError: When it cannot be built now. UnreachableError, StaleError: when its source is gone or changed.
    """
    workspace = realizer.workspace
    with workspace:
        known = one_build(workspace.store, wanted, current_platform())
        build = known.build
        first = workspace.blobs.path(known.result.output().sha256)
        if first is None:
            raise IntegrityError(
                f"the wheel of {build.label} is not in the store any more",
                reference="damaged-blob",
                hint="envbuild realize builds it again where it is needed",
            )
        outcome = realizer.run_again(known.graph, build.key)
        outputs = outcome.outputs[build.key]
        second = workspace.blobs.path(outputs["out"].sha256)
        assert second is not None
        return Rebuilt(
            name=build.package.name,
            version=build.package.version,
            key=build.key,
            file=_file(workspace.blobs.path(outputs["record"].sha256), build),
            first=known.result.output().sha256,
            second=outputs["out"].sha256,
            differences=differences(first, second),
            milliseconds=outcome.milliseconds[build.key],
        )


def _file(record: Path | None, build: BuildWheel) -> str:
    import json

    return str(json.loads(record.read_bytes())["file"]) if record is not None else build.package.file


def differences(first: Path, second: Path) -> tuple[str, ...]:
    """What differs between two wheels, by file; a RECORD that only tells of other differences is not named.

    Args:
        first: The one that stands.
        second: The new one.
    """
    if first.read_bytes() == second.read_bytes():
        return ()
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        ours, theirs = ({item.filename: item for item in archive.infolist()} for archive in (one, two))
        found = [f"{name}: only in the first build" for name in ours.keys() - theirs.keys()]
        found += [f"{name}: only in the second build" for name in theirs.keys() - ours.keys()]
        for name in ours.keys() & theirs.keys():
            if one.read(name) != two.read(name):
                found.append(f"{name}: different content")
            elif ours[name].external_attr != theirs[name].external_attr:
                found.append(f"{name}: different mode")
    told = sorted(text for text in found if not text.endswith("dist-info/RECORD: different content"))
    return tuple(told or sorted(found)) or ("the archive itself: order, times or compression of its members",)
