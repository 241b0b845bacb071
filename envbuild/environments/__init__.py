"""Environments on this machine: realized, remembered, found, used, verified."""
