"""The demonstration that ``./dev demo`` runs."""
