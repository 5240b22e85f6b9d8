"""What a model says of rows, and how good it is."""

__all__: list[str] = []
