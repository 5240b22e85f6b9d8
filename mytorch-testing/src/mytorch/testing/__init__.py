"""The conformance kit: whether a part keeps its contract, and a hand-written backward is the derivative it claims."""

from mytorch.testing.callback.check_callback import CALLBACK_CHECKS, check_callback, declare_callback
from mytorch.testing.dataset.check_dataset import DATASET_CHECKS, check_dataset, declare_dataset
from mytorch.testing.declaration import Declaration
from mytorch.testing.errors import CheckError
from mytorch.testing.function.check_function import FUNCTION_CHECKS, check_function
from mytorch.testing.kit import Check
from mytorch.testing.layer.check_layer import LAYER_CHECKS, check_layer, declare_layer
from mytorch.testing.loss.check_loss import LOSS_CHECKS, check_loss, declare_loss
from mytorch.testing.optimizer.check_optimizer import OPTIMIZER_CHECKS, check_optimizer, declare_optimizer
from mytorch.testing.report import Report
from mytorch.testing.rule.check_rule import RULE_CHECKS, check_rule, declare_rule
from mytorch.testing.schedule.check_schedule import SCHEDULE_CHECKS, check_schedule, declare_schedule

__all__ = [
    "CALLBACK_CHECKS",
    "DATASET_CHECKS",
    "FUNCTION_CHECKS",
    "LAYER_CHECKS",
    "LOSS_CHECKS",
    "OPTIMIZER_CHECKS",
    "RULE_CHECKS",
    "SCHEDULE_CHECKS",
    "Check",
    "CheckError",
    "Declaration",
    "Report",
    "check_callback",
    "check_dataset",
    "check_function",
    "check_layer",
    "check_loss",
    "check_optimizer",
    "check_rule",
    "check_schedule",
    "declare_callback",
    "declare_dataset",
    "declare_layer",
    "declare_loss",
    "declare_optimizer",
    "declare_rule",
    "declare_schedule",
]
