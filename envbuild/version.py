"""This version of envbuild; also read by the package's build."""

__version__ = "0.1.0"
