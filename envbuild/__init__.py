"""envbuild turns YAML recipes, kept in Git, into running Python and conda environments.

``envbuild.Session`` has every verb as a function on values; it is imported when it is asked for, so that importing the
package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envbuild.version import __version__

if TYPE_CHECKING:
    from envbuild.session import Session

__all__ = ["Session", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Session":
        from envbuild.session import Session

        return Session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
