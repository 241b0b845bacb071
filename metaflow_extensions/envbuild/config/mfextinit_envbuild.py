"""The extension's settings: ``METAFLOW_ENVBUILD_…`` as variables, or in Metaflow's configuration."""

from metaflow.metaflow_config_funcs import from_conf

DEBUG_OPTIONS = ["envbuild"]
"""``METAFLOW_DEBUG_ENVBUILD=1``: say what is asked, found, locked and realized; see ``envbuild.metaflow.debugging``."""

ENVBUILD_LEAVE_OWN = from_conf("ENVBUILD_LEAVE_OWN", False)
"""Leave ``conda`` and ``pypi``, as environments and as decorators, to Metaflow itself."""

ENVBUILD_NEEDS = from_conf("ENVBUILD_NEEDS", True)
"""Add to each step's recipe what Metaflow itself needs in a step."""

ENVBUILD_REMOTE = from_conf("ENVBUILD_REMOTE", ["batch", "kubernetes"])
"""Decorators that send a step to another machine."""
