"""The checks of callbacks."""
