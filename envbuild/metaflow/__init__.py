"""The Metaflow extension: decorators that become recipes, and steps that run in their environments.

::

    attributes ─ declared ─► Declared ─ merging ─► Asked ─ writing ─► text of a recipe ─ preparing ─► prefixes
    (Metaflow's classes: decorators, environment, commands)                          └ emitting ─► recipes in Git

What runs inside of a step is ``decorators``, ``environment`` and ``names``: they import nothing but Metaflow and the
standard library until a flow is launched, and are written for every Python that Metaflow runs on. All else runs where
the flow is launched.
"""
