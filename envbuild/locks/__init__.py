"""Locks: as text, made, compared, held against their recipes."""
