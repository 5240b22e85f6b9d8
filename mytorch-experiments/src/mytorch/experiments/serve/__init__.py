"""Predictions of a run over HTTP: `serve` answers until it is told to end; it needs the extra `serve`."""

__all__: list[str] = []
