"""Every rule of this distribution keeps the contract of rules."""

from mytorch.testing import declare_rule
from mytorch.train.rules import (
    DirectFeedbackAlignment,
    EquilibriumPropagation,
    EvolutionStrategies,
    FeedbackAlignment,
    ForwardForward,
    LocalLosses,
    PredictiveCoding,
    SignSymmetric,
    StraightThrough,
    SurrogateGradient,
    SyntheticGradients,
    TargetPropagation,
    ZerothOrder,
)

test_direct_feedback_alignment = declare_rule(DirectFeedbackAlignment, lr=0.1)
test_equilibrium_propagation = declare_rule(EquilibriumPropagation)
test_evolution_strategies = declare_rule(EvolutionStrategies)
test_feedback_alignment = declare_rule(FeedbackAlignment, lr=0.1)
test_forward_forward = declare_rule(ForwardForward, opt_out=ForwardForward.conformance["opt_out"])
test_local_losses = declare_rule(LocalLosses)
test_predictive_coding = declare_rule(PredictiveCoding)
test_sign_symmetric = declare_rule(SignSymmetric, lr=0.1)
test_straight_through = declare_rule(StraightThrough)
test_surrogate_gradient = declare_rule(SurrogateGradient)
test_synthetic_gradients = declare_rule(SyntheticGradients)
test_target_propagation = declare_rule(TargetPropagation)
test_zeroth_order = declare_rule(lambda: ZerothOrder(samples=2), lr=0.01)
