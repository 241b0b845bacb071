"""This machine: its home, disk, locks, processes, network, Pythons; and the workspace that gives them to jobs."""
