"""Texts."""

from mytorch.data.text.text_file import TextFile

__all__ = ["TextFile"]
