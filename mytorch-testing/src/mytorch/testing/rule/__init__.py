"""The checks of learning rules."""
