"""``python -m envbuild`` and the ``envbuild`` script."""

from __future__ import annotations

from envbuild.cli.main import main

if __name__ == "__main__":
    main()
