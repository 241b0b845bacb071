"""Whether a wheel's name allows the environment's Python: the first two of its tags (PEP 425), for CPython.

The whole list of tags is ``packaging``'s, and takes 75 ms to import; whether one name fits one series is a few
comparisons. Rules of the file: pure; the platform tag is ``system_floor``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from envbuild.errors import IntegrityError
from envbuild.package import CondaPackage, Wheel
from envbuild.pattern import pattern

_PYTHON = pattern(r"(py|cp)(\d)(\d*)")
_FREE_THREADED = pattern(r"(?:^|_)(cp\d+t)(?:$|_)")


def check_wheel_python(wheel: Wheel, series: str) -> None:
    """A wheel's file name must allow a Python.

    Args:
        wheel: Whose name has tags, as ``check_wheel_platform`` made sure.
        series: ``X.Y``.

    Raises:
        IntegrityError: ``wrong-python``.
    """
    pythons, abis = wheel.file.removesuffix(".whl").split("-")[-3:-1]
    major, minor = (int(part) for part in series.split(".")[:2])
    if any(_fits(python, abi, major, minor) for python in pythons.split(".") for abi in abis.split(".")):
        return
    raise IntegrityError(f"{wheel.file} is not for Python {series}", reference="wrong-python", hint="envbuild lock")


def _fits(python: str, abi: str, major: int, minor: int) -> bool:
    found = _PYTHON.fullmatch(python)
    if found is None or int(found[2]) != major:
        return False
    older = found[3] == "" or int(found[3]) <= minor
    if found[1] == "py":
        return older and abi == "none"
    if abi == "abi3":
        return older and found[3] != ""
    same = found[3] == str(minor)
    return same and (abi == "none" or re.fullmatch(rf"cp{major}{minor}[a-z]*", abi) is not None)


def abi_tag(packages: Iterable[CondaPackage], series: str) -> str:
    """The ABI tag of an environment's Python: ``cp313``, or ``cp313t`` where its package is the free-threaded one.

    Args:
        packages: The environment's conda packages.
        series: ``X.Y``.
    """
    builds = (package.build for package in packages if package.name in {"python", "python_abi"})
    found = [match[1] for build in builds if (match := _FREE_THREADED.search(build))]
    return found[0] if found else f"cp{series.replace('.', '')}"
