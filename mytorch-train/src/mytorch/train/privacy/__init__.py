"""Training with differential privacy: what it promises, what it has spent, and its step."""

from mytorch.train.privacy.privacy import Privacy

__all__ = ["Privacy"]
