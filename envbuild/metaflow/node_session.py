"""What a node does with a session: it takes an environment from a store, links it, and looks into it.

All verbs of a session would be loaded in 10 ms more, at each start of each step.
"""

from __future__ import annotations

from envbuild.base_session import BaseSession
from envbuild.environments.look_verbs import LookVerbs


class NodeSession(BaseSession, LookVerbs):
    """Made as a ``BaseSession`` is."""
