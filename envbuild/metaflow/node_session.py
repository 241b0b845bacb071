"""What a node does with a session: it takes an environment from a store, links it, and looks into it.

All verbs of a session would be loaded in 10 ms more, at each start of each step.
"""

from __future__ import annotations

from envbuild.base_session import BaseSession
from envbuild.environments.look_verbs import LookVerbs
from envbuild.environments.move_verbs import MoveVerbs


class NodeSession(BaseSession, LookVerbs, MoveVerbs):
    """Made as a ``BaseSession`` is."""
