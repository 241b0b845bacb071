"""Transmuting: a conda package written anew in the other format, without unpacking it.

Members stream from one archive into the other. Nothing is ever extracted, so that no link can lead anywhere; the memory
needed does not grow with the package.

Rules of the room: reads one file and writes below one folder, both given; decides nothing about keys or stores.
"""
