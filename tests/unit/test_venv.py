"""Virtual environments that are copied are those that uv makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from envbuild.addresses import Addresses
from envbuild.derivations import Context
from envbuild.derivations.fetch import Fetch
from envbuild.digest import Digest
from envbuild.linkers.venv import make_venv, ready_venv
from envbuild.machine.workspace import Workspace
from envbuild.package import UrlOrigin

PYTHON = os.path.realpath(sys.executable)


def tree(prefix: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in a folder, without the name of the folder that it was made in."""
    found = {}
    for path in prefix.rglob("*"):
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(prefix))] = (
            path.lstat().st_mode,
            data.replace(prefix.parent.name.encode(), b"HERE"),
        )
    return found


def made(context: Context) -> dict[str, tuple[int, bytes]]:
    """A virtual environment, in a scratch folder whose path needs quoting."""
    with context.scratch() as folder:
        make_venv(folder / "prefix", PYTHON, context)
        said = subprocess.run(
            [folder / "prefix" / "bin" / "python", "-I", "-c", "import sys; print(sys.prefix)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == str(folder / "prefix")
        assert f"{folder.name}/prefix" in (folder / "prefix" / "bin" / "activate").read_text()
        return tree(folder / "prefix")


def test_a_copy_is_what_uv_makes_and_a_damaged_memory_is_not_believed(tmp_path: Path) -> None:
    origin = UrlOrigin(url="https://h.example/x", file="x")
    job = Fetch(sha256=Digest("0" * 64), file="x", origin=origin)
    with Workspace(tmp_path / "it's a home", Addresses(root=str(tmp_path)), durability="fast") as workspace:
        context = workspace.for_job(job, {})
        by_uv = made(context)
        (memory,) = context.engine_cache("venvs").iterdir()
        kept = memory.read_bytes()
        assert made(context) == by_uv
        assert memory.read_bytes() == kept
        memory.write_bytes(kept.replace(b"VIRTUAL_ENV=", b"VIRTUAL_ENX=", 1))
        assert made(context) == by_uv
        assert memory.read_bytes() != kept.replace(b"VIRTUAL_ENV=", b"VIRTUAL_ENX=", 1)
        memory.write_bytes(b"")
        assert made(context) == by_uv
        assert len(list(context.engine_cache("venvs").iterdir())) == 1


def test_the_first_is_made_ahead_once(tmp_path: Path) -> None:
    origin = UrlOrigin(url="https://h.example/x", file="x")
    job = Fetch(sha256=Digest("0" * 64), file="x", origin=origin)
    with Workspace(tmp_path / "home", Addresses(root=str(tmp_path)), durability="fast") as workspace:
        context = workspace.for_job(job, {})
        ready_venv(PYTHON, context)
        (memory,) = context.engine_cache("venvs").iterdir()
        state = memory.stat()
        ready_venv(PYTHON, context)
        made(context)
        assert memory.stat() == state
        assert not list((tmp_path / "home" / "tmp").iterdir())
