"""What a conda package counts as on PyPI: the one answer to that, for solving, for the tree and for ``why``.

A package exists once in an environment, and conda wins, so it must be known which PyPI project a conda package is. In
this order: what the recipe or the configuration says (``conda: provides:``); the package URLs (``purls``) of its
record; the table here; the same name, for packages that need Python.

Rules of the file: pure; every answer says on whose word it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from envbuild.package import CondaPackage, SourcePackage, normalize_pypi_name
from envbuild.pattern import pattern
from envbuild.value import dataclass

Provides = Sequence[tuple[str, tuple[str, ...]]]
"""conda's name and the PyPI projects that it counts as, none of them when it is no PyPI project."""

Word = Literal["provides", "purl", "table", "same name"]

PYPI_NAMES: Mapping[str, str] = {
    "blas": "",
    "dask-core": "dask",
    "lightgbm": "lightgbm",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "numpy-base": "numpy",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python": "",
    "python-graphviz": "graphviz",
    "python_abi": "",
    "python-gil": "",
    "python-freethreading": "",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "uvicorn-standard": "uvicorn",
}
"""conda's name to PyPI's where they differ; empty for what is no PyPI project."""

_NAME_END = pattern(r"[\s<>=!~\[]")
_PURL = pattern(r"pkg:pypi/([^@?#]+)(?:@([^?#]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One PyPI project that a conda package counts as.

    Attributes:
        package: conda's name.
        project: PyPI's, normalized.
        version: As PEP 440 has it.
        by: On whose word: ``provides`` (recipe or configuration), ``purl``, ``table`` or ``same name``.
    """

    package: str
    project: str
    version: str
    by: Word

    def __str__(self) -> str:
        word = {
            "provides": "as `conda: provides:` says",
            "purl": "as its channel's record says (purl)",
            "table": "by envbuild's table",
            "same name": "by its name",
        }[self.by]
        return f"conda's {self.package} counts as PyPI's {self.project} {self.version}, {word}"


def counted_as(package: CondaPackage, provides: Provides = ()) -> tuple[Counted, ...]:
    """The PyPI projects that a conda package provides; empty for what is none, or has no version that PyPI knows.

    Args:
        package: As locked or solved.
        provides: What recipe and configuration say.
    """
    found = []
    for project, version, word in _named(package, dict(provides)):
        known = pep440(version)
        if known is not None:
            name = normalize_pypi_name(project)
            found.append(Counted(package=package.name, project=name, version=known, by=word))
    return tuple(found)


def project_names(package: CondaPackage) -> tuple[str, ...]:
    """The names under which wheels may ask for a conda package, by its record, the table and its own name."""
    return tuple(dict.fromkeys((*(normalize_pypi_name(name) for name, _, _ in _named(package, {})), package.name)))


def names_of_needs(source: SourcePackage, packages: Iterable[CondaPackage]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a source may call each conda package that it needs: conda's name, and PyPI's.

    Args:
        source: As locked.
        packages: The environment's conda packages.
    """
    told: dict[str, list[str]] = {}
    for text in source.provided:
        project, _, name = text.partition("=")
        told.setdefault(name, []).append(project)
    needed = set(source.requires)
    several = (package for package in packages if package.name in needed)
    return tuple((item.name, (*told.get(item.name, ()), *project_names(item))) for item in several)


def _named(package: CondaPackage, provides: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str, Word]]:
    if package.name in provides:
        return [(project, package.version, "provides") for project in provides[package.name]]
    matches = [match for purl in package.purls if (match := _PURL.fullmatch(purl))]
    if matches:
        return [(match[1], match[2] or package.version, "purl") for match in matches]
    if package.name in PYPI_NAMES:
        name = PYPI_NAMES[package.name]
        return [(name, package.version, "table")] if name else []
    needs_python = any(_NAME_END.split(item)[0] in {"python", "python_abi"} for item in package.depends)
    return [(package.name, package.version, "same name")] if needs_python or package.noarch == "python" else []


def pep440(version: str) -> str | None:
    """A conda version as PEP 440 has it, or None when no part of it is one."""
    from packaging.version import InvalidVersion, Version

    release = re.match(r"\d+(\.\d+)*", version)
    for text in (version, version.replace("_", "."), release[0] if release else ""):
        try:
            return str(Version(text))
        except InvalidVersion:
            continue
    return None
