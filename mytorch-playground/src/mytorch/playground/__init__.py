"""A page in the browser that shows a network learn: the server, and the processes in which networks are trained."""

from mytorch.playground.serve import serve

__all__ = ["serve"]
