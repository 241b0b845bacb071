"""The program that calls one hook of a build backend (PEP 517), inside the build's isolation, under its Python.

It is run as ``python hook_child.py JOB ANSWER`` with the library ``pyproject_hooks`` beside it; the backend itself runs
in a child of this one, which knows nothing of either. ``JOB`` is read, ``ANSWER`` is written, both JSON::

    {"source": "…", "backend": "…", "backend_path": [], "hook": "build_wheel", "arguments": {}}
    {"value": …}   or   {"error": "no-backend", "message": "…"}

Rules of the file: any Python that a source may be built with runs it, so it is plain.
"""

# ruff: noqa: PTH120, PTH123

import json
import os
import sys


def main() -> None:
    """See the module."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import subprocess
    import warnings

    from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

    warnings.simplefilter("ignore")
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    try:
        caller = BuildBackendHookCaller(job["source"], job["backend"], job["backend_path"])
        answer = {"value": getattr(caller, job["hook"])(**job["arguments"])}
    except BackendUnavailable as error:
        answer = {"error": "no-backend", "message": str(error)}
    except HookMissing as error:
        answer = {"error": "no-hook", "message": str(error)}
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode if error.returncode >= 0 else 128 - error.returncode)
    except ValueError as error:
        answer = {"error": "bad-backend", "message": str(error)}
    except Exception as error:
        answer = {"error": "failed", "message": str(error)}
    with open(sys.argv[2], "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


if __name__ == "__main__":
    main()
