"""The extension's settings: ``METAFLOW_ENVBUILD_…`` as variables, or in Metaflow's configuration."""

import sys

from metaflow.metaflow_config_funcs import from_conf

DEBUG_OPTIONS = ["envbuild"]
"""``METAFLOW_DEBUG_ENVBUILD=1``: say what is asked, found, locked and realized; see ``envbuild.metaflow.debugging``."""

ENVBUILD_LEAVE_OWN = from_conf("ENVBUILD_LEAVE_OWN", False)
"""Leave ``conda`` and ``pypi``, as environments and as decorators, to Metaflow itself."""

ENVBUILD_NEEDS = from_conf("ENVBUILD_NEEDS", True)
"""Add to each step's recipe what Metaflow itself needs in a step."""

ENVBUILD_REMOTE = from_conf("ENVBUILD_REMOTE", ["batch", "kubernetes"])
"""Decorators that send a step to another machine."""

SPIN_ALLOWED_DECORATORS = [
    *getattr(sys.modules["metaflow.metaflow_config"], "SPIN_ALLOWED_DECORATORS", ()),
    *("envbuild_internal", "pip", "pip_base", "named_env", "named_env_base", "recipe", "recipe_base"),
]
"""What counts for a step that is spun: else it runs outside of its environment."""
