"""Experiment files that are written from a look at a table."""

__all__: list[str] = []
