"""What a wheel needs against the lock alone: which disagreements are said, and which are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.digest import Digest
from envbuild.linkers.wheel_check import Surroundings
from envbuild.linkers.wheel_requirements import check_requirements
from envbuild.package import CondaPackage, Platform, Wheel


def wheel(name: str, requires: tuple[str, ...] = (), extras: tuple[str, ...] = ()) -> Wheel:
    file = f"{name}-1.0-py3-none-any.whl"
    return Wheel(
        name=name, version="1.0", file=file, sha256=Digest("1" * 64), index="default", requires=requires, extras=extras
    )


def conda(name: str) -> CondaPackage:
    return CondaPackage(
        name=name,
        version="1.0",
        build="0",
        build_number=0,
        subdir="noarch",
        file=f"{name}-1.0-0.conda",
        sha256=Digest("2" * 64),
        channel="forge",
        noarch="python",
    )


@pytest.mark.parametrize(
    ("own", "requires", "extras", "notes"),
    [
        ((), (), (), 0),
        (("Kind >=2", "tool[more]"), ("kind",), (), 0),  # a version that an override changed; itself
        (("kind",), (), (), 0),  # an edge that the file of an imported lock does not tell
        (("torch",), ("pytorch",), (), 0),  # conda's name by the table
        (("strange-name",), ("odd",), (), 0),  # conda's name by the recipe's `conda: provides:`
        (("absent; extra == 'more'",), (), (), 0),
        (("absent; extra == 'more'",), (), ("more",), 1),
        (("absent; python_version < '3'", "absent; sys_platform == 'win32'"), (), (), 0),
        (("absent",), (), (), 1),
        ((), ("kind",), (), 1),
        (("=== no requirement",), (), (), 0),
    ],
)
def test_what_a_lock_alone_does_not_convict(
    own: tuple[str, ...], requires: tuple[str, ...], extras: tuple[str, ...], notes: int, tmp_path: Path
) -> None:
    linked = wheel("tool", requires, extras)
    around = Surroundings(
        platform=Platform("linux-64"),
        python="3.11",
        packages=(conda("pytorch"), conda("odd"), linked, wheel("kind")),
        believed=tmp_path,
    )
    assert len(check_requirements(linked, own, around)) == notes
