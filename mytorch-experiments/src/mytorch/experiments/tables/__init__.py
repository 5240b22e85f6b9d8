"""Runs and judgements in the terminal."""

__all__: list[str] = []
