"""The end of what stands in a command: reads the one object that the command names, holds it against its sha256, runs it.

Rules of the file: joined behind one of the ``get_<scheme>``, whose imports it has.
"""

# mypy: ignore-errors
import hashlib
import os
import sys
import time


def begin(store, digest, *words):
    end = time.monotonic() + float(os.environ.get("ENVBUILD_DEADLINE") or 600)
    pause = 1
    while True:
        try:
            data = get(store, "blobs/sha256/%s/%s" % (digest[:2], digest))  # noqa: F821  of the file before
            if data is None:
                print("envbuild: %s does not have %s, or may not be read" % (store, digest), file=sys.stderr)
                sys.exit(4)
            why = "wrong bytes"
            if hashlib.sha256(data).hexdigest() == digest:
                break
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = error
        print("envbuild: %s: %s" % (store, why), file=sys.stderr)
        if time.monotonic() + pause > end:
            sys.exit(5)
        time.sleep(pause)
        pause = min(2 * pause, 15)
    space = {"__name__": "first", "OWN": data, "END": end}
    exec(compile(data, "first.py", "exec"), space)
    sys.exit(space["main"](["tools", store, *words]))


begin(*sys.argv[2:])
