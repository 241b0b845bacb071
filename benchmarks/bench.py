"""What every benchmark gets: a folder of its own, commands, a clean environment, servers, and how many rounds.

Rules of the file: all caches of both sides are below ``Bench.folder``, on one file system, so that linking is as cheap
for one as for the other.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import Result, Side, once
from tests.case import CHECKOUT, clean_environment
from tests.support.servers import Content, Server, serve
from tests.support.wheels import real_wheels, uv

PYPI_SET = ("numpy", "pandas", "scikit-learn", "matplotlib", "requests", "pyarrow")
SERIES = f"{sys.version_info[0]}.{sys.version_info[1]}"


UNSYNCED = " (information: `durability: fast`, which promises what the peer does: nothing is synced)"
"""What is added to the name of a row that was measured ``without_syncs``."""


@dataclass(kw_only=True)
class Bench:
    """One benchmark's surroundings.

    Attributes:
        folder: Empty at the start, gone at the end.
        quick: Fewer and smaller rounds.
        closing: Closes servers at the end.
        say: Shows a line of progress.
    """

    folder: Path
    quick: bool
    closing: ExitStack
    say: Callable[[str], None]

    def rounds(self, full: int, quick: int) -> int:
        """How many rounds to run."""
        return quick if self.quick else full

    def serve(self, content: Path | Content) -> Server:
        """A loopback server that lives as long as the benchmark; pages may be cached for ten minutes, as real ones."""
        return self.closing.enter_context(serve(content, cache_control="max-age=600"))

    def environ(self, name: str) -> dict[str, str]:
        """A clean environment with a home of its own, ``<folder>/<name>/home``."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        clean = clean_environment(place)
        return {**clean, "PYTHONPATH": str(CHECKOUT), "UV_CACHE_DIR": str(place / "uv-cache")} | {"COLUMNS": "100"}

    def project(self, name: str, recipes: dict[str, str]) -> Path:
        """A project's folder with recipes in it."""
        folder = self.folder / name / "project"
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in recipes.items():
            (folder / file).write_text(text)
        return folder

    def setup(self, command: list[str], environ: dict[str, str], folder: Path) -> None:
        """Run something that is not part of the measurement."""
        once(command, environ, folder)


def envbuild(*arguments: str) -> list[str]:
    """The command line as users have it: the installed script, else ``python -m envbuild``."""
    script = Path(sys.executable).with_name("envbuild")
    return [str(script), *arguments] if script.is_file() else [sys.executable, "-m", "envbuild", *arguments]


def without_syncs(sides: list[Side]) -> list[Side]:
    """The same commands, ours with ``durability: fast``."""
    ours, *others = sides
    return [replace(ours, environ={**ours.environ, "ENVBUILD_DURABILITY": "fast"}), *others]


def forget_environments(home: Path, project: Path) -> None:
    """Remove realized prefixes and all that points to them; store, caches and locks stay."""
    for name in ("prefixes", "stamps", "roots"):
        remove(home / name)
    remove(project / ".envs")


def remove(path: Path) -> None:
    """Have a folder or file gone from its name.

    A folder is put aside, not removed: ext4 does not use the inodes of removed files again for minutes, and looking
    past thousands of them makes the next run's links up to six times slower, whichever side's turn it is.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.rename(path.with_name(f".aside-{secrets.token_hex(6)}"))


def pypi_wheels() -> Path:
    """The real wheels of ``PYPI_SET`` and what they need, downloaded once."""
    return real_wheels(PYPI_SET)


def pypi_recipe(index: str, packages: tuple[str, ...], extends: str | None = None) -> str:
    """A PyPI-only recipe on this machine's own Python."""
    head = f"extends: {extends}\n" if extends else f'interpreter: host\npython: "{SERIES}"\n'
    names = "".join(f"    {name}:\n" for name in packages)
    return f"{head}pypi:\n  index: {index}/simple\n  packages:\n{names}"


def base_python(prefix: Path) -> str:
    """The interpreter below a virtual environment of ours, so that uv is given the same."""
    return str((prefix / "bin" / "python").resolve())


Benchmark = Callable[[Bench], list[Result]]
__all__ = ["PYPI_SET", "SERIES", "Bench", "Benchmark", "base_python", "envbuild", "forget_environments", "uv"]
