"""The folders of runs: opening, listing and comparing them."""

__all__: list[str] = []
