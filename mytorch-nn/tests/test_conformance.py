"""Every layer and loss of this distribution goes through the kit."""

import pytest
import torch
from torch.nn import functional as F

from mytorch.core import Module
from mytorch.nn import (
    BatchNorm1d,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Identity,
    LazyLinear,
    Linear,
    ModuleDict,
    ModuleList,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from mytorch.nn.loss.ctc_loss import NOT_OF_LOG_PROBS
from mytorch.plugins import catalogue
from mytorch.testing import declare_layer, declare_loss
from mytorch.testing.installed import Told, check_part

ROWS = (5, 3)
CLASSES = torch.tensor([0, 2, 1, 1, 0])
IGNORING = torch.tensor([0, -1, 1, -1, 0])


def linear(parameters, x):
    return F.linear(x, parameters["weight"], parameters["bias"])


test_linear = declare_layer(lambda: Linear(3, 4), ROWS, reference=linear)
test_linear_without_bias = declare_layer(lambda: Linear(3, 4, bias=False), (2, 5, 3))
test_lazy_linear = declare_layer(lambda: LazyLinear(4), ROWS, tags=("lazy",), reference=linear)
test_lazy_linear_in_a_model = declare_layer(
    lambda: Sequential(LazyLinear(4, bias=False), Tanh(), LazyLinear(2)), ROWS, tags=("lazy",)
)
test_relu = declare_layer(ReLU, ROWS, reference=lambda parameters, x: F.relu(x))
test_tanh = declare_layer(Tanh, ROWS, reference=lambda parameters, x: x.tanh())
test_sigmoid = declare_layer(Sigmoid, ROWS, reference=lambda parameters, x: x.sigmoid())
test_identity = declare_layer(Identity, ROWS)
test_flatten = declare_layer(Flatten, (4, 2, 3), tags=("fixed_dimensions",))
test_dropout = declare_layer(lambda: Dropout(0.4), ROWS)
test_batch_norm = declare_layer(lambda: BatchNorm1d(3), ROWS, tags=("mixes_batch", "fixed_dimensions"))
test_batch_norm_in_evaluation = declare_layer(
    lambda: BatchNorm1d(3), ROWS, modes=("eval",), tags=("fixed_dimensions",)
)
test_sequential = declare_layer(lambda: Sequential(Linear(3, 4), Tanh(), Linear(4, 2)), ROWS)
test_residual = declare_layer(lambda: Residual(Sequential(Linear(3, 3), ReLU())), ROWS)


class Branches(Module):
    """y = sum of the branches of x, held in a list or by key."""

    def __init__(self, keyed):
        branches = {"a": Linear(3, 2), "b": Linear(3, 2)}
        self.branches = ModuleDict(branches) if keyed else ModuleList(branches.values())

    def each(self):
        return list(self.branches.values() if isinstance(self.branches, ModuleDict) else self.branches)

    def forward(self, x):
        flights = [branch.forward(x) for branch in self.each()]
        return sum(output for output, _ in flights), [saved for _, saved in flights]

    def backward(self, d_y, saved):
        return sum(branch.backward(d_y, kept) for branch, kept in zip(self.each(), saved, strict=True))


test_module_list = declare_layer(lambda: Branches(keyed=False), ROWS)
test_module_dict = declare_layer(lambda: Branches(keyed=True), ROWS)

test_mse = declare_loss(MSELoss, ROWS, ROWS, reference=lambda parameters, y, t: F.mse_loss(y, t))
test_mse_sum = declare_loss(lambda: MSELoss(reduction="sum"), ROWS, ROWS)
test_mse_none = declare_loss(lambda: MSELoss(reduction="none"), ROWS, ROWS)
test_cross_entropy = declare_loss(
    CrossEntropyLoss, ROWS, CLASSES, reference=lambda parameters, y, t: F.cross_entropy(y, t)
)
test_cross_entropy_of_probabilities = declare_loss(CrossEntropyLoss, ROWS, torch.rand(ROWS).softmax(-1))
test_cross_entropy_weighted = declare_loss(
    lambda: CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 3.0]), label_smoothing=0.1), ROWS, CLASSES
)
test_cross_entropy_ignoring = declare_loss(lambda: CrossEntropyLoss(ignore_index=-1), ROWS, IGNORING)
test_bce_with_logits = declare_loss(
    BCEWithLogitsLoss,
    ROWS,
    torch.rand(ROWS),
    reference=lambda parameters, y, t: F.binary_cross_entropy_with_logits(y, t),
)

DECLARED = {
    *(
        BatchNorm1d,
        Dropout,
        Flatten,
        Identity,
        LazyLinear,
        Linear,
        ModuleDict,
        ModuleList,
        ReLU,
        Residual,
        Sequential,
        Sigmoid,
    ),
    *(Tanh, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss),
}


OWN = [part for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]


OPT_OUTS = {"CTCLoss": dict.fromkeys(("finite_differences", "full_jacobian"), NOT_OF_LOG_PROBS)}
"""The checks that a part is spared, each with its reason; those of torch.compile stand in test_one_graph.py."""


def test_who_is_spared_a_check():
    stated = {part.name: getattr(part.load(), "conformance", {}).get("opt_out") for part in OWN}
    assert {name: reasons for name, reasons in stated.items() if reasons} == OPT_OUTS


@pytest.mark.parametrize("part", OWN, ids=lambda part: part.name)
def test_every_part_passes_as_mytorch_check_runs_it(part):
    """Those that need no arguments of their own, or say by `conformance` how they are built and fed."""
    outcome = check_part(part, Told())
    assert outcome.passed is not False, "\n".join(outcome.lines)
    assert outcome.passed or part.load() in DECLARED
