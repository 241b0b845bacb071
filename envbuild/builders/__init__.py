"""Builders: from where a source lies to a wheel that was checked.

Rules of the room: effects come from the ``context`` argument; sources are read, never written to; what an archive or a
build backend says is not believed before it was checked.
"""
