"""How packages become files in a prefix, one engine a file."""
