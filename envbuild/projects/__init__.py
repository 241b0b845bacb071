"""A project: its recipes, bases and configuration, and what this machine makes of their words."""
