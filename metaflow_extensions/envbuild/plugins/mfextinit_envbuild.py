"""What the extension adds to Metaflow. Class paths are absolute: the code is in ``envbuild.metaflow``.

Rules of the file: read whenever Metaflow is imported, also inside of steps; imports nothing that is not needed to say
what there is.
"""

from importlib.util import find_spec

from metaflow.metaflow_config import ENVBUILD_LEAVE_OWN

if find_spec("metaflow_extensions.netflixext") is not None:
    raise SystemExit(
        "envbuild and metaflow-netflixext both serve @conda and @pypi: uninstall one of the two "
        "(pip uninstall metaflow-netflixext)"
    )

_IN = "envbuild.metaflow."


def _served(described, *own):
    """What is served: all but what a setting leaves to Metaflow itself."""
    return [(name, _IN + path) for name, path in described if not (ENVBUILD_LEAVE_OWN and name in own)]


ENVIRONMENTS_DESC = _served(
    [
        ("envbuild", "environment.EnvbuildEnvironment"),
        ("conda", "environment.CondaEnvironment"),
        ("pypi", "environment.PypiEnvironment"),
    ],
    "conda",
    "pypi",
)

STEP_DECORATORS_DESC = _served(
    [
        ("conda", "decorators.CondaStep"),
        ("pypi", "decorators.PypiStep"),
        ("pip", "decorators.PipStep"),
        ("named_env", "decorators.NamedStep"),
        ("recipe", "decorators.RecipeStep"),
        ("envbuild_internal", "decorators.InternalStep"),
    ],
    "conda",
    "pypi",
)

FLOW_DECORATORS_DESC = _served(
    [
        ("conda_base", "decorators.CondaFlow"),
        ("pypi_base", "decorators.PypiFlow"),
        ("pip_base", "decorators.PipFlow"),
        ("named_env_base", "decorators.NamedFlow"),
        ("recipe_base", "decorators.RecipeFlow"),
    ],
    "conda_base",
    "pypi_base",
)

CLIS_DESC = [("environment", _IN + "commands.cli")]
