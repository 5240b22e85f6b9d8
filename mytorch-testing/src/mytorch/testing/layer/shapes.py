"""Whether shapes that do not fit are refused by name."""

from __future__ import annotations

import torch

from mytorch.testing.errors import Skip
from mytorch.testing.module.refusals import refused
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import is_floating


def bad_shapes(case: Case) -> None:
    """An input whose last axis is too long raises a ShapeError that names the layer, unless any size is allowed."""
    trial = Trial(case)
    if len(case.inputs) != 1 or not is_floating(case.inputs[0]) or not case.inputs[0].dim():
        raise Skip("only layers of one tensor are asked")
    (x,) = case.inputs
    wrong = torch.cat([x, x[..., :1]], -1)
    if refused(trial, (wrong,), "input", x.shape, wrong.shape) is None:
        return
    raise Skip("it takes any size")
