"""How deep a stack of equal layers may be."""

MOST_LAYERS = 10_000
"""A thousand layers is what research has trained; the rest is room. A mistyped count would build for hours."""
