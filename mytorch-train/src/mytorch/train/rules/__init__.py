"""Learning rules: what is added to gradients in place of what backpropagation adds."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.rules.feedback_alignment import FeedbackAlignment

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.rules.feedback_alignment": ("FeedbackAlignment",),
    },
)

__all__ = [
    "FeedbackAlignment",
]
