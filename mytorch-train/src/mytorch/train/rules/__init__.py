"""Learning rules: what is added to gradients in place of what backpropagation adds."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.rules.evolution_strategies import EvolutionStrategies
    from mytorch.train.rules.feedback_alignment import FeedbackAlignment
    from mytorch.train.rules.sign_symmetric import SignSymmetric
    from mytorch.train.rules.zeroth_order import ZerothOrder

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.rules.evolution_strategies": ("EvolutionStrategies",),
        "mytorch.train.rules.feedback_alignment": ("FeedbackAlignment",),
        "mytorch.train.rules.sign_symmetric": ("SignSymmetric",),
        "mytorch.train.rules.zeroth_order": ("ZerothOrder",),
    },
)

__all__ = [
    "EvolutionStrategies",
    "FeedbackAlignment",
    "SignSymmetric",
    "ZerothOrder",
]
