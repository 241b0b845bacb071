"""Kinds whose work may be sent away; see ``envbuild.environments.far_work`` for what stays, and why."""

FAR_KINDS = frozenset({"transmute", "build-wheel", "bytecode"})
"""Besides the fetches that only these read."""
