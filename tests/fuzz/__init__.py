"""A fuzz of every reader of input: ``python -m tests.fuzz --help``."""
