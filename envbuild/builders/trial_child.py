"""Imports modules and looks up console scripts, run by the Python of the environment that is tried.

``python trial_child.py '{"imports": [], "entry-points": []}'`` says what it does, line by line, and ends with
``PASSED`` when all of it went well: no exit code that an import which ends the process would leave. The last line names
what failed.

Rules of the file: the standard library only, of any Python 3.
"""

# ruff: noqa: PTH120, T201

import importlib
import json
import os
import sys
import traceback

PASSED = 86


def load_script(name):  # type: ignore[no-untyped-def]  # noqa: D103
    from importlib import metadata

    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            if point.group == "console_scripts" and point.name == name:
                point.load()


def tell(kind, error, trace):  # type: ignore[no-untyped-def]  # noqa: D103
    frames = [frame for frame in traceback.extract_tb(trace) if not is_machinery(frame[0])]
    sys.stdout.write("".join(traceback.format_list(frames) + traceback.format_exception_only(kind, error)))


def is_machinery(file):  # type: ignore[no-untyped-def]  # noqa: D103
    return (
        file == __file__ or file.startswith("<frozen ") or os.path.dirname(file) == os.path.dirname(importlib.__file__)
    )


def main():  # type: ignore[no-untyped-def]  # noqa: D103
    job = json.loads(sys.argv[1])
    sys.argv[1:] = []
    sys.path.pop(0)  # the folder of this file
    steps = [("import", name, importlib.import_module) for name in job["imports"]]
    steps += [("entry point", name, load_script) for name in job["entry-points"]]
    failed = []
    for what, name, check in steps:
        print(what, name, flush=True)
        try:
            check(name)
        except BaseException:
            tell(*sys.exc_info())
            failed.append(f"{what} {name}")
    sys.stderr.flush()
    if failed:
        print("failed: " + ", ".join(failed), flush=True)
    os._exit(1 if failed else PASSED)


if __name__ == "__main__":
    main()
