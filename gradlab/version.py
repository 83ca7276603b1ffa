"""The version of the package, where every file can read it without loading the package's face."""

__version__ = "0.1.0"
