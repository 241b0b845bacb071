"""How requirements become pinned packages, one engine a file."""
