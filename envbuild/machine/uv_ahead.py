"""uv meets the Python that runs envbuild while the recipe is still being read.

Before it resolves anything uv starts a Python and asks it about itself: 45 ms on a machine where uv's cache does not
know it yet. Asked for at the beginning of a command that will probably solve, the answer is in the cache by then.

Rules of the file: a courtesy: whatever is wrong here, the solve meets it again and says so.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from envbuild.errors import EnvbuildError
from envbuild.machine.home import find_home, open_home


def meet_python(environ: Mapping[str, str]) -> None:
    """Let uv look at this Python, in the background, unless its cache knows one.

    Args:
        environ: This process's environment, which says where the home is.
    """
    with suppress(EnvbuildError, OSError):
        cache = open_home(find_home(environ)).cache / "uv"
        if any(cache.glob("interpreter-*")):
            return
        threading.Thread(target=_ask, args=(os.fspath(cache), environ), daemon=True).start()


def _ask(cache: str, environ: Mapping[str, str]) -> None:
    from envbuild.machine.process import clean_environment, run
    from envbuild.machine.uv_program import uv_program

    with suppress(EnvbuildError, OSError):
        argv = [uv_program(), "python", "find", "--no-config", "--no-python-downloads", sys.executable]
        run(argv, environ=clean_environment(environ, network=False) | {"UV_CACHE_DIR": cache})
