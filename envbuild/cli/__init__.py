"""The command line: a thin shell on `envbuild.session`."""
