"""Imports modules and looks up console scripts, run by the Python of the environment that is tried.

``python trial_child.py '{"imports": [], "entry-points": []}'`` says what it does, line by line, and ends with
``PASSED`` when all of it went well: no exit code that an import which ends the process would leave. The last line names
what failed.

Rules of the file: the standard library only, of any Python from 3.8 on.
"""

# ruff: noqa: T201

import importlib
import json
import os
import sys
import traceback

PASSED = 86


def load_script(name: str) -> None:
    """Import what a console script leads to; one that no Python package declares is a program of another kind."""
    from importlib import metadata

    for distribution in metadata.distributions():
        for point in distribution.entry_points:
            if point.group == "console_scripts" and point.name == name:
                point.load()


def tell(error: BaseException) -> None:
    """Say what went wrong, without the frames of whoever imports."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_machinery(frame.filename)]
    said = traceback.format_list(frames) + traceback.format_exception_only(type(error), error)
    sys.stdout.write("".join(said))


def is_machinery(file: str) -> bool:
    """Whether a frame is ours, or the import system's."""
    return file in (__file__, importlib.__file__) or file.startswith("<frozen ")


def main() -> None:
    """See the module."""
    job = json.loads(sys.argv[1])
    sys.argv[1:] = []
    sys.path.pop(0)  # the folder of this file
    steps = [("import", name) for name in job["imports"]]
    steps += [("entry point", name) for name in job["entry-points"]]
    failed = []
    for what, name in steps:
        print(what, name, flush=True)
        try:
            importlib.import_module(name) if what == "import" else load_script(name)
        except BaseException as error:  # also what ends a process: it is no import that went well
            tell(error)
            failed.append(what + " " + name)
    if failed:
        print("failed: " + ", ".join(failed))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else PASSED)


if __name__ == "__main__":
    main()
