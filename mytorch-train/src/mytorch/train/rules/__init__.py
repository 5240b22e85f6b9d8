"""Learning rules: what is added to gradients in place of what backpropagation adds."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.rules.direct_feedback_alignment import DirectFeedbackAlignment
    from mytorch.train.rules.equilibrium_propagation import EquilibriumPropagation
    from mytorch.train.rules.evolution_strategies import EvolutionStrategies
    from mytorch.train.rules.feedback_alignment import FeedbackAlignment
    from mytorch.train.rules.forward_forward import ForwardForward
    from mytorch.train.rules.local_losses import LocalLosses
    from mytorch.train.rules.predictive_coding import PredictiveCoding
    from mytorch.train.rules.sign_symmetric import SignSymmetric
    from mytorch.train.rules.straight_through import StraightThrough
    from mytorch.train.rules.surrogate_gradient import SurrogateGradient
    from mytorch.train.rules.synthetic_gradients import SyntheticGradients
    from mytorch.train.rules.target_propagation import TargetPropagation
    from mytorch.train.rules.zeroth_order import ZerothOrder

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.rules.direct_feedback_alignment": ("DirectFeedbackAlignment",),
        "mytorch.train.rules.equilibrium_propagation": ("EquilibriumPropagation",),
        "mytorch.train.rules.evolution_strategies": ("EvolutionStrategies",),
        "mytorch.train.rules.feedback_alignment": ("FeedbackAlignment",),
        "mytorch.train.rules.forward_forward": ("ForwardForward",),
        "mytorch.train.rules.local_losses": ("LocalLosses",),
        "mytorch.train.rules.predictive_coding": ("PredictiveCoding",),
        "mytorch.train.rules.sign_symmetric": ("SignSymmetric",),
        "mytorch.train.rules.straight_through": ("StraightThrough",),
        "mytorch.train.rules.surrogate_gradient": ("SurrogateGradient",),
        "mytorch.train.rules.synthetic_gradients": ("SyntheticGradients",),
        "mytorch.train.rules.target_propagation": ("TargetPropagation",),
        "mytorch.train.rules.zeroth_order": ("ZerothOrder",),
    },
)

__all__ = [
    "DirectFeedbackAlignment",
    "EquilibriumPropagation",
    "EvolutionStrategies",
    "FeedbackAlignment",
    "ForwardForward",
    "LocalLosses",
    "PredictiveCoding",
    "SignSymmetric",
    "StraightThrough",
    "SurrogateGradient",
    "SyntheticGradients",
    "TargetPropagation",
    "ZerothOrder",
]
