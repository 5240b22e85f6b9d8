"""Checks of functions of PyTorch that state their own backward."""
