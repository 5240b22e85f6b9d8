"""Searching for better settings of an experiment."""

__all__: list[str] = []
