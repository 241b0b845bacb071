"""``python -m envbuild`` and the ``envbuild`` script."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_SOLVES_NOTHING = {"--check", "--offline", "--help", "-h"}


def main() -> NoReturn:
    """Run the command line; engines get ready while that is still being loaded, which takes 30 ms."""
    if sys.argv[1:2] == ["lock"] and _SOLVES_NOTHING.isdisjoint(sys.argv):
        from envbuild.machine.uv_ahead import meet_python

        meet_python(os.environ)
    elif sys.argv[1:2] == ["realize"]:
        from envbuild.linkers.rattler_ahead import start_for

        start_for(sys.argv[2:])
    from envbuild.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
