"""What keeps a training: its history, weights and figures."""

__all__: list[str] = []
