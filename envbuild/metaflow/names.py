"""The names that the launching side and a running step share: variables, metadata, types of environments.

Rules of the file: constants; read inside of steps, on every Python that Metaflow runs on.
"""

from __future__ import annotations

TYPES = ("envbuild", "conda", "pypi")
"""What ``--environment`` may say for us to serve it."""

INTERNAL = "envbuild_internal"
"""The decorator that every step gets, and that does the work of all others."""

TOLD = "METAFLOW_ENVBUILD_ENVIRONMENT"
"""The variable that tells a task where it runs: JSON, empty for a step that runs outside."""

FIELD = "envbuild-environment"
"""The field of a task's metadata that holds the same."""

AWAY = "METAFLOW_ENVBUILD_AWAY"
"""The variable that tells the process which sends a task to another machine what its command is to say: JSON."""

IMAGE = "METAFLOW_ENVBUILD_IMAGE"
"""The variable that tells a step on another machine how to start the Python of its image: JSON."""

OF_PYTHON = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPATH")
"""Variables that the image's Python is to see as the image has them."""
