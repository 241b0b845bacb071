"""Linkers: from verified package files to a prefix, each engine behind one module.

``prefix`` assembles and renames; ``conda`` drives py-rattler in a child process (``rattler_child``); ``wheels`` drives
uv; ``archive`` unpacks managed interpreters; ``scripts`` puts final paths into what engines wrote; ``wheel_check`` says
whether a wheel is what the lock promised; ``verify`` compares a prefix with what its blobs give, and repairs it.

Rules of the room: nothing here opens a store, reads the network, or looks at the environment; what it needs comes as
values and through the ``Context``.
"""
