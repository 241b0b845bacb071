"""What is fed with damaged inputs (R33): every parser of what comes from outside, by the name that the report has.

Theory: a subject is made once for a process, with a folder of its own, and gives a function that takes one input's
``Random``, makes the input, and hands it to the parser. It says True for an input that was read and False for one that
was refused as it must be; whatever is wrong is raised. Where somebody else reads the same format, what was read is
compared with what they read; where nobody does, with what must hold of everything that is read.

Rules of the file: a list, which a test holds to be whole; a subject's module is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

Each = Callable[[Random], bool]

NAMES: Mapping[str, tuple[str, ...]] = {
    "fuzzed_texts": (
        *("recipes", "envbuild.yaml", "requirements.txt", "environment.yml", "pyproject.toml", "requirement lines"),
        *("match specs", "index pages, HTML", "index pages, JSON", "METADATA", "answers of uv", "repodata.json"),
    ),
    "fuzzed_locks": (
        *("locks", "locks of odd values", "closures", "pylock.toml", "uv.lock", "conda-lock.yml", "pixi.lock"),
        *("explicit.txt", "pip freeze", "files of unknown format"),
    ),
    "fuzzed_archives": (
        *("tars, pax", "tars, pax, sums right", "tars, GNU, sums right", "tars, gzip", "tars, bz2", "tars, xz"),
        *("tars, zstd", "zips", "wheels", "zip directories", "conda packages, .conda", "conda packages, .tar.bz2"),
        *("transmuted .conda", "transmuted .tar.bz2", "archives of Pythons", "paths.json"),
    ),
    "fuzzed_projects": ("projects", "compiled files", "environments of other tools"),
    "fuzzed_signatures": ("signature envelopes",),
}
"""The subjects of each module."""

COSTLY = {"repodata.json": 10}
"""Subjects whose inputs cost so many times as much as those of others; so many times fewer are tried."""


def subject(name: str) -> Callable[[Path], Each]:
    """What makes a subject."""
    (module,) = (module for module, names in NAMES.items() if name in names)
    made: Mapping[str, Callable[[Path], Each]] = importlib.import_module(f"tests.faults.{module}").SUBJECTS
    return made[name]
