"""Solvers: from requirements to pinned packages, one engine a file.

``conda`` drives py-rattler in a child process (``rattler_child``); ``conda_spec`` reads what conda users write.
``pypi`` has uv resolve (``uv_compile``), ``sources`` says where it looks, ``pylock`` reads its answer; ``target`` says
what a platform's floors mean in uv's and in wheels' words, ``python_choice`` which Pythons a constraint allows;
``mixed`` tells uv what conda already provides; ``wheel_metadata`` reads what the chosen wheels say of themselves;
``explain`` puts an engine's refusal into terms of the recipe.

Rules of the room: effects come from the ``Context`` argument alone; results name channels and indices in the recipe's
own words, never by an address that only this machine knows.
"""
