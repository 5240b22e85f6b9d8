"""The conformance kit: whether a module's backward is the derivative of its forward."""

from mytorch.testing.check import LAYER_CHECKS, LOSS_CHECKS, check_layer, check_loss
from mytorch.testing.declaration import Declaration, declare_layer, declare_loss
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.kit import Check
from mytorch.testing.report import Report
from mytorch.testing.trial import Case, Trial

__all__ = [
    "LAYER_CHECKS",
    "LOSS_CHECKS",
    "Case",
    "Check",
    "CheckError",
    "Declaration",
    "Report",
    "Skip",
    "Trial",
    "check_layer",
    "check_loss",
    "declare_layer",
    "declare_loss",
]
