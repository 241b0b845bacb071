"""The recipe of what envbuild and Metaflow need on a node.

Beside envbuild's own requirements it has what Metaflow would install on a node to reach the datastore. It has no
library of a store: a node reads that as it began (``envbuild.metaflow.node_objects``).

Rules of the file: makes text; ``envbuild.environments.own_tools`` knows this installation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from envbuild.environments.own_tools import own_requirements, recipe_text
from envbuild.package import normalize_pypi_name

_LIBRARIES = {
    "local": (),
    "s3": ("boto3",),
    "azure": ("azure-identity", "azure-storage-blob", "azure-keyvault-secrets"),
    "gs": ("google-cloud-storage", "google-auth", "google-cloud-secret-manager", "packaging"),
}
"""What Metaflow itself imports on a node, by type of datastore."""


def tools_recipe(
    datastore: str, engines: Collection[str], platforms: Sequence[str], python: str, interpreter: str
) -> str:
    """The text of the recipe.

    Args:
        datastore: The type of Metaflow's datastore.
        engines: Of ``own_tools.ENGINES``, those that the environments of the nodes need.
        platforms: Of the nodes.
        python: The series.
        interpreter: ``managed`` brings a Python along; ``host`` takes the node's.
    """
    asked = {"requests": ""} | {normalize_pypi_name(text): "" for text in _LIBRARIES.get(datastore, ())}
    asked |= own_requirements(engines, python)
    head = "what envbuild and Metaflow need on a node to bring the environment of a step"
    return recipe_text(head, asked, platforms, python, interpreter)
