"""What ``init`` writes: a first recipe and a project file, with comments for somebody who never saw one."""

from __future__ import annotations

from pathlib import Path

from envbuild.machine.disk import writing

PROJECT = """\
# The settings of this project; every key is optional.
recipes: recipes/
# platforms: [linux-64, osx-arm64]      # for recipes that name none; default: the machine that locks
# channels: [conda-forge]               # for recipes that name none
"""

HOST = """\
# A recipe declares one environment. Realize it:  envbuild realize recipes/first.yaml
# Then use it:                                    envbuild run recipes/first.yaml -- python
# The lock beside it (first.lock.yaml) says exactly what was chosen: commit both.

interpreter: host          # a Python found on this machine; `conda` takes Python from a conda channel
# python: "3.12"           # this series; without it, the newest that is found

pypi:
  packages:
    requests:              # any version
    # numpy: ">=2"         # at least
    # rich: "13.9.4"       # exactly
"""

CONDA = """\
# A recipe declares one environment. Realize it:  envbuild realize recipes/first.yaml
# Then use it:                                    envbuild run recipes/first.yaml -- python
# The lock beside it (first.lock.yaml) says exactly what was chosen: commit both.

python: "3.12"             # this series

conda:
  channels: [conda-forge]  # in order of priority: names, addresses or folders
  packages:
    numpy:                 # any version
    # openssl: ">=3,<4"

# pypi:                    # packages that the channels do not have
#   packages:
#     requests: ">=2.31"
"""


def write_starter(folder: Path, *, conda: bool) -> tuple[tuple[Path, bool], ...]:
    """Write the files that are missing.

    Returns:
        Each file, and whether it was written.

    Raises:
        NoSpaceError: When the folder cannot be written.
    """
    files = ((folder / "envbuild.yaml", PROJECT), (folder / "recipes" / "first.yaml", CONDA if conda else HOST))
    written = []
    for path, text in files:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            missing = not path.exists()
            if missing:
                path.write_text(text, encoding="utf-8")
        written.append((path, missing))
    return tuple(written)
