"""Which Pythons a wheel's name allows, held against ``packaging``'s whole list."""

from __future__ import annotations

import pytest
from packaging.tags import compatible_tags, cpython_tags

from envbuild.digest import digest_bytes
from envbuild.errors import IntegrityError
from envbuild.linkers.python_tags import check_wheel_python
from envbuild.package import Wheel

PYTHONS = (
    "py2",
    "py3",
    "py27",
    "py38",
    "py311",
    "py312",
    "py313",
    "cp3",
    "cp27",
    "cp38",
    "cp311",
    "cp312",
    "cp313",
    "pp310",
)
ABIS = ("none", "abi3", "cp311", "cp312", "cp312t", "cp312d", "cp38m", "pypy310_pp73")


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("python", PYTHONS)
def test_as_packaging_says(python: str, abi: str) -> None:
    known = {str(tag) for tag in cpython_tags((3, 12), ["cp312"], ["any"])}
    known |= {str(tag) for tag in compatible_tags((3, 12), "cp312", ["any"])}
    if abi in {"cp312t", "cp312d"} and python == "cp312":
        return  # builds of CPython that the series does not tell apart
    wheel = Wheel(name="x", version="1", file=f"x-1-{python}-{abi}-any.whl", sha256=digest_bytes(b"x"), index="i")
    if f"{python}-{abi}-any" in known:
        check_wheel_python(wheel, "3.12")
    else:
        with pytest.raises(IntegrityError, match=r"is not for Python 3\.12"):
            check_wheel_python(wheel, "3.12")


def test_several_tags_in_one_name() -> None:
    wheel = Wheel(name="x", version="1", file="x-1-py2.py3-none-any.whl", sha256=digest_bytes(b"x"), index="i")
    check_wheel_python(wheel, "3.12")
