"""Experiment files: reading them, and building what they name."""

__all__: list[str] = []
