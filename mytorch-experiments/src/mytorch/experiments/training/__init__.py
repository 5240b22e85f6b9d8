"""What is done with a whole experiment: checking it and training it."""

__all__: list[str] = []
