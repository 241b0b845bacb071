"""``python -m envbuild`` and the ``envbuild`` script."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_SOLVES_NOTHING = {"--check", "--offline", "--help", "-h"}


def main() -> NoReturn:
    """Run the command line; of a ``lock`` uv gets ready while that is still being loaded, which takes 30 ms."""
    if sys.argv[1:2] == ["lock"] and _SOLVES_NOTHING.isdisjoint(sys.argv):
        from envbuild.machine.uv_ahead import meet_python

        meet_python(os.environ)
    from envbuild.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
