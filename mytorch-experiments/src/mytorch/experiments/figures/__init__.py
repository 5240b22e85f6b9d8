"""Figures of histories, boundaries and judgements, as PNG and GIF."""

__all__: list[str] = []
