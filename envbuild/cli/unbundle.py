"""What ``bundle_start`` becomes: ``python -m envbuild.cli.unbundle BUNDLE OFFSET WORK PREFIX CHECK``.

The parts of the bundle begin at that offset. ``WORK`` is a folder of this process, which goes when it ends; with a
prefix, the home is in it too.

Rules of the file: reads no user's configuration; there is no command ``envbuild`` where it runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from envbuild.errors import EnvbuildError, Terminated

_STRIPPED = ("ENVBUILD_", "UV_", "PIP_", "CONDA_", "RATTLER_", "PYTHON")


def main(words: list[str]) -> int:
    """Install, or only look; the exit code."""
    path, start, folder, prefix, check = words
    work = Path(folder)
    from envbuild.machine.temporary import remove_tree

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ended)
    try:
        print(_install(Path(path), int(start), work, Path(prefix) if prefix else None, check=bool(check)))  # noqa: T201
    except EnvbuildError as error:
        from envbuild.cli.errors import say_error

        if error.hint is not None and "envbuild " in error.hint:
            error.hint = None
        say_error(error)
        return error.exit_code
    except OSError as error:
        from envbuild.cli.errors import show_os_error

        return show_os_error(error)
    except KeyboardInterrupt as error:
        return 143 if isinstance(error, Terminated) else 130
    finally:
        remove_tree(work)
    return 0


def _install(path: Path, start: int, work: Path, prefix: Path | None, *, check: bool) -> Path | str:
    from envbuild.exchange.unbundling import Opened
    from envbuild.session import Session

    index = json.loads((work / "index.json").read_bytes())
    (work / "envbuild.yaml").write_bytes(b"")  # that of a project around it says nothing here
    environ = _environment(work, apart=prefix is not None or check) | index["settings"]
    os.environ.clear()
    os.environ.update(environ)
    bundle = Opened(path=path, index=index, start=start)
    made = Session(work, offline=True).install_bundle(bundle, prefix, check=check, say=_say)
    return made if made is not None else "whole"


def _environment(work: Path, *, apart: bool) -> dict[str, str]:
    """Variables as they are, without any that configure envbuild or its engines."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STRIPPED)}
    kept["XDG_CONFIG_HOME"] = str(work / "no-configuration")
    if apart:
        kept |= {"ENVBUILD_HOME": str(work / "home"), "ENVBUILD_DURABILITY": "fast", "TMPDIR": str(work)}
    elif home := os.environ.get("ENVBUILD_HOME"):
        kept["ENVBUILD_HOME"] = home
    return kept


def _ended(number: int, frame: FrameType | None) -> Any:
    raise Terminated


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"envbuild: {text}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
