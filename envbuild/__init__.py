"""envbuild turns YAML recipes, kept in Git, into running Python and conda environments."""

from __future__ import annotations

__version__ = "0.1.0"
