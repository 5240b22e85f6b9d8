"""Exercises: one line of a layer's backward is hidden, and whoever opens the page writes it."""
