"""The checks of layers."""
